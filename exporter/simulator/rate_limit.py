"""A user's request quota, with its headers and 429 responses."""

from __future__ import annotations

import math
import threading

from exporter.simulator.messages import Refusal
from exporter.simulator.replay import OutsideUse

QUOTA = 1200
WINDOW = 300.0


class Limit:
    """The user's requests in the current window, including those of other programs."""

    def __init__(self, quota: int | None, window: float) -> None:
        self._quota = quota
        self._window = window
        self._number = -1
        self._used = 0
        self._lock = threading.Lock()

    def spend(self, now: float, outside: OutsideUse) -> dict[str, str]:
        """Counts a request and returns the quota headers; raises if there is no quota left."""
        if self._quota is None:
            return {}
        number, elapsed = divmod(now, self._window)
        with self._lock:
            if number != self._number:
                self._number, self._used = int(number), 0
            left = self._quota - int(outside.share * self._quota) - self._used
            self._used += left > 0
        lasts = outside.lasts if outside.share >= 1 else self._window - elapsed
        seconds = max(1, math.ceil(lasts))
        headers = {
            "Ratelimit": f'"default";r={max(0, left - 1)};t={seconds}',
            "Ratelimit-Policy": f'"default";q={self._quota};w={round(self._window)}',
        }
        if left > 0:
            return headers
        retry = {"Retry-After": str(seconds)}
        text = "Please wait and consider throttling your request speed"
        raise Refusal(429, 971, text, headers=headers | retry)
