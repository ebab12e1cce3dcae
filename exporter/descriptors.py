"""How many files and sockets the process may have open, and who may have how many of them.

One bound for all, the limit of open files, is shared out here. Otherwise whoever comes first takes
what others need: clients that hold connections would leave none for the API, or for a reload.
"""

from __future__ import annotations

import logging
import resource

import msgspec

from exporter.errors import SettingsError
from exporter.logs import event

LOG = logging.getLogger(__name__)

RESERVE = 32
"""For what is open at the start, files of a reload, secrets and name lookups."""

MANY = 1 << 20
"""Stands for no limit."""

FEWEST = 64
"""Below this limit no sensible share is left."""


class Shares(msgspec.Struct, frozen=True):
    """Descriptors by use.

    Attributes:
        connections: of clients.
        backlog: of clients, more than `connections` for a moment: accepted at once.
        requests: to the API, under way at the same time.
        kept: connections to the API that are kept for the next listing.
    """

    connections: int
    backlog: int
    requests: int
    kept: int


def raise_limit() -> int:
    """Raise the limit of open files as far as the system allows; what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # some systems allow less than they say
        hard = soft
    return MANY if hard == resource.RLIM_INFINITY else hard


def share_out(limit: int) -> Shares:
    """Who may have how many of so many descriptors.

    Raises:
        SettingsError: they are too few.
    """
    if limit < FEWEST:
        raise SettingsError(
            f"the limit of open files is {limit}, but at least {FEWEST} are required; raise it "
            "(LimitNOFILE= in systemd, ulimit -n)"
        )
    spare = limit - RESERVE
    shares = Shares(
        connections=min(512, spare // 2),
        backlog=min(512, spare // 8),
        requests=min(256, spare // 8),  # each with two: it can be interrupted
        kept=min(4096, spare // 8),
    )
    event(LOG, logging.DEBUG, "open files", limit=limit, **msgspec.structs.asdict(shares))
    return shares
