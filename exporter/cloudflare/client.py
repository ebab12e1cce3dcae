"""Lists one account through the API: pages, retries, back-off, all before one deadline."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from exporter.cloudflare.api_errors import failure
from exporter.cloudflare.backoff import Pause
from exporter.cloudflare.credentials import HeaderAuth, Headers
from exporter.cloudflare.decode import NotSuccessful, Page, decode_portals, decode_servers
from exporter.cloudflare.fetch import Answer, Fetcher, Observer, Route
from exporter.cloudflare.paging import list_all
from exporter.cloudflare.rate_limit import Quotas
from exporter.cloudflare.texts import Strike
from exporter.deadline import Deadline
from exporter.errors import ListingError, Reason, SettingsError
from exporter.threads import in_thread

PORTALS = "portals"
SERVERS = "servers"

DECODERS = {
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
        parallel_pages: pages after the first that are asked for together.
        max_bytes: the largest body that is taken, after decompression.
        route: of the connections.
    """

    base_url: str
    account_id: str
    per_page: int
    parallel_pages: int
    max_bytes: int
    route: Route = Route()

    def url(self, what: str) -> str:
        """The URL of the list of ``portals`` or ``servers``."""
        return f"{self.base_url}/accounts/{self.account_id}/access/ai-controls/mcp/{what}"


class Kept:
    """Fetchers that wait for their client's next request, the latest ones of all clients.

    Args:
        most: how many; each has an open connection.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._fetchers: dict[Fetcher, None] = {}

    def __len__(self) -> int:
        return len(self._fetchers)

    def add(self, fetcher: Fetcher) -> None:
        """Keep it; the one that has waited longest may be closed for it."""
        self._fetchers[fetcher] = None
        if len(self._fetchers) > self._most:
            oldest = next(iter(self._fetchers))
            del self._fetchers[oldest]
            oldest.close()

    def take(self, fetcher: Fetcher) -> None:
        """It is in use, or closed."""
        self._fetchers.pop(fetcher, None)


class Shared(NamedTuple):
    """What all clients of a program share.

    Attributes:
        slots: requests that may be under way.
        strike: takes secrets out of a text.
        quotas: of the users.
        kept: connections that wait.
    """

    slots: asyncio.Semaphore
    strike: Strike
    quotas: Quotas
    kept: Kept


class Client:
    """Lists an account's portals, and its servers where asked to; for one event loop.

    Args:
        endpoint: where and how.
        headers: with the credentials, asked for once a listing.
        pause: outlives a client whose configuration is replaced.
        observer: receives each request.
        shared: with the other clients.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        headers: Headers,
        pause: Pause,
        observer: Observer,
        shared: Shared,
    ) -> None:
        self._endpoint = endpoint
        self._headers = headers
        self._pause = pause
        self._observer = observer
        self._slots, self._strike, self._quotas, self._kept = shared
        self._auth: HeaderAuth | None = None
        self._idle: list[Fetcher] = []
        self._closed = False

    async def list_pages(self, what: str, deadline: Deadline) -> tuple[Page, ...]:
        """All pages of ``portals`` or ``servers``.

        Raises:
            ListingError: the listing is not whole; the reason says why.
        """
        auth = self._auth = await self._credentials()
        self._pause.check(auth)

        async def fetch(numbers: Sequence[int]) -> list[Page]:
            return await _all_or_first_failure(
                [partial(self._fetch, what, number, deadline, auth) for number in numbers]
            )

        try:
            pages = await list_all(fetch, self._endpoint.per_page, self._endpoint.parallel_pages)
        except ListingError as problem:
            self._pause.note(problem, auth)
            raise
        finally:
            for fetcher in self._idle:
                fetcher.rest()
        return pages

    @property
    def quota_is_short(self) -> bool:
        """Whether another listing now would be sooner than the API's quota allows for long."""
        return self._quotas.is_short(self._auth)

    def close(self) -> None:
        """Close the kept connections; those in use follow when their request has ended."""
        self._closed = True
        while self._idle:
            fetcher = self._idle.pop()
            self._kept.take(fetcher)
            fetcher.close()

    async def _credentials(self) -> HeaderAuth:
        try:
            return HeaderAuth(await self._headers())
        except SettingsError as problem:  # says which file, and nothing of what it holds
            hint = "fix the file; it is read again at the next scrape"
            raise ListingError(Reason.AUTH, str(problem), hint=hint) from None

    async def _fetch(self, what: str, number: int, deadline: Deadline, auth: HeaderAuth) -> Page:
        """One page, tried again where it failed in passing and there is time."""
        for delay in RETRY_DELAYS:
            try:
                return await self._try(what, number, deadline, auth)
            except ListingError as problem:
                wait = delay * random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, hides nothing
                if not problem.transient or deadline.remaining <= 2 * wait:
                    raise
            await asyncio.sleep(wait)
        return await self._try(what, number, deadline, auth)

    async def _try(self, what: str, number: int, deadline: Deadline, auth: HeaderAuth) -> Page:
        async with self._slots:
            fetcher = self._idle.pop() if self._idle else self._new_fetcher()
            self._kept.take(fetcher)
            fetcher.begin()
            try:
                return await in_thread(
                    lambda: self._page(fetcher, what, number, deadline, auth),
                    name="request",
                    interrupt=fetcher.interrupt,
                )
            finally:
                if fetcher.reusable and not self._closed:
                    self._idle.append(fetcher)
                    self._kept.add(fetcher)
                else:
                    fetcher.close()

    def _new_fetcher(self) -> Fetcher:
        endpoint = self._endpoint
        return Fetcher(endpoint.max_bytes, self._observer, endpoint.route, self._strike)

    def _page(
        self, fetcher: Fetcher, what: str, number: int, deadline: Deadline, auth: HeaderAuth
    ) -> Page:
        """Asks for a page and decodes it; blocks, so it is for a thread."""
        params = {"page": number, "per_page": self._endpoint.per_page}
        answer = fetcher.get(self._endpoint.url(what), params, deadline, auth)
        self._quotas.note(auth, answer.headers)
        if answer.status != HTTP_OK:
            raise self._failure(answer)
        try:
            return DECODERS[what](answer.body, limit=self._endpoint.max_bytes, check=deadline.check)
        except NotSuccessful:
            raise self._failure(answer) from None

    def _failure(self, answer: Answer) -> ListingError:
        return failure(answer.status, answer.headers, answer.body, self._strike)


async def _all_or_first_failure(calls: Sequence[Callable[[], Awaitable[Page]]]) -> list[Page]:
    """The results of all calls in their order; where one fails, the others are cancelled."""
    if len(calls) == 1:
        return [await calls[0]()]
    tasks = [asyncio.ensure_future(call()) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
