"""The rules and the dashboards as the Helm chart holds them, with marks where values go.

The chart cannot run Python. What it holds is rendered here once, by the code that renders for
everybody, from thresholds whose values are marks; the chart puts its own values in their places.
The marks in a text are::

    @@NAME@@           the value of a threshold
    @@seconds.NAME@@   the seconds of a duration
    @@int.NAME@@       a whole number, the quotes around the mark included
    @@float.NAME@@     the same number with .0
    @@list.NUMBER@@    what the labels of a list make of a text, see `Segment`

A threshold whose value is used in any other way cannot be set in the chart: what is rendered from
marks lacks its mark, and `files` raises.
"""

from __future__ import annotations

import copy
import difflib
import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from mixin.thresholds import ThresholdError, Thresholds, load, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

FIRST, SECOND = "\ue000", "\ue001"
"""Names of labels that stand in no text."""

_TOKEN = re.compile(r"\w+|\W")


class Segment(msgspec.Struct, frozen=True):
    """A part of a text that is there for the labels of a list only, empty for an empty list.

    Attributes:
        text: with ``@@labels@@`` where the labels are.
        item: for each label, which is ``@@label@@`` in it.
        between: between the items.
    """

    text: str
    item: str
    between: str

    def filled(self, *labels: str) -> str:
        """The text for these labels."""
        items = [self.item.replace("@@label@@", label) for label in labels]
        return self.text.replace("@@labels@@", self.between.join(items)) if items else ""


class UnmarkableError(Exception):
    """A threshold is used in a way that the chart cannot follow."""


class _Marks:
    """Thresholds whose values are marks, and the way from what is rendered to the chart's text."""

    def __init__(self, defaults: Thresholds, first: int) -> None:
        self.defaults = defaults
        self.lists: list[str] = []
        self.segments: list[Segment] = []
        self._texts: dict[str, str] = {}
        self._numbers: dict[int, str] = {}
        self._values: dict[str, Any] = {}
        for number, name in enumerate(defaults.__struct_fields__):
            self._add(name, getattr(defaults, name), first + number)

    def _add(self, name: str, value: object, number: int) -> None:
        if isinstance(value, list):
            if self.lists:
                raise UnmarkableError("there is one list of labels, not two")
            self.lists.append(name)
        elif isinstance(value, int):
            self._values[name] = number
            self._numbers[number] = name
            self._texts[str(number)] = f"@@{name}@@"
        elif isinstance(value, str):
            self._values[name] = mark = self._mark(name, value, number)
            self._texts[mark] = f"@@{name}@@"

    def _mark(self, name: str, value: str, number: int) -> str:
        try:
            seconds(value)
        except ThresholdError:
            # What is asked of an address, or of a text, must be true of its mark.
            return f"https://{name}.invalid" if value.startswith("http") else f"@@{name}@@"
        self._texts[str(number)] = f"@@seconds.{name}@@"
        return f"{number}s"

    def thresholds(self, *labels: str) -> Thresholds:
        """The marks, with labels in every list."""
        marked = copy.copy(self.defaults)
        for name, value in (*self._values.items(), *((name, [*labels]) for name in self.lists)):
            msgspec.structs.force_setattr(marked, name, value)  # no mark would pass the checks
        return marked

    def marked(self, none: object, one: object, two: object) -> object:
        """A value as the chart holds it, by what is rendered for no label, one and two."""
        if isinstance(none, dict) and isinstance(one, dict) and isinstance(two, dict):
            return {key: self.marked(none[key], one[key], two[key]) for key in none}
        if isinstance(none, list) and isinstance(one, list) and isinstance(two, list):
            return [self.marked(*each) for each in zip(none, one, two, strict=True)]
        if isinstance(none, str) and isinstance(one, str) and isinstance(two, str):
            return self._text(none, one, two)
        if not none == one == two:
            raise UnmarkableError(f"labels make another value of {none!r}")
        if isinstance(none, int | float) and none in self._numbers:
            return f"@@{type(none).__name__}.{self._numbers[int(none)]}@@"
        return none

    def _text(self, none: str, one: str, two: str) -> str:
        return self._named(none if none == one else self._with_segments(none, one, two))

    def _named(self, text: str) -> str:
        for mark in sorted(self._texts, key=len, reverse=True):
            text = text.replace(mark, self._texts[mark])
        return text

    def _with_segments(self, none: str, one: str, two: str) -> str:
        parts, first = [], []
        for kept, inserted in _insertions(none, one):
            parts.append(kept)
            first.append(inserted)
        second = iter(_segments_of(two, parts, first))
        return "".join(
            kept + (self._segment(one_label, next(second)) if one_label else "")
            for kept, one_label in zip(parts, first, strict=True)
        )

    def _segment(self, one: str, two: str) -> str:
        found = _segment(self._named(one), self._named(two))
        if found not in self.segments:
            self.segments.append(found)
        return f"@@list.{self.segments.index(found)}@@"


