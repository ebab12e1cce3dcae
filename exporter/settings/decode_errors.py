"""What the decoder says of a configuration file, in words for the person who wrote it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar, get_args, get_type_hints

import msgspec

from exporter.settings.yaml_loader import Document, shown_key

Shape = TypeVar("Shape", bound=msgspec.Struct)

_PLACE = re.compile(r" - at `\$?\.?(.*?)`$")
_WORDS = {
    "array": "a list",
    "bool": "a boolean",
    "float": "a number",
    "int": "an integer",
    "null": "empty",
    "object": "a mapping",
    "str": "a string",
}


Steps = tuple[str | int, ...]

MOST_COMPLAINTS = 100
"""About one file, at once."""

STAND_INS = {"account_id": "0" * 32}
"""By key, for what is missing: so that the rest of the file can be looked at too."""


class Complaint(NamedTuple):
    """What is wrong at a place of a file.

    Attributes:
        path: of the place, such as ``accounts[2].timeout``; as `Document.error` takes it.
        text: what is wrong, and what would be right.
    """

    path: str
    text: str


class _Found(NamedTuple):
    """A complaint, with the keys and indexes that lead to what it is about."""

    complaint: Complaint
    steps: Steps | None
    is_missing: bool = False


def decoded(document: Document, value: object, shape: type[Shape]) -> Shape:
    """The value as ``shape``, whose keys may say in their ``extra`` what would be ``right``.

    Args:
        document: holds the value.
        value: plain, as YAML has it.
        shape: of the whole file.

    Raises:
        SettingsError: keys are unknown or missing, or values do not fit; shows no value.
    """
    found, complaints = decoded_leniently(value, shape)
    if found is None or complaints:
        raise document.errors(complaints)
    return found


def decoded_leniently(
    value: object, shape: type[Shape]
) -> tuple[Shape | None, tuple[Complaint, ...]]:
    """The value without what does not fit, and a complaint about each thing that does not.

    The decoder stops at the first. So that is taken out, and the rest is decoded.

    Args:
        value: plain, as YAML has it.
        shape: of the whole file.

    Returns:
        None in place of the value where too little of it is left.
    """
    complaints: list[Complaint] = []
    removed: list[Steps] = []
    while len(complaints) < MOST_COMPLAINTS:
        try:
            return msgspec.convert(value, shape), tuple(complaints)
        except msgspec.ValidationError as problem:
            found = _in_words(str(problem), shape)
        if not (found.is_missing and _is_explained(found, complaints, removed)):
            complaints.append(found.complaint)
        left = None if found.steps is None else _repaired(value, found)
        if left is None:
            break
        removed.append(found.steps or ())
        value = left
    return None, tuple(complaints)


def _is_explained(found: _Found, complaints: list[Complaint], removed: list[Steps]) -> bool:
    """Whether it is known why a key is missing: it was taken out, or is misspelled."""
    key = (found.steps or ("",))[-1]
    return found.steps in removed or any(
        one.text.endswith(f"did you mean {key}?") for one in complaints
    )


def _repaired(value: object, found: _Found) -> object | None:
    """A copy without what is wrong, or with a value for what is missing; None if that is hard."""
    steps = found.steps or ()
    if not steps:
        return None
    home, last = steps[:-1], steps[-1]
    if found.is_missing:
        if last not in STAND_INS:
            return None
        return _changed(value, home, lambda one: {**one, last: STAND_INS[str(last)]})
    if isinstance(last, int) and home == ("accounts",):  # the others keep their numbers
        return _changed(value, steps, lambda _: dict(STAND_INS))
    while isinstance(last, int):  # a list with a wrong member is wrong as a whole
        home, last = home[:-1], home[-1]
    return _changed(value, home, lambda one: {key: one[key] for key in one if key != last})


def _changed(value: Any, steps: Steps, change: Callable[[Any], object]) -> object:
    """A copy of nested mappings and lists in which what the steps lead to is changed."""
    if not steps:
        return change(value)
    inner = _changed(value[steps[0]], steps[1:], change)
    if isinstance(value, list):
        return [inner if index == steps[0] else one for index, one in enumerate(value)]
    return {**value, steps[0]: inner}


def _in_words(problem: str, shape: type[msgspec.Struct]) -> _Found:
    """The place of a decoder's error, and what is wrong and right there."""
    if "- at `key` in" in problem:
        return _Found(Complaint("", "a key is not a string; put it in quotes"), None)
    found = _PLACE.search(problem)
    place, text = (found[1], problem[: found.start()]) if found else ("", problem)
    steps = _steps(place)
    field = re.search(r"field `(.*)`$", text, re.DOTALL)
    if field and text.startswith("Object contains"):
        return _Found(_unknown_key(place, field[1], shape), (*steps, field[1]))
    if field:
        path = f"{place}.{field[1]}".lstrip(".")
        complaint = Complaint(path, f"is missing; {_right(path, shape, text)}")
        return _Found(complaint, (*steps, field[1]), is_missing=True)
    return _Found(Complaint(place, f"{_wrong(text)}; {_right(place, shape, text)}"), steps)


