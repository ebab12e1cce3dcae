"""HTTP/1.1 connections that cannot be held open by a peer that does not do its part.

uvicorn bounds how long a connection may idle between requests, and nothing else. Here a request
must arrive whole within a time, and an answer must be taken from us at some pace.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from uvicorn.server import ServerState


class BoundedConfig(uvicorn.Config):
    """uvicorn's configuration with the two times that it lacks, in seconds."""

    head_timeout: float = 10.0
    """From the first byte of a request (or the connection's start) to the end of its head."""
    stall_timeout: float = 60.0
    """For a reader to take the bytes that we hand out at a time."""


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
        self._head_timeout = config.head_timeout
        self._stall_timeout = config.stall_timeout
        self._sending: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        # With a limit of 0 any byte that the kernel does not take at once counts as a stall, so
        # that the last of them is watched too.
        transport.set_write_buffer_limits(high=0)
        self._watch_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines."""
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

    def timeout_keep_alive_handler(self) -> None:
        """Close, without waiting for a reader that has stalled."""
        super().timeout_keep_alive_handler()
        self.transport.abort()

    def pause_writing(self) -> None:
        """Begin to wait for the reader."""
        super().pause_writing()
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
        if self.transport.is_closing() or not self._is_peers_turn():
            self._unwatch_request()
        elif self._reading is None:
            self._reading = self.loop.call_later(self._head_timeout, self.transport.abort)

    def _unwatch_request(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _is_peers_turn(self) -> bool:
        """Whether the peer has begun something that it has to end.

        That is its first request, any later one of which a part is here, and a body that goes on
        after it has its answer. Between requests uvicorn's own time-out holds.
        """
        if self.conn.their_state is h11.IDLE:
            first = self.scope is None  # until then, whatever uvicorn's annotation says
            return first or bool(self.conn.trailing_data[0])
        return self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.DONE
