"""The time that one scrape has, as an object that everything under it shares."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Budget:
    """A deadline that can be moved up, and that wakes what would otherwise sleep through it.

    A socket's own time-out begins anew with each byte, so a peer that sends one byte a second
    outlives it. Whoever blocks therefore registers a way to be interrupted.

    Args:
        seconds: how long from now.
        clock: monotonic seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._deadline = clock() + seconds
        self._lock = threading.Lock()
        self._expired = False
        self._interrupts: set[Callable[[], None]] = set()

    @property
    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return 0.0 if self._expired else max(0.0, self._deadline - self._clock())

    @property
    def expired(self) -> bool:
        """Whether no time is left."""
        return self.remaining <= 0.0

    def expire(self) -> None:
        """End the budget now and interrupt all that blocks under it; may be called again."""
        with self._lock:
            self._expired = True
            interrupts = tuple(self._interrupts)
        for interrupt in interrupts:
            interrupt()

    @contextmanager
    def interruptible(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """While inside, `expire` calls ``interrupt``, from another thread.

        If the budget has ended already, ``interrupt`` is called at once.
        """
        with self._lock:
            self._interrupts.add(interrupt)
            late = self._expired
        if late:
            interrupt()
        try:
            yield
        finally:
            with self._lock:
                self._interrupts.discard(interrupt)
