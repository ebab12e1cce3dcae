"""All accounts as one: what the web asks for a scrape, and for its exposition."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

import msgspec
from prometheus_client.registry import Collector

from exporter.collector import AccountCollector
from exporter.logs import event
from exporter.metrics.exposition import Filtered, render
from exporter.metrics.families import families
from exporter.metrics.formats import Format
from exporter.metrics.own import OwnMetrics
from exporter.metrics.rows import Family
from exporter.scrape import Observed, Scrape

LOG = logging.getLogger(__name__)


class Scrapes(msgspec.Struct, frozen=True):
    """The outcome of one scrape of one or all accounts.

    Attributes:
        accounts: one outcome for each account.
        telemetry: what is counted about these accounts.
        own: the exporter's metrics about itself; None where they were not asked for.
    """

    accounts: tuple[Scrape, ...]
    telemetry: tuple[Collector, ...]
    own: OwnMetrics | None


class Service:
    """Scrapes accounts side by side, each within the same time.

    Args:
        collectors: one for each account, by the account's name.
        own: the exporter's metrics about itself.
        timeout: seconds that a scrape may take at most.
        offset: seconds kept back from the time-out that Prometheus announces, for the way back.
        wall_clock: Unix seconds.
    """

    def __init__(
        self,
        collectors: Mapping[str, AccountCollector],
        own: OwnMetrics,
        *,
        timeout: float,
        offset: float,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._collectors = dict(collectors)
        self._own = own
        self._timeout = timeout
        self._offset = offset
        self._wall_clock = wall_clock

    @property
    def accounts(self) -> Mapping[str, AccountCollector]:
        """The collectors by the accounts' names; never changed in place."""
        return self._collectors

    def observed(self) -> tuple[Observed, ...]:
        """What is known of each account without asking the API."""
        return tuple(collector.observed for collector in self._collectors.values())

    def replace(self, collectors: Mapping[str, AccountCollector]) -> None:
        """Serve these accounts from the next scrape on; those under way are not disturbed."""
        self._collectors = dict(collectors)

    def begin(self, timeout: float | None, account: str | None = None) -> Future[Scrapes]:
        """Start or join a listing of each account, or of the one that is named.

        Args:
            timeout: seconds that Prometheus gives this scrape, where it says so.
            account: the name of the only account that is wanted.

        Raises:
            KeyError: there is no account of this name.
        """
        wanted = self._collectors
        if account is not None:
            wanted = {account: wanted[account]}
        own = self._own if account is None else None
        seconds = self._seconds(timeout)
        telemetry = tuple(collector.telemetry.registry for collector in wanted.values())
        return _gathered(
            [collector.begin(seconds) for collector in wanted.values()],
            lambda accounts: Scrapes(accounts, telemetry, own),
        )

    def expose(self, scrapes: Scrapes, form: Format, names: frozenset[str]) -> Iterator[bytes]:
        """The exposition of these scrapes, as of now, in pieces.

        Args:
            scrapes: of `begin`.
            form: the text format.
            names: of the families or samples that are wanted; empty for all.
        """
        wanted = (f for f in self._families(scrapes) if not names or f.metric.name in names)
        registries = scrapes.telemetry + ((scrapes.own.registry,) if scrapes.own else ())
        return render(wanted, Filtered(registries, names), form)

    def stop(self, grace: float) -> None:
        """Cut listings under way short after ``grace`` seconds, so that scrapes are answered."""
        for collector in self._collectors.values():
            collector.stop(grace)

    def _families(self, scrapes: Scrapes) -> Iterator[Family]:
        yield from families(scrapes.accounts, self._wall_clock())
        if scrapes.own is not None:
            yield from scrapes.own.families()

    def _seconds(self, timeout: float | None) -> float:
        if timeout is None:
            return self._timeout
        # A time-out shorter than the offset is halved: some answer is better than none.
        return min(self._timeout, max(timeout - self._offset, timeout / 2))


def _gathered(
    futures: Sequence[Future[Scrape]], whole_of: Callable[[tuple[Scrape, ...]], Scrapes]
) -> Future[Scrapes]:
    """All results in order, once all are there.

    A future holds an exception where the exporter itself has a fault. Then its account is left
    out, absent being all that is known of it; where that leaves nothing, the fault is passed on.
    """
    whole: Future[Scrapes] = Future()
    lock = threading.Lock()
    missing = len(futures)

    def note(_: Future[Scrape]) -> None:
        nonlocal missing
        with lock:
            missing -= 1
            last = missing == 0
        if last:
            _settle(whole, futures, whole_of)

    if not futures:
        whole.set_result(whole_of(()))
    for future in futures:
        future.add_done_callback(note)
    return whole


def _settle(
    whole: Future[Scrapes],
    futures: Sequence[Future[Scrape]],
    whole_of: Callable[[tuple[Scrape, ...]], Scrapes],
) -> None:
    faults = [fault for future in futures if (fault := future.exception()) is not None]
    with suppress(InvalidStateError):
        if len(faults) == len(futures):
            whole.set_exception(faults[0])
            return
        for fault in faults:
            event(LOG, logging.ERROR, "listing has a fault of the exporter", exc_info=fault)
        whole.set_result(
            whole_of(tuple(one.result() for one in futures if one.exception() is None))
        )
