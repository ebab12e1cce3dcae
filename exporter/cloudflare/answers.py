"""What an answer of the API means when it is not a listing: by error code first, then by status.

The API wraps refused credentials in a 400 as readily as in a 403, and says ``success: false``
in a 200, so the status alone does not tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import msgspec

from exporter.cloudflare.records import ApiMessage, Envelope
from exporter.errors import ListingError, Reason

REASON_BY_CODE: dict[int, Reason] = {
    971: Reason.RATE_LIMITED,
    1000: Reason.AUTH,  # invalid token
    6003: Reason.AUTH,  # the credentials' headers cannot be parsed
    6111: Reason.AUTH,  # the Authorization header cannot be parsed
    7001: Reason.UPSTREAM_4XX,  # invalid input
    7003: Reason.NOT_FOUND,  # no such account
    9103: Reason.AUTH,  # unknown key or e-mail
    9106: Reason.AUTH,  # no credentials came
    9109: Reason.AUTH,  # unauthorised
    10000: Reason.AUTH,  # wrong credentials, or a permission is missing
}

HINT_BY_CODE: dict[int, str] = {
    1000: "the API does not know this token; copy it again, or make a new one",
    6003: "the API cannot parse the credentials it got; copy the token or key again, whole",
    6111: "the API cannot parse the credentials it got; copy the token again, whole",
    9103: "the API does not know this e-mail address and key together; check both",
    9106: "no credentials reached the API; does a proxy in between take headers away?",
    9109: "the token is not valid for this account; check its account resources and its expiry",
    10000: (
        "check that the token is active and has the permission 'MCP Portals Read' on this account"
    ),
}
"""What is more precise than the hint of the reason."""

REASON_BY_STATUS: dict[int, Reason] = {
    HTTPStatus.OK: Reason.API_ERROR,
    HTTPStatus.UNAUTHORIZED: Reason.AUTH,
    HTTPStatus.FORBIDDEN: Reason.AUTH,
    HTTPStatus.NOT_FOUND: Reason.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS: Reason.RATE_LIMITED,
}

REASON_BY_STATUS_CLASS: dict[int, Reason] = {
    2: Reason.INVALID_RESPONSE,
    3: Reason.INVALID_RESPONSE,
    4: Reason.UPSTREAM_4XX,
    5: Reason.UPSTREAM_5XX,
}

LONGEST_TEXT = 200
LONGEST_PAUSE = 24 * 3600.0
"""A pause is cut to this, so that one absurd header cannot silence the exporter for ever."""


def failure(
    status: int,
    headers: Mapping[str, str],
    body: bytes | bytearray,
    now: float,
    strike: Callable[[str], str],
) -> ListingError:
    """The error that an answer stands for.

    Args:
        status: the HTTP status; 200 with ``success: false`` is an error too.
        headers: of the answer, with case-insensitive names.
        body: the decoded body; may be HTML, or empty.
        now: Unix time, for a ``Retry-After`` that is a date.
        strike: takes the credentials out of a text, which the API may repeat.
    """
    messages = _messages(body)
    codes = [code for code in map(_code, messages) if code is not None]
    retry_after = parse_retry_after(headers.get("Retry-After", ""), now)
    reason = _reason(status, codes)
    return ListingError(
        reason,
        _describe(status, headers, messages, strike),
        hint=next((HINT_BY_CODE[code] for code in codes if code in HINT_BY_CODE), None),
        transient=reason is Reason.UPSTREAM_5XX and retry_after is None,
        retry_after=retry_after,
    )


def _reason(status: int, codes: list[int]) -> Reason:
    for code in codes:
        if code in REASON_BY_CODE:
            return REASON_BY_CODE[code]
    by_class = REASON_BY_STATUS_CLASS.get(status // 100, Reason.INVALID_RESPONSE)
    return REASON_BY_STATUS.get(status, by_class)


def _messages(body: bytes | bytearray) -> list[ApiMessage]:
    try:
        return msgspec.json.decode(body, type=Envelope).errors or []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []


def _code(message: ApiMessage) -> int | None:
    try:
        return int(message.code)
    except (TypeError, ValueError, OverflowError):
        return None


def _describe(
    status: int,
    headers: Mapping[str, str],
    messages: list[ApiMessage],
    strike: Callable[[str], str],
) -> str:
    if status // 100 == 3:  # noqa: PLR2004 - the class of redirects
        return f"the API answered HTTP {status}, a redirect; redirects are never followed"
    texts = "; ".join(
        # Struck before it is cut, since half a secret is not recognised any more.
        f"{_code(message) or 'no code'}: {strike(str(message.message))[:LONGEST_TEXT]}"
        for message in messages[:3]
    )
    if texts:
        return f"the API answered HTTP {status}: {texts}"
    kind = headers.get("Content-Type", "") or "no content type"
    return f"the API answered HTTP {status} without an error of its own ({strike(kind)[:60]})"


def parse_retry_after(value: str, now: float) -> float | None:
    """Seconds to wait by a ``Retry-After`` header: a number or an HTTP date; None if unusable."""
    text = value.strip()
    try:
        seconds = float(text) if text.isascii() and text.isdigit() else _until(text, now)
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_PAUSE)


def _until(text: str, now: float) -> float:
    moment = parsedate_to_datetime(text)  # without a zone where it names none: HTTP means UTC
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now
