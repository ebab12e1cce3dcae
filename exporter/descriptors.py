"""Shares out the limit of open files among clients, requests to the API and idle connections.

Without shares, whoever comes first takes what others need: clients that hold connections would
leave none for the API or for a reload.
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
"""Reserved for what is open at the start, files of a reload, secrets and name lookups. Inherited
descriptors are not included."""

STDERR = 2
"""The last of the three standard descriptors."""

OPEN_DESCRIPTORS = "/dev/fd"

NO_LIMIT = 1 << 20
"""Used if there is no limit."""

MIN_OPEN_FILES = 64
"""Minimum limit of open files."""


class Shares(msgspec.Struct, frozen=True):
    """File descriptors by use.

    Attributes:
        connections: of clients.
        backlog: client connections accepted above `connections` for a moment.
        requests: concurrent requests to the API.
        idle: idle connections to the API.
    """

    connections: int
    backlog: int
    requests: int
    idle: int


def raise_limit() -> int:
    """Raise the limit of open files as far as the system allows, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # some systems allow less than they report
        hard = soft
    return NO_LIMIT if hard == resource.RLIM_INFINITY else hard


def inherited(limit: int) -> int:
    """The number of descriptors below the limit that the process inherited open, stdio excluded.

    Call it before the program opens any. A descriptor at or above the limit does not count against
    it.
    """
    try:
        listed = {int(name) for name in os.listdir(OPEN_DESCRIPTORS)}  # noqa: PTH208 - no paths
    except OSError:  # not every system has it
        return 0
    return sum(STDERR < number < limit and _is_open(number) for number in listed)


def _is_open(number: int) -> bool:
    """False for the descriptor that the directory was read with."""
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def share_out(limit: int, in_use: int = 0) -> Shares:
    """The shares of this many descriptors.

    Args:
        limit: of open files.
        in_use: descriptors that are inherited and stay open.


    Raises:
        SettingsError: they are too few.
    """
    if limit - in_use < MIN_OPEN_FILES:
        reason = f", because {in_use} are inherited" if in_use else ""
        raise SettingsError(
            f"the limit of open files is {limit}, but at least {MIN_OPEN_FILES + in_use} are "
            f"required{reason}; raise it (LimitNOFILE= in systemd, ulimit -n)"
        )
    spare = limit - in_use - RESERVE
    shares = Shares(
        connections=min(512, spare // 2),
        backlog=min(512, spare // 8),
        requests=min(256, spare // 8),  # two each: a request can be interrupted
        idle=min(4096, spare // 8),
    )
    fields = msgspec.structs.asdict(shares)
    event(LOG, logging.DEBUG, "open files", limit=limit, inherited=in_use, **fields)
    return shares
