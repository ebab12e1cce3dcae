"""What was asked of the simulator, without anything secret."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """A request as it is remembered: no header values, so no credentials."""

    method: str
    path: str
    query: Mapping[str, str]
    header_names: frozenset[str]
    """In lower case."""
    time: float
    """By the simulator's clock, Unix seconds."""


class RequestLog:
    """The latest requests, oldest first; may be read while the simulator serves."""

    def __init__(self, limit: int = 10_000) -> None:
        self._asked: deque[Asked] = deque(maxlen=limit)
        self._lock = threading.Lock()

    def add(self, asked: Asked) -> None:
        """Remembers one request."""
        with self._lock:
            self._asked.append(asked)

    def clear(self) -> None:
        """Forgets them all."""
        with self._lock:
            self._asked.clear()

    def snapshot(self) -> list[Asked]:
        """A copy that later requests leave alone."""
        with self._lock:
            return list(self._asked)

    def __iter__(self) -> Iterator[Asked]:
        return iter(self.snapshot())

    def __len__(self) -> int:
        return len(self._asked)

    def __getitem__(self, index: int) -> Asked:
        return self.snapshot()[index]
