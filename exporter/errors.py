"""The exceptions of this package, as one tree.

    ExporterError
    ├── SettingsError   a flag, an environment variable or a file that cannot be used
    └── ListingError    an account could not be listed whole; carries a `Reason`

Messages are shown to people and written to logs: they never hold a secret.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a listing failed: the closed set behind the label ``reason``."""

    AUTH = "auth"
    NOT_FOUND = "not_found"
    RATE_LIMITED = "rate_limited"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    UPSTREAM_5XX = "upstream_5xx"
    UPSTREAM_4XX = "upstream_4xx"
    API_ERROR = "api_error"
    INVALID_RESPONSE = "invalid_response"
    INCOMPLETE = "incomplete"
    INTERNAL = "internal"


HINTS: dict[Reason, str] = {
    Reason.AUTH: (
        "check that the token is active and has the permission 'MCP Portals Read' on this account"
    ),
    Reason.NOT_FOUND: "check the account id: it is 32 hexadecimal digits, not a zone id or a name",
    Reason.RATE_LIMITED: (
        "scrape less often, or give the exporter a user of its own, since the quota is shared by "
        "all tokens of one user"
    ),
    Reason.TIMEOUT: (
        "raise --scrape.timeout together with the job's scrape_timeout, or look for a slow "
        "network or proxy between here and the API"
    ),
    Reason.CONNECTION: ("check the network, the firewall and any proxy between here and the API"),
    Reason.UPSTREAM_5XX: "the API itself fails; see the provider's status page",
    Reason.UPSTREAM_4XX: "the API refuses the request; check --api.per-page and the base URL",
    Reason.API_ERROR: "the API answered success: false; its code and text are in this line",
    Reason.INVALID_RESPONSE: (
        "this is not the API's answer; check CLOUDFLARE_BASE_URL and any proxy in between"
    ),
    Reason.INCOMPLETE: (
        "the API sent fewer portals than it counted, twice; portals may be changing right now"
    ),
    Reason.INTERNAL: (
        "this is a bug in the exporter; run it with --log.level=debug and report the traceback"
    ),
}


class ExporterError(Exception):
    """Base class of everything this program raises on purpose."""


class SettingsError(ExporterError):
    """A setting cannot be used; the message names it and says how to fix it."""


class ListingError(ExporterError):
    """An account could not be listed whole.

    Attributes:
        reason: the value of the label ``reason``.
        hint: what a person can do about it.
        transient: whether the same request may succeed if it is retried at once.
        retry_after: seconds of back-off that the API asked for, if any.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        transient: bool = False,
        retry_after: float | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.hint = hint or HINTS[reason]
        self.reason = reason
        self.transient = transient
        self.retry_after = retry_after

    @classmethod
    def internal(cls, problem: Exception) -> ListingError:
        """The account's failure for an unexpected exception.

        Its text is omitted, since it may quote what was being read; the log has it at debug level.
        """
        error = cls(Reason.INTERNAL, f"internal error while listing ({type(problem).__name__})")
        error.__cause__ = problem
        return error
