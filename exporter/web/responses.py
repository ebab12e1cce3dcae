"""An answer as a value, and how it goes out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
"""The types of ASGI 3."""

PIECE = 64 * 1024
"""Bytes a message: what a slow reader keeps in its connection's buffer, the rest is shared."""

_ALWAYS = (
    # A scrape that a cache answers looks like a healthy account for hours.
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
)


class Response(msgspec.Struct, frozen=True):
    """Status, body and the headers that are the answer's own."""

    status: int
    body: bytes
    content_type: str
    headers: tuple[tuple[str, str], ...] = ()

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
            ("Content-Type", self.content_type),
            ("Content-Length", str(len(self.body))),
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
        body = b"" if head_only else self.body
        for start in range(0, len(body) or 1, PIECE):
            end = start + PIECE
            await send(
                {
                    "type": "http.response.body",
                    "body": body[start:end],
                    "more_body": end < len(body),
                }
            )


def plain(status: int, text: str, *headers: tuple[str, str]) -> Response:
    """A line of text."""
    return Response(status, f"{text}\n".encode(), "text/plain; charset=utf-8", headers)
