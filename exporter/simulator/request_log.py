"""Log of the requests to the simulator, without secrets."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """A logged request; no header values, so no credentials."""

    method: str
    path: str
    query: Mapping[str, str]
    header_names: frozenset[str]
    """In lower case."""
    time: float
    """By the simulator's clock, Unix seconds."""


class RequestLog:
    """The latest requests, oldest first. Thread-safe."""

    def __init__(self, limit: int = 10_000) -> None:
        self._asked: deque[Asked] = deque(maxlen=limit)
        self._lock = threading.Lock()

    def add(self, asked: Asked) -> None:
        """Add a request."""
        with self._lock:
            self._asked.append(asked)

    def clear(self) -> None:
        """Remove all requests."""
        with self._lock:
            self._asked.clear()

    def snapshot(self) -> list[Asked]:
        """A copy."""
        with self._lock:
            return list(self._asked)

    def __iter__(self) -> Iterator[Asked]:
        return iter(self.snapshot())

    def __len__(self) -> int:
        return len(self._asked)

    def __getitem__(self, index: int) -> Asked:
        return self.snapshot()[index]
