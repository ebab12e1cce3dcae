"""Estimates the memory of decoded JSON from its bytes, before decoding.

Measured: an object of a declared type takes up to 120 bytes with its name, and so does any member
of a list; a string of n bytes takes 5 n while it is decoded if it has a character outside the
basic plane, and 2 n if it is ASCII without escapes.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

Body = bytes | bytearray

DEFAULT_LIMIT = 256 << 20
"""Default of ``--api.max-response-size``, in bytes."""

MIN_LIMIT = 4 << 20
"""Minimum bytes; below it the estimate would be dominated by a few objects."""

PIECE = 1 << 20


class Allowance:
    """Memory that may be used for the objects of a body: about twice the maximum body size.

    Args:
        limit: maximum bytes of a body.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        limit = max(limit, MIN_LIMIT)
        self.objects = limit // 64
        """Maximum objects of a body, or members of a list; real bodies have one per 90 bytes."""
        self.text = limit // 16
        """Maximum bytes of one string."""
        self._sparse = limit // 8
        self._wide = limit // 3

    def too_dense(self, body: Body, check: Callable[[], None]) -> bool:
        """Whether the body may hold too many objects."""
        if len(body) <= self._sparse:
            return False
        count = 0
        for start in range(0, len(body), PIECE):
            check()
            count += body.count(b"{", start, start + PIECE)
            if count > self.objects:
                return True
        return False

    def too_wide(self, body: Body) -> bool:
        """Whether its strings may take too much memory if it is decoded in one go."""
        return len(body) > self._wide and not (body.isascii() and b"\\u" not in body)

    def large(self, raw: msgspec.Raw) -> bool:
        """Whether this is too large to be decoded in one go when strings are wide."""
        return size(raw) > self._wide


def size(raw: msgspec.Raw) -> int:
    """Bytes of a part of a body."""
    return memoryview(raw).nbytes
