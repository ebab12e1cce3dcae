"""The account as frozen values; no I/O, no imports from this package.

Source: the answer of ``GET /accounts/{account_id}/access/ai-controls/mcp/portals`` (and, where it
is collected, of its sibling ``.../mcp/servers``), reduced. Times are Unix seconds. ``None`` means
that the API did not say.
"""

from __future__ import annotations

import msgspec

OTHER = "other"
"""Stands for a value that is not in its closed set."""

AUTH_TYPES = ("oauth", "bearer", "unauthenticated", OTHER)
STATUSES = ("waiting", "ready", "stale", "error", OTHER)
AUTHENTICATION_STATUSES = ("not_required", "required", "connected", "stale", "manual", OTHER)
CODE_MODES = ("off", "opt_in", "default_on", "enforced", OTHER)

CONDITIONS = (
    *("reauthorization", "unreachable", "error", "retryable", "awaiting_authorization"),
    *("unknown", "working"),
)
"""What holds for a server, the one that must be acted on first hiding the others, as in the alert
rules; staleness, which changes without a listing, is not among them."""


class ErrorClass(msgspec.Struct, frozen=True, order=True, gc=False):
    """``error_details`` as label values.

    ``is_upstream`` and ``retryable`` are ``true``, ``false`` or ``unknown``; the codes are whole
    numbers or empty.
    """

    is_upstream: str
    retryable: str
    status_code: str
    mcp_code: str


class Server(msgspec.Struct, frozen=True, gc=False):
    """An MCP server of the account, whatever number of portals it is in."""

    id: str
    name: str
    hostname: str
    auth_type: str
    status: str | None = None
    authentication_status: str | None = None
    in_error: bool = False
    error_class: ErrorClass | None = None
    last_sync: float | None = None
    last_successful_sync: float | None = None
    created: float | None = None
    modified: float | None = None
    tools: int | None = None
    prompts: int | None = None
    secure_web_gateway: bool | None = None
    shared_oauth_callback: bool | None = None
    tool_hashes: bytes | None = None
    """Native 64-bit hashes of the names of its tools; None unless they are kept."""

    @property
    def retryable_upstream_failure(self) -> bool:
        """In error, with both ``is_upstream`` and ``retryable`` true."""
        kind = self.error_class
        return (
            self.in_error
            and kind is not None
            and kind.is_upstream == "true"
            and kind.retryable == "true"
        )

    @property
    def condition(self) -> str:
        """The one of `CONDITIONS` that holds."""
        if "stale" in (self.status, self.authentication_status):
            return "reauthorization"
        if self.in_error or self.status == "error":
            if self.error_class is not None and self.error_class.is_upstream == "false":
                return "unreachable"
            return "retryable" if self.retryable_upstream_failure else "error"
        if self.status == "waiting":
            return "awaiting_authorization"
        return "unknown" if self.status in (None, OTHER) else "working"

    def staleness(self, now: float) -> float | None:
        """Seconds since the last successful sync, or since creation where there never was one."""
        since = self.created if self.last_successful_sync is None else self.last_successful_sync
        return None if since is None else max(0.0, now - since)


class Exposure(msgspec.Struct, frozen=True, gc=False):
    """How many of a server's tools (or prompts) a portal exposes."""

    shown: int
    orphaned: int
    """Overrides that name something the server does not offer."""


class Attachment(msgspec.Struct, frozen=True, gc=False):
    """A server in a portal."""

    portal_id: str
    server_id: str
    default_disabled: bool | None = None
    on_behalf: bool | None = None
    tools: Exposure | None = None
    prompts: Exposure | None = None


class Portal(msgspec.Struct, frozen=True, gc=False):
    """An MCP portal."""

    id: str
    name: str
    hostname: str
    code_mode: str | None = None
    code_mode_allowed: bool | None = None
    secure_web_gateway: bool | None = None
    created: float | None = None
    modified: float | None = None


class Skipped(msgspec.Struct, frozen=True, gc=False):
    """A record that was skipped."""

    kind: str
    """``portal`` or ``server``."""
    where: str
    why: str


class PortalServers(msgspec.Struct, frozen=True, gc=False):
    """A portal with its distinct servers."""

    portal: Portal
    servers: tuple[Server, ...]


class AccountServer(msgspec.Struct, frozen=True, gc=False):
    """A server with the number of portals it is attached to."""

    server: Server
    portals: int


class Inventory(msgspec.Struct, frozen=True, gc=False):
    """One complete listing of an account: every tuple sorted by id, every id once."""

    portals: tuple[PortalServers, ...] = ()
    servers: tuple[AccountServer, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: frozenset[str] = frozenset()
    """A line for each unknown value."""
