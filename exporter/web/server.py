"""Sockets, and the HTTP server on them: uvicorn on asyncio and h11."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

import uvicorn

from exporter.errors import SettingsError
from exporter.logs import event
from exporter.settings import ListenAddress
from exporter.web.protocol import BoundedConfig, BoundedProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

LOGGER = logging.getLogger(__name__)

BACKLOG = 512
KEEP_ALIVE = 75
"""Seconds: longer than the usual scrape intervals, so that Prometheus keeps its connection."""
GRACE = 5
"""Seconds for requests under way to be answered once the server stops."""
_FLAG = "--web.listen-address"
_WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}  # noqa: S104 - see url
_CAUSES = {
    errno.EADDRINUSE: "is in use already; stop the other program, or choose another port",
    errno.EACCES: "may not be opened by this user; choose a port from 1024 on",
    errno.EADDRNOTAVAIL: "is not an address of this machine; choose one that is, or leave it out",
}


def bind(address: ListenAddress) -> socket.socket:
    """A listening socket; without a host on all interfaces, IPv6 included where there is any.

    Raises:
        SettingsError: the address cannot be listened on; the text says why.
    """
    try:
        if address.host:
            return _bind_host(address)
        return _bind_all(address.port)
    except socket.gaierror:
        raise SettingsError(f"{_FLAG}: {address} has a host that cannot be found") from None
    except OSError as error:
        cause = (
            _CAUSES.get(error.errno or 0)
            or f"cannot be listened on: {os.strerror(error.errno or 0)}"
        )
        raise SettingsError(f"{_FLAG}: {address} {cause}") from None


def _bind_host(address: ListenAddress) -> socket.socket:
    found = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    # A name with both kinds of address means IPv4 to most clients, as it does to Go's net.Listen.
    family, _, _, _, where = min(found, key=lambda one: one[0] != socket.AF_INET)
    return socket.create_server(where[:2], family=family, backlog=BACKLOG)


def _bind_all(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG
            )
        except OSError as error:
            if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                raise
    return socket.create_server(("", port), backlog=BACKLOG)


class Server:
    """An HTTP server for one ASGI application on sockets that listen already.

    Args:
        app: the application.
        sockets: from `bind`; closed at the end.
        on_stop: called once, in a thread of its own, when the server has stopped accepting and
            before it waits for the requests under way.
        grace: seconds for these to be answered.
        head_timeout: seconds for a request's head to arrive.
        stall_timeout: seconds for a reader to take what we hand out at a time.
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
    ) -> None:
        self._sockets = list(sockets)
        host, port = self._sockets[0].getsockname()[:2]
        self._address = str(ListenAddress(_WILDCARDS.get(host, host), port))
        config = BoundedConfig(
            app,
            interface="asgi3",
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=grace,
            workers=1,
        )
        config.head_timeout = head_timeout
        config.stall_timeout = stall_timeout
        self._server = _Uvicorn(config, on_stop)

    @property
    def url(self) -> str:
        """Where a client on this machine reaches the server, without a slash at the end."""
        return f"http://{self._address}"

    def run(self) -> None:
        """Serve until `stop`, or in the main thread until SIGTERM or SIGINT; then return."""
        asyncio.run(self._server.serve(self._sockets))

    def stop(self) -> None:
        """Make `run` return, requests under way answered; safe from any thread."""
        self._server.should_exit = True


def serve(
    app: Callable[..., Any], sockets: Sequence[socket.socket], on_stop: Callable[[], None]
) -> None:
    """Serve ``app`` until SIGTERM or SIGINT, and return once the requests under way are answered.

    ``on_stop`` is called once, as `Server` says. A second signal ends the process at once.
    """
    Server(app, sockets, on_stop=on_stop).run()


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at the first signal, end at the second.

        The base class notes the signal and raises it again after it has stopped, which would end
        the process by that signal: a service manager would see a failure.
        """
        del frame
        if self.should_exit:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell the owner, beside the base class's own work.

        A daemon thread, since the owner may wait for something, and the answers do not wait for it.
        """
        asyncio.get_running_loop().call_soon(
            threading.Thread(target=self._tell_owner, name="on-stop", daemon=True).start
        )
        await super().shutdown(sockets)

    def _tell_owner(self) -> None:
        try:
            self._on_stop()
        except Exception as error:  # noqa: BLE001 - what stops must go on stopping
            event(LOGGER, logging.ERROR, "stopping failed", exc_info=error)
