"""The bound on open connections."""

from __future__ import annotations

from typing import Protocol

MOST_CONNECTIONS = 512
"""Well below the usual limit of 1024 file descriptors; each costs some 30 kB with TLS, and some
200 kB more, beside its answer, while its peer is slow to read."""


class Connection(Protocol):
    """Somebody is at the other end."""

    def evict(self) -> None:
        """Hang up at once."""


class Crowd:
    """Knows all connections, and those that wait for their peer's next request.

    When there are too many, the one that has waited longest makes room for a new one: whoever
    asks for something gets in, whoever only holds a connection loses it.
    """

    def __init__(self, most: int = MOST_CONNECTIONS) -> None:
        self._most = most
        self._waiting: dict[Connection, None] = {}
        self._busy: set[Connection] = set()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._busy)

    def admit(self, connection: Connection) -> bool:
        """Whether a new connection may stay; it waits for its peer then."""
        if len(self) >= self._most:
            if not self._waiting:
                return False
            oldest = next(iter(self._waiting))
            self.forget(oldest)
            oldest.evict()
        self._waiting[connection] = None
        return True

    def wait(self, connection: Connection) -> None:
        """It is the peer's turn again."""
        if connection in self._busy:
            self._busy.discard(connection)
            self._waiting[connection] = None

    def work(self, connection: Connection) -> None:
        """A request of it is being answered."""
        if connection in self._waiting:
            del self._waiting[connection]
            self._busy.add(connection)

    def forget(self, connection: Connection) -> None:
        """It is closed."""
        self._waiting.pop(connection, None)
        self._busy.discard(connection)
