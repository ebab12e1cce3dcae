"""A response as a value, and how it is sent."""

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
"""Bytes per message: up to three of them are buffered for a slow reader, encrypted or not."""
COMPRESSED_CHUNK = 4 * 1024
"""Bytes of gzip that are decompressed at a time; the decompressor takes another 40 kB."""

NOT_MODIFIED = 304

_ALWAYS = (
    # A scrape answered by a cache would look like a healthy account for hours.
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
)


class Response(msgspec.Struct, frozen=True):
    """Status, body and the response's own headers.

    Attributes:
        status: of HTTP.
        body: as it is kept in memory.
        content_type: of the body.
        headers: in addition to those of every response.
        unpacked_size: bytes of the text if ``body`` is gzip and is sent decompressed, chunk by
            chunk: a text for a slow reader is kept compressed.
    """

    status: int
    body: bytes
    content_type: str
    headers: tuple[tuple[str, str], ...] = ()
    unpacked_size: int | None = None

    async def send(
        self, send: Send, *, head_only: bool, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Send it; with ``head_only`` the same headers without the body.

        Args:
            send: of ASGI.
            head_only: whether to omit the body.
            headers: added to the response's; they replace headers of the same name.
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
            # Lets other tasks run, and detects a disconnected client: asyncio warns about each
            # chunk that is written to it.
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
        """The body in non-empty chunks of at most `PIECE` bytes."""
        if self.unpacked_size is None:
            yield from _cut(self.body, PIECE)
            return
        unpacker = zlib.decompressobj(wbits=31)
        for packed in _cut(self.body, COMPRESSED_CHUNK):
            pending = packed
            while pending:
                if piece := unpacker.decompress(pending, PIECE):
                    yield piece
                pending = unpacker.unconsumed_tail


def _cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def plain(status: int, text: str, *headers: tuple[str, str]) -> Response:
    """A plain text response."""
    return Response(status, f"{text}\n".encode(), "text/plain; charset=utf-8", headers)
