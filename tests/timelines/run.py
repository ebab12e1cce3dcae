"""Many seeds at once: the promises checked on each, what breaks them shrunk."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from timelines.firing import KEPT, firing, rules
from timelines.making import timelines
from timelines.promises import Violation, checks, violations
from timelines.shrinking import World, shrunk

TOGETHER = 10
"""Worlds in one run of promtool."""

T = TypeVar("T")

RuleFiles = dict[str, str]


@dataclass
class Result:
    """What came of some timelines."""

    timelines: int = 0
    checks: int = 0
    seconds: float = 0.0
    seeds: int = 0
    broken: dict[int, list[Violation]] = field(default_factory=dict)

    def __str__(self) -> str:
        violated = sum(map(len, self.broken.values()))
        return (
            f"{self.timelines} timelines, {self.checks} checks, {violated} violations in "
            f"{len(self.broken)} of {self.seeds} seeds, {self.seconds:.0f} s"
        )


def judged(worlds: Sequence[World], files: RuleFiles | None = None) -> list[list[Violation]]:
    """The promises that are broken in each world.

    Args:
        worlds: each seen by a Prometheus of its own.
        files: rule files; a single world may do without `KEPT`.
    """
    rendered = rules(*KEPT) if files is None else files
    with tempfile.TemporaryDirectory() as directory:
        fired = firing(worlds, rendered, Path(directory))
    return [
        [one for timeline in world for one in violations(timeline, alerts)]
        for world, alerts in zip(worlds, fired, strict=True)
    ]


def _batched(many: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (many[first : first + size] for first in range(0, len(many), size))


def run(seeds: Sequence[int], files: RuleFiles | None = None) -> Result:
    """The timelines of these seeds, on all cores."""
    began = time.monotonic()
    result = Result(seeds=len(seeds))
    parts = list(_batched(seeds, min(TOGETHER, -(-len(seeds) // (os.cpu_count() or 1)) or 1)))
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        for part, found in zip(parts, pool.map(_part, parts, [files] * len(parts)), strict=True):
            for seed, (count, checked, broken) in zip(part, found, strict=True):
                result.timelines += count
                result.checks += checked
                if broken:
                    result.broken[seed] = broken
    result.seconds = time.monotonic() - began
    return result


def _part(seeds: Sequence[int], files: RuleFiles | None) -> list[tuple[int, int, list[Violation]]]:
    worlds = [timelines(seed) for seed in seeds]
    return [
        (len(world), sum(map(checks, world)), broken)
        for world, broken in zip(worlds, judged(worlds, files), strict=True)
    ]


def smallest(world: World, violation: Violation, files: RuleFiles | None = None) -> World:
    """The smallest world in which the same promise about the same object is broken."""

    def breaking(candidates: Sequence[World]) -> Iterator[bool]:
        for some in _batched(candidates, TOGETHER):
            for broken in judged(some, files):
                yield any(
                    (one.promise, one.what) == (violation.promise, violation.what) for one in broken
                )

    return shrunk(world, breaking)
