"""Durations, numbers and closed sets as a person reads them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.errors import Reason
from exporter.model import OTHER
from exporter.web.status.report import Error

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_DAYS_ALONE = 30
"""Days from which hours do not matter any more."""

REASONS: Mapping[Reason, str] = {
    Reason.AUTH: "Access denied",
    Reason.NOT_FOUND: "Account not found",
    Reason.RATE_LIMITED: "Rate limited",
    Reason.TIMEOUT: "Timed out",
    Reason.CONNECTION: "Could not connect",
    Reason.UPSTREAM_5XX: "The API failed",
    Reason.UPSTREAM_4XX: "The API refused the request",
    Reason.API_ERROR: "The API reported an error",
    Reason.INVALID_RESPONSE: "Not an answer of the API",
    Reason.INCOMPLETE: "Incomplete listing",
    Reason.INTERNAL: "Internal error",
}
AUTH_TYPES = {"oauth": "OAuth", "bearer": "Bearer token", "unauthenticated": "None", OTHER: "Other"}
AUTHENTICATION_STATUSES = {
    "not_required": "no login needed",
    "required": "login required",
    "connected": "connected",
    "stale": "authorization expired",
    "manual": "manual OAuth client",
    OTHER: "other",
}
CODE_MODES = {
    "off": "Off",
    "opt_in": "Opt-in",
    "default_on": "On by default",
    "enforced": "Enforced",
    OTHER: "Other",
}


def duration(seconds: float) -> str:
    """Such as ``45 s``, ``12 min``, ``2 h 10 min``, ``3 d 4 h``; negative counts as none."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < _DAY:
        return _two(whole, _HOUR, "h", _MINUTE, "min")
    if whole < _DAYS_ALONE * _DAY:
        return _two(whole, _DAY, "d", _HOUR, "h")
    return f"{whole // _DAY} d"


def _two(whole: int, large: int, large_unit: str, small: int, small_unit: str) -> str:
    rest = whole % large // small
    return f"{whole // large} {large_unit}" + (f" {rest} {small_unit}" if rest else "")


def counted(number: int, one: str, many: str) -> str:
    """Such as ``1 server`` and ``1,200 servers``."""
    return f"{number:,} {one if number == 1 else many}"


def error(kind: Error) -> str:
    """Who failed, with which codes, and whether it may pass, in one sentence."""
    who = {True: "the server answered an error", False: "the server could not be reached"}
    lasts = {True: "it may pass by itself", False: "it will not pass by itself"}
    codes = [
        *([f"HTTP\N{NO-BREAK SPACE}{kind.status_code}"] if kind.status_code is not None else []),
        *(
            [f"MCP\N{NO-BREAK SPACE}code\N{NO-BREAK SPACE}{kind.mcp_code}"]
            if kind.mcp_code is not None
            else []
        ),
    ]
    parts = [
        who[kind.is_upstream] if kind.is_upstream is not None else "an error of unknown origin",
        *codes,
        lasts[kind.retryable] if kind.retryable is not None else "",
    ]
    return f"The API says: {', '.join(part for part in parts if part)}."
