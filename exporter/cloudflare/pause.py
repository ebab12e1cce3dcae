"""When to leave the API alone: as long as it asked, and longer each time it refuses a credential.

Past its limit the API blocks every request of the user, the dashboard's too, so an exporter that
goes on asking locks its own operators out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from exporter.errors import ListingError, Reason

FIRST_PAUSE = 30.0
LONGEST_PAUSE = 300.0
"""Growing pauses, in seconds: one scrape interval or two at first, the API's own window at last."""

GROWING = frozenset({Reason.AUTH, Reason.RATE_LIMITED})


class Pause:
    """Remembers across listings until when the API is to be left alone; for any thread.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until = 0.0
        self._reason = Reason.RATE_LIMITED
        self._next = FIRST_PAUSE

    def check(self) -> None:
        """Do nothing, unless the API is to be left alone.

        Raises:
            ListingError: with the reason of the pause, and its rest in seconds.
        """
        with self._lock:
            left = self._until - self._clock()
            reason = self._reason
        if left > 0:
            raise ListingError(reason, f"the API is left alone for another {left:.0f} s")

    def note(self, failure: ListingError) -> None:
        """Begin or lengthen a pause, where this failure asks for one."""
        with self._lock:
            seconds = self._seconds(failure)
            if seconds is None:
                return
            self._until = max(self._until, self._clock() + seconds)
            self._reason = Reason.AUTH if failure.reason is Reason.AUTH else Reason.RATE_LIMITED

    def clear(self) -> None:
        """The API answered well: the next pause is a short one again."""
        with self._lock:
            self._next = FIRST_PAUSE

    def forget(self) -> None:
        """The credentials changed: try them at once."""
        with self._lock:
            self._until, self._next = 0.0, FIRST_PAUSE

    def _seconds(self, failure: ListingError) -> float | None:
        if failure.retry_after is not None:
            return failure.retry_after
        if failure.reason not in GROWING:
            return None
        seconds, self._next = self._next, min(self._next * 2, LONGEST_PAUSE)
        return seconds
