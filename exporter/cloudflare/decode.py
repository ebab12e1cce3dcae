"""Decodes response bodies: strict and fast first, record by record if that fails.

A page of the declared types is decoded in one go, and members that are not declared are skipped.
What the strict decoder rejects (one lone surrogate in one name is enough) is decoded again
leniently: then only the records that cannot be decoded are skipped.

A body may be hostile: three bytes of JSON can take a hundred as objects. Memory is bounded before
objects are built: the number of records by `records`, objects and texts by `expansion`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from exporter.cloudflare.bounds import as_count, truncate
from exporter.cloudflare.convert import (
    ParsedServer,
    UnusableRecordError,
    plain,
    read_portal,
    read_server,
)
from exporter.cloudflare.decode_lenient import UNREADABLE, Lenient, Members, members
from exporter.cloudflare.json_repair import UnrepairableError, repaired
from exporter.cloudflare.json_size import DEFAULT_LIMIT, Allowance, Body
from exporter.cloudflare.schema import (
    MAX_SERVERS,
    Limited,
    PortalPage,
    PortalRecord,
    RawPage,
    ResultInfo,
    ServerPage,
    ServerRecord,
    limited,
)
from exporter.errors import ListingError, Reason
from exporter.model import Portal, Skipped

LONGEST_PLACE = 64
"""Maximum characters of an id in the log; the API allows half as many."""

LONGEST_PROBLEM = 200
"""Maximum characters of a record's error message."""

MAX_NOTES = 1000
"""Maximum lines about unknown values of one page."""

Check = Callable[[], None]
R = TypeVar("R", PortalRecord, ServerRecord)
PageType = TypeVar("PageType", PortalPage, ServerPage)

_PORTAL_PAGE = msgspec.json.Decoder(PortalPage)
_SERVER_PAGE = msgspec.json.Decoder(ServerPage)
_RAW_PAGE = msgspec.json.Decoder(RawPage)
_PORTAL = msgspec.json.Decoder(PortalRecord)
_SERVER = msgspec.json.Decoder(ServerRecord)
_INFO = msgspec.json.Decoder(ResultInfo)


@cache
def _raw_servers() -> msgspec.json.Decoder[Limited[Raw] | None]:
    """Created on first use: it takes some milliseconds, which a start should not."""
    return msgspec.json.Decoder(limited(Raw, MAX_SERVERS) | None)


def _never() -> None:
    """Never ends the work."""


class ParsedPortal(msgspec.Struct, frozen=True, gc=False):
    """A portal with its servers; ``portal`` is None if only the servers could be read."""

    portal: Portal | None
    servers: tuple[ParsedServer, ...]


