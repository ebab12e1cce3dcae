"""When to back off: for as long as the API asked, and longer each time it refuses.

Past its limit the API blocks every request of the user, the dashboard's too, so an exporter that
goes on asking locks its own operators out.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable

from exporter.errors import ListingError, Reason

FIRST_PAUSE = 30.0
LONGEST_PAUSE = 300.0
"""Growing pauses, in seconds: one scrape interval or two at first, the API's own window at last."""

GROWING = (Reason.RATE_LIMITED, Reason.AUTH)


class SharedLimits:
    """Until when to back off with credentials that many accounts may share. Thread-safe.

    The quota is the user's: what one account is told holds for all that ask with the same token.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[Hashable, float] = {}

    def note(self, credentials: Hashable, until: float) -> None:
        """Send nothing with them until then (monotonic seconds)."""
        with self._lock:
            self._until[credentials] = max(until, self._until.get(credentials, 0.0))

    def until(self, credentials: Hashable, now: float) -> float:
        """Until when; 0 where there is no limit. Forgets what is over."""
        with self._lock:
            self._until = {key: until for key, until in self._until.items() if until > now}
            return self._until.get(credentials, 0.0)


class Pause:
    """Remembers across listings of one account until when to back off. Thread-safe.

    A pause without a time that the API named is twice as long as the one before, unless that
    ended long ago. Only time makes it short again: after a pause some requests succeed in any
    case, as the list of portals may while that of servers is refused each time.

    Args:
        shared: with the accounts that may have the same credentials.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        shared: SharedLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shared = shared or SharedLimits()
        self._clock = clock
        self._lock = threading.Lock()
        self._until = dict.fromkeys(GROWING, -math.inf)
        self._next = dict.fromkeys(GROWING, FIRST_PAUSE)
        self._refused: Hashable = None

    def check(self, credentials: Hashable) -> None:
        """Do nothing, unless it is time to back off.

        Other credentials than those refused are tried at once, but not before a time that the API
        named: its quota is the user's, whatever the token.

        Raises:
            ListingError: with the reason of the pause, and its rest in seconds.
        """
        with self._lock:
            if credentials != self._refused:
                self._forget(Reason.AUTH)
            now = self._clock()
            self._until[Reason.RATE_LIMITED] = max(
                self._until[Reason.RATE_LIMITED], self._shared.until(credentials, now)
            )
            pauses = [(reason, self._until[reason] - now) for reason in GROWING]
        for reason, left in pauses:
            if left > 0:
                text = f"backing off, next request in {math.ceil(left)} s"
                raise ListingError(reason, text)

    def note(self, failure: ListingError, credentials: Hashable) -> None:
        """Begin or lengthen a pause, where this failure asks for one."""
        with self._lock:
            now = self._clock()
            seconds = self._seconds(failure, now)
            if seconds is None:
                return
            reason = Reason.AUTH if failure.reason is Reason.AUTH else Reason.RATE_LIMITED
            self._until[reason] = max(self._until[reason], now + seconds)
            if reason is Reason.AUTH:
                self._refused = credentials
            else:
                self._shared.note(credentials, self._until[reason])

    def _forget(self, reason: Reason) -> None:
        self._until[reason], self._next[reason] = -math.inf, FIRST_PAUSE

    def _seconds(self, failure: ListingError, now: float) -> float | None:
        if failure.retry_after is not None:
            return failure.retry_after
        reason = failure.reason
        if reason not in GROWING:
            return None
        if now < self._until[reason]:
            return None  # it was sent before the pause began, and says nothing new
        if now > self._until[reason] + LONGEST_PAUSE:
            self._next[reason] = FIRST_PAUSE
        seconds = self._next[reason]
        self._next[reason] = min(seconds * 2, LONGEST_PAUSE)
        return seconds
