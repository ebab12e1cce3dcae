"""Samples as lines of text: an object's labels are formatted once for all of its samples.

This makes a large account cheap to expose: prometheus_client formats every label of every sample
again. The lines are the same in both text formats; labels are in alphabetical order and numbers in
Go's notation, as prometheus_client writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

import msgspec
from prometheus_client.utils import floatToGoString

from exporter.metrics.catalog import Metric

Row = tuple[str, float]
"""The labels as text, without braces, and the value."""

T = TypeVar("T")

_library: Callable[[float], str] = floatToGoString

NUMBERS: dict[float, str] = {number: _library(number) for number in range(1000)}
"""Most samples are small counts and flags."""


def go_string(value: float) -> str:
    """A number in Go's notation, as prometheus_client writes it."""
    if 1e9 <= value < 1e10:  # noqa: PLR2004 - a current Unix time: most of the other samples
        digits = repr(value)
        return f"{digits[0]}.{digits[1:10]}{digits[11:]}".rstrip("0.") + "e+09"
    return _library(value)


class Family(msgspec.Struct, frozen=True, gc=False):
    """A metric with its samples: chunks of text, each of one or more complete lines."""

    metric: Metric
    lines: list[str]


class LabeledObject(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """An object with its labels as text: the account's, its own, and both."""

    account: str
    own: str
    both: str
    value: T


def label(name: str, value: str) -> str:
    """``name="value"`` with the value escaped for the text formats."""
    escaped = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'{name}="{escaped}"'


def labeled(account: str, own: str, value: T) -> LabeledObject[T]:
    """The object with its account's labels and its own."""
    return LabeledObject(account, own, f"{account},{own}", value)


def listed(metric: Metric, rows: Iterable[Row]) -> Family:
    """A family of samples with preformatted labels."""
    return Family(metric, [line(metric.name, labels, value) for labels, value in rows])


def line(name: str, labels: str, value: float) -> str:
    """One sample; ``labels`` may be empty."""
    number = NUMBERS.get(value) or go_string(value)
    return f"{name}{{{labels}}} {number}\n" if labels else f"{name} {number}\n"


def plain(
    metric: Metric, objects: Iterable[LabeledObject[T]], value: Callable[[T], float | None]
) -> Family:
    """One sample per object, absent if the value is None."""
    name, known = metric.name, NUMBERS.get
    lines = [
        f"{name}{{{item.both}}} {known(got) or go_string(got)}\n"
        for item in objects
        if (got := value(item.value)) is not None
    ]
    return Family(metric, lines)


def state_set(
    metric: Metric,
    values: Sequence[str],
    objects: Iterable[LabeledObject[T]],
    state: Callable[[T], str | None],
) -> Family:
    """One sample per object and known value, 1 for the current one; absent without a state.

    The lines of one state differ only in the object's labels, so they are formatted once.
    """
    templates: dict[tuple[str, str], str] = {}
    lines: list[str] = []
    for item in objects:
        got = state(item.value)
        if got is None:
            continue
        template = templates.get((item.account, got))
        if template is None:
            samples = [(value, float(value == got)) for value in values]
            template = templates[item.account, got] = _split_lines(
                metric, item.account, PLACE, samples
            )
        lines.append(template.replace(PLACE, item.own))
    return Family(metric, lines)


def split(
    metric: Metric, objects: Iterable[tuple[LabeledObject[T], Iterable[tuple[str, float]]]]
) -> Family:
    """One sample per object and value of the metric's last label, whose values need no escapes."""
    return Family(
        metric,
        [_split_lines(metric, item.account, item.own, samples) for item, samples in objects],
    )


PLACE = "\0"
"""Placeholder for an object's labels; no label contains it (see `exporter.cloudflare.convert`)."""


def _split_lines(
    metric: Metric, account: str, own: str, samples: Iterable[tuple[str, float]]
) -> str:
    name = metric.labels[-1]
    # metric.labels begins with account_id, then the object's own labels.
    before = name < metric.labels[1]
    return "".join(
        line(
            metric.name,
            f'{account},{name}="{value}",{own}' if before else f'{account},{own},{name}="{value}"',
            number,
        )
        for value, number in samples
    )
