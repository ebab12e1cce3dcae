"""Lists one account through the API: pages, retries, back-off, all before one deadline."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from exporter.cloudflare.api_errors import failure, hint_not_the_api
from exporter.cloudflare.backoff import Backoff
from exporter.cloudflare.credentials import HeaderAuth, Headers
from exporter.cloudflare.decode import NotSuccessfulError, Page, decode_portals, decode_servers
from exporter.cloudflare.fetch import Answer, Fetcher, Observer, Route
from exporter.cloudflare.paging import list_all
from exporter.cloudflare.rate_limit import RequestQuotas
from exporter.cloudflare.texts import Redact
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
"""Seconds before each retry of a request that failed with a transient error."""

HTTP_OK = 200

_HINT_SLOTS = (
    "the limit of open files bounds the requests of all accounts; raise it (LimitNOFILE= in "
    "systemd, ulimit -n) or --scrape.timeout, or move accounts to another exporter"
)


class Endpoint(msgspec.Struct, frozen=True):
    """Where and how to list one account.

    Attributes:
        base_url: of the API, including ``/client/v4``, without a trailing slash.
        account_id: of the account.
        per_page: items a page.
        parallel_pages: pages after the first that are requested in parallel.
        max_bytes: maximum body size after decompression, in bytes.
        route: of the connections.
        keep_names: whether servers keep hashes of their tools' names.
    """

    base_url: str
    account_id: str
    per_page: int
    parallel_pages: int
    max_bytes: int
    route: Route = Route()
    keep_names: bool = False

    def url(self, what: str) -> str:
        """The URL of the list of ``portals`` or ``servers``."""
        return f"{self.base_url}/accounts/{self.account_id}/access/ai-controls/mcp/{what}"


class IdleConnections:
    """Fetchers with an idle connection, the most recently used ones of all clients.

    Args:
        most: how many to keep; each has an open connection.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._fetchers: dict[Fetcher, None] = {}

    def __len__(self) -> int:
        return len(self._fetchers)

    def add(self, fetcher: Fetcher) -> None:
        """Add it; closes the one that has been idle longest if there are too many."""
        self._fetchers[fetcher] = None
        if len(self._fetchers) > self._most:
            oldest = next(iter(self._fetchers))
            del self._fetchers[oldest]
            oldest.close()

    def take(self, fetcher: Fetcher) -> None:
        """Remove it: it is in use, or closed."""
        self._fetchers.pop(fetcher, None)


class Shared(NamedTuple):
    """Resources shared by all clients of a process.

    Attributes:
        slots: limits concurrent requests.
        redact: removes secrets from a text.
        quotas: of the users.
        idle: idle connections.
    """

    slots: asyncio.Semaphore
    redact: Redact
    quotas: RequestQuotas
    idle: IdleConnections


class Client:
    """Lists an account's portals, and its servers where asked to; for one event loop.

    Args:
        endpoint: where and how.
        headers: with the credentials, requested once per listing.
        backoff: survives the replacement of a client at a reload.
        observer: receives each request.
        shared: with the other clients.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        headers: Headers,
        backoff: Backoff,
        observer: Observer,
        shared: Shared,
    ) -> None:
        self._endpoint = endpoint
        self._headers = headers
        self._backoff = backoff
        self._observer = observer
        self._slots, self._redact, self._quotas, self._shared_idle = shared
        self._auth: HeaderAuth | None = None
        self._idle: list[Fetcher] = []
        self._closed = False
        self._waited = False

    async def list_pages(self, what: str, deadline: Deadline) -> tuple[Page, ...]:
        """All pages of ``portals`` or ``servers``.

        Raises:
            ListingError: the listing is incomplete; the reason says why.
        """
        auth = self._auth = await self._credentials()
        self._backoff.check(auth)

        async def fetch(numbers: Sequence[int]) -> list[Page]:
            return await _all_or_first_failure(
                [partial(self._fetch, what, number, deadline, auth) for number in numbers]
            )

        try:
            pages = await list_all(fetch, self._endpoint.per_page, self._endpoint.parallel_pages)
        except asyncio.CancelledError:
            if deadline.expired and self._waited:
                raise _no_slot() from None
            raise
        except ListingError as problem:
            if problem.reason is Reason.TIMEOUT and self._waited:
                raise _no_slot() from None
            self._backoff.note(problem, auth)
            raise
        finally:
            for fetcher in self._idle:
                fetcher.rest()
        return pages

    @property
    def quota_is_short(self) -> bool:
        """Whether listing now would exceed the long-term rate that the API's quota allows."""
        return self._quotas.is_short(self._auth)

    def close(self) -> None:
        """Close idle connections; those in use are closed when their request ends."""
        self._closed = True
        while self._idle:
            fetcher = self._idle.pop()
            self._shared_idle.take(fetcher)
            fetcher.close()

    async def _credentials(self) -> HeaderAuth:
        try:
            return HeaderAuth(await self._headers())
        except SettingsError as problem:  # names the file, and nothing of its contents
            hint = "fix the file; it is read again at every listing"
            raise ListingError(Reason.AUTH, str(problem), hint=hint) from None

    async def _fetch(self, what: str, number: int, deadline: Deadline, auth: HeaderAuth) -> Page:
        """One page, retried after a transient failure if there is time."""
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
        had, self._waited = deadline.remaining, True
        async with self._slots:
            # A slot that becomes free when other listings time out is too late.
            self._waited = deadline.remaining < had / 2
            fetcher = self._idle.pop() if self._idle else self._new_fetcher()
            self._shared_idle.take(fetcher)
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
                    self._shared_idle.add(fetcher)
                else:
                    fetcher.close()

    def _new_fetcher(self) -> Fetcher:
        endpoint = self._endpoint
        return Fetcher(endpoint.max_bytes, self._observer, endpoint.route, self._redact)

    def _page(
        self, fetcher: Fetcher, what: str, number: int, deadline: Deadline, auth: HeaderAuth
    ) -> Page:
        """Requests a page and decodes it; blocking, so it runs in a thread."""
        params = {"page": number, "per_page": self._endpoint.per_page}
        answer = fetcher.get(self._endpoint.url(what), params, deadline, auth)
        self._quotas.note(auth, answer.headers)
        if answer.status != HTTP_OK:
            raise self._failure(answer)
        try:
            return DECODERS[what](
                answer.body,
                limit=self._endpoint.max_bytes,
                check=deadline.check,
                keep_names=self._endpoint.keep_names,
            )
        except NotSuccessfulError:
            raise self._failure(answer) from None
        except ListingError as problem:
            if problem.reason is Reason.INVALID_RESPONSE:
                problem.hint = hint_not_the_api(self._endpoint.base_url)
            raise

    def _failure(self, answer: Answer) -> ListingError:
        return failure(
            answer.status, answer.headers, answer.body, self._redact, self._endpoint.base_url
        )


def _no_slot() -> ListingError:
    return ListingError(
        Reason.TIMEOUT,
        "timed out waiting to send a request: all request slots were in use",
        hint=_HINT_SLOTS,
    )


async def _all_or_first_failure(calls: Sequence[Callable[[], Awaitable[Page]]]) -> list[Page]:
    """The results of all calls in order; if one fails, the others are cancelled."""
    if len(calls) == 1:
        return [await calls[0]()]
    tasks = [asyncio.ensure_future(call()) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
