"""HTTP/1.1 connections that cannot be held open by a peer that does not do its part.

uvicorn bounds how long a connection may idle between requests, and nothing else. Here a request
must arrive whole within a time, and an answer must be taken from us at some pace.
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
from exporter.web.connection_limit import Crowd
from exporter.web.http1 import Connection
from exporter.web.tls_handshake import Door

if TYPE_CHECKING:
    from uvicorn.server import ServerState

    from exporter.web.tls import Tls

LAST_WORDS = 1.0
"""Seconds for an idle peer to take its leave when the server stops."""


class BoundedConfig(uvicorn.Config):
    """uvicorn's configuration with what it lacks; times are in seconds."""

    crowd: Crowd
    tls: Callable[[], Tls | None]
    """What a new connection is encrypted with."""

    head_timeout: float = 10.0
    """From the first byte of a request (or the connection's start) to the end of its head."""
    stall_timeout: float = 60.0
    """For a reader to take the bytes that we hand out at a time."""


def first_protocol(
    config: BoundedConfig, server_state: ServerState, app_state: dict[str, Any], **rest: Any
) -> asyncio.Protocol:
    """What a new connection begins with; called as uvicorn calls its protocols."""
    http = partial(BoundedProtocol, config, server_state, app_state, **rest)
    tls = config.tls()
    if tls is None:
        return http()
    return Door(tls, http, config.crowd, server_state.connections, config.head_timeout)


class BoundedProtocol(H11Protocol):
    """uvicorn's protocol with a deadline on the peer's every turn."""

    def __init__(
        self,
        config: BoundedConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = Connection(self._refuse)
        self._crowd = config.crowd
        self._head_timeout = config.head_timeout
        self._stall_timeout = config.stall_timeout
        self._sending: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._crowd.admit(self)
        # With a limit of 0 any byte that the kernel does not take at once counts as a stall, so
        # that the last of them is watched too. asyncio's TLS would pause at no byte then.
        transport.set_write_buffer_limits(high=1 if self.scheme == "https" else 0)
        self._watch_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines."""
        self._crowd.forget(self)
        self._unwatch_request()
        self._unwatch_reader()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See whether a request is whole, or still on its way."""
        super().data_received(data)
        self._watch_request()

    def on_response_complete(self) -> None:
        """See whether the next request has begun already, or this one's body never ended."""
        super().on_response_complete()
        self._watch_request()

    def evict(self) -> None:
        """Hang up at once."""
        self.transport.abort()

    def shutdown(self) -> None:
        """Close once the answer under way is out; who is idle cannot hold up the end."""
        super().shutdown()
        if self.transport.is_closing():
            self.loop.call_later(LAST_WORDS, self.transport.abort)

    def timeout_keep_alive_handler(self) -> None:
        """Close, without waiting for a reader that has stalled."""
        super().timeout_keep_alive_handler()
        self.transport.abort()

    def pause_writing(self) -> None:
        """Begin to wait for the reader."""
        super().pause_writing()
        self._crowd.owe(self)
        self._unwatch_reader()
        self._sending = self.loop.call_later(self._stall_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        """The reader has taken what there was."""
        self._unwatch_reader()
        super().resume_writing()

    def _unwatch_reader(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _watch_request(self) -> None:
        if self._is_answering():
            self._crowd.work(self)
        else:
            self._crowd.wait(self)
        if self.transport.is_closing() or not self._is_peers_turn():
            self._unwatch_request()
        elif self._reading is None:
            self._reading = self.loop.call_later(self._head_timeout, self._give_up)

    def _give_up(self) -> None:
        client_fault(self.client, "no whole request in time")
        self.transport.abort()

    def _unwatch_request(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _should_upgrade(self) -> bool:
        """Whether to speak another protocol: never, and a server may pass such a wish over."""
        return False

    def _refuse(self, problem: h11.RemoteProtocolError) -> None:
        """Close on a client that does not speak HTTP, with an answer where there is none yet."""
        if self.transport.is_closing():
            return
        client_fault(self.client, problem)
        if self._is_answering():  # what the application still sends is dropped
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
        begun = self.cycle is not None  # not before a request, whatever uvicorn's annotation says
        return begun and not self.cycle.response_complete

    def _is_peers_turn(self) -> bool:
        """Whether the peer has begun something that it has to end.

        That is its first request, any later one of which a part is here, and a body that goes on
        after it has its answer. Between requests uvicorn's own timeout holds.
        """
        if self.conn.their_state is h11.IDLE:
            first = self.scope is None  # until then, whatever uvicorn's annotation says
            return first or bool(self.conn.trailing_data[0])
        return self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.DONE
