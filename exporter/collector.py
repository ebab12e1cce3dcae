"""Lists one account when it is scraped: once for all scrapes that overlap.

How a scrape runs:

- The event loop runs everything that does not block: the HTTP server, `Accounts`, the collectors,
  the client's pages, retries and back-off. So the state of an account needs no lock.
- Blocking work runs in a thread of its own, through `exporter.threads.in_thread`: one request with
  the decoding of its page, the comparison of two listings, the rendering of an exposition, a
  reload. It does not touch the event loop's state; its result is the value of an ``await``.
- A listing is one task per account, with the account's own timeout. Scrapes that arrive while it
  runs wait for that task, each for as long as its own timeout allows. One that times out gets
  ``up 0`` and changes nothing: neither the task, nor what the others get, nor what is counted and
  logged about the account.
- The deadline is computed here, once per listing, and is passed down as one value. When it expires
  `asyncio.timeout` cancels the task. Cancellation is asyncio's own all the way down to
  `in_thread`, which interrupts the socket that its thread blocks on. A thread that decodes checks
  the deadline between two steps, so that it runs on for one step at most.
- Any exception of a listing becomes the account's failure here: ``up 0`` with a reason, a counter
  and a log line. Only the end of the program cancels the task from outside.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from exporter.deadline import Deadline
from exporter.errors import ListingError, Reason
from exporter.history import History, remember
from exporter.listing_log import ListingLog
from exporter.logs import event
from exporter.metrics.api_metrics import ApiMetrics
from exporter.model import Inventory
from exporter.scrape_result import AccountState, ListingResult
from exporter.threads import in_thread

LOG = logging.getLogger(__name__)

MAX_RETAINED = 15.0
"""Seconds for which a listing is reused when the API's quota is short: no more than the shortest
usual scrape interval."""

TIMEOUT_LOG_INTERVAL = 600.0
"""Seconds between two log lines about scrapes that timed out before the listing."""

ListAccount = Callable[[Deadline], Awaitable[Inventory]]


class _Listing:
    """A listing in progress or done."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.started = time.perf_counter()
        self.limit: asyncio.Timeout | None = None
        self.task: asyncio.Task[ListingResult]

    @property
    def age(self) -> float:
        """Seconds since it started."""
        return time.perf_counter() - self.started


