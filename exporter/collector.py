"""Lists one account when it is scraped: once for all scrapes that overlap.

How a scrape runs:

- The event loop runs everything but what blocks: the HTTP server, `Accounts`, the collectors, the
  client's pages, retries and back-off. So the state of an account needs no lock.
- What blocks runs in a thread of its own, through `exporter.threads.in_thread`: one request with
  the decoding of its page, the rendering of an exposition, a reload. It touches no state of the
  event loop's; its result comes back as the value of an ``await``.
- A listing is one task an account, with the account's own timeout. Scrapes that come while it runs
  wait for that task, each for as long as its own timeout allows. One that cannot wait any longer
  goes away with ``up 0`` and changes nothing: neither the task, nor what the others get, nor what
  is counted and logged about the account.
- The deadline is made here, once a listing, and is handed down as one value. When it is over
  `asyncio.timeout` cancels the task. Cancellation is asyncio's own all the way down to
  `in_thread`, which interrupts the socket that its thread blocks on. A thread that decodes looks
  at the deadline between two steps, so that it outlives it by one step at most.
- Whatever a listing raises ends here as the account's failure: ``up 0`` with a reason, a counter
  and a line in the log. Nothing but the end of the program cancels the task from outside.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import msgspec

from exporter.deadline import Deadline
from exporter.errors import ListingError, Reason
from exporter.listing_log import ListingLog
from exporter.logs import event
from exporter.metrics.api_metrics import Telemetry
from exporter.model import Inventory
from exporter.scrape_result import Observed, Scrape

LOG = logging.getLogger(__name__)

LONGEST_SPARED = 15.0
"""Seconds for which a listing serves further scrapes where the API's quota is short: no more than
the shortest interval at which people scrape."""

IMPATIENCE_LOGGED_EVERY = 600.0
"""Seconds between two lines about scrapes that could not wait for the listing."""

ListAccount = Callable[[Deadline], Awaitable[Inventory]]


class _Listing:
    """A listing under way or done."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.started = time.perf_counter()
        self.limit: asyncio.Timeout | None = None
        self.task: asyncio.Task[Scrape]

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self.started


class AccountCollector:
    """The collector of one account; for one event loop.

    Nothing is listed before the first `scrape`.

    Args:
        account_id: of the account.
        account_name: what people call it.
        list_account: lists it, or raises.
        telemetry: counts what fails.
        timeout: seconds that a listing may take.
        cache_ttl: seconds from its start for which a whole listing serves further scrapes.
        quota_is_short: whether another listing now would use the API's quota up.
        before: what the listings of a collector brought that this one replaces.
        wall_clock: Unix seconds.
    """

    def __init__(
        self,
        account_id: str,
        account_name: str,
        list_account: ListAccount,
        telemetry: Telemetry,
        *,
        timeout: float = 9.0,
        cache_ttl: float = 0.0,
        quota_is_short: Callable[[], bool] = lambda: False,
        before: Observed | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.telemetry = telemetry
        self._timeout = timeout
        self._cache_ttl = cache_ttl
        self._quota_is_short = quota_is_short
        self._list_account = list_account
        self._wall_clock = wall_clock
        self._listing: _Listing | None = None
        self._observed = Observed(
            account_id,
            account_name,
            latest=None if before is None else before.latest,
            whole=None if before is None else before.whole,
        )
        self._log = ListingLog(account_name)
        self._impatience_logged = float("-inf")

    @property
    def observed(self) -> Observed:
        """What the listings so far have brought."""
        return self._observed

    async def scrape(self, seconds: float | None = None) -> Scrape:
        """The outcome of a listing that is under way, or of a new one.

        Args:
            seconds: that this scrape can wait; None for as long as the listing takes.
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
        """Let a listing under way go on for ``grace`` seconds at most."""
        listing = self._listing
        if listing is None or listing.task.done():
            return
        if listing.limit is None:  # it has not begun to run
            listing.seconds = min(listing.seconds, grace)
        else:
            soon = asyncio.get_running_loop().time() + grace
            listing.limit.reschedule(min(soon, listing.limit.when() or soon))

    def _is_fresh(self, listing: _Listing) -> bool:
        """Whether it may serve a further scrape.

        A whole listing may that is younger than the cache allows, and any outcome for a moment
        where the quota is short: to ask once more would cost everybody the API.
        """
        if listing.task.cancelled():
            return False
        if listing.age < LONGEST_SPARED and self._quota_is_short():
            return True
        return listing.age < self._cache_ttl and listing.task.result().inventory is not None

    def _start(self) -> _Listing:
        listing = _Listing(self._timeout)
        listing.task = asyncio.get_running_loop().create_task(self._run(listing))
        return listing

    async def _run(self, listing: _Listing) -> Scrape:
        """The listing's task: returns, whatever happens to it."""
        inventory = failure = None
        try:
            inventory = await self._list(listing)
        except ListingError as problem:
            failure = problem
        except Exception as problem:  # noqa: BLE001 - see the top of this file
            failure = ListingError.internal(problem)
        scrape = self._outcome(listing.age, inventory=inventory, failure=failure)
        self._note(scrape)
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
            raise ListingError(Reason.TIMEOUT, "the API did not answer in time") from None
        finally:
            deadline.end()

    def _outcome(
        self,
        seconds: float,
        *,
        inventory: Inventory | None = None,
        failure: ListingError | None = None,
    ) -> Scrape:
        now = self._wall_clock()
        whole = self._observed.whole
        last_success = None if whole is None else whole.ended
        return Scrape(
            account_id=self._observed.account_id,
            account_name=self._observed.account_name,
            duration=seconds,
            ended=now,
            inventory=inventory,
            failure=failure,
            last_success=last_success if inventory is None else now,
            ratelimit_remaining=self.telemetry.ratelimit_remaining,
        )

    def _note(self, scrape: Scrape) -> None:
        """Count and log the outcome, before anybody sees it."""
        if scrape.failure is not None:
            self.telemetry.listing_failed(scrape.failure.reason)
        whole = self._observed.whole if scrape.inventory is None else scrape
        self._observed = msgspec.structs.replace(self._observed, latest=scrape, whole=whole)
        self._log.note(scrape)
        if scrape.failure is not None:
            # Its frames hold the answer's body, and it is kept until the next listing.
            scrape.failure.__traceback__ = scrape.failure.__cause__ = None
            scrape.failure.__context__ = None

    def _impatient(self, waited: float) -> Scrape:
        """What a scrape gets whose own time is over: nothing is known of the account by then."""
        now = time.monotonic()
        if now - self._impatience_logged >= IMPATIENCE_LOGGED_EVERY:
            self._impatience_logged = now
            event(
                LOG,
                logging.WARNING,
                "scrape ended before the listing",
                account=self._observed.account_name,
                waited=round(waited, 3),
                hint="the job's scrape_timeout is shorter than the listing takes; raise it",
            )
        return self._outcome(
            waited,
            failure=ListingError(
                Reason.TIMEOUT, "the scrape's own timeout ended before the listing was done"
            ),
        )