class Page(msgspec.Struct, frozen=True, gc=False):
    """One page of a listing, reduced to what the metrics need.

    Attributes:
        ids: the id of each item of the page, in order; None if it has none.
        portals: items of the portals endpoint.
        servers: items of the servers endpoint.
        skipped: the records that were skipped.
        notes: a line for each unknown value.
        total_count: of the whole listing, if reported.
        per_page: items per page, if reported.
    """

    ids: tuple[str | None, ...]
    portals: tuple[ParsedPortal, ...] = ()
    servers: tuple[ParsedServer, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: frozenset[str] = frozenset()
    total_count: int | None = None
    per_page: int | None = None

    @property
    def server_count(self) -> int:
        """Number of server records, repeated ones included."""
        return len(self.servers) + sum(len(portal.servers) for portal in self.portals)


class NotSuccessfulError(Exception):
    """The envelope says ``success: false``."""


def decode_portals(
    body: Body, *, limit: int = DEFAULT_LIMIT, check: Check = _never, keep_names: bool = False
) -> Page:
    """A page of the portals endpoint.

    Args:
        body: of the answer, decompressed.
        limit: maximum bytes of a body; the objects built from it take at most about twice that.
        check: called between records and other steps of bounded length; what it raises ends
            the work and is passed on.
        keep_names: whether servers keep hashes of their tools' names.

    Raises:
        NotSuccessful: the envelope says so.
        ListingError: this is not a response of the API (``invalid_response``).
    """
    reader = _Reader(Allowance(limit), check, keep_names=keep_names)
    page = _strict(reader, body, _PORTAL_PAGE)
    if page is None:
        raw, info = _raw_items(reader, body)
        found = [reader.raw_portal(item, i) for i, item in enumerate(raw)]
        ids = [identity for identity, _ in found]
        return reader.page(ids, info, portals=tuple(read for _, read in found))
    records = _result(page)
    portals = tuple(reader.portal(record, i) for i, record in enumerate(records))
    return reader.page([r.id or None for r in records], page.result_info, portals=portals)


def decode_servers(
    body: Body, *, limit: int = DEFAULT_LIMIT, check: Check = _never, keep_names: bool = False
) -> Page:
    """A page of the servers endpoint; arguments and errors as for `decode_portals`."""
    where = "list of servers"
    reader = _Reader(Allowance(limit), check, keep_names=keep_names)
    page = _strict(reader, body, _SERVER_PAGE)
    if page is None:
        raw, info = _raw_items(reader, body)
        return reader.page(
            [reader.identity(item) for item in raw], info, servers=reader.raw_servers(raw, where)
        )
    records = _result(page)
    ids = [r.id or r.server_id or None for r in records]
    return reader.page(ids, page.result_info, servers=reader.servers(records, where))


def _strict(
    reader: _Reader, body: Body, decoder: msgspec.json.Decoder[PageType]
) -> PageType | None:
    """The page decoded in one go; None if that fails or might take too much memory."""
    if reader.allowance.too_dense(body, reader.check):
        raise _invalid(f"more than {reader.allowance.objects} objects")
    reader.wide = reader.allowance.too_wide(body)
    if reader.wide:
        return None
    try:
        return decoder.decode(body)
    except UNREADABLE:
        return None


def _raw_items(reader: _Reader, body: Body) -> tuple[tuple[Raw, ...], Raw]:
    """The undecoded records of a page, after invalid characters are repaired."""
    try:
        page, problem = _RAW_PAGE.decode(body), ""
    except msgspec.ValidationError as wrong:  # JSON, so far, but no listing
        raise _invalid(str(wrong)) from None
    except UNREADABLE as wrong:
        page, problem = None, str(wrong)
    try:
        fixed = repaired(body, reader.check)
        if fixed is not body:
            page = _RAW_PAGE.decode(fixed)
    except (*UNREADABLE, UnrepairableError) as wrong:
        raise _invalid(str(wrong)) from None
    if page is None:
        raise _invalid(problem)
    return _result(page), page.result_info


def _result(page: PortalPage | ServerPage | RawPage) -> tuple[Any, ...]:
    if not page.success:
        raise NotSuccessfulError
    if page.result is None:
        raise _invalid("no result list")
    return page.result.members


def _invalid(problem: str) -> ListingError:
    text = truncate(problem, LONGEST_PROBLEM)
    return ListingError(Reason.INVALID_RESPONSE, f"the response is not a listing: {text}")


class _Notes(set[str]):
    """A bounded set of distinct lines."""

    def add(self, line: str) -> None:
        """Keep the line unless there are enough."""
        if len(self) < MAX_NOTES:
            super().add(line)


class _Reader:
    """Decodes the records of one page and collects what it skips.

    Args:
        allowance: of the body.
        check: called between records.
        keep_names: whether servers keep hashes of their tools' names.
    """

    def __init__(self, allowance: Allowance, check: Check, *, keep_names: bool = False) -> None:
        self.allowance = allowance
        self._keep_names = keep_names
        self.check = check
        self.wide = False
        self._lenient = Lenient(allowance)
        self._skipped: list[Skipped] = []
        self._notes = _Notes()

    def page(
        self,
        ids: list[str | None],
        raw_info: Raw,
        *,
        portals: tuple[ParsedPortal, ...] = (),
        servers: tuple[ParsedServer, ...] = (),
    ) -> Page:
        """The decoded page, with the skipped records."""
        info = _info(raw_info)
        return Page(
            ids=tuple(ids),
            portals=portals,
            servers=servers,
            skipped=tuple(self._skipped),
            notes=frozenset(self._notes),
            total_count=as_count(plain(info.total_count)),
            per_page=as_count(plain(info.per_page)),
        )

    def servers(self, records: Iterable[ServerRecord], where: str) -> tuple[ParsedServer, ...]:
        read = (self._server(record, where, i) for i, record in enumerate(records))
        return tuple(server for server in read if server is not None)

    def portal(self, record: PortalRecord, position: int) -> ParsedPortal:
        self.check()
        where = f"portal {_called(record.id, position)}"
        servers = self.servers(record.servers.members, where) if record.servers else ()
        return ParsedPortal(self._portal(record, where), servers)

    def _portal(self, record: PortalRecord, where: str) -> Portal | None:
        try:
            return read_portal(record, self._notes)
        except UnusableRecordError as problem:
            self._skip("portal", where, problem)
            return None

    def _server(self, record: ServerRecord, where: str, position: int) -> ParsedServer | None:
        self.check()
        try:
            return read_server(record, self._notes, keep_names=self._keep_names)
        except UnusableRecordError as problem:
            self._skip("server", _place(where, position, record.id), problem)
            return None

    def _skip(self, kind: str, where: str, problem: Exception) -> None:
        self._skipped.append(Skipped(kind, where, truncate(str(problem), LONGEST_PROBLEM)))

    # --- the lenient way -----------------------------------------------------------------------

    def raw_portal(self, raw: Raw, position: int) -> tuple[str | None, ParsedPortal]:
        """A portal, strictly, or else with its servers one by one, which may be kept without it."""
        self.check()
        record = self._in_one_go(raw, _PORTAL)
        if record is not None:
            return record.id or None, self.portal(record, position)
        try:
            found = members(raw, PortalRecord)
        except UNREADABLE as problem:
            self._skip("portal", f"portal {position + 1}", problem)
            return None, ParsedPortal(None, ())
        identity = self._lenient.text(found["id"])
        return identity, self._loose_portal(found, f"portal {_called(identity, position)}")

    def _loose_portal(self, found: Members, where: str) -> ParsedPortal:
        servers: tuple[ParsedServer, ...] = ()
        try:
            listed = _raw_servers().decode(found.pop("servers") or b"null")
            servers = self.raw_servers(listed.members if listed else (), where)
            record = self._lenient.record(found, PortalRecord)
        except UNREADABLE as problem:
            self._skip("portal", where, problem)
            return ParsedPortal(None, servers)
        return ParsedPortal(self._portal(record, where), servers)

    def raw_servers(self, listed: Iterable[Raw], where: str) -> tuple[ParsedServer, ...]:
        """Servers, one by one."""
        read = (self._raw_server(raw, where, i) for i, raw in enumerate(listed))
        return tuple(server for server in read if server is not None)

    def _raw_server(self, raw: Raw, where: str, position: int) -> ParsedServer | None:
        self.check()
        record = self._in_one_go(raw, _SERVER)
        if record is not None:
            return self._server(record, where, position)
        identity = None
        try:
            found = members(raw, ServerRecord)
            identity = self._lenient.text(found["id"])
            record = self._lenient.record(found, ServerRecord)
        except UNREADABLE as problem:
            self._skip("server", _place(where, position, identity), problem)
            return None
        return self._server(record, where, position)

    def identity(self, raw: Raw) -> str | None:
        """The id of a server."""
        try:
            found = members(raw, ServerRecord)
        except UNREADABLE:
            return None
        return self._lenient.text(found["id"]) or self._lenient.text(found["server_id"])

    def _in_one_go(self, raw: Raw, decoder: msgspec.json.Decoder[R]) -> R | None:
        if self.wide and self.allowance.large(raw):
            return None
        try:
            return decoder.decode(raw)
        except UNREADABLE:
            return None


def _info(raw: Raw) -> ResultInfo:
    """Empty if the API sent none that can be read."""
    try:
        return _INFO.decode(raw)
    except UNREADABLE:
        return ResultInfo()


def _place(where: str, position: int, identity: str | None) -> str:
    return f"{where}, server {_called(identity, position)}"


def _called(identity: str | None, position: int) -> str | int:
    """A record's name in the log: its id, if that has a sensible length."""
    return truncate(identity, LONGEST_PLACE) if identity else position + 1
