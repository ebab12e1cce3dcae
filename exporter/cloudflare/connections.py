"""HTTP connections that another thread can interrupt, wherever they block.

A time-out of ``requests`` counts from the last byte, so a server that drips its header, its TLS
handshake or its body one byte a second is never too late. Shutting the socket down from outside
ends any of these at once. The connection itself must be in reach for that, which is the one
reason why this module builds on urllib3 below ``requests``.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection


class _Sockets:
    """The sockets of one adapter, as second handles that survive being wrapped in TLS."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handles: set[socket.socket] = set()

    def watch(self, connected: socket.socket) -> socket.socket:
        handle = connected.dup()
        with self._lock:
            self._handles.add(handle)
        return handle

    def forget(self, handle: socket.socket) -> None:
        with self._lock:
            self._handles.discard(handle)
        handle.close()

    def shut_down(self) -> None:
        with self._lock:
            handles = tuple(self._handles)
        for handle in handles:
            with suppress(OSError):  # closed, or never connected, is as good
                handle.shutdown(socket.SHUT_RDWR)


class _Watched:
    """Mixed into a connection: registers its socket as soon as there is one."""

    sockets: _Sockets
    _handle: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        connected: socket.socket = super()._new_conn()  # type: ignore[misc]  # of urllib3's class
        self._handle = self.sockets.watch(connected)
        return connected

    def close(self) -> None:
        if self._handle is not None:
            self.sockets.forget(self._handle)
            self._handle = None
        super().close()  # type: ignore[misc]  # of urllib3's class


class InterruptibleAdapter(HTTPAdapter):
    """An adapter of ``requests`` whose connections `interrupt` ends at once.

    For one thread at a time, but for `interrupt`, which any thread may call. A SOCKS proxy's
    connections cannot be interrupted; the scrape still ends in time, and its thread later.
    """

    def __init__(self) -> None:
        self._sockets = _Sockets()
        self._pools = _pool_classes(self._sockets)
        super().__init__(pool_connections=1, pool_maxsize=1)

    def interrupt(self) -> None:
        """End whatever blocks on a connection of this adapter; it fails as if reset."""
        self._sockets.shut_down()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Called by ``requests``: see there."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> PoolManager:
        """Called by ``requests``: see there."""
        manager: PoolManager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = self._pools
        return manager


def _pool_classes(watched: _Sockets) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(_Watched, HTTPConnection):
        sockets = watched

    class Tls(_Watched, HTTPSConnection):
        sockets = watched

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}
