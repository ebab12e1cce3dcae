"""What is wrong with a server, in one word a person can act on.

The kinds exclude each other, as in the alert rules: the one that must be acted on first hides the
rest. Pure.
"""

from __future__ import annotations

import msgspec

from exporter.model import OTHER, Server

STALE_AFTER = 6 * 3600.0
"""Seconds without a successful sync: three background syncs missed, as in the alert rules."""


class Health(msgspec.Struct, frozen=True):
    """One kind.

    Attributes:
        key: its name in a link.
        rank: its place, the worst first.
        tone: ``bad``, ``warn``, ``idle`` or ``good``.
        words: what it is called.
        meaning: what it means, and what mends it.
    """

    key: str
    rank: int
    tone: str
    words: str
    meaning: str

    @property
    def needs_attention(self) -> bool:
        """Whether somebody should look."""
        return self.tone in {"bad", "warn"}


REAUTHORISE = Health(
    "reauthorize", 0, "bad", "Needs re-authorization",
    "The stored login has lapsed. An administrator must log in to the server again.",
)  # fmt: skip
UNREACHABLE = Health(
    "unreachable", 1, "bad", "Unreachable",
    "No connection to the server: its name, its network, or the server is down.",
)  # fmt: skip
ERROR = Health(
    "error", 2, "bad", "In error",
    "The last sync failed, and nothing says that it may pass by itself.",
)  # fmt: skip
RETRYABLE = Health(
    "retryable", 3, "warn", "Retryable failure",
    "The server answered an error that may pass by itself.",
)  # fmt: skip
WAITING = Health(
    "waiting", 4, "warn", "Waits for first login",
    "Not synced yet: somebody must log in to the server for the first time.",
)  # fmt: skip
STALE = Health(
    "stale", 5, "warn", "Sync is stale",
    f"No error, but no successful sync for more than {STALE_AFTER / 3600:g} hours. Syncs run about "
    "every 2 hours.",
)  # fmt: skip
UNKNOWN = Health(
    "unknown", 6, "idle", "State not known",
    "The API gives no state, or one that this version does not know.",
)  # fmt: skip
WORKING = Health(
    "working", 7, "good", "Working",
    "The last sync succeeded. It does not promise that the server answers right now.",
)  # fmt: skip

HEALTHS = (REAUTHORISE, UNREACHABLE, ERROR, RETRYABLE, WAITING, STALE, UNKNOWN, WORKING)
"""All kinds, the worst first."""


def health_of(server: Server, staleness: float | None) -> Health:
    """The kind that holds, given the seconds since the last successful sync where known."""
    if "stale" in {server.status, server.authentication_status}:
        return REAUTHORISE
    if server.in_error or server.status == "error":
        return _failure(server)
    if server.status == "waiting":
        return WAITING
    # What a person logged in to by hand is captured once, and never synced again.
    synced = server.authentication_status != "manual"
    if synced and staleness is not None and staleness > STALE_AFTER:
        return STALE
    return UNKNOWN if server.status in {None, OTHER} else WORKING


def _failure(server: Server) -> Health:
    if server.error_class is not None and server.error_class.is_upstream == "false":
        return UNREACHABLE
    return RETRYABLE if server.retryable_upstream_failure else ERROR
