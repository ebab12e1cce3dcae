"""JSON that a strict decoder refuses for its characters: the faults that need not cost anything.

Three occur: bytes that are not UTF-8, escapes of half a character (lone surrogates), and the
numbers NaN and Infinity, which some encoders write. All work goes in pieces of bounded size.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
Body = bytes | bytearray

PIECE = 1 << 16
"""Bytes looked at in one go: some milliseconds, and some megabytes of the matcher's own."""

MOST_REPAIRS = 100_000
"""Faults in one body; with more it is not JSON at all."""

REPLACEMENT = rb"\ufffd"
TOO_LARGE = b"1e999"
"""A number for which a decoder has no value either, in place of one that JSON has no form for."""

# Nothing possessive or atomic: Python before 3.11.5 steps too far in such a group. These patterns
# need linear time without it, since what ends a run cannot be a part of it.
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


class Unrepairable(ValueError):  # noqa: N818 - a finding about a body, told to people as such
    """A body has so many faults that it was never meant as JSON."""


def repaired(body: Body, check: Callable[[], None]) -> Body:
    """The body without these faults; itself where it has none.

    Half characters and bytes that are no UTF-8 become the replacement character, NaN and Infinity
    a number that is too large. Takes at most twice the body's size in addition to it.

    Args:
        body: JSON, or nearly so.
        check: called between pieces; may raise to end the work.

    Raises:
        Unrepairable: there are too many faults.
    """
    return _numbers(_half_characters(_utf8(body, check), check), check)


def _utf8(body: Body, check: Callable[[], None]) -> Body:
    if body.isascii() or _is_utf8(body, check):
        return body
    most = len(body) + len(body) // 4 + 4096  # a few faults in a small body are no flood
    fixed = bytearray()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for piece in _pieces(body, check):
        fixed += decoder.decode(piece).encode()
        if len(fixed) > most:
            raise Unrepairable("it is not UTF-8")
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
    found = list(_at_most(MOST_REPAIRS, _halves(body, check)))
    if not found:
        return body
    fixed = bytearray(body)
    for place in found:
        fixed[place : place + len(REPLACEMENT)] = REPLACEMENT
    return fixed


def _halves(body: Body, check: Callable[[], None]) -> Iterator[int]:
    """Where the escapes of half a character are."""
    place = 0
    while place < len(body):
        check()
        end = _WHOLE_CHARACTERS.match(body, place, place + PIECE).end()  # type: ignore[union-attr]  # may be empty, always matches
        # Either a half, or an escape that the end of the piece cuts.
        escape = _ESCAPE.match(body, end)
        if escape and escape["half"]:
            yield end
        place = escape.end() if escape else max(end, place + 1)


def _numbers(body: Body, check: Callable[[], None]) -> Body:
    if b"NaN" not in body and b"Infinity" not in body:
        return body
    fixed, done = bytearray(), 0
    for start, end in _at_most(MOST_REPAIRS, _odd_numbers(body, check)):
        fixed += body[done:start] + TOO_LARGE
        done = end
    if not done:
        return body
    with memoryview(body) as rest:
        fixed += rest[done:]
    return fixed


def _odd_numbers(body: Body, check: Callable[[], None]) -> Iterator[tuple[int, int]]:
    """Where NaN and Infinity are, outside of texts."""
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
    """Where a string ends that is longer than a piece; ``place`` is inside it."""
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
            raise Unrepairable("it is full of what JSON does not allow")
        yield place
