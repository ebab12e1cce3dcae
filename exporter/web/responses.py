"""An answer as a value, and how it goes out."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import msgspec

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
"""The types of ASGI 3."""

PIECE = 16 * 1024
"""Bytes a message: up to three of them wait in a slow reader's connection, encrypted or not."""
PACKED_PIECE = 4 * 1024
"""Bytes of gzip that are unpacked at a time; a reader's place in it costs another 40 kB."""

NOT_MODIFIED = 304

_ALWAYS = (
    # A scrape that a cache answers looks like a healthy account for hours.
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
)


class Response(msgspec.Struct, frozen=True):
    """Status, body and the headers that are the answer's own.

    Attributes:
        status: of HTTP.
        body: as it waits in memory for its reader.
        content_type: of the body.
        headers: besides those that every answer has.
        unpacked_size: bytes of the text, where ``body`` is its gzip and goes out unpacked, piece
            by piece: a text that waits for a slow reader is held small.
    """

    status: int
    body: bytes
    content_type: str
    headers: tuple[tuple[str, str], ...] = ()
    unpacked_size: int | None = None

    async def send(
        self, send: Send, *, head_only: bool, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Send it; with ``head_only`` the same headers and no body.

        Args:
            send: of the connection.
            head_only: whether the body stays here.
            headers: in place of those of the same name, or besides them.
        """
        lines = (
            *self._framing,
            *_ALWAYS,
            *self.headers,
            *headers,
        )
        last = {name.lower().encode(): value.encode() for name, value in lines}
        await send(
            {
                "type": "http.response.start",
                "status": self.status,
                "headers": list(last.items()),
            }
        )
        pieces = iter(()) if head_only else self._pieces()
        piece = next(pieces, b"")
        for following in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            # Others take a turn, and a client that has gone is noticed: asyncio warns of each
            # piece that is written to it.
            await asyncio.sleep(0)
            piece = following
        await send({"type": "http.response.body", "body": piece, "more_body": False})

    @property
    def _framing(self) -> tuple[tuple[str, str], ...]:
        """What describes the body; an answer that says "unchanged" has none."""
        if self.status == NOT_MODIFIED:
            return ()
        return (("Content-Type", self.content_type), ("Content-Length", str(self._size)))

    @property
    def _size(self) -> int:
        return len(self.body) if self.unpacked_size is None else self.unpacked_size

    def _pieces(self) -> Iterator[bytes]:
        """What goes out, in pieces of at most `PIECE` bytes, none of them empty."""
        if self.unpacked_size is None:
            yield from _cut(self.body, PIECE)
            return
        unpacker = zlib.decompressobj(wbits=31)
        for packed in _cut(self.body, PACKED_PIECE):
            pending = packed
            while pending:
                if piece := unpacker.decompress(pending, PIECE):
                    yield piece
                pending = unpacker.unconsumed_tail


def _cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def plain(status: int, text: str, *headers: tuple[str, str]) -> Response:
    """A line of text."""
    return Response(status, f"{text}\n".encode(), "text/plain; charset=utf-8", headers)
