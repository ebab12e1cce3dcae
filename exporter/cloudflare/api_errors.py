"""Maps an API response that is not a listing to a reason: by error code first, then by HTTP status.

The API reports rejected credentials with 400 as well as 403, and may send ``success: false`` with
status 200, so the status alone is not enough.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_tz
from http import HTTPStatus

import msgspec
from msgspec import Raw

from exporter.cloudflare.bounds import as_integer
from exporter.cloudflare.connection_errors import PROXY_LOGIN
from exporter.cloudflare.convert import plain
from exporter.cloudflare.json_repair import Body, UnrepairableError, repaired
from exporter.cloudflare.schema import ApiMessage, ApiMessages, Envelope
from exporter.cloudflare.texts import Redact, safe_text
from exporter.errors import HINTS, ListingError, Reason

REASON_BY_CODE: dict[int, Reason] = {
    971: Reason.RATE_LIMITED,
    1000: Reason.AUTH,  # invalid token
    6003: Reason.AUTH,  # the credentials' headers cannot be parsed
    6111: Reason.AUTH,  # the Authorization header cannot be parsed
    7001: Reason.UPSTREAM_4XX,  # invalid input
    7003: Reason.NOT_FOUND,  # no such account
    9103: Reason.AUTH,  # unknown key or e-mail
    9106: Reason.AUTH,  # no credentials came
    9109: Reason.AUTH,  # unauthorized
    10000: Reason.AUTH,  # wrong credentials, or a permission is missing
}

HINT_BY_CODE: dict[int, str] = {
    1000: "the API does not know this token; copy it again, or create a new one",
    6003: "the API cannot parse the credentials; copy the whole token or key again",
    6111: "the API cannot parse the credentials; copy the whole token again",
    7000: "the API has no such path; check that the base URL ends in /client/v4",
    9103: "the API does not know this email address and key; check both",
    9106: "no credentials reached the API; check whether a proxy in between removes headers",
    9109: "the token is not valid for this account; check its account resources and its expiration",
    10000: HINTS[Reason.AUTH],
}
"""Hints that are more specific than the hint of the reason."""

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

NOT_OF_THE_API = (2, 3, 4)
"""Classes of statuses that the API itself sends with its envelope. Cloudflare's edge sends pages
with a 5xx, and something in between may send any."""

LONGEST_TEXT = 200
LONGEST_CODE = 10
"""Maximum digits of an error code that is sent as a string."""

LONGEST_MESSAGE = 64 * 1024
"""Maximum bytes of a message to show."""

MAX_REPAIRED = 1 << 20
"""Maximum bytes of an error body in which invalid characters are repaired."""

MAX_RETRY_AFTER = 15 * 60.0
"""Seconds: three times the API's rate limit window. A longer Retry-After is a mistake."""

MAY_HAVE_RETRY_AFTER = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)

API_PATH = "/client/v4"
"""How base URLs of the API end."""

UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)

_ENVELOPE = msgspec.json.Decoder(Envelope)
_MESSAGES = msgspec.json.Decoder(ApiMessages | None)
_MESSAGE = msgspec.json.Decoder(ApiMessage)
_TEXT = msgspec.json.Decoder(str)


def failure(
    status: int, headers: Mapping[str, str], body: Body, redact: Redact, base_url: str = ""
) -> ListingError:
    """The error that a response means.

    ``Retry-After`` counts only where the API itself says so: with status 429 or 503 and in its
    own envelope. A proxy or a captive portal knows nothing about the API's quota.

    Args:
        status: the HTTP status; 200 with ``success: false`` is an error too.
        headers: of the answer, with case-insensitive names.
        body: the decoded body; may be HTML, or empty.
        redact: removes the credentials from a text; the API may echo them.
        base_url: where the API was expected.
    """
    envelope = _envelope(body)
    messages = [] if envelope is None else _messages(envelope)
    codes = [code for code in map(_code, messages) if code is not None]
    retry_after = None
    if envelope is not None and status in MAY_HAVE_RETRY_AFTER:
        retry_after = parse_retry_after(headers.get("Retry-After", ""), headers.get("Date", ""))
    reason = _reason(status, codes)
    if envelope is None and status // 100 in NOT_OF_THE_API:
        text, hint = _foreign(status, headers, redact, base_url)
    else:
        text, hint = _describe(status, headers, messages, redact), None
    return ListingError(
        reason,
        text,
        hint=next((HINT_BY_CODE[code] for code in codes if code in HINT_BY_CODE), hint),
        transient=reason is Reason.UPSTREAM_5XX and retry_after is None,
        retry_after=retry_after,
    )


