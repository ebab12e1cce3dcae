"""Client-side rate limit, so that the rest of the user's quota lasts.

Each response reports how many requests are left and for how many seconds. Once half of the quota
is used, requests are spread over that time: continuous scrapes would otherwise use it up in
seconds and lock the user out of the dashboard.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Hashable, Mapping

_LEFT = re.compile(r"\br=(\d{1,9});t=(\d{1,9})\b")
_QUOTA = re.compile(r"\bq=(\d{1,9})\b")


class RequestQuotas:
    """The rest of each user's quota, by the credentials that were used. Thread-safe.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._next: dict[Hashable, float] = {}

    def note(self, credentials: Hashable, headers: Mapping[str, str]) -> None:
        """Record the headers of a response."""
        spacing = _spacing(headers)
        if not spacing:
            return
        now = self._clock()
        with self._lock:
            self._next = {key: moment for key, moment in self._next.items() if moment > now}
            self._next[credentials] = self._next.get(credentials, now) + spacing

    def is_short(self, credentials: Hashable) -> bool:
        """Whether a request now would exceed the long-term rate of the quota."""
        with self._lock:
            return self._next.get(credentials, 0.0) > self._clock()


def _spacing(headers: Mapping[str, str]) -> float:
    """Seconds between requests; 0 while at least half of the quota is left."""
    left = _LEFT.search(headers.get("Ratelimit", ""))
    quota = _QUOTA.search(headers.get("Ratelimit-Policy", ""))
    if left is None or quota is None or 2 * int(left[1]) >= int(quota[1]):
        return 0.0
    # The API rounds seconds down: there may be nearly one more.
    return (int(left[2]) + 1) / max(1, int(left[1]))
