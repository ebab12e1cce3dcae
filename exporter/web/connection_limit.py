"""The bound on open connections."""

from __future__ import annotations

import logging
from typing import Protocol

from exporter.logs import event

LOGGER = logging.getLogger(__name__)


class Connection(Protocol):
    """Somebody is at the other end."""

    def evict(self) -> None:
        """Hang up at once."""


class Crowd:
    """Knows all connections, and what each waits for.

    When there are too many, one makes room for the new one, so that whoever comes is heard: the
    one that has waited longest for its peer's next request; where there is none, the one that
    began first to wait for a slow reader; where there is none either, the one whose request came
    first.

    Args:
        most: connections. Each costs some 30 kB with TLS, and some 200 kB more, beside its answer,
            while its peer is slow to read.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._idle: dict[Connection, None] = {}
        self._unread: dict[Connection, None] = {}
        self._asking: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._idle) + len(self._unread) + len(self._asking)

    def admit(self, connection: Connection) -> None:
        """A new connection, which waits for its peer; another one may be closed for it."""
        if len(self) >= self._most:
            self._make_room()
        self._idle[connection] = None

    def wait(self, connection: Connection) -> None:
        """It is the peer's turn to ask."""
        if connection not in self._idle and self._knows(connection):
            self.forget(connection)
            self._idle[connection] = None

    def work(self, connection: Connection) -> None:
        """A request of it is being answered."""
        if connection in self._idle:
            del self._idle[connection]
            self._asking[connection] = None

    def owe(self, connection: Connection) -> None:
        """Its peer does not take what is ready; until the answer is out it counts as slow."""
        if connection in self._asking:
            del self._asking[connection]
            self._unread[connection] = None

    def forget(self, connection: Connection) -> None:
        """It is closed."""
        for some in (self._idle, self._unread, self._asking):
            some.pop(connection, None)

    def _knows(self, connection: Connection) -> bool:
        return connection in self._unread or connection in self._asking

    def _make_room(self) -> None:
        kinds = (("idle", self._idle), ("slow reader", self._unread), ("waiting", self._asking))
        kind, some = next((kind, some) for kind, some in kinds if some)
        oldest = next(iter(some))
        self.forget(oldest)
        oldest.evict()
        event(
            LOGGER,
            logging.DEBUG if kind == "idle" else logging.WARNING,
            "connection closed to make room",
            was=kind,
            most=self._most,
            hint="clients hold too many connections; see who they are, or keep them out",
        )
