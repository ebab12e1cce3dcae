"""The deadline of a listing: computed once and passed down."""

from __future__ import annotations

import time
from collections.abc import Callable

from exporter.errors import ListingError, Reason


class Deadline:
    """The time at which a listing must end. Thread-safe.

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
        """Raise if no time is left.

        Raises:
            ListingError: with the reason ``timeout``.
        """
        if self.expired:
            raise timed_out()

    def end(self) -> None:
        """Expire now: nobody waits for the result any more."""
        self._moment = float("-inf")


def timed_out() -> ListingError:
    """The error of a listing that timed out."""
    return ListingError(Reason.TIMEOUT, "the API did not respond in time")
