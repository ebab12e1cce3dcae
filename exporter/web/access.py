"""Access control: users, rate limit, and headers that are added to every response."""

from __future__ import annotations

import time
from collections.abc import Callable

from exporter.web.basic_auth import Passwords, Verdict
from exporter.web.request import Request
from exporter.web.responses import Response, plain

_REFUSALS = {
    Verdict.RIGHT: None,
    Verdict.WRONG: plain(401, "unauthorized", ("WWW-Authenticate", 'Basic charset="UTF-8"')),
    Verdict.BUSY: plain(429, "too many concurrent logins, retry later", ("Retry-After", "1")),
}
_TOO_OFTEN = plain(429, "too many requests, retry later")


class TokenBucket:
    """A token bucket: ``burst`` requests at once, and one more every ``interval`` seconds."""

    def __init__(
        self, interval: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._interval = interval
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._at = clock()

    def take(self) -> bool:
        """Take a token; False if there was none."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) / self._interval)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class AccessControl:
    """Guards every path that requires authentication.

    Args:
        passwords: passwords to check; None if there are no users.
        bucket: rate limit; None for no limit.
        headers: added to every response; they replace headers of the same name.
    """

    def __init__(
        self,
        passwords: Passwords | None = None,
        bucket: TokenBucket | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self._passwords = passwords
        self._bucket = bucket
        self.headers = headers

    async def refusal(self, request: Request) -> Response | None:
        """The response to a rejected request; None if the request is allowed."""
        if self._bucket is not None and not self._bucket.take():
            return _TOO_OFTEN
        if self._passwords is None:
            return None
        return _REFUSALS[
            await self._passwords.verdict(request.header("Authorization"), request.client)
        ]


OPEN = AccessControl()
"""Allows every request."""
