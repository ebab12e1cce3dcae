"""Back-off: as long as the API asks for, and longer after each rejection.

Above its rate limit the API blocks every request of the user, including the dashboard's, so an
exporter that keeps asking locks out its own operators.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable

from exporter.errors import HINTS, ListingError, Reason

FIRST_BACKOFF = 30.0
MAX_BACKOFF = 300.0
"""Growing back-off, in seconds: one or two scrape intervals at first, the API's window at most."""

GROWING = (Reason.RATE_LIMITED, Reason.AUTH)


_HINT_WAIT = (
    "no action needed: next request in {} s; if this repeats, " + HINTS[Reason.RATE_LIMITED]
)


class SharedLimits:
    """End of the back-off for credentials that several accounts may share. Thread-safe.

    The quota belongs to the user: a limit on one account holds for all with the same token.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[Hashable, float] = {}

    def note(self, credentials: Hashable, until: float) -> None:
        """Send no requests with these credentials until then (monotonic seconds)."""
        with self._lock:
            self._until[credentials] = max(until, self._until.get(credentials, 0.0))

    def until(self, credentials: Hashable, now: float) -> float:
        """End of the limit; 0 if there is none. Removes expired limits."""
        with self._lock:
            self._until = {key: until for key, until in self._until.items() if until > now}
            return self._until.get(credentials, 0.0)


class Backoff:
    """Back-off of one account, kept between listings. Thread-safe.

    Without a Retry-After each back-off is twice as long as the previous one, unless that ended long
    ago. Only time resets it: some requests succeed after a back-off in any case, as the list of
    portals may while the list of servers is rejected each time.

    Args:
        shared: limits shared with other accounts that may use the same credentials.
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
        self._next = dict.fromkeys(GROWING, FIRST_BACKOFF)
        self._refused: Hashable = None
        self._causes: dict[Reason, ListingError] = {}

    def check(self, credentials: Hashable) -> None:
        """Raise if it is time to back off.

        Credentials that differ from the rejected ones are tried at once, but not before the end of
        a Retry-After: the quota belongs to the user, whatever the token.

        Raises:
            ListingError: with the reason of the back-off and its remaining seconds.
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
                raise self._backing_off(reason, math.ceil(left))

    def note(self, failure: ListingError, credentials: Hashable) -> None:
        """Start or extend the back-off if this failure requires it."""
        with self._lock:
            now = self._clock()
            seconds = self._seconds(failure, now)
            if seconds is None:
                return
            reason = Reason.AUTH if failure.reason is Reason.AUTH else Reason.RATE_LIMITED
            self._until[reason] = max(self._until[reason], now + seconds)
            self._causes[reason] = ListingError(reason, str(failure), hint=failure.hint)
            if failure.reason is Reason.RATE_LIMITED:
                failure.hint = _HINT_WAIT.format(math.ceil(self._until[reason] - now))
            if reason is Reason.AUTH:
                self._refused = credentials
            else:
                self._shared.note(credentials, self._until[reason])

    def _backing_off(self, reason: Reason, seconds: int) -> ListingError:
        text = f"backing off, next request in {seconds} s"
        cause = self._causes.get(reason)
        if cause is None:  # another account with the same credentials was limited
            return ListingError(reason, text)
        return ListingError(reason, f"{text}; last response: {cause}", hint=cause.hint)

    def _forget(self, reason: Reason) -> None:
        self._until[reason], self._next[reason] = -math.inf, FIRST_BACKOFF

    def _seconds(self, failure: ListingError, now: float) -> float | None:
        if failure.retry_after is not None:
            return failure.retry_after
        reason = failure.reason
        if reason not in GROWING:
            return None
        if now < self._until[reason]:
            return None  # sent before the back-off began, so it says nothing new
        if now > self._until[reason] + MAX_BACKOFF:
            self._next[reason] = FIRST_BACKOFF
        seconds = self._next[reason]
        self._next[reason] = min(seconds * 2, MAX_BACKOFF)
        return seconds
