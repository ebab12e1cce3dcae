"""HTTP connections that can be interrupted, and that try all addresses of a name.

urllib3 is asked for three things that `requests` has no setting for:

- **Interruption.** A timeout of `requests` counts from the last byte, so a server that sends its
  header, its TLS handshake or its body one byte per second never times out. Shutting the socket
  down from another thread ends any of these at once. The socket is reached through a second
  descriptor, which lives as long as a request, since Python's TLS takes the first one over.
- **Addresses.** A name may have several, and the first may be unreachable. The next one is tried
  in parallel after a quarter of a second (RFC 8305, "Happy Eyeballs").
- **Interim answers.** A server may send any number of 1xx answers ahead of the final one
  (RFC 9110, section 15.2); the standard library passes over 100 alone.
"""

from __future__ import annotations

import http.client
import os
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain, zip_longest
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

NEXT_ADDRESS_DELAY = 0.25
"""Seconds before the next address of a name is tried in parallel (RFC 8305, section 5)."""

MAX_INTERIM = 16
"""Maximum 1xx responses to skip; a server that sends more is not going to send a final one."""

_Address = tuple[int, int, int, tuple[Any, ...]]
"""Family, type, protocol and socket address, from ``getaddrinfo``."""


class InFlight:
    """The sockets of a request in flight, for another thread to shut down.

    A subclass may watch a request through `resolved`, `add` and `secured`, and refuse it by raising
    an `OSError`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handles: list[socket.socket] = []
        self.interrupted = False

    def resolved(self, addresses: Sequence[str]) -> None:
        """Called with all addresses of the host's name, before a connection is made to any."""

    def secured(self, connected: ssl.SSLSocket) -> None:
        """Called after the TLS handshake of a new connection."""

    def add(self, connected: socket.socket) -> None:
        """Called by the requesting thread when it starts using a socket."""
        handle = socket.socket(fileno=os.dup(connected.fileno()))
        with self._lock:
            self._handles.append(handle)
            interrupted = self.interrupted
        if interrupted:
            self.interrupt()

    def clear(self) -> None:
        """The request has ended."""
        with self._lock:
            for handle in self._handles:
                handle.close()
            self._handles.clear()

    def interrupt(self) -> None:
        """Whatever blocks on one of the sockets fails as if the connection were reset."""
        with self._lock:
            self.interrupted = True
            for handle in self._handles:
                with suppress(OSError):  # no longer connected, which is just as good
                    handle.shutdown(socket.SHUT_RDWR)


class InterruptibleAdapter(HTTPAdapter):
    """An adapter of `requests` whose connections report to `InFlight`."""

    def __init__(self, in_flight: InFlight) -> None:
        self._pools = _pool_classes(in_flight)
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Called by `requests`: see there."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> PoolManager:
        """Called by `requests`: see there."""
        manager: PoolManager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


class _FinalResponse(http.client.HTTPResponse):
    """The first response that is not an interim one."""

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(MAX_INTERIM):
            status: tuple[str, int, str] = super()._read_status()  # type: ignore[misc] # untyped
            code = status[1]
            if code // 100 != 1 or code in {
                http.HTTPStatus.CONTINUE,  # the base class passes over it
                http.HTTPStatus.SWITCHING_PROTOCOLS,  # which was not asked for
            }:
                return status
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException("too many interim answers")


class _Connection:
    """Mixed into urllib3's connections."""

    in_flight: InFlight
    sock: socket.socket | None
    port: int
    timeout: float
    socket_options: Iterable[tuple[Any, ...]] | None
    response_class = _FinalResponse

    def _new_conn(self) -> socket.socket:
        host: str = self._dns_host  # type: ignore[attr-defined]  # of urllib3's class
        connected = connect(host, self.port, self.timeout, self.in_flight)
        for option in self.socket_options or ():
            connected.setsockopt(*option)
        self.in_flight.add(connected)
        return connected

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]  # of urllib3's class
        if isinstance(self.sock, ssl.SSLSocket):
            self.in_flight.secured(self.sock)

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:  # kept from the request before
            self.in_flight.add(self.sock)
        super().request(*args, **kwargs)  # type: ignore[misc]  # of urllib3's class


def _pool_classes(reports_to: InFlight) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(_Connection, HTTPConnection):  # type: ignore[misc]  # narrower annotations
        in_flight = reports_to

    class Tls(_Connection, HTTPSConnection):  # type: ignore[misc]  # as above
        in_flight = reports_to

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain  # type: ignore[assignment]  # annotated as an interface

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls  # type: ignore[assignment]  # as above

    return {"http": PlainPool, "https": TlsPool}


# --- all addresses of a name -------------------------------------------------------------------


def connect(host: str, port: int, timeout: float, in_flight: InFlight) -> socket.socket:
    """A connected socket: the first of the name's addresses that accepts the connection.

    Raises:
        OSError: none did (`socket.gaierror`: there are none; `TimeoutError`: none in time).
    """
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    in_flight.resolved([str(to[0]) for *_, to in found])
    race = _Race(_interleaved([(family, kind, proto, to) for family, kind, proto, _, to in found]))
    try:
        winner = race.run(time.monotonic() + timeout, in_flight)
    finally:
        race.close()
    winner.settimeout(timeout)
    return winner


def _interleaved(addresses: list[_Address]) -> list[_Address]:
    """The same addresses with families alternating, so that a missing route costs one delay."""
    first = [one for one in addresses if one[0] == addresses[0][0]]
    others = [one for one in addresses if one[0] != addresses[0][0]]
    return [one for one in chain(*zip_longest(first, others)) if one is not None]


class _Race:
    """Parallel connection attempts, each started when the previous ones are slow or have failed."""

    def __init__(self, addresses: list[_Address]) -> None:
        self._addresses = addresses
        self._running = selectors.PollSelector()
        self._error: OSError = TimeoutError("timed out")

    def run(self, end: float, in_flight: InFlight) -> socket.socket:
        start_next = 0.0
        while (now := time.monotonic()) < end and not in_flight.interrupted:
            if self._addresses and (now >= start_next or not self._running.get_map()):
                self._start(*self._addresses.pop(0))
                start_next = now + NEXT_ADDRESS_DELAY
            if not self._running.get_map():
                if not self._addresses:
                    raise self._error
                continue
            for key, _ in self._running.select(min(end - now, NEXT_ADDRESS_DELAY)):
                winner: socket.socket = key.fileobj  # type: ignore[assignment]  # see _start
                if self._has_connected(winner):
                    return winner
                start_next = 0.0
        raise TimeoutError("timed out")

    def close(self) -> None:
        """Cancel the remaining attempts."""
        for key in list(self._running.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]  # see _start
        self._running.close()

    def _start(self, family: int, kind: int, proto: int, to: tuple[Any, ...]) -> None:
        try:
            attempt = socket.socket(family, kind, proto)
        except OSError as problem:  # a family that this machine lacks, or no descriptor is left
            self._error = problem
            return
        attempt.setblocking(False)
        try:
            attempt.connect(to)
        except BlockingIOError:
            pass
        except OSError as problem:
            self._error = problem
            attempt.close()
            return
        self._running.register(attempt, selectors.EVENT_WRITE)

    def _has_connected(self, attempt: socket.socket) -> bool:
        self._running.unregister(attempt)
        code = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._error = OSError(code, os.strerror(code))
            attempt.close()
        return not code
