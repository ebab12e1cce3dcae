"""The first protocol of a connection with TLS: does the handshake, then hands over to HTTP.

The handshake uses the current certificate, and it waits in the event loop, so that a peer that
never completes it does not block others. No buffers are allocated before the first byte.
"""

from __future__ import annotations

import asyncio
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from typing import Any

from exporter.web.client_errors import client_fault
from exporter.web.connection_limit import ConnectionLimit
from exporter.web.tls import Tls

_HANDSHAKE = 0x16
_NOT_TLS = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 36\r\nConnection: close\r\n\r\nthis port speaks https and not http\n"
)


class _Encryption(SSLProtocol):
    """asyncio's TLS with a smaller buffer per connection than its 256 KiB.

    `asyncio.loop.start_tls` has no option for it.
    """

    max_size = 16 * 1024
    """Bytes read at a time: a TLS record, and more than a scrape's request."""


class TlsHandshake(asyncio.Protocol):
    """Owns a connection until its handshake is complete.

    Args:
        tls: current TLS settings.
        http: creates the protocol that follows.
        connections: of all connections.
        handshakes: connections of the server that are shut down at the end.
        timeout: seconds to the first byte, and from there to the end of the handshake.
    """

    def __init__(
        self,
        tls: Tls,
        http: Callable[[], asyncio.Protocol],
        connections: ConnectionLimit,
        handshakes: set[Any],
        timeout: float,
    ) -> None:
        self._tls = tls
        self._http = http
        self._connections = connections
        self._handshakes = handshakes
        self._timeout = timeout

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first byte."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        self._connections.admit(self)
        self._handshakes.add(self)
        # Unsent bytes are covered by the HTTP protocol's deadline.
        transport.set_write_buffer_limits(high=0)
        self._alarm = asyncio.get_running_loop().call_later(self._timeout, self._give_up)

    def data_received(self, data: bytes) -> None:
        """Start the handshake; further bytes go to the TLS protocol."""
        if data[0] != _HANDSHAKE:
            self._say("not a TLS handshake")
            self._transport.write(_NOT_TLS)
            self._transport.close()
            return
        self._alarm.cancel()
        encryption = self._encryption()
        self._transport.set_protocol(encryption)
        encryption.connection_made(self._transport)
        _feed(encryption, data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has disconnected."""
        del exc
        self._leave()

    def evict(self) -> None:
        """Close the connection immediately."""
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
            self._say("the client certificate has none of the names in client_allowed_sans")
            encrypted.abort()
            return
        http = self._http()
        encrypted.set_protocol(http)
        http.connection_made(encrypted)

    def _give_up(self) -> None:
        self._say("TLS handshake timed out")
        self._transport.abort()

    def _say(self, error: str) -> None:
        client_fault(self._transport.get_extra_info("peername"), error)

    def _leave(self) -> None:
        self._alarm.cancel()
        self._handshakes.discard(self)
        self._connections.forget(self)


class _Threshold(asyncio.Protocol):
    """Called by the TLS protocol after a successful handshake, before the first byte."""

    def __init__(self, enter: Callable[[asyncio.Transport], None]) -> None:
        self._enter = enter

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand over to the HTTP protocol."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._enter(transport)


def _feed(protocol: asyncio.BufferedProtocol, data: bytes) -> None:
    """Pass on what the transport has read before."""
    rest = memoryview(data)
    while rest:
        buffer = memoryview(protocol.get_buffer(len(rest)))
        count = min(len(buffer), len(rest))
        buffer[:count] = rest[:count]
        protocol.buffer_updated(count)
        rest = rest[count:]
