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
    Reason.NOT_FOUND: "check the account ID: it is 32 hexadecimal digits, not a zone ID or a name",
    Reason.RATE_LIMITED: (
        "scrape less often, or create the token under a separate user: the rate limit is shared by "
        "all tokens of a user"
    ),
    Reason.TIMEOUT: (
        "check for a slow network or proxy, or raise --scrape.timeout and the scrape_timeout of "
        "the Prometheus job"
    ),
    Reason.CONNECTION: "check the network, the firewall and any proxy on the way to the API",
    Reason.UPSTREAM_5XX: "the API is failing; see https://www.cloudflarestatus.com",
    Reason.UPSTREAM_4XX: "the API rejects the request; check --api.per-page and the base URL",
    Reason.API_ERROR: "the API reported an error; its text and code are in this message",
    Reason.INVALID_RESPONSE: (
        "this is not the Cloudflare API; check CLOUDFLARE_BASE_URL or base_url, and any proxy "
        "that answers in its place"
    ),
    Reason.INCOMPLETE: (
        "the API returned fewer items than its total_count, twice; portals may be changing right "
        "now"
    ),
    Reason.INTERNAL: (
        "this is a bug in the exporter; run it with --log.level=debug and report the traceback"
    ),
}


class ExporterError(Exception):
    """Base class of everything this program raises on purpose."""


class SettingsError(ExporterError):
    """Settings cannot be used; each line of the message names one and says how to fix it.

    Attributes:
        problems: the lines, at least one.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


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
