"""From the bytes of an answer to values: strictly and fast first, record by record if need be.

A page that keeps to its types is decoded in one go, without building what is not declared. What
the strict decoder refuses (one lone surrogate in one name is enough) is read again leniently:
then a record that cannot be read is left out by itself, and all the others stay.

A body may be hostile: three bytes of JSON can take a hundred as objects. What is built is bounded
before it is built: the number of records by `records`, objects and texts by `expansion`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from exporter.cloudflare.bounds import counted, cut
from exporter.cloudflare.convert import ReadServer, Unusable, plain, read_portal, read_server
from exporter.cloudflare.decode_lenient import UNREADABLE, Lenient, Members, members
from exporter.cloudflare.json_repair import Unrepairable, repaired
from exporter.cloudflare.json_size import DEFAULT_LIMIT, Allowance, Body
from exporter.cloudflare.schema import (
    MOST_SERVERS,
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
"""Characters of an id that the log shows; the API allows half as many."""

LONGEST_PROBLEM = 200
"""Characters of what is wrong with a record."""

MOST_NOTES = 1000
"""Lines of one page about values that were not understood."""

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
    """Made when it is needed first: that takes some milliseconds, and a start should not."""
    return msgspec.json.Decoder(limited(Raw, MOST_SERVERS) | None)


def _never() -> None:
    """Goes on for ever."""


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

    @property
    def server_count(self) -> int:
        """Records of servers, each as often as it is listed."""
        return len(self.servers) + sum(len(portal.servers) for portal in self.portals)


class NotSuccessful(Exception):  # noqa: N818 - an answer of the API, not yet judged
    """The envelope says ``success: false``."""


def decode_portals(body: Body, *, limit: int = DEFAULT_LIMIT, check: Check = _never) -> Page:
    """A page of the portals' endpoint.

    Args:
        body: of the answer, decompressed.
        limit: bytes that a body may have; what is built from it takes at most about twice that.
        check: called between records and other steps of bounded length; what it raises ends
            the work, and is passed on.

    Raises:
        NotSuccessful: the envelope says so.
        ListingError: this is not the API's answer (``invalid_response``).
    """
    reader = _Reader(Allowance(limit), check)
    page = _strict(reader, body, _PORTAL_PAGE)
    if page is None:
        raw, info = _raw_items(reader, body)
        found = [reader.raw_portal(item, i) for i, item in enumerate(raw)]
        ids = [identity for identity, _ in found]
        return reader.page(ids, info, portals=tuple(read for _, read in found))
    records = _result(page)
    portals = tuple(reader.portal(record, i) for i, record in enumerate(records))
    return reader.page([r.id for r in records], page.result_info, portals=portals)


def decode_servers(body: Body, *, limit: int = DEFAULT_LIMIT, check: Check = _never) -> Page:
    """A page of the servers' endpoint; takes and raises what `decode_portals` does."""
    where = "list of servers"
    reader = _Reader(Allowance(limit), check)
    page = _strict(reader, body, _SERVER_PAGE)
    if page is None:
        raw, info = _raw_items(reader, body)
        return reader.page(
            [reader.identity(item) for item in raw], info, servers=reader.raw_servers(raw, where)
        )
    records = _result(page)
    ids = [r.id or r.server_id for r in records]
    return reader.page(ids, page.result_info, servers=reader.servers(records, where))


def _strict(
    reader: _Reader, body: Body, decoder: msgspec.json.Decoder[PageType]
) -> PageType | None:
    """The page in one go; None where that fails, or might take too much memory."""
    if reader.allowance.too_dense(body, reader.check):
        raise _invalid(f"it has more than {reader.allowance.objects} objects")
    reader.wide = reader.allowance.too_wide(body)
    if reader.wide:
        return None
    try:
        return decoder.decode(body)
    except UNREADABLE:
        return None


def _raw_items(reader: _Reader, body: Body) -> tuple[tuple[Raw, ...], Raw]:
    """The records of a page, undecoded, after what is wrong with its characters is repaired."""
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
    except (*UNREADABLE, Unrepairable) as wrong:
        raise _invalid(str(wrong)) from None
    if page is None:
        raise _invalid(problem)
    return _result(page), page.result_info


def _result(page: PortalPage | ServerPage | RawPage) -> tuple[Any, ...]:
    if not page.success:
        raise NotSuccessful
    if page.result is None:
        raise _invalid("it has no result list")
    return page.result.members


