"""What a probe found: plain values, and the closed set of outcomes."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """How a probe ended: the closed set behind the label ``outcome``."""

    OK = "ok"
    AUTHORIZATION_REQUIRED = "authorization_required"
    BLOCKED = "blocked"
    THROTTLED = "throttled"
    NOT_FOUND = "not_found"
    HTTP_ERROR = "http_error"
    NOT_MCP = "not_mcp"
    PROTOCOL_ERROR = "protocol_error"
    REDIRECTED = "redirected"
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    REFUSED_ADDRESS = "refused_address"
    TOO_LARGE = "too_large"
    CREDENTIALS_REFUSED = "credentials_refused"


class Phase(StrEnum):
    """A part of a probe that is timed."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    TLS = "tls"
    DISCOVER = "discover"
    LIST = "list"


class ProbeError(Exception):
    """A probe ended without a usable answer.

    Attributes:
        outcome: how it ended.
        retry_after: seconds for which the target asked not to be asked again; 0 for none.
    """

    def __init__(self, outcome: Outcome, problem: str, retry_after: float = 0.0) -> None:
        super().__init__(problem)
        self.outcome = outcome
        self.retry_after = retry_after


class Drift(msgspec.Struct, frozen=True):
    """How many tools a server lists beyond, and no longer of, those that Cloudflare has stored."""

    added: int
    removed: int


class ProbeResult(msgspec.Struct, frozen=True):
    """The result of one probe of a server or a portal.

    Attributes:
        outcome: how it ended.
        success: whether the target answered as it should.
        problem: a sentence for people; empty where there is nothing to say. Holds no text of the
            target's.
        phases: seconds by phase, as far as the probe came.
        http_status: of the last response; None if there was none.
        protocol_version: of MCP; empty if unknown.
        certificate_expiry: Unix time of the earliest end in the chain that was shown.
        login_possible: whether the metadata for a login answer; None if no login is required.
        tools: how many the server lists; None if it could not be asked.
        drift: against what Cloudflare has stored; None if either side is unknown.
        visible_tools: tools shown by server id, of a portal listed with a service token.
        retry_after: seconds for which the target asked not to be asked again; 0 for none.
    """

    outcome: Outcome
    success: bool
    problem: str = ""
    phases: dict[Phase, float] = {}
    http_status: int | None = None
    protocol_version: str = ""
    certificate_expiry: float | None = None
    login_possible: bool | None = None
    tools: int | None = None
    drift: Drift | None = None
    visible_tools: dict[str, int] | None = None
    retry_after: float = 0.0
