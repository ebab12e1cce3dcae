"""The first protocol of a connection on a server with TLS: it shakes hands, then hands over.

The handshake has the certificate of its moment, and it waits in the event loop, so that a peer
that never ends it costs others nothing. Before the first byte not even memory is set aside.
"""

from __future__ import annotations

import asyncio
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from typing import Any

from exporter.web.client_errors import client_fault
from exporter.web.connection_limit import Crowd
from exporter.web.tls import Tls

_HANDSHAKE = 0x16
_NOT_TLS = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 36\r\nConnection: close\r\n\r\nthis port speaks https and not http\n"
)


class _Encryption(SSLProtocol):
    """asyncio's TLS, with less memory set aside for each connection than its 256 KiB.

    `asyncio.loop.start_tls` would do, if it let one choose.
    """

    max_size = 16 * 1024
    """Bytes that are read at a time: a record of TLS, and more than a scrape's request."""


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

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first byte."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        self._crowd.admit(self)
        self._doors.add(self)
        # Bytes that the peer does not take stay in sight of the HTTP protocol's deadline.
        transport.set_write_buffer_limits(high=0)
        self._alarm = asyncio.get_running_loop().call_later(self._timeout, self._give_up)

    def data_received(self, data: bytes) -> None:
        """Begin to shake hands; what comes next goes to the encryption."""
        if data[0] != _HANDSHAKE:
            self._say("no TLS")
            self._transport.write(_NOT_TLS)
            self._transport.close()
            return
        self._alarm.cancel()
        encryption = self._encryption()
        self._transport.set_protocol(encryption)
        encryption.connection_made(self._transport)
        _feed(encryption, data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone."""
        del exc
        self._leave()

    def evict(self) -> None:
        """Hang up at once."""
        self._transport.abort()

    shutdown = evict

    def _encryption(self) -> _Encryption:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        ended.add_done_callback(self._handshake_ended)
        return _Encryption(
            loop,
            _Threshold(self._hand_over),
            self._tls.context,
            ended,
            server_side=True,
            ssl_handshake_timeout=self._timeout,  # type: ignore[arg-type] # any number will do
        )

    def _handshake_ended(self, ended: asyncio.Future[None]) -> None:
        self._leave()
        problem = None if ended.cancelled() else ended.exception()
        if problem is not None:
            self._say(f"TLS handshake: {str(problem) or type(problem).__name__}")

    def _hand_over(self, encrypted: asyncio.Transport) -> None:
        self._leave()
        if not self._tls.admits(encrypted.get_extra_info("peercert")):
            self._say("TLS: a certificate with none of the names in client_allowed_sans")
            encrypted.abort()
            return
        http = self._http()
        encrypted.set_protocol(http)
        http.connection_made(encrypted)

    def _give_up(self) -> None:
        self._say("no TLS handshake in time")
        self._transport.abort()

    def _say(self, error: str) -> None:
        client_fault(self._transport.get_extra_info("peername"), error)

    def _leave(self) -> None:
        self._alarm.cancel()
        self._doors.discard(self)
        self._crowd.forget(self)


class _Threshold(asyncio.Protocol):
    """What the encryption calls at the end of a good handshake, before the first byte within."""

    def __init__(self, enter: Callable[[asyncio.Transport], None]) -> None:
        self._enter = enter

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Leave the rest to another protocol."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._enter(transport)


def _feed(protocol: asyncio.BufferedProtocol, data: bytes) -> None:
    """Hand it what the transport has read before it was there."""
    rest = memoryview(data)
    while rest:
        buffer = memoryview(protocol.get_buffer(len(rest)))
        count = min(len(buffer), len(rest))
        buffer[:count] = rest[:count]
        protocol.buffer_updated(count)
        rest = rest[count:]