def _invalid(problem: str) -> ListingError:
    text = cut(problem, LONGEST_PROBLEM)
    return ListingError(Reason.INVALID_RESPONSE, f"the answer is not a listing: {text}")


class _Notes(set[str]):
    """As many different lines as anybody would read."""

    def add(self, line: str) -> None:
        """Keep the line, unless there are enough."""
        if len(self) < MOST_NOTES:
            super().add(line)


class _Reader:
    """Reads the records of one page, and collects what it had to leave out.

    Args:
        allowance: of the body.
        check: called between records.
    """

    def __init__(self, allowance: Allowance, check: Check) -> None:
        self.allowance = allowance
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
        portals: tuple[ReadPortal, ...] = (),
        servers: tuple[ReadServer, ...] = (),
    ) -> Page:
        """What was read, with what was left out."""
        info = _info(raw_info)
        return Page(
            ids=tuple(ids),
            portals=portals,
            servers=servers,
            skipped=tuple(self._skipped),
            notes=frozenset(self._notes),
            total_count=counted(plain(info.total_count)),
            per_page=counted(plain(info.per_page)),
        )

    def servers(self, records: Iterable[ServerRecord], where: str) -> tuple[ReadServer, ...]:
        read = (self._server(record, where, i) for i, record in enumerate(records))
        return tuple(server for server in read if server is not None)

    def portal(self, record: PortalRecord, position: int) -> ReadPortal:
        self.check()
        where = f"portal {_called(record.id, position)}"
        servers = self.servers(record.servers.members, where) if record.servers else ()
        return ReadPortal(self._portal(record, where), servers)

    def _portal(self, record: PortalRecord, where: str) -> Portal | None:
        try:
            return read_portal(record, self._notes)
        except Unusable as problem:
            self._skip("portal", where, problem)
            return None

    def _server(self, record: ServerRecord, where: str, position: int) -> ReadServer | None:
        self.check()
        try:
            return read_server(record, self._notes)
        except Unusable as problem:
            self._skip("server", _place(where, position, record.id), problem)
            return None

    def _skip(self, kind: str, where: str, problem: Exception) -> None:
        self._skipped.append(Skipped(kind, where, cut(str(problem), LONGEST_PROBLEM)))

    # --- the lenient way -----------------------------------------------------------------------

    def raw_portal(self, raw: Raw, position: int) -> tuple[str | None, ReadPortal]:
        """A portal, strictly or else with servers that are read one by one and outlive it."""
        self.check()
        record = self._in_one_go(raw, _PORTAL)
        if record is not None:
            return record.id or None, self.portal(record, position)
        try:
            found = members(raw, PortalRecord)
        except UNREADABLE as problem:
            self._skip("portal", f"portal {position + 1}", problem)
            return None, ReadPortal(None, ())
        identity = self._lenient.text(found["id"])
        return identity, self._loose_portal(found, f"portal {_called(identity, position)}")

    def _loose_portal(self, found: Members, where: str) -> ReadPortal:
        servers: tuple[ReadServer, ...] = ()
        try:
            listed = _raw_servers().decode(found.pop("servers") or b"null")
            servers = self.raw_servers(listed.members if listed else (), where)
            record = self._lenient.record(found, PortalRecord)
        except UNREADABLE as problem:
            self._skip("portal", where, problem)
            return ReadPortal(None, servers)
        return ReadPortal(self._portal(record, where), servers)

    def raw_servers(self, listed: Iterable[Raw], where: str) -> tuple[ReadServer, ...]:
        """Servers, one by one."""
        read = (self._raw_server(raw, where, i) for i, raw in enumerate(listed))
        return tuple(server for server in read if server is not None)

    def _raw_server(self, raw: Raw, where: str, position: int) -> ReadServer | None:
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
    """An empty one where the API sent none that can be read."""
    try:
        return _INFO.decode(raw)
    except UNREADABLE:
        return ResultInfo()


def _place(where: str, position: int, identity: str | None) -> str:
    return f"{where}, server {_called(identity, position)}"


def _called(identity: str | None, position: int) -> str | int:
    """How the log calls a record: by its id, where it has one of a sensible length."""
    return cut(identity, LONGEST_PLACE) if identity else position + 1
