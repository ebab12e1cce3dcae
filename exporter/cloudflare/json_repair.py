"""Repairs characters for which a strict JSON decoder rejects a body.

Three kinds occur: bytes that are not UTF-8, lone surrogate escapes, and the numbers NaN and
Infinity, which some encoders write. All work is done in chunks of bounded size.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
Body = bytes | bytearray

PIECE = 1 << 16
"""Bytes per chunk: some milliseconds, and some megabytes for the regular expression engine."""

MAX_REPAIRS = 100_000
"""Maximum repairs of one body; with more it is not JSON at all."""

REPLACEMENT = rb"\ufffd"
TOO_LARGE = b"1e999"
"""Replaces a number that JSON cannot represent; it is out of range for a decoder too."""

# No possessive quantifiers or atomic groups: Python before 3.11.5 matches them incorrectly. These
# patterns take linear time anyway, since the end of a run cannot be part of the run.
_WHOLE_CHARACTERS = re.compile(
    rb"[^\\]*(?:\\(?:[^u]|u[^dD]|u[dD][0-7]"
    rb"|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})[^\\]*)*"
)
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|[\s\S])"
)
_INSIDE_STRING = re.compile(rb'[^"\\]*(?:\\[\s\S][^"\\]*)*')
_NO_ODD_NUMBER = re.compile(rb'[^"NI]*(?:"[^"\\]*(?:\\[\s\S][^"\\]*)*"[^"NI]*)*')
_ODD_NUMBER = re.compile(rb"NaN|Infinity")


class UnrepairableError(ValueError):
    """A body has more invalid characters than any JSON would."""


def repaired(body: Body, check: Callable[[], None]) -> Body:
    """The repaired body; the same object if there is nothing to repair.

    Lone surrogates and invalid UTF-8 become the replacement character, NaN and Infinity a number
    that is out of range. Uses at most twice the body's size in addition to the body.

    Args:
        body: JSON, possibly with invalid characters.
        check: called between chunks; may raise to end the work.

    Raises:
        Unrepairable: there is too much to repair.
    """
    return _numbers(_half_characters(_utf8(body, check), check), check)


def _utf8(body: Body, check: Callable[[], None]) -> Body:
    if body.isascii() or _is_utf8(body, check):
        return body
    most = len(body) + len(body) // 4 + 4096  # a few repairs of a small body are fine
    fixed = bytearray()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for piece in _pieces(body, check):
        fixed += decoder.decode(piece).encode()
        if len(fixed) > most:
            raise UnrepairableError("not UTF-8")
    fixed += decoder.decode(b"", final=True).encode()
    return fixed


def _is_utf8(body: Body, check: Callable[[], None]) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    try:
        for piece in _pieces(body, check):
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _pieces(body: Body, check: Callable[[], None]) -> Iterator[bytes]:
    for start in range(0, len(body), PIECE):
        check()
        yield bytes(body[start : start + PIECE])


def _half_characters(body: Body, check: Callable[[], None]) -> Body:
    """Same length: both escapes have six characters."""
    if b"\\ud" not in body and b"\\uD" not in body:
        return body
    found = list(_at_most(MAX_REPAIRS, _halves(body, check)))
    if not found:
        return body
    fixed = bytearray(body)
    for place in found:
        fixed[place : place + len(REPLACEMENT)] = REPLACEMENT
    return fixed


def _halves(body: Body, check: Callable[[], None]) -> Iterator[int]:
    """Positions of lone surrogate escapes."""
    place = 0
    while place < len(body):
        check()
        end = _WHOLE_CHARACTERS.match(body, place, place + PIECE).end()  # type: ignore[union-attr]  # may be empty, always matches
        # Either a lone surrogate, or an escape that the end of the chunk splits.
        escape = _ESCAPE.match(body, end)
        if escape and escape["half"]:
            yield end
        place = escape.end() if escape else max(end, place + 1)


def _numbers(body: Body, check: Callable[[], None]) -> Body:
    if b"NaN" not in body and b"Infinity" not in body:
        return body
    fixed, done = bytearray(), 0
    for start, end in _at_most(MAX_REPAIRS, _odd_numbers(body, check)):
        fixed += body[done:start] + TOO_LARGE
        done = end
    if not done:
        return body
    with memoryview(body) as rest:
        fixed += rest[done:]
    return fixed


def _odd_numbers(body: Body, check: Callable[[], None]) -> Iterator[tuple[int, int]]:
    """Positions of NaN and Infinity outside strings."""
    place = 0
    while place < len(body):
        check()
        end = _NO_ODD_NUMBER.match(body, place, place + PIECE).end()  # type: ignore[union-attr]  # may be empty, always matches
        if number := _ODD_NUMBER.match(body, end):
            yield number.span()
            place = number.end()
        elif body[end : end + 1] == b'"':
            place = _after_string(body, end + 1, check)
        else:
            place = end + 1


def _after_string(body: Body, place: int, check: Callable[[], None]) -> int:
    """The end of a string that is longer than a chunk; ``place`` is inside it."""
    while place < len(body):
        check()
        end = _INSIDE_STRING.match(body, place, place + PIECE).end()  # type: ignore[union-attr]  # may be empty, always matches
        if body[end : end + 1] == b'"':
            return end + 1
        place = max(end, place + 1)
    return place


def _at_most(most: int, places: Iterator[T]) -> Iterator[T]:
    for count, place in enumerate(places):
        if count >= most:
            raise UnrepairableError("too many JSON syntax errors")
        yield place
