"""A table of servers that can be sorted by its columns and is cut into pages. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from exporter.web.status.query import Query
from exporter.web.status.report import ServerStatus
from exporter.web.status.states import LEVELS

PAGE_SIZE = 100
"""Rows of a page."""

SortKey = float | str | None


class Column(msgspec.Struct, frozen=True):
    """A column.

    Attributes:
        key: its name in a link.
        title: what it is called.
        value: what it is sorted by; None where it is not known, which comes last either way.
        descending: whether the first click sorts in descending order.
        number: whether it holds numbers.
    """

    key: str
    title: str
    value: Callable[[ServerStatus], SortKey]
    descending: bool = False
    number: bool = False


def _level(server: ServerStatus) -> float:
    """The greater the worse."""
    return -LEVELS.index(server.level) * 1000.0 - server.kind.rank


def _age(server: ServerStatus) -> float | None:
    return None if server.synced is None else -server.synced.timestamp()


COLUMNS = (
    Column("state", "State", _level, descending=True),
    Column("name", "Server", lambda server: server.name.casefold()),
    Column("sync", "Last good sync", _age, descending=True),
    Column("tools", "Tools", lambda server: server.tools, descending=True, number=True),
    Column("portals", "Portals", lambda server: len(server.portals), descending=True),
    Column("auth", "Authentication", lambda server: server.auth_type),
)
"""The first is what servers are sorted by already."""


class Heading(msgspec.Struct, frozen=True):
    """A column's head: the link that sorts by it, and how the table is sorted by it now."""

    title: str
    href: str
    order: str
    number: bool


class Table(msgspec.Struct, frozen=True):
    """One page of the servers that fit.

    ``first`` and ``last`` are the places of its rows, from 1; links are empty at either end.
    """

    headings: tuple[Heading, ...]
    rows: tuple[ServerStatus, ...]
    total: int
    first: int
    last: int
    previous: str
    next: str


def table(servers: Sequence[ServerStatus], query: Query) -> Table:
    """The page of the table that is asked for, or the last one; ``servers`` are those that fit."""
    column, descending = _chosen(query.sort)
    shown = servers
    if (column, descending) != (COLUMNS[0], COLUMNS[0].descending):
        shown = _sorted(servers, column, descending=descending)
    pages = max(1, -(-len(shown) // PAGE_SIZE))
    number = min(query.page_number, pages)
    start = (number - 1) * PAGE_SIZE
    rows = tuple(shown[start : start + PAGE_SIZE])
    return Table(
        headings=tuple(_heading(one, column, query, descending=descending) for one in COLUMNS),
        rows=rows,
        total=len(shown),
        first=start + 1 if rows else 0,
        last=start + len(rows),
        previous=_page(query, number - 1) if number > 1 else "",
        next=_page(query, number + 1) if number < pages else "",
    )


def _page(query: Query, number: int) -> str:
    return query.link(page=str(number) if number > 1 else "", view="servers")


def _chosen(sort: str) -> tuple[Column, bool]:
    for column in COLUMNS:
        if column.key == sort.removeprefix("-"):
            return column, sort.startswith("-")
    return COLUMNS[0], COLUMNS[0].descending


def _sorted(
    servers: Sequence[ServerStatus], column: Column, *, descending: bool
) -> list[ServerStatus]:
    keyed = [(column.value(server), server) for server in servers]
    known = [pair for pair in keyed if pair[0] is not None]
    known.sort(key=lambda pair: pair[0], reverse=descending)  # type: ignore[arg-type,return-value] # one type a column
    return [server for _, server in known] + [one for value, one in keyed if value is None]


def _heading(column: Column, chosen: Column, query: Query, *, descending: bool) -> Heading:
    current = column is chosen
    towards_descending = not descending if current else column.descending
    sort = ("-" if towards_descending else "") + column.key
    order = ("descending" if descending else "ascending") if current else ""
    return Heading(column.title, query.link(sort=sort), order, column.number)
