"""The first protocol of a connection on a server with TLS: it shakes hands, then hands over.

The handshake has the certificate of its moment, and it waits in the event loop, so that a peer
that never ends it costs others nothing. Before the first byte not even memory is set aside.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from exporter.web.crowd import Crowd
from exporter.web.tls import Tls

_HANDSHAKE = 0x16
_NOT_TLS = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 36\r\nConnection: close\r\n\r\nthis port speaks https and not http\n"
)


class Door(asyncio.Protocol):
    """Owns a connection until its handshake is done.

    Args:
        tls: of this moment.
        http: makes the protocol that follows.
        crowd: of all connections.
        doors: of the server: what stands in it is told to shut down at the end.
        timeout: seconds to the first byte, and from there to the end of the handshake.
    """

    def __init__(
        self,
        tls: Tls,
        http: Callable[[], asyncio.Protocol],
        crowd: Crowd,
        doors: set[Any],
        timeout: float,
    ) -> None:
        self._tls = tls
        self._http = http
        self._crowd = crowd
        self._doors = doors
        self._timeout = timeout
        self._early: list[bytes] = []
        self._shaking: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first byte."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        if not self._crowd.admit(self):
            transport.abort()
            return
        self._doors.add(self)
        # Bytes that the peer does not take stay in sight of the HTTP protocol's deadline.
        transport.set_write_buffer_limits(high=0)
        self._alarm = asyncio.get_running_loop().call_later(self._timeout, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Shake hands, or keep what comes at the handshake's very end."""
        if self._shaking is not None:
            self._early.append(data)
        elif data[0] == _HANDSHAKE:
            self._alarm.cancel()
            self._transport.pause_reading()
            self._shaking = asyncio.get_running_loop().create_task(self._shake(data))
        else:
            self._transport.write(_NOT_TLS)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone."""
        del exc
        self._leave()

    def evict(self) -> None:
        """Hang up at once."""
        self._transport.abort()

    shutdown = evict

    async def _shake(self, hello: bytes) -> None:
        loop = asyncio.get_running_loop()
        shaking = loop.create_task(
            loop.start_tls(
                self._transport,
                self,
                self._tls.context,
                server_side=True,
                ssl_handshake_timeout=self._timeout,
            )
        )
        # One turn of the loop later the transport has its new protocol, which is begun in the
        # next one: what has been read already goes there right after that.
        await asyncio.sleep(0)
        loop.call_soon(_feed, self._transport, hello)
        try:
            encrypted = await shaking
        except (OSError, ssl.CertificateError):
            self._transport.abort()
            self._leave()
            return
        self._hand_over(encrypted)

    def _hand_over(self, encrypted: asyncio.Transport | None) -> None:
        self._leave()
        if encrypted is None or encrypted.is_closing():
            return
        if not self._tls.admits(encrypted.get_extra_info("peercert")):
            encrypted.abort()
            return
        http = self._http()
        encrypted.set_protocol(http)
        http.connection_made(encrypted)
        if self._early:
            http.data_received(b"".join(self._early))

    def _leave(self) -> None:
        self._alarm.cancel()
        self._doors.discard(self)
        self._crowd.forget(self)


def _feed(transport: asyncio.Transport, data: bytes) -> None:
    """Hand the transport's new protocol what the old one has read."""
    protocol = transport.get_protocol()
    if not isinstance(protocol, asyncio.BufferedProtocol) or transport.is_closing():
        return
    rest = memoryview(data)
    while rest:
        buffer = memoryview(protocol.get_buffer(len(rest)))
        count = min(len(buffer), len(rest))
        buffer[:count] = rest[:count]
        protocol.buffer_updated(count)
        rest = rest[count:]
