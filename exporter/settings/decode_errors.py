"""What the decoder says of a configuration file, in words for the person who wrote it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from exporter.settings.yaml_loader import Document, shown_key

Shape = TypeVar("Shape", bound=msgspec.Struct)

_PLACE = re.compile(r" - at `\$?\.?(.*?)`$")
_WORDS = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "null": "empty",
    "object": "a mapping",
    "str": "text",
}


def decoded(document: Document, value: object, shape: type[Shape]) -> Shape:
    """The value as ``shape``, whose keys may say in their ``extra`` what would be ``right``.

    Args:
        document: holds the value.
        value: plain, as YAML has it.
        shape: of the whole file.

    Raises:
        SettingsError: a key is unknown or missing, or its value does not fit; shows no value.
    """
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as problem:
        raise document.error(*_in_words(str(problem), shape)) from None


def _in_words(problem: str, shape: type[msgspec.Struct]) -> tuple[str, str]:
    """The place of a decoder's error, and what is wrong and right there."""
    if "- at `key` in" in problem:
        return "", "has a key that is not text; put it in quotes, or see the documentation"
    found = _PLACE.search(problem)
    place, text = (found[1], problem[: found.start()]) if found else ("", problem)
    field = re.search(r"field `(.*)`$", text, re.DOTALL)
    if field and text.startswith("Object contains"):
        return _unknown_key(place, field[1], shape)
    if field:
        path = f"{place}.{field[1]}".lstrip(".")
        return path, f"is missing; {_right(path, shape, text)}"
    return place, f"{_wrong(text)}; {_right(place, shape, text)}"


_SEE_KEYS = "see the documentation for those that there are"


def _unknown_key(place: str, key: str, shape: type[msgspec.Struct]) -> tuple[str, str]:
    struct = next(_structs(_annotation(place, shape)), shape)
    known = struct.__struct_fields__
    # Cut, for a comparison takes the square of the length.
    close = difflib.get_close_matches(key[:40].lower(), known, n=1)
    if not shown_key(key).startswith("'"):
        advice = f"did you mean {close[0]}?" if close else _SEE_KEYS
        return place, f"has a key that there is not; {advice}"
    path = f"{place}.{key}".lstrip(".")
    inner = _hints(struct).items()
    homes = [name for name, one in inner for part in _structs(one) if key in _hints(part)]
    if homes:
        return path, f"belongs below {homes[0]}; move it there"
    advice = f"did you mean {close[0]}?" if close else f"use one of {', '.join(known)}"
    return path, f"there is no such key; {advice}"


def _wrong(text: str) -> str:
    got = re.search(r", got `(\w+)`$", text)
    if got:
        return f"is {_WORDS.get(got[1], 'of another type')}"
    if "of length" in text:
        return "is an empty list"
    if "matching regex" in text or text.startswith("Invalid enum"):
        return "is not understood"
    return "is out of range"


def _right(place: str, shape: type[msgspec.Struct], text: str) -> str:
    """What the key says that would be right, or else its type."""
    said = list(_said(_annotation(place, shape)))
    if said:
        return said[-1]
    if not place:
        needed = [one for one in msgspec.structs.fields(shape) if one.required]
        return f"begin it with {needed[0].name}:" if needed else "use a mapping"
    wanted = re.match(r"Expected `([^`]*)`", text)
    names = wanted[1].split(" | ") if wanted else []
    words = [_WORDS[name] for name in names if name in _WORDS and name != "null"]
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