def _steps(place: str) -> Steps:
    """Keys and indexes; what is inside a mapping of any keys counts as the mapping."""
    known = place.split("[...]", maxsplit=1)[0]
    return tuple(
        int(index) if index else key for key, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", known)
    )


def _unknown_key(place: str, key: str, shape: type[msgspec.Struct]) -> Complaint:
    struct = next(_structs(_annotation(place, shape)), shape)
    known = struct.__struct_fields__
    # Cut, for a comparison takes the square of the length.
    close = difflib.get_close_matches(key[:40].lower(), known, n=1)
    if not shown_key(key):
        advice = f"did you mean {close[0]}?" if close else "see the documentation"
        return Complaint(place, f"unknown key; {advice}")
    path = f"{place}.{key}".lstrip(".")
    inner = _hints(struct).items()
    homes = [name for name, one in inner for part in _structs(one) if key in _hints(part)]
    if homes:
        return Complaint(path, f"belongs under {homes[0]}; move it there")
    advice = f"did you mean {close[0]}?" if close else f"use one of {', '.join(known)}"
    return Complaint(path, f"unknown key; {advice}")


def _wrong(text: str) -> str:
    got = re.search(r", got `(\w+)`$", text)
    if got:
        return f"is {_WORDS.get(got[1], 'of another type')}"
    if "of length" in text:
        return "is an empty list"
    if "matching regex" in text or text.startswith("Invalid enum"):
        return "is not valid"
    return "is out of range"


def _right(place: str, shape: type[msgspec.Struct], text: str) -> str:
    """What the key says that would be right, or else its type."""
    said = list(_said(_annotation(place, shape)))
    if said:
        return said[-1]
    if not place:
        needed = [one for one in msgspec.structs.fields(shape) if one.required]
        return f"begin the file with {needed[0].name}:" if needed else "use a mapping"
    wanted = re.match(r"Expected `([^`]*)`", text)
    names = wanted[1].split(" | ") if wanted else []
    words = [
        "true or false" if name == "bool" else _WORDS[name]
        for name in names
        if name in _WORDS and name != "null"
    ]
    return f"use {' or '.join(words) or 'another value'}"


def _annotation(place: str, shape: type[msgspec.Struct]) -> object:
    """Of the key at a place such as ``accounts[2].timeout``, or what is known nearest to it."""
    found: object = shape
    for name in re.findall(r"[^.\[\]]+(?=[.\[]|$)", re.sub(r"\[[^\]]*\]", "", place)):
        inner = [_hints(struct)[name] for struct in _structs(found) if name in _hints(struct)]
        found = inner[0] if inner else found
    return found


def _hints(struct: type[msgspec.Struct]) -> dict[str, Any]:
    hints = get_type_hints(struct, include_extras=True)
    return {name: hints[name] for name in struct.__struct_fields__}


def _structs(annotation: object) -> Iterator[type[msgspec.Struct]]:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        yield annotation
    for inner in get_args(annotation):
        yield from _structs(inner)


def _said(annotation: object) -> Iterator[str]:
    for inner in get_args(annotation):
        if isinstance(inner, msgspec.Meta) and inner.extra:
            yield inner.extra["right"]
        elif not isinstance(inner, type):
            yield from _said(inner)
