"""What accounts, portals and servers really are, whoever looks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")

SYNC = 120
"""Minutes between two syncs of a server."""


class Condition(StrEnum):
    """How a server is."""

    OK = "ok"
    DENIED = "denied"
    UNREACHABLE = "unreachable"
    LAPSED = "lapsed"
    BARE = "bare"
    """In error without details."""
    RETRYABLE = "retryable"

    @property
    def broken(self) -> bool:
        """Whether it does not work."""
        return self is not Condition.OK


def at(changes: tuple[tuple[int, T], ...], minute: int) -> T | None:
    """The value of the last change up to a minute; None before the first."""
    found = None
    for moment, value in changes:
        if moment > minute:
            break
        found = value
    return found


@dataclass(frozen=True)
class Server:
    """An MCP server.

    Attributes:
        account: its account's id.
        id: within the account.
        conditions: from which minute on it is how.
        places: from which minute on it is attached to which portals; none while that is empty.
        renamed: minutes at which it gets another name.
        manual: its OAuth is manual, so that it is never synced again.
        phase: minute of its first sync.
    """

    account: str
    id: str
    conditions: tuple[tuple[int, Condition], ...]
    places: tuple[tuple[int, tuple[str, ...]], ...]
    renamed: tuple[int, ...] = ()
    manual: bool = False
    phase: int = 0

    def condition(self, minute: int) -> Condition:
        """How it is."""
        return at(self.conditions, minute) or Condition.OK

    def attached(self, minute: int) -> tuple[str, ...]:
        """The portals that it is meant to be in."""
        return at(self.places, minute) or ()

    def failing_like_a_blip(self, minute: int) -> bool:
        """Whether its failure may pass with the next sync."""
        return self.condition(minute) is Condition.RETRYABLE and not self.manual

    def synced(self, minute: int) -> int:
        """When it was last synced with success."""
        if self.manual:
            return -600
        last = minute
        while self.condition(last).broken and last > -SYNC:
            last -= 1
        sync = self.phase + (last - self.phase) // SYNC * SYNC
        well_since = [m for m, how in self.conditions if m <= last and not how.broken]
        return max([sync, *well_since[-1:]])


@dataclass(frozen=True)
class Portal:
    """An MCP portal.

    Attributes:
        account: its account's id.
        id: within the account.
        renamed: minutes at which it gets another name.
        deleted: the minute at which it is.
    """

    account: str
    id: str
    renamed: tuple[int, ...] = ()
    deleted: int | None = None

    def exists(self, minute: int) -> bool:
        """Whether it is there."""
        return self.deleted is None or minute < self.deleted


@dataclass(frozen=True)
class Account:
    """An account.

    Attributes:
        id: of the API.
        removed: the minute at which it is taken out of the configuration.
    """

    id: str
    removed: int | None = None

    def configured(self, minute: int) -> bool:
        """Whether the exporters are to list it."""
        return self.removed is None or minute < self.removed


@dataclass(frozen=True)
class Truth:
    """All of it."""

    accounts: tuple[Account, ...]
    portals: tuple[Portal, ...]
    servers: tuple[Server, ...]

    def account(self, identity: str) -> Account:
        """The account of an id."""
        return next(one for one in self.accounts if one.id == identity)

    def portal(self, account: str, identity: str) -> Portal:
        """The portal of an id."""
        return next(p for p in self.portals if (p.account, p.id) == (account, identity))

    def homes(self, server: Server, minute: int) -> tuple[str, ...]:
        """The portals that a server is in; it is listed while it is in one."""
        existing = {p.id for p in self.portals if p.account == server.account and p.exists(minute)}
        return tuple(portal for portal in server.attached(minute) if portal in existing)

    def members(self, portal: Portal, minute: int) -> list[Server]:
        """The servers in a portal."""
        if not portal.exists(minute):
            return []
        return [
            server
            for server in self.servers
            if server.account == portal.account and portal.id in server.attached(minute)
        ]
