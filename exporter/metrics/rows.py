"""Samples with their labels as text: an object's own labels are written once for all of them.

That is what makes a large account cheap to expose. Labels stand in alphabetical order, as
prometheus_client writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

import msgspec

from exporter.metrics.catalogue import Metric

Row = tuple[str, float]
"""The labels as text, without braces, and the value."""

T = TypeVar("T")


class Family(msgspec.Struct, frozen=True):
    """A metric with its samples."""

    metric: Metric
    rows: list[Row]


class Labelled(msgspec.Struct, Generic[T], frozen=True):
    """An object with its labels as text: the account's, its own, and both."""

    account: str
    own: str
    both: str
    value: T


def label(name: str, value: str) -> str:
    """``name="value"`` with the value escaped as the text formats ask."""
    escaped = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'{name}="{escaped}"'


def labelled(account: str, own: str, value: T) -> Labelled[T]:
    """The object, given its account's labels and its own."""
    return Labelled(account, own, f"{account},{own}", value)


def plain(
    metric: Metric, objects: Iterable[Labelled[T]], value: Callable[[T], float | None]
) -> Family:
    """One sample an object, absent where the value is."""
    return Family(
        metric,
        [(item.both, got) for item in objects if (got := value(item.value)) is not None],
    )


def state_set(
    metric: Metric,
    values: Sequence[str],
    objects: Iterable[Labelled[T]],
    state: Callable[[T], str | None],
) -> Family:
    """One sample an object and known value, 1 for the one that holds; absent without a state."""
    name = metric.labels[-1]
    return split(
        metric,
        name,
        [
            (item, [(value, float(value == got)) for value in values])
            for item in objects
            if (got := state(item.value)) is not None
        ],
    )


def split(
    metric: Metric,
    name: str,
    objects: Iterable[tuple[Labelled[T], Iterable[tuple[str, float]]]],
) -> Family:
    """One sample an object and value of the label ``name``, which has safe values."""
    rows: list[Row] = []
    for item, samples in objects:
        if name < item.own:
            rows += [(f'{item.account},{name}="{v}",{item.own}', n) for v, n in samples]
        else:
            rows += [(f'{item.both},{name}="{v}"', n) for v, n in samples]
    return Family(metric, rows)
