"""Threads that nobody has to wait for: for work side by side, and for calls at a later time.

All are daemons: one that is stuck where nothing can interrupt it (a name lookup) does not hold
the program's end up, as the standard library's executors would.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable


class Crew:
    """Runs calls on a bounded number of threads, which come with the work and go after it.

    Args:
        size: threads at most; what comes while all are busy waits its turn.
        name: of the threads.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._lock = threading.Lock()
        self._threads = 0
        self._waiting: deque[Callable[[], object]] = deque()

    def run(self, call: Callable[[], object]) -> None:
        """Have ``call`` done soon; it must not raise."""
        with self._lock:
            if self._threads >= self._size:
                self._waiting.append(call)
                return
            self._threads += 1
        threading.Thread(target=self._serve, args=(call,), name=self._name, daemon=True).start()

    def _serve(self, first: Callable[[], object]) -> None:
        call: Callable[[], object] | None = first
        while call is not None:
            call()
            call = self._next()

    def _next(self) -> Callable[[], object] | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._threads -= 1
            return None


class Alarm:
    """A call that is due later."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._due = loop.time() + seconds
        self._handle: asyncio.TimerHandle | None = None

    def set(self, call: Callable[[], object]) -> None:
        """Called in the alarms' thread."""
        self._handle = self._loop.call_at(self._due, call)

    def cancel(self) -> None:
        """Do not call any more; for any thread, also after it was called."""
        self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()


class Alarms:
    """Any number of later calls on one thread, which starts with the first of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def call_later(self, seconds: float, call: Callable[[], object]) -> Alarm:
        """Call ``call`` after ``seconds``; it must be quick, since the calls delay each other."""
        loop = self._running()
        alarm = Alarm(loop, seconds)
        loop.call_soon_threadsafe(alarm.set, call)
        return alarm

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="alarms", daemon=True).start()
            return self._loop
