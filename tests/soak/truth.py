"""The expected state of each account at each version."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

AUTH_TYPES = ("oauth", "bearer", "unauthenticated")
EVERY = 0.25
"""Seconds between two versions."""


@dataclass(frozen=True)
class Account:
    """A simulated account.

    Attributes:
        name: in the configuration, and prefix of all its ids.
        account_id: of the API.
        portals: how many it has; None for a number that changes.
        faults: ratio of its requests that fail.
    """

    name: str
    account_id: str
    portals: int | None
    faults: float


ACCOUNTS = {
    one.name: one
    for one in (
        Account("steady", "0" * 31 + "1", None, 0.0),
        Account("shaky", "0" * 31 + "2", None, 0.3),
        Account("broken", "0" * 31 + "3", None, 0.9),
        Account("paged", "0" * 31 + "4", 12, 0.1),
        Account("rare", "0" * 31 + "6", None, 0.01),
        Account("guest", "0" * 31 + "5", None, 0.2),
    )
}
WITHOUT_FAULTS = tuple(one for one in ACCOUNTS.values() if not one.faults)
PER_PAGE = 5
GUEST = "guest"
"""Removed from the configuration and added again, repeatedly."""


@lru_cache(maxsize=4096)
def portals(account: Account, version: int) -> tuple[dict[str, Any], ...]:
    """The account's portals, as the API lists them."""
    made = random.Random(f"{account.name} {version}")
    count = made.randint(1, PER_PAGE - 1) if account.portals is None else account.portals
    return tuple(_portal(f"{account.name}-p{number}", version, made) for number in range(count))


def _portal(identity: str, version: int, made: random.Random) -> dict[str, Any]:
    return {
        "id": identity,
        "name": f"v{version}",
        "hostname": f"{identity}.example.com",
        "servers": [
            {
                "id": f"{identity}-s{number}",
                "name": "server",
                "hostname": "https://example.com/mcp",
                "auth_type": made.choice(AUTH_TYPES),
                "tools": [{"name": f"t{tool}"} for tool in range(made.randint(0, 9))],
                **({"error": "broken"} if made.random() < 0.3 else {}),
            }
            for number in range(made.randint(0, 4))
        ],
    }


class Versions:
    """The newest version over time; monotonic seconds."""

    def __init__(self) -> None:
        self._begin = time.monotonic()

    def at(self, moment: float) -> int:
        """The newest version at that time."""
        return max(0, int((moment - self._begin) / EVERY))

    @property
    def now(self) -> int:
        """The newest version."""
        return self.at(time.monotonic())
