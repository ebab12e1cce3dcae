"""From the bytes of an answer to values: strictly and fast first, record by record if need be.

A page that keeps to its types is decoded in one go, without building what is not declared. What
the strict decoder refuses (one lone surrogate in one name is enough) is read again leniently:
then a record that cannot be read is left out by itself, and all the others stay.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from types import NoneType
from typing import Any, TypeVar

import msgspec

from exporter.cloudflare.reading import ReadServer, Unidentified, read_portal, read_server
from exporter.cloudflare.records import (
    PortalPage,
    PortalRecord,
    RawPage,
    ResultInfo,
    ServerPage,
    ServerRecord,
)
from exporter.errors import ListingError, Reason
from exporter.model import Portal, Skipped

R = TypeVar("R", PortalRecord, ServerRecord)

LONGEST_ID = 64
"""Characters of an id that the log shows; the API allows half as many."""

UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)


class ReadPortal(msgspec.Struct, frozen=True, gc=False):
    """A portal with its servers; ``portal`` is None where only the servers could be read."""

    portal: Portal | None
    servers: tuple[ReadServer, ...]


class Page(msgspec.Struct, frozen=True, gc=False):
    """One page of a listing, reduced to what the metrics need.

    Attributes:
        ids: the identity of each item of the page, in order; None where it has none.
        portals: what the portals' endpoint lists.
        servers: what the servers' endpoint lists.
        skipped: the records that were left out.
        notes: a line for each value that was not understood.
        total_count: of the whole listing, where the API said so.
        per_page: items that the API puts on a page, where it said so.
    """

    ids: tuple[str | None, ...]
    portals: tuple[ReadPortal, ...] = ()
    servers: tuple[ReadServer, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: frozenset[str] = frozenset()
    total_count: int | None = None
    per_page: int | None = None


class NotSuccessful(Exception):  # noqa: N818 - an answer of the API, not yet judged
    """The envelope says ``success: false``."""


class _Reader:
    """Reads the records of one page, and collects what it had to leave out."""

    def __init__(self) -> None:
        self.skipped: list[Skipped] = []
        self.notes: set[str] = set()

    def servers(self, records: list[ServerRecord] | None, where: str) -> tuple[ReadServer, ...]:
        read = (self.server(r, _place(where, i, r.id)) for i, r in enumerate(records or ()))
        return tuple(server for server in read if server is not None)

    def server(self, record: ServerRecord, where: str) -> ReadServer | None:
        try:
            return read_server(record, self.notes)
        except Unidentified as problem:
            self.skip("server", where, problem)
            return None

    def portal(self, record: PortalRecord, position: int) -> ReadPortal:
        where = f"portal {_called(record.id, position)}"
        servers = self.servers(record.servers, where)
        try:
            return ReadPortal(read_portal(record, self.notes), servers)
        except Unidentified as problem:
            self.skip("portal", where, problem)
            return ReadPortal(None, servers)

    def skip(self, kind: str, where: str, problem: Exception) -> None:
        self.skipped.append(Skipped(kind, where, str(problem)))

    def convert(self, raw: object, record: type[R], kind: str, where: str) -> R | None:
        """A record from plain objects; None, and noted as skipped, where its types are wrong."""
        try:
            return msgspec.convert(_kept(raw, record), record)
        except UNREADABLE as problem:
            self.skip(kind, where, problem)
            return None


def decode_portals(body: bytes | bytearray) -> Page:
    """A page of the portals' endpoint.

    Raises:
        NotSuccessful: the envelope says so.
        ListingError: this is not the API's answer (``invalid_response``).
    """
    reader = _Reader()
    try:
        page = msgspec.json.decode(body, type=PortalPage)
    except UNREADABLE:
        return _lenient_portals(reader, body)
    records = _result(page.success, page.result)
    portals = tuple(reader.portal(record, i) for i, record in enumerate(records))
    return _page(reader, [r.id for r in records], page.result_info, portals=portals)


def decode_servers(body: bytes | bytearray) -> Page:
    """A page of the servers' endpoint; raises as `decode_portals` does."""
    reader = _Reader()
    try:
        page = msgspec.json.decode(body, type=ServerPage)
    except UNREADABLE:
        return _lenient_servers(reader, body)
    records = _result(page.success, page.result)
    servers = reader.servers(records, "list of servers")
    return _page(reader, [r.id or r.server_id for r in records], page.result_info, servers=servers)


def _page(
    reader: _Reader,
    ids: list[str | None],
    info: ResultInfo | None,
    *,
    portals: tuple[ReadPortal, ...] = (),
    servers: tuple[ReadServer, ...] = (),
) -> Page:
    return Page(
        ids=tuple(ids),
        portals=portals,
        servers=servers,
        skipped=tuple(reader.skipped),
        notes=frozenset(reader.notes),
        total_count=_counted(info.total_count) if info is not None else None,
        per_page=_counted(info.per_page) if info is not None else None,
    )


def _counted(number: object) -> int | None:
    """A count, where the API sent one."""
    return number if type(number) is int and number >= 0 else None


