"""How many files and sockets the process may have open, and who may have how many of them.

One bound for all, the limit of open files, is shared out here. Otherwise whoever comes first takes
what others need: clients that hold connections would leave none for the API, or for a reload.
"""

from __future__ import annotations

import logging
import os
import resource

import msgspec

from exporter.errors import SettingsError
from exporter.logs import event

LOG = logging.getLogger(__name__)

RESERVE = 32
"""For what is open at the start, files of a reload, secrets and name lookups; what was inherited
comes on top of it."""

STANDARD = 2
"""The last of the three descriptors that every program inherits."""

OWN_DESCRIPTORS = "/dev/fd"

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


def inherited(limit: int) -> int:
    """How many of the descriptors below the limit whoever started the program left open in it.

    To be asked before the program opens any; those from the limit on take nothing from it.
    """
    try:
        listed = {int(name) for name in os.listdir(OWN_DESCRIPTORS)}  # noqa: PTH208 - no paths
    except OSError:  # not all systems have it
        return 0
    return sum(STANDARD < number < limit and _is_open(number) for number in listed)


def _is_open(number: int) -> bool:
    """Not so the one through which they were listed."""
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def share_out(limit: int, taken: int = 0) -> Shares:
    """Who may have how many of so many descriptors, of which some are taken for good.

    Raises:
        SettingsError: they are too few.
    """
    if limit - taken < FEWEST:
        because = f", as {taken} were open before the start" if taken else ""
        raise SettingsError(
            f"the limit of open files is {limit}, and {FEWEST + taken} are needed{because}; "
            "raise it (LimitNOFILE= in systemd, ulimit -n)"
        )
    spare = limit - taken - RESERVE
    shares = Shares(
        connections=min(512, spare // 2),
        backlog=min(512, spare // 8),
        requests=min(256, spare // 8),  # each with two: it can be interrupted
        kept=min(4096, spare // 8),
    )
    event(
        LOG, logging.DEBUG, "open files", limit=limit, taken=taken, **msgspec.structs.asdict(shares)
    )
    return shares
