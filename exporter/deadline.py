"""The time that a listing has: computed once, handed down to all that works for it."""

from __future__ import annotations

import time
from collections.abc import Callable

from exporter.errors import ListingError, Reason


class Deadline:
    """A moment that everything under a listing obeys; may be read from any thread.

    Args:
        seconds: how long from now.
        clock: monotonic seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._moment = clock() + seconds

    @property
    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self._moment - self._clock())

    @property
    def expired(self) -> bool:
        """Whether no time is left."""
        return self._clock() >= self._moment

    def check(self) -> None:
        """Go on, unless no time is left.

        Raises:
            ListingError: with the reason ``timeout``.
        """
        if self.expired:
            raise timed_out()

    def end(self) -> None:
        """No time is left from now on: nobody waits for the result any more."""
        self._moment = float("-inf")


def timed_out() -> ListingError:
    """What a listing says that ran out of time."""
    return ListingError(Reason.TIMEOUT, "the API did not respond in time")