class AccountCollector:
    """The collector of one account; for one event loop.

    Nothing is listed before the first `scrape`.

    Args:
        account_id: of the account.
        account_name: its configured name, or its id.
        list_account: lists it or raises.
        telemetry: counts failures.
        timeout: seconds that a listing may take.
        cache_ttl: seconds from its start for which a complete listing is reused.
        quota_is_short: whether another listing now would exceed the API's quota.
        before: results of the collector that this one replaces.
        log_outcomes: whether the log says that a listing succeeded or failed.
        wall_clock: Unix seconds.
    """

    def __init__(
        self,
        account_id: str,
        account_name: str,
        list_account: ListAccount,
        telemetry: ApiMetrics,
        *,
        timeout: float = 9.0,
        cache_ttl: float = 0.0,
        quota_is_short: Callable[[], bool] = lambda: False,
        before: AccountState | None = None,
        log_outcomes: bool = True,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.telemetry = telemetry
        self._timeout = timeout
        self._cache_ttl = cache_ttl
        self._quota_is_short = quota_is_short
        self._list_account = list_account
        self._wall_clock = wall_clock
        self._listing: _Listing | None = None
        self._observed = AccountState(
            account_id,
            account_name,
            latest=None if before is None else before.latest,
            whole=None if before is None else before.whole,
            history=History() if before is None else before.history,
        )
        self._log = ListingLog(account_name, outcomes=log_outcomes)
        self._impatience_logged = float("-inf")

    @property
    def observed(self) -> AccountState:
        """The results of the listings so far."""
        return self._observed

    async def scrape(self, seconds: float | None = None) -> ListingResult:
        """The result of a listing in progress, or of a new one.

        Args:
            seconds: that this scrape can wait; None for no limit.
        """
        listing = self._listing
        if listing is None or (listing.task.done() and not self._is_fresh(listing)):
            listing = self._listing = self._start()
        waited_from = time.perf_counter()
        # Neither the end of this wait nor its cancellation touches the task.
        await asyncio.wait([listing.task], timeout=seconds)
        if listing.task.done():
            return listing.task.result()
        return self._impatient(time.perf_counter() - waited_from)

    def stop(self, grace: float) -> None:
        """End a listing in progress after at most ``grace`` seconds."""
        listing = self._listing
        if listing is None or listing.task.done():
            return
        if listing.limit is None:  # it has not started
            listing.seconds = min(listing.seconds, grace)
        else:
            soon = asyncio.get_running_loop().time() + grace
            listing.limit.reschedule(min(soon, listing.limit.when() or soon))

    def _is_fresh(self, listing: _Listing) -> bool:
        """Whether it may be reused by another scrape.

        A complete listing may while it is younger than the cache TTL, and any result for a short
        time when the quota is short: another request could block the user's whole API access.
        """
        if listing.task.cancelled():
            return False
        if listing.age < MAX_RETAINED and self._quota_is_short():
            return True
        return listing.age < self._cache_ttl and listing.task.result().inventory is not None

    def _start(self) -> _Listing:
        listing = _Listing(self._timeout)
        listing.task = asyncio.get_running_loop().create_task(self._run(listing))
        return listing

    async def _run(self, listing: _Listing) -> ListingResult:
        """The listing's task: always returns a result."""
        inventory = failure = None
        history = self._observed.history
        seconds = ended = 0.0
        try:
            try:
                found = await self._list(listing)
            finally:
                seconds, ended = listing.age, self._wall_clock()
            history = await in_thread(partial(remember, history, found, ended))
            inventory = found
        except ListingError as problem:
            failure = problem
        except Exception as problem:  # noqa: BLE001 - see the top of this file
            failure = ListingError.internal(problem)
        scrape = self._outcome(seconds, ended, inventory=inventory, failure=failure)
        self._note(scrape, history)
        return scrape

    async def _list(self, listing: _Listing) -> Inventory:
        deadline = Deadline(listing.seconds)
        listing.limit = limit = asyncio.timeout(listing.seconds)
        try:
            async with limit:
                return await self._list_account(deadline)
        except TimeoutError:
            if not limit.expired():
                raise
            raise ListingError(Reason.TIMEOUT, "the API did not respond in time") from None
        finally:
            deadline.end()

    def _outcome(
        self,
        seconds: float,
        ended: float,
        *,
        inventory: Inventory | None = None,
        failure: ListingError | None = None,
    ) -> ListingResult:
        whole = self._observed.whole
        last_success = None if whole is None else whole.ended
        return ListingResult(
            account_id=self._observed.account_id,
            account_name=self._observed.account_name,
            duration=seconds,
            ended=ended,
            inventory=inventory,
            failure=failure,
            last_success=last_success if inventory is None else ended,
            ratelimit_remaining=self.telemetry.ratelimit_remaining,
        )

    def _note(self, scrape: ListingResult, history: History) -> None:
        """Count and log the result before any scrape gets it."""
        if scrape.failure is not None:
            self.telemetry.listing_failed(scrape.failure.reason)
        whole = self._observed.whole if scrape.inventory is None else scrape
        self._observed = msgspec.structs.replace(
            self._observed, latest=scrape, whole=whole, history=history
        )
        self._log.note(scrape)
        if scrape.failure is not None:
            # Its frames hold the response body, and it is kept until the next listing.
            scrape.failure.__traceback__ = scrape.failure.__cause__ = None
            scrape.failure.__context__ = None

    def _impatient(self, waited: float) -> ListingResult:
        """The result of a scrape that timed out first: the account's state is unknown."""
        now = time.monotonic()
        if now - self._impatience_logged >= TIMEOUT_LOG_INTERVAL:
            self._impatience_logged = now
            event(
                LOG,
                logging.WARNING,
                "scrape timed out before the listing was complete",
                account=self._observed.account_name,
                waited=round(waited, 3),
                hint="raise scrape_timeout of the Prometheus job: listing the account takes longer",
            )
        return self._outcome(
            waited,
            self._wall_clock(),
            failure=ListingError(
                Reason.TIMEOUT, "the scrape timed out before the listing was complete"
            ),
        )