def _insertions(none: str, one: str) -> Iterator[tuple[str, str]]:
    """Each part of a text with what is inserted behind it."""
    old, new = _TOKEN.findall(none), _TOKEN.findall(one)
    kept = ""
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, False).get_opcodes():
        if kind == "equal":
            kept = "".join(old[a:b])
        elif kind == "insert" and FIRST in "".join(new[c:d]):
            yield kept, "".join(new[c:d])
            kept = ""
        else:
            raise UnmarkableError(f"a label makes {one!r} of {none!r}")
    yield kept, ""


def _segments_of(two: str, parts: list[str], first: list[str]) -> Iterator[str]:
    """What is between the parts for two labels."""
    # A part that is empty would be found anywhere; there is none between two insertions.
    pattern = "".join(
        re.escape(part) + ("(.*?)" if inserted else "")
        for part, inserted in zip(parts, first, strict=True)
    )
    found = re.fullmatch(pattern, two, re.DOTALL)
    if not found:
        raise UnmarkableError(f"a second label makes {two!r}")
    yield from found.groups()


def _segment(one: str, two: str) -> Segment:
    """From the texts for one label and for two: each has an item, or all are a list in a text."""
    repeated = Segment("@@labels@@", one.replace(FIRST, "@@label@@"), "")
    if repeated.filled(FIRST, SECOND) == two:
        return repeated
    before, *rest = (re.escape(part) for part in one.split(FIRST))
    pattern = f"{before}{FIRST}(.*?){SECOND}" + rf"{FIRST}\1{SECOND}".join(rest)
    found = re.fullmatch(pattern, two, re.DOTALL)
    if not found:
        raise UnmarkableError(f"a second label makes {two!r} of {one!r}")
    return Segment(one.replace(FIRST, "@@labels@@"), "@@label@@", found[1])


def files(render: Callable[[Thresholds], Mapping[Any, str]]) -> dict[str, str]:
    """The chart's files: their paths below ``files/``, and their texts.

    Args:
        render: everything that is rendered from thresholds, by path.

    Raises:
        UnmarkableError: see above.
    """
    found, again = (_marked_files(render, number) for number in (910_000_001, 950_000_003))
    for path, text in found.items():
        if again[path] != text:
            line = _differing(text, again[path])
            raise UnmarkableError(f"{path}: computed from a threshold: {line}")
    return found


def _marked_files(render: Callable[[Thresholds], Mapping[Any, str]], number: int) -> dict[str, str]:
    """The files, with marks whose numbers begin with `number`."""
    marks = _Marks(load(), number)
    rendered = [render(marks.thresholds(*labels)) for labels in ((), (FIRST,), (FIRST, SECOND))]
    found = {}
    for path in rendered[0]:
        contents = [yaml.load(texts[path], yaml.CSafeLoader) for texts in rendered]
        marked = json.dumps(marks.marked(*contents), indent=2, ensure_ascii=False)
        found[str(path.with_suffix(".json"))] = f"{marked}\n"
    about = {
        "defaults": msgspec.to_builtins(marks.defaults),
        "lists": marks.lists,
        "segments": [msgspec.to_builtins(segment) for segment in marks.segments],
    }
    return {**found, "thresholds.json": json.dumps(about, indent=2) + "\n"}


def _differing(text: str, other: str) -> str:
    """The first line of a text that another one does not have."""
    lines = zip(text.splitlines(), other.splitlines(), strict=False)
    return next((one for one, two in lines if one != two), "").strip()
