"""Converts API records to the values of `exporter.model`: one record in, one value out, no I/O."""

from __future__ import annotations

import re
from array import array
from datetime import UTC, datetime

import msgspec
from msgspec import Raw

from exporter.cloudflare.bounds import LONGEST_LABEL, as_integer, truncate
from exporter.cloudflare.schema import (
    MAX_ENTRIES,
    Capability,
    ErrorDetails,
    Override,
    PortalRecord,
    ServerRecord,
)
from exporter.model import (
    AUTH_TYPES,
    AUTHENTICATION_STATUSES,
    CODE_MODES,
    OTHER,
    STATUSES,
    ErrorClass,
    Exposure,
    Portal,
    Server,
)

LONGEST_ID = 256
"""Maximum characters of an id; the API allows 32."""

SUSPECT = re.compile(r"[@?#\\]")
"""Without one of these a URL has no user info, query or fragment."""

AUTHORITY_PREFIX = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//+")
INNER_AT = re.compile(r"[^/]@")
"""Unlike the ``@`` of a scope, which begins a part of the path."""

NULL = Raw(b"null")
UNSAID = ErrorClass("unknown", "unknown", "", "")

MAX_DETAILS = 64 * 1024
"""Maximum bytes of ``error_details`` whose members are read; anything larger is an error anyway."""

LONGEST_SCALAR = 400
"""Maximum bytes of a number, or of an error code that is a string."""

_DETAILS = msgspec.json.Decoder(ErrorDetails)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_SCALAR = msgspec.json.Decoder(bool | int | float | str | None)

UNPRINTABLE = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: "\u2421",
    **dict.fromkeys((*range(0x80, 0xA0), 0x2028, 0x2029), "\ufffd"),
}


class ParsedServer(msgspec.Struct, frozen=True, gc=False):
    """A server as one record shows it, with the portal's settings for it."""

    server: Server
    default_disabled: bool | None = None
    on_behalf: bool | None = None
    tools: Exposure | None = None
    prompts: Exposure | None = None


class UnusableRecordError(ValueError):
    """A record has no usable id, or is larger than any real one."""


def read_portal(record: PortalRecord, notes: set[str]) -> Portal:
    """The portal itself, without its servers.

    Args:
        record: as decoded.
        notes: receives a line for each unknown value.

    Raises:
        Unusable: it has no id, or one that is too long.
    """
    identity = _identified(record.id)
    code_mode = _member(record.code_mode, CODE_MODES, "portal code_mode", notes)
    return Portal(
        id=identity,
        name=truncate(printable(record.name or ""), LONGEST_LABEL),
        hostname=_address(record.hostname or ""),
        code_mode=code_mode,
        code_mode_allowed=_code_mode_allowed(code_mode, record.allow_code_mode),
        secure_web_gateway=record.secure_web_gateway,
        created=unix_time(record.created_at, "portal created_at", notes),
        modified=unix_time(record.modified_at, "portal modified_at", notes),
    )


def _identified(identity: str | None) -> str:
    """A long id is rejected, not truncated: two truncated ids might be equal."""
    if not identity:
        raise UnusableRecordError("no id")
    if len(identity) > LONGEST_ID:
        raise UnusableRecordError(
            f"the id has {len(identity)} characters, the maximum is {LONGEST_ID}"
        )
    return printable(identity)


def _code_mode_allowed(code_mode: str | None, allow: bool | None) -> bool | None:
    if code_mode is None:
        return allow
    return code_mode != "off" and allow is not False


def read_server(record: ServerRecord, notes: set[str], *, keep_names: bool = False) -> ParsedServer:
    """The server, and how much of it this record's portal exposes.

    Args:
        record: as decoded.
        notes: receives a line for each unknown value.
        keep_names: whether to keep hashes of its tools' names.

    Raises:
        Unusable: it has no usable id, or too many tools, prompts or overrides.
    """
    hidden = bool(record.default_disabled)
    return ParsedServer(
        server=_server(record, notes, keep_names=keep_names),
        default_disabled=record.default_disabled,
        on_behalf=record.on_behalf,
        tools=_exposure(record.tools, record.updated_tools, hidden=hidden),
        prompts=_exposure(record.prompts, record.updated_prompts, hidden=hidden),
    )


def _server(record: ServerRecord, notes: set[str], *, keep_names: bool) -> Server:
    identity = _identified(record.id or record.server_id)
    kind = _error_class(record.error_details)
    auth_type = _member(record.auth_type, AUTH_TYPES, "server auth_type", notes)
    return Server(
        id=identity,
        name=truncate(printable(record.name or ""), LONGEST_LABEL),
        hostname=_address(record.hostname or ""),
        auth_type=auth_type or OTHER,
        status=_member(record.status, STATUSES, "server status", notes),
        authentication_status=_authentication_status(record, notes),
        in_error=bool(record.error) or kind is not None,
        error_class=kind,
        last_sync=unix_time(record.last_synced, "server last_synced", notes),
        last_successful_sync=unix_time(
            record.last_successful_sync, "server last_successful_sync", notes
        ),
        created=unix_time(record.created_at, "server created_at", notes),
        modified=unix_time(record.modified_at, "server modified_at", notes),
        tools=None if record.tools is None else len(record.tools),
        prompts=None if record.prompts is None else len(record.prompts),
        secure_web_gateway=record.secure_web_gateway,
        shared_oauth_callback=record.is_shared_oauth_callback_enabled,
        tool_hashes=_hashes(record.tools) if keep_names else None,
    )


