"""Lists one account through the API: pages, retries, pauses, within one budget."""

from __future__ import annotations

import queue
import random
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from exporter.budget import Budget
from exporter.cloudflare.answers import failure
from exporter.cloudflare.credentials import HeaderAuth, Headers
from exporter.cloudflare.decoding import NotSuccessful, Page, decode_portals, decode_servers
from exporter.cloudflare.listing import list_all
from exporter.cloudflare.pause import Pause
from exporter.cloudflare.transport import Answer, Observer, Route, Transport
from exporter.cloudflare.workers import side_by_side
from exporter.errors import ListingError, Reason, SettingsError

PORTALS = "portals"
SERVERS = "servers"

DECODERS: dict[str, Callable[[bytearray], Page]] = {
    PORTALS: decode_portals,
    SERVERS: decode_servers,
}

RETRY_DELAYS = (0.25, 0.75)
"""Seconds before each further try of a request that failed in passing."""

HTTP_OK = 200


class Endpoint(msgspec.Struct, frozen=True):
    """Where and how to list one account.

    Attributes:
        base_url: of the API, ``/client/v4`` included, without a slash at the end.
        account_id: of the account.
        per_page: items a page.
        side_by_side: pages after the first that are asked for together.
        max_bytes: the largest body that is taken, after decompression.
        route: of the connections.
    """

    base_url: str
    account_id: str
    per_page: int
    side_by_side: int
    max_bytes: int
    route: Route = Route()

    def url(self, what: str) -> str:
        """The URL of the list of ``portals`` or ``servers``."""
        return f"{self.base_url}/accounts/{self.account_id}/access/ai-controls/mcp/{what}"


class Client:
    """Lists an account's portals, and its servers where asked to; for any thread.

    Args:
        endpoint: where and how.
        headers: with the credentials, asked for once a listing.
        pause: outlives a client whose configuration is replaced.
        observer: is told of each request.
        wall_clock: Unix seconds, for a ``Retry-After`` that is a date.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        headers: Headers,
        pause: Pause,
        observer: Observer,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._endpoint = endpoint
        self._pause = pause
        self._wall_clock = wall_clock
        self._headers = headers
        self._observer = observer
        # A session of requests is not for threads that overlap: one is lent to each.
        self._idle: queue.LifoQueue[Transport] = queue.LifoQueue()
        self._closed = False

    def list_pages(self, what: str, budget: Budget) -> tuple[Page, ...]:
        """All pages of ``portals`` or ``servers``.

        Raises:
            ListingError: the listing is not whole; the reason says why.
        """
        auth = self._auth()
        self._pause.check(auth)

        def fetch(number: int) -> Page:
            return self._fetch(what, number, budget, auth)

        try:
            pages = list_all(
                fetch,
                lambda numbers: side_by_side(fetch, numbers),
                self._endpoint.per_page,
                self._endpoint.side_by_side,
            )
        except ListingError as problem:
            self._pause.note(problem, auth)
            raise
        return pages

    def close(self) -> None:
        """Close the kept connections, those in use as soon as they are not any more."""
        self._closed = True
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    def _auth(self) -> HeaderAuth:
        try:
            return HeaderAuth(self._headers())
        except SettingsError as problem:  # says which file, and nothing of what it holds
            hint = "mend the file; it is read again at the next scrape"
            raise ListingError(Reason.AUTH, str(problem), hint=hint) from None

    def _fetch(self, what: str, number: int, budget: Budget, auth: HeaderAuth) -> Page:
        """One page, tried again where it failed in passing and there is time."""
        for delay in RETRY_DELAYS:
            try:
                return self._try(what, number, budget, auth)
            except ListingError as problem:
                wait = delay * random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, hides nothing
                if not problem.transient or budget.remaining <= 2 * wait:
                    raise
            time.sleep(wait)
        return self._try(what, number, budget, auth)

    def _try(self, what: str, number: int, budget: Budget, auth: HeaderAuth) -> Page:
        answer = self._get(what, number, budget, auth)
        if answer.status != HTTP_OK:
            raise self._failure(answer, auth)
        try:
            return DECODERS[what](answer.body)
        except NotSuccessful:
            raise self._failure(answer, auth) from None

    def _failure(self, answer: Answer, auth: HeaderAuth) -> ListingError:
        return failure(answer.status, answer.headers, answer.body, auth.strike)

    def _get(self, what: str, number: int, budget: Budget, auth: HeaderAuth) -> Answer:
        try:
            transport = self._idle.get_nowait()
        except queue.Empty:
            endpoint = self._endpoint
            transport = Transport(endpoint.max_bytes, self._observer, endpoint.route)
        try:
            answer = transport.get(
                self._endpoint.url(what),
                {"page": number, "per_page": self._endpoint.per_page},
                budget,
                auth,
            )
        except BaseException:
            transport.close()  # its connection is in an unknown state
            raise
        self._idle.put(transport)
        if self._closed:
            self.close()
        return answer
