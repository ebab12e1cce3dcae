"""What the decoder says of a configuration file, in words for the person who wrote it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import get_args, get_type_hints

import msgspec

from exporter.settings.schema import Collectors, ConfigFile, FileAccount
from exporter.settings.yaml_file import shown_key

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
_FILE_RIGHT = "begin it with accounts:"


def in_words(problem: str) -> tuple[str, str]:
    """The place of a decoder's error, and what is wrong and right there, without the value."""
    if "- at `key` in" in problem:
        return "", "has a key that is not text; put it in quotes, or see the documentation"
    found = _PLACE.search(problem)
    place, text = (found[1], problem[: found.start()]) if found else ("", problem)
    field = re.search(r"field `(.*)`$", text, re.DOTALL)
    if field and text.startswith("Object contains"):
        return _unknown_key(place, field[1])
    if field:
        path = f"{place}.{field[1]}".lstrip(".")
        return path, f"is missing; {_right(path)}"
    return place, f"{_wrong(text)}; {_right(place)}"


def _unknown_key(place: str, key: str) -> tuple[str, str]:
    if not shown_key(key).startswith("'"):
        return place, "has a key that there is not; see the documentation for those that there are"
    if not place and key in FileAccount.__struct_fields__:
        return key, "belongs to an account; put it below one of accounts"
    known = _known_keys(place)
    close = difflib.get_close_matches(key, known, n=1)
    advice = f"did you mean {close[0]}?" if close else f"use one of {', '.join(known)}"
    return f"{place}.{key}".lstrip("."), f"there is no such key; {advice}"


def _known_keys(place: str) -> tuple[str, ...]:
    if place.endswith("collectors"):
        return Collectors.__struct_fields__
    return (FileAccount if place else ConfigFile).__struct_fields__


def _wrong(text: str) -> str:
    got = re.search(r", got `(\w+)`$", text)
    if got:
        return f"is {_WORDS.get(got[1], 'of another type')}"
    if "of length" in text:
        return "is an empty list"
    if "matching regex" in text or text.startswith("Invalid enum"):
        return "is not understood"
    return "is out of range"


def _right(path: str) -> str:
    names = [name for name in re.findall(r"[a-z_]+", path) if name in _RIGHTS]
    return _RIGHTS[names[-1]] if names else _FILE_RIGHT


def _rights(annotation: object) -> Iterator[str]:
    """What would be right, by the descriptions of a key's type."""
    for inner in get_args(annotation):
        if isinstance(inner, msgspec.Meta) and inner.extra:
            yield inner.extra["right"]
        else:
            yield from _rights(inner)


_RIGHTS = {
    name: right
    for struct in (ConfigFile, FileAccount, Collectors)
    for name, annotation in get_type_hints(struct, include_extras=True).items()
    for right in _rights(annotation)
    if name != "accounts" or struct is ConfigFile
}
