"""Lists one account when it is scraped: once for all scrapes that overlap, within one budget."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

import msgspec

from exporter.background import Alarms, Crew
from exporter.budget import Budget
from exporter.errors import ListingError, Reason
from exporter.journal import Journal
from exporter.metrics.telemetry import Telemetry
from exporter.model import Inventory
from exporter.scrape import Observed, Scrape

ListAccount = Callable[[Budget], Inventory]


class _Flight:
    """A listing under way, and its future outcome."""

    def __init__(self, seconds: float) -> None:
        self.budget = Budget(seconds)
        self.outcome: Future[Scrape] = Future()
        self.started = time.perf_counter()

    @property
    def joinable(self) -> bool:
        return not self.outcome.done() and not self.budget.expired

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started


class Threads(msgspec.Struct, frozen=True):
    """What all collectors of a program share to do their work on."""

    listings: Crew
    alarms: Alarms


class AccountCollector:
    """The collector of one account; for any thread.

    Nothing is listed before the first `begin`.

    Args:
        account_id: of the account.
        account_name: how people call it.
        list_account: lists it within a budget, or raises `ListingError`.
        telemetry: counts what fails.
        threads: to list on.
        timeout: seconds that a listing may take at most, however long a scrape can wait.
        cache_ttl: seconds from its start for which a whole listing serves further scrapes.
        before: what the listings of a collector brought that this one replaces.
        wall_clock: Unix seconds.
    """

    def __init__(
        self,
        account_id: str,
        account_name: str,
        list_account: ListAccount,
        telemetry: Telemetry,
        threads: Threads,
        *,
        timeout: float = math.inf,
        cache_ttl: float = 0.0,
        before: Observed | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.telemetry = telemetry
        self._threads = threads
        self._timeout = timeout
        self._cache_ttl = cache_ttl
        self._account_id = account_id
        self._account_name = account_name
        self._list_account = list_account
        self._wall_clock = wall_clock
        self._lock = threading.Lock()
        self._flight: _Flight | None = None
        self._observed = Observed(
            account_id,
            account_name,
            latest=None if before is None else before.latest,
            whole=None if before is None else before.whole,
        )
        self._journal = Journal(account_name)

    def begin(self, seconds: float) -> Future[Scrape]:
        """Start a listing, or join the one under way.

        The future is done within ``seconds``, or the account's own time-out, plus a little,
        whatever the API does. It holds an exception only where the exporter itself has a fault.
        """
        seconds = min(seconds, self._timeout)
        with self._lock:
            flight = self._flight
            if flight is not None and self._is_fresh(flight):
                return flight.outcome
            if flight is None or not flight.joinable:
                flight = self._flight = self._start(seconds)
        if flight.budget.remaining <= seconds:
            return flight.outcome
        return self._join(flight, seconds)

    @property
    def observed(self) -> Observed:
        """What the listings so far have brought."""
        return self._observed

    def stop(self, grace: float) -> None:
        """Let a listing under way go on for ``grace`` seconds at most."""
        with self._lock:
            flight = self._flight
        if flight is not None and flight.joinable:
            self._threads.alarms.call_later(grace, lambda: self._run_out(flight))

    def _is_fresh(self, flight: _Flight) -> bool:
        """Whether this flight brought a whole listing that is younger than the cache allows."""
        outcome = flight.outcome
        if not outcome.done() or flight.seconds >= self._cache_ttl:
            return False
        return outcome.exception() is None and outcome.result().inventory is not None

    def _start(self, seconds: float) -> _Flight:
        flight = _Flight(seconds)
        alarm = self._threads.alarms.call_later(seconds, lambda: self._run_out(flight))
        flight.outcome.add_done_callback(lambda _: alarm.cancel())
        self._threads.listings.run(lambda: self._fly(flight))
        return flight

    def _join(self, flight: _Flight, seconds: float) -> Future[Scrape]:
        """The flight's outcome, for a scrape that cannot wait as long as the flight may take."""
        mine: Future[Scrape] = Future()
        alarm = self._threads.alarms.call_later(
            seconds, lambda: self._settle(mine, self._late(flight), shown=False)
        )
        mine.add_done_callback(lambda _: alarm.cancel())
        flight.outcome.add_done_callback(lambda done: _copy(done, mine))
        return mine

    def _fly(self, flight: _Flight) -> None:
        try:
            inventory = self._list_account(flight.budget)
        except ListingError as failure:
            self._settle(flight.outcome, self._scrape(flight, failure=failure))
        except Exception as fault:  # noqa: BLE001 - a fault of ours: told to whoever waits
            with suppress(InvalidStateError):
                flight.outcome.set_exception(fault)
        else:
            self._settle(flight.outcome, self._scrape(flight, inventory=inventory))

    def _run_out(self, flight: _Flight) -> None:
        """The time is over: answer those who wait, then wake what still blocks."""
        self._settle(flight.outcome, self._late(flight))
        flight.budget.expire()

    def _late(self, flight: _Flight) -> Scrape:
        late = ListingError(Reason.TIMEOUT, "the scrape's time ran out before the listing was done")
        return self._scrape(flight, failure=late)

    def _scrape(
        self,
        flight: _Flight,
        *,
        inventory: Inventory | None = None,
        failure: ListingError | None = None,
    ) -> Scrape:
        now = self._wall_clock()
        whole = self._observed.whole
        last_success = None if whole is None else whole.ended
        return Scrape(
            account_id=self._account_id,
            account_name=self._account_name,
            duration=flight.seconds,
            ended=now,
            inventory=inventory,
            failure=failure,
            last_success=last_success if inventory is None else now,
            ratelimit_remaining=self.telemetry.ratelimit_remaining,
        )

    def _settle(self, outcome: Future[Scrape], scrape: Scrape, *, shown: bool = True) -> None:
        """Count and log the outcome, before anybody can see it; the first one holds.

        Not ``shown``: one scrape was impatient, which says nothing of the account.
        """
        with self._lock:
            if outcome.done() or outcome.running():
                return
            outcome.set_running_or_notify_cancel()
            if scrape.failure is not None:
                self.telemetry.listing_failed(scrape.failure.reason)
            if shown:
                self._show(scrape)
        with suppress(InvalidStateError):
            outcome.set_result(scrape)

    def _show(self, scrape: Scrape) -> None:
        whole = self._observed.whole if scrape.inventory is None else scrape
        self._observed = msgspec.structs.replace(self._observed, latest=scrape, whole=whole)
        self._journal.note(scrape)


def _copy(done: Future[Scrape], mine: Future[Scrape]) -> None:
    fault = done.exception()
    with suppress(InvalidStateError):
        if fault is not None:
            mine.set_exception(fault)
        else:
            mine.set_result(done.result())
