"""HTTP/1.1 connections with a deadline for each step of the peer.

uvicorn limits only the idle time between requests. Here a request must also arrive completely
within a time, and a response must be read at a minimum pace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from exporter.web.client_errors import client_fault
from exporter.web.connection_limit import ConnectionLimit
from exporter.web.http1 import Connection
from exporter.web.tls_handshake import TlsHandshake

if TYPE_CHECKING:
    from uvicorn.server import ServerState

    from exporter.web.tls import Tls

CLOSE_TIMEOUT = 1.0
"""Seconds for an idle peer to close the connection when the server stops."""


class BoundedConfig(uvicorn.Config):
    """uvicorn's configuration with additional limits; times are in seconds."""

    connections: ConnectionLimit
    tls: Callable[[], Tls | None]
    """TLS of a new connection."""

    head_timeout: float = 10.0
    """From the first byte of a request (or the start of the connection) to the end of its head."""
    stall_timeout: float = 60.0
    """For a reader to read the bytes that are sent at a time."""


def first_protocol(
    config: BoundedConfig, server_state: ServerState, app_state: dict[str, Any], **rest: Any
) -> asyncio.Protocol:
    """The first protocol of a new connection; called as uvicorn calls its protocols."""
    http = partial(BoundedProtocol, config, server_state, app_state, **rest)
    tls = config.tls()
    if tls is None:
        return http()
    return TlsHandshake(
        tls, http, config.connections, server_state.connections, config.head_timeout
    )


class BoundedProtocol(H11Protocol):
    """uvicorn's protocol with a deadline for each step of the peer."""

    def __init__(
        self,
        config: BoundedConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = Connection(self._refuse)
        self._connections = config.connections
        self._head_timeout = config.head_timeout
        self._stall_timeout = config.stall_timeout
        self._sending: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for the first request."""
        super().connection_made(transport)
        self._connections.admit(self)
        # With a limit of 0 any byte that the kernel does not take at once counts as a stall,
        # including the last one. asyncio's TLS would not pause with 0.
        transport.set_write_buffer_limits(high=1 if self.scheme == "https" else 0)
        self._watch_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the deadlines."""
        self._connections.forget(self)
        self._unwatch_request()
        self._unwatch_reader()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Check whether a request is complete."""
        super().data_received(data)
        self._watch_request()

    def on_response_complete(self) -> None:
        """Check whether the next request has started, or this one's body never ended."""
        super().on_response_complete()
        self._watch_request()

    def evict(self) -> None:
        """Close the connection immediately."""
        self.transport.abort()

    def shutdown(self) -> None:
        """Close after the current response; an idle peer cannot delay the end."""
        super().shutdown()
        if self.transport.is_closing():
            self.loop.call_later(CLOSE_TIMEOUT, self.transport.abort)

    def timeout_keep_alive_handler(self) -> None:
        """Close without waiting for a stalled reader."""
        super().timeout_keep_alive_handler()
        self.transport.abort()

    def pause_writing(self) -> None:
        """Start waiting for the reader."""
        super().pause_writing()
        self._connections.owe(self)
        self._unwatch_reader()
        self._sending = self.loop.call_later(self._stall_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        """The reader has caught up."""
        self._unwatch_reader()
        super().resume_writing()

    def _unwatch_reader(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _watch_request(self) -> None:
        if self._is_answering():
            self._connections.work(self)
        else:
            self._connections.wait(self)
        if self.transport.is_closing() or not self._is_peers_turn():
            self._unwatch_request()
        elif self._reading is None:
            self._reading = self.loop.call_later(self._head_timeout, self._give_up)

    def _give_up(self) -> None:
        client_fault(self.client, "request timed out")
        self.transport.abort()

    def _unwatch_request(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _should_upgrade(self) -> bool:
        """Whether to upgrade to another protocol: never, and a server may ignore the request."""
        return False

    def _refuse(self, problem: h11.RemoteProtocolError) -> None:
        """Close on a client that does not speak HTTP, with a response if there is none yet."""
        if self.transport.is_closing():
            return
        client_fault(self.client, problem)
        if self._is_answering():  # what the application sends from now on is dropped
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self._send_refusal(problem.error_status_hint)
        self.transport.close()

    def _send_refusal(self, status: int) -> None:
        head = h11.Response(
            status_code=status,
            reason=HTTPStatus(status).phrase.encode(),
            headers=[("Connection", "close"), ("Content-Length", "0")],
        )
        for event in (head, h11.EndOfMessage()):
            self.transport.write(self.conn.send(event))

    def _is_answering(self) -> bool:
        begun = self.cycle is not None  # None before a request, despite uvicorn's annotation
        return begun and not self.cycle.response_complete

    def _is_peers_turn(self) -> bool:
        """Whether the peer has started something that it must finish.

        That is its first request, any later one of which a part has arrived, and a body that
        continues after its response. Between requests uvicorn's own timeout applies.
        """
        if self.conn.their_state is h11.IDLE:
            first = self.scope is None  # None before a request, despite uvicorn's annotation
            return first or bool(self.conn.trailing_data[0])
        return self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.DONE