def _place(where: str, position: int, identity: str | None) -> str:
    return f"{where}, server {_called(identity, position)}"


def _called(identity: str | None, position: int) -> str | int:
    """How the log calls a record: by its id, where it has one of a sensible length."""
    return identity[:LONGEST_ID] if identity else position + 1


T = TypeVar("T")


def _result(success: bool, result: list[T] | None) -> list[T]:
    if not success:
        raise NotSuccessful
    if result is None:
        raise _invalid("it has no result list")
    return result


def _invalid(problem: str) -> ListingError:
    return ListingError(Reason.INVALID_RESPONSE, f"the answer is not a listing: {problem}")


# --- the lenient way ---------------------------------------------------------------------------


def _lenient_portals(reader: _Reader, body: bytes | bytearray) -> Page:
    raw, info = _raw_result(body)
    portals = tuple(_lenient_portal(reader, item, i) for i, item in enumerate(raw))
    return _page(reader, [_identity(item, "id") for item in raw], info, portals=portals)


def _lenient_servers(reader: _Reader, body: bytes | bytearray) -> Page:
    raw, info = _raw_result(body)
    servers = _lenient_server_list(reader, raw, "list of servers")
    ids = [_identity(item, "id") or _identity(item, "server_id") for item in raw]
    return _page(reader, ids, info, servers=servers)


def _raw_result(body: bytes | bytearray) -> tuple[list[Any], ResultInfo | None]:
    try:
        loaded = json.loads(body.decode("utf-8", errors="replace"), parse_int=_number)
        page = msgspec.convert(loaded, RawPage)
    except (*UNREADABLE, ValueError) as problem:
        raise _invalid(str(problem)[:200]) from problem
    try:
        info = msgspec.convert(page.result_info, ResultInfo | None)
    except UNREADABLE:
        info = None
    return _result(page.success, page.result), info


def _number(digits: str) -> float | int:
    """An integer; one of hundreds of digits as a float, which Python reads without a limit."""
    return int(digits) if len(digits) <= 300 else float(digits)  # noqa: PLR2004 - beyond any float


def _without_surrogates(value: Any) -> Any:
    """The same JSON value, each lone surrogate replaced: UTF-8 cannot carry one."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(v) for key, v in value.items()}
    return value


def _identity(raw: object, key: str) -> str | None:
    value = raw.get(key) if isinstance(raw, dict) else None
    return value if isinstance(value, str) and value else None


def _lenient_portal(reader: _Reader, raw: object, position: int) -> ReadPortal:
    """A portal whose servers are read one by one, and outlive it where it cannot be read."""
    where = f"portal {_called(_identity(raw, 'id'), position)}"
    listed = raw.get("servers") if isinstance(raw, dict) else None
    members = listed if isinstance(listed, list) else []
    servers = _lenient_server_list(reader, members, where)
    bare = {**raw, "servers": None} if isinstance(raw, dict) and listed is members else raw
    record = reader.convert(bare, PortalRecord, "portal", where)
    if record is None:
        return ReadPortal(None, servers)
    return ReadPortal(reader.portal(record, position).portal, servers)


def _lenient_server_list(reader: _Reader, raw: list[Any], where: str) -> tuple[ReadServer, ...]:
    read: list[ReadServer] = []
    for position, item in enumerate(raw):
        place = _place(where, position, _identity(item, "id"))
        record = reader.convert(item, ServerRecord, "server", place)
        server = None if record is None else reader.server(record, place)
        if server is not None:
            read.append(server)
    return tuple(read)


def _kept(raw: object, record: type[msgspec.Struct]) -> object:
    """The declared members alone, without the faults in them that need not cost the record.

    One odd tool among twenty, or an ``error_details`` that is a text, says little about a
    server; that it is failing is what somebody wants to know.
    """
    if not isinstance(raw, dict):
        return raw
    kept = {key: raw[key] for key in record.__struct_fields__ if raw.get(key) is not None}
    mended = {key: MENDS[key](value) if key in MENDS else value for key, value in kept.items()}
    return _without_surrogates(mended)


def _mend_capabilities(value: Any) -> Any:
    return [_named(item) for item in value] if isinstance(value, list) else value


def _named(item: object) -> dict[str, str]:
    name = item.get("name") if isinstance(item, dict) else None
    return {"name": name} if isinstance(name, str) else {}


def _mend_overrides(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    named = [item for item in value if _named(item)]
    return [
        {"name": i["name"], "enabled": i["enabled"]}
        if isinstance(i.get("enabled"), bool)
        else {"name": i["name"]}
        for i in named
    ]


def _mend_details(value: Any) -> dict[str, Any]:
    members = value if isinstance(value, dict) else {"cause": value}
    flat = (str, int, float, bool, NoneType)
    return {key: v if isinstance(v, flat) else "" for key, v in members.items()}


MENDS: dict[str, Callable[[Any], Any]] = {
    "tools": _mend_capabilities,
    "prompts": _mend_capabilities,
    "updated_tools": _mend_overrides,
    "updated_prompts": _mend_overrides,
    "error_details": _mend_details,
    "auth_config_summary": lambda value: value if isinstance(value, dict) else None,
}
