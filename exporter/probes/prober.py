"""Probes each target at most once per interval, however often it is asked for.

Prometheus decides when a target is probed; several Prometheus servers, or people with a browser,
must not multiply the requests to it. So a probe in progress is shared, and its result is served
again until the interval is over, with its time. The interval is longer if the target asks for it
(``Retry-After``, ``ttlMs``) or has failed several times; it varies by a tenth, so that targets do
not fall into step.

A probe runs in a thread, bounded by the deadline that its scrape allows. At the deadline its socket
is shut down.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Hashable
from typing import Protocol

import msgspec

from exporter.deadline import Deadline
from exporter.errors import ExporterError
from exporter.probes.exchange import LINGER_SECONDS
from exporter.probes.mcp import CLEANUP_SECONDS, Era
from exporter.probes.result import ProbeResult
from exporter.threads import in_thread

MAX_TTL = 300.0
"""Seconds: longer than that nobody should be blind because a server says that its answer keeps."""

MAX_BACKOFF = 300.0
FAILURES_AT_FULL_PACE = 3
JITTER = 0.1
FORGET_AFTER = 3600.0
"""Seconds after which a target that nobody asks for is forgotten."""


class Probe(Protocol):
    """`exporter.probes.server.ServerProbe` or `exporter.probes.portal.PortalProbe`."""

    @property
    def era(self) -> Era | None:
        """Of the protocol that the target spoke."""

    @property
    def ttl(self) -> float:
        """Seconds for which the target asks not to be asked again."""

    def interrupt(self) -> None:
        """End it, from another thread, except for what its cleanup needs."""

    def abort(self) -> None:
        """End it in any case, from another thread."""

    def timed_out(self) -> ProbeResult:
        """Its result if it has not ended in time."""

    def run(self) -> ProbeResult:
        """Probe; blocks."""


class BusyError(ExporterError):
    """No probe could be made in time: too many are in progress."""


class Observation(msgspec.Struct, frozen=True):
    """A result with the Unix time at which its probe ended."""

    result: ProbeResult
    ended: float


class _State:
    """What is remembered of a target."""

    def __init__(self) -> None:
        self.task: asyncio.Task[Observation] | None = None
        self.latest: Observation | None = None
        self.not_before = 0.0
        self.era: Era | None = None
        self.failures = 0
        self.asked = 0.0


class Prober:
    """All probes of the process; for one event loop.

    Args:
        most: probes at the same time, each with a thread.
        clock: monotonic seconds.
        wall_clock: Unix seconds.
    """

    def __init__(
        self,
        *,
        most: int = 64,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._slots = asyncio.Semaphore(most)
        self._clock = clock
        self._wall_clock = wall_clock
        self._states: dict[Hashable, _State] = {}
        self._pruned = clock()
        self.made = 0
        """Results so far: as long as it is the same, `latest` is."""

    def latest(self, key: Hashable) -> Observation | None:
        """The last result for the target; None if there is none."""
        state = self._states.get(key)
        return None if state is None else state.latest

    async def probe(
        self,
        key: Hashable,
        start: Callable[[Deadline, Era | None], Probe],
        seconds: float,
        min_interval: float,
    ) -> Observation:
        """The result of a new probe, of the one in progress, or the last one if it is too early.

        Args:
            key: of the target.
            start: makes a probe, given its deadline and the era that the target spoke last time.
            seconds: that the caller can wait.
            min_interval: seconds between two probes of the target.

        Raises:
            BusyError: there is no result in time, and the target is not to blame for it.
        """
        state = self._state(key)
        if state.task is None or state.task.done():
            if state.latest is not None and self._clock() < state.not_before:
                return state.latest
            state.task = asyncio.get_running_loop().create_task(
                self._run(state, start, seconds, min_interval)
            )
        # Neither the end of this wait nor its cancellation touches the task.
        await asyncio.wait([state.task], timeout=seconds)
        if not state.task.done():
            raise BusyError
        return state.task.result()

    def _state(self, key: Hashable) -> _State:
        now = self._clock()
        if now - self._pruned > FORGET_AFTER:
            self._pruned = now
            self._states = {k: s for k, s in self._states.items() if now - s.asked < FORGET_AFTER}
        state = self._states.setdefault(key, _State())
        state.asked = now
        return state

    async def _run(
        self,
        state: _State,
        start: Callable[[Deadline, Era | None], Probe],
        seconds: float,
        min_interval: float,
    ) -> Observation:
        end = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout(seconds / 2):
                await self._slots.acquire()
        except TimeoutError:
            raise BusyError from None
        try:
            left = end - asyncio.get_running_loop().time()
            probe = start(Deadline(_budget(left)), state.era)
            result = await _bounded(probe, left)
        finally:
            self._slots.release()
        state.latest = Observation(result, self._wall_clock())
        self.made += 1
        state.era = probe.era
        state.failures = 0 if result.success else state.failures + 1
        state.not_before = self._clock() + _wait(min_interval, state.failures, result, probe.ttl)
        return state.latest


def _wait(min_interval: float, failures: int, result: ProbeResult, ttl: float) -> float:
    """Seconds before the next probe."""
    beyond = failures - FAILURES_AT_FULL_PACE
    backoff = min(min_interval * 2 ** min(beyond, 16), MAX_BACKOFF) if beyond > 0 else 0.0
    wait = max(min_interval, min(ttl, MAX_TTL), result.retry_after, backoff)
    return wait * random.uniform(1, 1 + JITTER)  # noqa: S311 - spreads load, hides nothing


def _budget(seconds: float) -> float:
    """The part of a scrape's time that the probe may use; the rest is for its cleanup."""
    return max(seconds - CLEANUP_SECONDS - 0.2, seconds / 2)


async def _bounded(probe: Probe, seconds: float) -> ProbeResult:
    """The probe's result; it is interrupted at its deadline.

    What cannot be interrupted then (a name lookup, and a response that may name a session to
    delete) goes on in its thread, while the scrape gets its result.
    """
    loop = asyncio.get_running_loop()
    timers = (
        loop.call_later(_budget(seconds), probe.interrupt),
        loop.call_later(_budget(seconds) + LINGER_SECONDS, probe.abort),
    )
    try:
        async with asyncio.timeout(max(0.0, seconds - 0.05)):
            result = await in_thread(probe.run, name="probe")
    except TimeoutError:
        return probe.timed_out()
    for timer in timers:  # or they keep the probe's connections in memory
        timer.cancel()
    return result
