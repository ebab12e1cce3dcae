"""All accounts as one: what the web asks for a scrape, and for its exposition."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

from exporter.collector import AccountCollector
from exporter.metrics.exposition import Filtered, render
from exporter.metrics.families import families
from exporter.metrics.formats import Format
from exporter.metrics.own import OwnMetrics
from exporter.metrics.rows import Family
from exporter.scrape import Scrape

Scrapes = tuple[Scrape, ...]


class Service:
    """Scrapes all accounts side by side, each within the same time.

    Args:
        collectors: one for each account.
        own: the exporter's metrics about itself.
        timeout: seconds that a scrape may take at most.
        offset: seconds kept back from the time-out that Prometheus announces, for the way back.
        wall_clock: Unix seconds.
    """

    def __init__(
        self,
        collectors: Sequence[AccountCollector],
        own: OwnMetrics,
        *,
        timeout: float,
        offset: float,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._collectors = tuple(collectors)
        self._own = own
        self._timeout = timeout
        self._offset = offset
        self._wall_clock = wall_clock

    def begin(self, timeout: float | None) -> Future[Scrapes]:
        """Start or join a listing of each account.

        Args:
            timeout: seconds that Prometheus gives this scrape, where it says so.
        """
        seconds = self._seconds(timeout)
        return _gathered([collector.begin(seconds) for collector in self._collectors])

    def expose(self, scrapes: Scrapes, form: Format, names: frozenset[str]) -> bytes:
        """The exposition of these scrapes, as of now.

        Args:
            scrapes: of `begin`.
            form: the text format.
            names: of the families or samples that are wanted; empty for all.
        """
        wanted = (f for f in self._families(scrapes) if not names or f.metric.name in names)
        telemetry = [collector.telemetry.registry for collector in self._collectors]
        return render(wanted, Filtered([*telemetry, self._own.registry], names), form)

    def stop(self, grace: float) -> None:
        """Cut listings under way short after ``grace`` seconds, so that scrapes are answered."""
        for collector in self._collectors:
            collector.stop(grace)

    def _families(self, scrapes: Scrapes) -> Iterator[Family]:
        yield from families(scrapes, self._wall_clock())
        yield from self._own.families()

    def _seconds(self, timeout: float | None) -> float:
        if timeout is None:
            return self._timeout
        # A time-out shorter than the offset is halved: some answer is better than none.
        return min(self._timeout, max(timeout - self._offset, timeout / 2))


def _gathered(futures: Sequence[Future[Scrape]]) -> Future[Scrapes]:
    """All results in order; the first exception, if any future has one."""
    whole: Future[Scrapes] = Future()
    lock = threading.Lock()
    missing = len(futures)

    def note(done: Future[Scrape]) -> None:
        nonlocal missing
        fault = done.exception()
        with lock:
            missing -= 1
            last = missing == 0
        with suppress(InvalidStateError):
            if fault is not None:
                whole.set_exception(fault)
            elif last:
                whole.set_result(tuple(future.result() for future in futures))

    if not futures:
        whole.set_result(())
    for future in futures:
        future.add_done_callback(note)
    return whole
