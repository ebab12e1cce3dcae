"""The limit of open connections."""

from __future__ import annotations

import logging
from typing import Protocol

from exporter.logs import event

LOGGER = logging.getLogger(__name__)


class Connection(Protocol):
    """A connection to a client."""

    def evict(self) -> None:
        """Close the connection immediately."""


class ConnectionLimit:
    """All connections, and what each is waiting for.

    When there are too many, one is closed for each new one, so that new clients get a response:
    the one that has been idle longest; if there is none, the one that has waited longest for a
    slow reader; if there is none either, the one with the oldest request.

    Args:
        most: maximum connections. Each takes about 30 kB with TLS, and about 200 kB more, plus its
            response, while its peer is slow to read.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._idle: dict[Connection, None] = {}
        self._unread: dict[Connection, None] = {}
        self._asking: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._idle) + len(self._unread) + len(self._asking)

    def admit(self, connection: Connection) -> None:
        """Add a new, idle connection; closes another one if there are too many."""
        if len(self) >= self._most:
            self._make_room()
        self._idle[connection] = None

    def wait(self, connection: Connection) -> None:
        """It is idle: waiting for a request."""
        if connection not in self._idle and self._knows(connection):
            self.forget(connection)
            self._idle[connection] = None

    def work(self, connection: Connection) -> None:
        """One of its requests is being processed."""
        if connection in self._idle:
            del self._idle[connection]
            self._asking[connection] = None

    def owe(self, connection: Connection) -> None:
        """Its peer is a slow reader, until the response is sent."""
        if connection in self._asking:
            del self._asking[connection]
            self._unread[connection] = None

    def forget(self, connection: Connection) -> None:
        """Remove it: it is closed."""
        for some in (self._idle, self._unread, self._asking):
            some.pop(connection, None)

    def _knows(self, connection: Connection) -> bool:
        return connection in self._unread or connection in self._asking

    def _make_room(self) -> None:
        kinds = (("idle", self._idle), ("slow client", self._unread), ("waiting", self._asking))
        kind, some = next((kind, some) for kind, some in kinds if some)
        oldest = next(iter(some))
        self.forget(oldest)
        oldest.evict()
        event(
            LOGGER,
            logging.DEBUG if kind == "idle" else logging.WARNING,
            "closed a client connection to free capacity",
            was=kind,
            most=self._most,
            hint="clients hold too many connections; find out which, and limit them",
        )
