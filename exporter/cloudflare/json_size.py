"""How much memory JSON may take as objects, judged by its bytes before it is decoded.

Measured: an object of a declared type takes up to 120 bytes with its name, and so does any member
of a list; a text of n bytes takes 5 n while it is decoded, if one of its characters is beyond the
basic plane, and 2 n if none needs an escape or is beyond ASCII.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

Body = bytes | bytearray

DEFAULT_LIMIT = 256 << 20
"""Bytes of a body; the default of ``--api.max-response-size``."""

SMALLEST_LIMIT = 4 << 20
"""What a few objects more or less take does not matter below."""

PIECE = 1 << 20


class Allowance:
    """What may be built from a body: at most about twice the size that bodies may have.

    Args:
        limit: bytes that a body may have.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        limit = max(limit, SMALLEST_LIMIT)
        self.objects = limit // 64
        """Objects of one body, or members of one list; real bodies have one in 90 bytes."""
        self.text = limit // 16
        """Bytes of one text."""
        self._sparse = limit // 8
        self._wide = limit // 3

    def too_dense(self, body: Body, check: Callable[[], None]) -> bool:
        """Whether the body may hold more objects than are allowed."""
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
        """Whether its texts may take more than is allowed, if it is decoded in one go."""
        return len(body) > self._wide and not (body.isascii() and b"\\u" not in body)

    def large(self, raw: msgspec.Raw) -> bool:
        """Whether this is too large to be decoded in one go, where texts are wide."""
        return size(raw) > self._wide


def size(raw: msgspec.Raw) -> int:
    """Bytes of a part of a body."""
    return memoryview(raw).nbytes
