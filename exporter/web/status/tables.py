"""Tables that can be sorted by their columns and never grow past a size. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")
R = TypeVar("R")

MAX_ROWS = 500
"""Rows of a table at most: a page must stay readable, and its size bounded."""

SortKey = float | str | None


class Column(msgspec.Struct, Generic[T], frozen=True):
    """A column.

    Attributes:
        key: its name in a link; empty where the table cannot be sorted by it.
        title: what it is called.
        value: what it is sorted by; None where it is not known, which comes last either way.
        descending: whether the first click sorts in descending order.
        number: whether it holds numbers.
    """

    key: str
    title: str
    value: Callable[[T], SortKey]
    descending: bool = False
    number: bool = False


class Heading(msgspec.Struct, frozen=True):
    """A column's head: the link that sorts by it, and how the table is sorted by it now."""

    title: str
    sort: str
    order: str
    number: bool


class Table(msgspec.Struct, Generic[R], frozen=True):
    """The rows that are shown, of ``total`` that fit."""

    headings: tuple[Heading, ...]
    rows: tuple[R, ...]
    total: int

    @property
    def left_out(self) -> int:
        """Rows that fit and are not shown."""
        return self.total - len(self.rows)


def table(
    items: Sequence[T], columns: Sequence[Column[T]], sort: str, row: Callable[[T], R]
) -> Table[R]:
    """The table of these items, which come in the order of the first column.

    Args:
        items: the ones that fit.
        columns: the first is what the table is sorted by unless ``sort`` says otherwise.
        sort: key of a column, after a ``-`` for descending order.
        row: an item in words; called for what is shown alone.
    """
    column, descending = _chosen(columns, sort)
    shown = items
    if (column, descending) != (columns[0], columns[0].descending):
        shown = _sorted(items, column, descending=descending)
    return Table(
        tuple(_heading(one, column, descending=descending) for one in columns),
        tuple(row(item) for item in shown[:MAX_ROWS]),
        len(items),
    )


def _chosen(columns: Sequence[Column[T]], sort: str) -> tuple[Column[T], bool]:
    for column in columns:
        if column.key and column.key == sort.removeprefix("-"):
            return column, sort.startswith("-")
    return columns[0], columns[0].descending


def _sorted(items: Sequence[T], column: Column[T], *, descending: bool) -> list[T]:
    keyed = [(column.value(item), item) for item in items]
    known = [pair for pair in keyed if pair[0] is not None]
    known.sort(key=lambda pair: pair[0], reverse=descending)  # type: ignore[arg-type,return-value] # one type a column
    return [item for _, item in known] + [item for value, item in keyed if value is None]


def _heading(column: Column[T], chosen: Column[T], *, descending: bool) -> Heading:
    current = column is chosen
    towards_descending = not descending if current else column.descending
    order = ("descending" if descending else "ascending") if current else ""
    sort = ("-" if towards_descending else "") + column.key if column.key else ""
    return Heading(column.title, sort, order, column.number)
