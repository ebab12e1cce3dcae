"""A target is asked once per interval at most, whoever asks for it."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from exporter.deadline import Deadline
from exporter.probes.mcp import Era
from exporter.probes.prober import BusyError, Prober
from exporter.probes.result import Outcome, ProbeResult

T = TypeVar("T")

GOOD = ProbeResult(Outcome.OK, success=True)
BAD = ProbeResult(Outcome.HTTP_ERROR, success=False)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Target:
    """Counts its probes, and answers each with the result that is set."""

    def __init__(self, result: ProbeResult = GOOD, era: Era | None = None, ttl: float = 0) -> None:
        self.result = result
        self.spoken = era
        self.ttl = ttl
        self.eras: list[Era | None] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, deadline: Deadline, era: Era | None) -> _Probe:
        self.eras.append(era)
        return _Probe(self)


class _Probe:
    def __init__(self, target: Target) -> None:
        self._target = target
        self.era = target.spoken
        self.ttl = target.ttl

    def interrupt(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def timed_out(self) -> ProbeResult:
        return ProbeResult(Outcome.TIMEOUT, success=False)

    def run(self) -> ProbeResult:
        self._target.go_on.wait(30)
        return self._target.result


def running(story: Callable[[Prober, Clock], Awaitable[T]], most: int = 64) -> T:
    async def run() -> T:
        clock = Clock()
        return await story(Prober(most=most, clock=clock, wall_clock=clock), clock)

    return asyncio.run(run())


def test_probes_that_overlap_are_one() -> None:
    target = Target()

    async def story(prober: Prober, clock: Clock) -> None:
        target.go_on.clear()
        tasks = [asyncio.create_task(prober.probe("a", target, 5, 30)) for _ in range(20)]
        await asyncio.sleep(0)
        target.go_on.set()
        found = await asyncio.gather(*tasks)
        assert len({id(one) for one in found}) == 1

    running(story)
    assert len(target.eras) == 1


def test_within_the_interval_the_last_result_is_served_with_its_time() -> None:
    target = Target()

    async def story(prober: Prober, clock: Clock) -> list[float]:
        times = []
        for _ in range(100):
            times.append((await prober.probe("a", target, 5, 30)).ended)
            clock.now += 3
        return times

    times = running(story)
    assert 9 <= len(target.eras) <= 10  # 300 s in intervals of 30 to 33 s
    assert len(set(times)) == len(target.eras)


def test_targets_do_not_share_anything() -> None:
    one, other = Target(), Target(BAD)

    async def story(prober: Prober, clock: Clock) -> None:
        assert (await prober.probe("a", one, 5, 30)).result is GOOD
        assert (await prober.probe("b", other, 5, 30)).result is BAD

    running(story)


@pytest.mark.parametrize(
    ("target", "least", "most"),
    [
        (Target(ProbeResult(Outcome.THROTTLED, success=False, retry_after=120)), 120, 133),
        (Target(ttl=200), 200, 221),
        (Target(ttl=1e9), 300, 331),
    ],
    ids=["Retry-After", "ttlMs", "ttlMs of years"],
)
def test_a_target_that_asks_for_time_gets_it(target: Target, least: float, most: float) -> None:
    async def story(prober: Prober, clock: Clock) -> None:
        await prober.probe("a", target, 5, 30)
        clock.now += least - 1
        await prober.probe("a", target, 5, 30)
        assert len(target.eras) == 1
        clock.now += most - least + 1
        await prober.probe("a", target, 5, 30)
        assert len(target.eras) == 2

    running(story)


def test_repeated_failures_are_probed_less_often_and_one_success_ends_that() -> None:
    target = Target(BAD)

    async def story(prober: Prober, clock: Clock) -> tuple[int, int]:
        for _ in range(3600):
            clock.now += 1
            await prober.probe("a", target, 5, 30)
        failing = len(target.eras)
        target.result = GOOD
        for _ in range(3600):
            clock.now += 1
            await prober.probe("a", target, 5, 30)
        return failing, len(target.eras) - failing

    failing, working = running(story)
    assert 12 <= failing <= 20  # every 300 to 330 s in the end
    assert 90 <= working <= 120


def test_the_era_is_remembered_until_it_does_not_answer() -> None:
    target = Target(era=Era.LEGACY)

    async def story(prober: Prober, clock: Clock) -> None:
        for _ in range(3):
            await prober.probe("a", target, 5, 1)
            clock.now += 10
        target.spoken = None
        for _ in range(2):
            await prober.probe("a", target, 5, 1)
            clock.now += 10

    running(story)
    assert target.eras == [None, Era.LEGACY, Era.LEGACY, Era.LEGACY, None]


def test_a_probe_that_nothing_ends_is_given_up_and_is_a_timeout() -> None:
    target = Target()
    target.go_on.clear()

    async def story(prober: Prober, clock: Clock) -> ProbeResult:
        return (await prober.probe("a", target, 0.3, 30)).result

    found = running(story)
    target.go_on.set()
    assert (found.outcome, found.success) == (Outcome.TIMEOUT, False)


def test_a_probe_without_a_free_slot_does_not_blame_the_target() -> None:
    slow, other = Target(), Target()
    slow.go_on.clear()

    async def story(prober: Prober, clock: Clock) -> None:
        first = asyncio.create_task(prober.probe("a", slow, 5, 30))
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await prober.probe("b", other, 0.2, 30)
        assert prober.latest("b") is None
        slow.go_on.set()
        await first

    running(story, most=1)
    assert other.eras == []


def test_a_probe_that_has_ended_is_not_kept() -> None:
    made: list[weakref.ref[_Probe]] = []
    target = Target()

    def start(deadline: Deadline, era: Era | None) -> _Probe:
        probe = target(deadline, era)
        made.append(weakref.ref(probe))
        return probe

    async def story(prober: Prober, _clock: Clock) -> list[_Probe | None]:
        await prober.probe("target", start, 5.0, 60.0)
        # The thread lets go of it a moment after its result.
        for _ in range(20):
            gc.collect()
            if made[0]() is None:
                break
            await asyncio.sleep(0.05)
        return [one() for one in made]

    assert running(story) == [None]