def _hashes(tools: list[Capability] | None) -> bytes | None:
    """Hashes of the names, valid in this process: 8 bytes a tool instead of its name."""
    if tools is None:
        return None
    return array("q", map(hash, [tool.name for tool in tools])).tobytes()


def _authentication_status(record: ServerRecord, notes: set[str]) -> str | None:
    summary = record.auth_config_summary
    if summary is not None and summary.auth_mode == "manual":
        return "manual"
    return _member(
        record.authentication_status,
        AUTHENTICATION_STATUSES,
        "server authentication_status",
        notes,
    )


def _member(value: str | None, known: tuple[str, ...], what: str, notes: set[str]) -> str | None:
    """The value if it is in its closed set, else `OTHER`."""
    if not value:
        return None
    if value in known:
        return value
    notes.add(f"{what} {value[:60]!r} is unknown; reported as other")
    return OTHER


# --- errors ------------------------------------------------------------------------------------


def _error_class(raw: Raw) -> ErrorClass | None:
    """The error that the details describe; None if they describe none.

    Any member that is not null is an error, and so are details that are not an object.
    """
    if not raw or raw == NULL:
        return None
    try:
        details = _DETAILS.decode(raw)
        said = len(raw) > MAX_DETAILS or any(v != NULL for v in _MEMBERS.decode(raw).values())
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return UNSAID
    if not said:
        return None
    return ErrorClass(
        is_upstream=_three_valued(plain(details.is_upstream)),
        retryable=_three_valued(plain(details.retryable)),
        status_code=_whole(plain(details.status_code)),
        mcp_code=_whole(plain(details.mcp_code)),
    )


def plain(raw: Raw) -> bool | float | str | None:
    """A number, boolean or string; None for anything else or anything too long."""
    if not raw or len(raw) > LONGEST_SCALAR:
        return None
    try:
        value: bool | float | str | None = _SCALAR.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return value


def _three_valued(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "unknown"


def _whole(value: object) -> str:
    """A JSON number as an integer (``401`` and ``401.0`` are equal), else empty."""
    number = as_integer(value)
    return "" if number is None else str(number)


# --- catalogs --------------------------------------------------------------------------------


def _exposure(
    offered: list[Capability] | None, overrides: list[Override] | None, *, hidden: bool
) -> Exposure | None:
    """How many of ``offered`` a portal exposes, given whether it hides all by default."""
    if offered is None:
        return None
    if len(offered) > MAX_ENTRIES:
        raise UnusableRecordError(f"more than {MAX_ENTRIES} tools or prompts")
    if not overrides:
        return Exposure(shown=0 if hidden else len(offered), orphaned=0)
    if len(overrides) > MAX_ENTRIES:
        raise UnusableRecordError(f"more than {MAX_ENTRIES} overrides")
    said = {override.name: override.enabled for override in overrides}
    names = [capability.name for capability in offered]
    decisive = {name for name, enabled in said.items() if enabled is hidden}
    named = sum(map(decisive.__contains__, names))
    shown = named if hidden else len(names) - named
    return Exposure(shown=shown, orphaned=len(said.keys() - set(names)))


# --- texts -------------------------------------------------------------------------------------


def unix_time(text: str | None, what: str, notes: set[str]) -> float | None:
    """Unix seconds of an RFC 3339 time, or of the API's zoneless form, which is UTC.

    Some services write the year 1 for "never". A string that is not a time counts as not reported
    and is noted: skipping the whole record would hide the server.
    """
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.year == 1:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        notes.add(f"{what} {text[:60]!r} is not a time; treated as not reported")
        return None


def printable(text: str) -> str:
    """The text without characters that some reader takes as the end of a line or of the file.

    Control characters become their Unicode pictures, other line ends the replacement character; the
    line feed stays, since the format has an escape for it. Done before ids are compared, so that
    two ids which would look the same are the same.
    """
    return text if text.isprintable() else text.translate(UNPRINTABLE)


def bare_hostname(url: str) -> str:
    """Scheme, host, port and path of a URL or of a bare host name.

    User info, query and fragment may hold keys, so they are dropped; if the authority cannot be
    separated from them, too much is dropped rather than too little.
    """
    if not SUSPECT.search(url):
        return url.strip()
    bare, *dropped = re.split(r"[?#]", url.strip().replace("\\", "/"), maxsplit=1)
    prefix = AUTHORITY_PREFIX.match(bare)
    scheme = prefix[0] if prefix else ""
    authority, slash, path = bare[len(scheme) :].partition("/")
    if _ends_inside_user_info(authority):
        if "@" in path:  # a password with a slash
            return scheme + path.rpartition("@")[2]
        if "@" in "".join(dropped):  # a password with a question mark or a hash
            return scheme
    elif "@" in authority and INNER_AT.search(path):  # a password with an @ before a slash
        return scheme + path.rpartition("@")[2]
    return f"{scheme}{authority.rpartition('@')[2]}{slash}{path}"


def _address(url: str) -> str:
    """Truncated last: it is hard to tell whether half of a URL holds a password."""
    return truncate(bare_hostname(printable(url)), LONGEST_LABEL)


def _ends_inside_user_info(authority: str) -> bool:
    """Whether a password seems to start and not to end: what follows the colon is not a port."""
    _, colon, port = authority.rpartition("]")[2].partition(":")
    return "@" not in authority and bool(colon) and not port.isdigit()
