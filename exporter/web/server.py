"""The HTTP server on its sockets: uvicorn on asyncio and h11."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from typing import TYPE_CHECKING, Any

import uvicorn

from exporter.logs import event
from exporter.web.connection_limit import ConnectionLimit
from exporter.web.listen import BACKLOG, bind, endpoint_of, without_delay
from exporter.web.protocol import BoundedConfig, first_protocol
from exporter.web.systemd import Notifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from exporter.web.tls import Tls

__all__ = ["Server", "bind"]

LOGGER = logging.getLogger(__name__)

KEEP_ALIVE = 75
"""Seconds: longer than usual scrape intervals, so that Prometheus keeps its connection."""
GRACE = 5
"""Seconds for requests in progress when the server stops."""


class Server:
    """An HTTP server for one ASGI application on listening sockets.

    Args:
        app: the application.
        sockets: from `bind`; closed at the end.
        on_stop: called once when the server stops, before it waits for requests in progress; must
            not block.
        grace: seconds for requests in progress.
        head_timeout: seconds for the head of a request to arrive.
        stall_timeout: seconds for a reader to read what is sent at a time.
        most_connections: maximum open connections, including TLS handshakes.
        backlog: connections accepted above that for a moment.
        tls: TLS of a new connection; must not block.
        notifier: notified when the server is ready, alive and stopping.

    Attributes:
        endpoints: its addresses, in the order of the sockets.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        sockets: Sequence[socket.socket],
        *,
        on_stop: Callable[[], None] = lambda: None,
        grace: int = GRACE,
        head_timeout: float = BoundedConfig.head_timeout,
        stall_timeout: float = BoundedConfig.stall_timeout,
        most_connections: int = 512,
        backlog: int = BACKLOG,
        tls: Callable[[], Tls | None] = lambda: None,
        notifier: Notifier | None = None,
    ) -> None:
        self._sockets = [without_delay(one) for one in sockets]
        scheme = "http" if tls() is None else "https"
        self.endpoints = tuple(endpoint_of(one, scheme) for one in self._sockets)
        config = BoundedConfig(
            app,
            interface="asgi3",
            http=first_protocol,  # type: ignore[arg-type] # uvicorn only calls it
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=backlog,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=grace,
            workers=1,
        )
        config.head_timeout = head_timeout
        config.stall_timeout = stall_timeout
        config.connections = ConnectionLimit(most_connections)
        config.tls = tls
        self._server = _Uvicorn(config, self._sockets, on_stop, notifier or Notifier({}, 0))

    @property
    def url(self) -> str:
        """URL for a client on this machine, without a trailing slash."""
        return self.endpoints[0].url

    def run(self) -> None:
        """Serve until `stop`, or in the main thread until SIGTERM or SIGINT; then return.

        A second signal ends the process at once.
        """
        asyncio.run(self.serve())

    async def serve(self) -> None:
        """As `run`, in a running event loop."""
        await self._server.serve(self._sockets)

    def stop(self) -> None:
        """Make `run` return after requests in progress; thread-safe."""
        self._server.should_exit = True


class _Uvicorn(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        listening: Sequence[socket.socket],
        on_stop: Callable[[], None],
        notifier: Notifier,
    ) -> None:
        super().__init__(config)
        self._listening = listening
        self._on_stop = on_stop
        self._notifier = notifier

    async def main_loop(self) -> None:
        """Serve, and notify systemd."""
        for one in self._listening:
            # asyncio sets it to the number of accepts at a time. More may wait in the kernel, where
            # they need no descriptor; otherwise clients retry after a second.
            one.listen(BACKLOG)
        self._notifier.ready()
        beating = asyncio.create_task(self._beat())
        try:
            await super().main_loop()
        finally:
            beating.cancel()
            self._notifier.stopping()

    async def _beat(self) -> None:
        """Watchdog pings from the event loop, since scrapes hang if it does."""
        while self._notifier.interval is not None:
            self._notifier.alive()
            await asyncio.sleep(self._notifier.interval)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop gracefully at the first signal, end at the second.

        The base class raises the signal again after it has stopped, which would end the process by
        that signal: a service manager would see a failure.
        """
        del frame
        if self.should_exit:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Call ``on_stop``, then the base class."""
        try:
            self._on_stop()
        except Exception as error:  # noqa: BLE001 - the shutdown must continue
            event(LOGGER, logging.ERROR, "shutdown failed", exc_info=error)
        await super().shutdown(sockets)