def _reason(status: int, codes: list[int]) -> Reason:
    for code in codes:
        if code in REASON_BY_CODE:
            return REASON_BY_CODE[code]
    by_class = REASON_BY_STATUS_CLASS.get(status // 100, Reason.INVALID_RESPONSE)
    return REASON_BY_STATUS.get(status, by_class)


def _envelope(body: Body) -> Envelope | None:
    """None if the body is not the API's."""
    try:
        return _ENVELOPE.decode(repaired(body, lambda: None) if len(body) <= MAX_REPAIRED else body)
    except (*UNREADABLE, UnrepairableError):
        return None


def _messages(envelope: Envelope) -> list[ApiMessage]:
    try:
        listed = _MESSAGES.decode(envelope.errors)
        return [_MESSAGE.decode(one) for one in listed.members] if listed else []
    except UNREADABLE:
        return []


def _code(message: ApiMessage) -> int | None:
    code = plain(message.code)
    if isinstance(code, str) and code.isdecimal() and len(code) <= LONGEST_CODE:
        code = int(code)
    return as_integer(code)


def _describe(
    status: int, headers: Mapping[str, str], messages: list[ApiMessage], redact: Redact
) -> str:
    texts = "; ".join(_shown(message, redact) for message in messages[:3])
    if texts:
        return f"the API answered HTTP {status}: {texts}"
    return f"the API answered HTTP {status} without an error message ({_type(headers, redact)})"


def _shown(message: ApiMessage, redact: Redact) -> str:
    code = _code(message)
    text = safe_text(_text(message), redact, LONGEST_TEXT)
    return f"{text} ({'no code' if code is None else f'code {code}'})"


def _foreign(
    status: int, headers: Mapping[str, str], redact: Redact, base_url: str
) -> tuple[str, str | None]:
    """The error and the hint for an answer that is not the API's own."""
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return "the proxy requires authentication (HTTP 407)", PROXY_LOGIN
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "HTTP 429 from Cloudflare or a proxy", None
    if status // 100 == 3:  # noqa: PLR2004 - the class of redirects
        text = f"HTTP {status} redirects to another URL, and redirects are not followed"
    else:
        text = f"HTTP {status} did not come from the Cloudflare API ({_type(headers, redact)})"
    return text, hint_not_the_api(base_url)


def hint_not_the_api(base_url: str) -> str:
    """What to do where something else answered at this base URL."""
    if base_url and not base_url.endswith(API_PATH):
        return (
            f"the base URL {base_url} does not end in {API_PATH}; check CLOUDFLARE_BASE_URL or "
            "base_url"
        )
    return HINTS[Reason.INVALID_RESPONSE]


def _type(headers: Mapping[str, str], redact: Redact) -> str:
    return safe_text(headers.get("Content-Type", "") or "no content type", redact, 60)


def _text(message: ApiMessage) -> str:
    raw: Raw = message.message
    if len(raw) > LONGEST_MESSAGE:
        return f"a message of {len(raw)} bytes"
    try:
        return _TEXT.decode(raw)
    except UNREADABLE:
        return "no message"


def parse_retry_after(value: str, date: str) -> float | None:
    """Seconds to wait by a ``Retry-After`` header, `MAX_RETRY_AFTER` at most.

    None if it is unusable: neither a number nor a date, or a date in the past.

    Args:
        value: a number of seconds, or an HTTP date.
        date: the answer's own ``Date``, to which a date is relative; the local clock may be wrong.
    """
    text = value.strip(" \t")
    if re.fullmatch("[0-9]+", text):
        seconds = float(text)
    else:
        until, now = _http_date(text), _http_date(date)
        if until is None or now is None:
            return None
        seconds = (until - now).total_seconds()
    return min(seconds, MAX_RETRY_AFTER) if seconds > 0 else None


def _http_date(text: str) -> datetime | None:
    """A date in any of the three forms of HTTP; UTC where it has no zone, or none that is known."""
    try:
        parts = parsedate_tz(text)
        if parts is None:
            return None
        second = min(parts[5], 59)  # a leap second is no time for datetime
        moment = datetime(*parts[:5], second, tzinfo=UTC)
        return moment - timedelta(seconds=parts[9] or 0)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
