"""Scrapes of all candidates in turn, over the same pages of the same simulated API."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import candidates as c
from benchmarks.comparing import differences, sample_count
from benchmarks.processes import PLAIN, PROMETHEUS, TEXT, Program
from benchmarks.upstream import Size, Upstream


class Unequal(Exception):  # noqa: N818 - a finding about the peers
    """A peer does not expose what the exporter does, so comparing times would mean nothing."""


@dataclass(frozen=True)
class Conditions:
    """How the API answers, and what a scrape asks for."""

    upstream_gzip: bool = False
    scrape_gzip: bool = True
    latency: float = 0.0

    def __str__(self) -> str:
        text = f"API {'gzip' if self.upstream_gzip else 'plain'}"
        text += "" if self.scrape_gzip else ", scrape plain"
        return text + (f", {self.latency * 1000:.0f} ms a page" if self.latency else "")


@dataclass
class Figures:
    """What one candidate took under one set of conditions; a list has an entry a round."""

    candidate: str
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    idle_mib: float = 0.0
    peak_mib: float = 0.0
    after_mib: float = 0.0
    requests: int = 0
    upstream_bytes: int = 0
    scrape_bytes: int = 0
    samples: int = 0

    @property
    def median_cpu(self) -> float:
        """Seconds."""
        return statistics.median(self.cpu)

    @property
    def median_wall(self) -> float:
        """Seconds."""
        return statistics.median(self.wall)


@dataclass
class Run:
    """One size under one set of conditions: the figures of each candidate by its name."""

    size: Size
    conditions: Conditions
    figures: dict[str, Figures] = field(default_factory=dict)

    def ratio(self, of: str, to: str) -> float | None:
        """CPU of one candidate by that of another: each round's own, then the median."""
        if of not in self.figures or to not in self.figures:
            return None
        pairs = zip(self.figures[of].cpu, self.figures[to].cpu, strict=True)
        return statistics.median(a / b for a, b in pairs)


def measure(
    upstream: Upstream,
    size: Size,
    conditions: Sequence[Conditions],
    wanted: Sequence[c.Candidate],
    *,
    rounds: int,
    floors: frozenset[str] = frozenset(),
) -> Iterator[Run]:
    """A run for each of the conditions, with processes of its own.

    Args:
        upstream: serves an account of this size.
        size: of the account.
        conditions: one after the other.
        wanted: `ours` first; what the others expose is compared with it.
        rounds: scrapes of each candidate, after one that is not counted.
        floors: names of the floors that are measured as well.

    Raises:
        Unequal: a peer exposes something else.
    """
    for number, each in enumerate(conditions):
        with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
            upstream.set(compress=each.upstream_gzip)
            run = Run(size, each)
            running = _Running(run, upstream, stack)
            for candidate in wanted:
                running.add(candidate)
            if number == 0:
                running.compare()
            text = Path(folder) / "exposition.txt"
            text.write_bytes(running.programs[wanted[0].name].scrape(PLAIN).body)
            for name in sorted(floors):
                running.add(c.floor(text, pages(size), lines=name == c.FLOOR_LINES))
            running.rounds(rounds)
            yield run


class _Running:
    """The processes of a run."""

    def __init__(self, run: Run, upstream: Upstream, stack: ExitStack) -> None:
        self.programs: dict[str, Program] = {}
        self._paths: dict[str, str] = {}
        self._run = run
        self._upstream = upstream
        self._stack = stack
        self._headers: Mapping[str, str] = PROMETHEUS if run.conditions.scrape_gzip else PLAIN

    def add(self, candidate: c.Candidate) -> None:
        """Start it, and let it warm up."""
        program = self._stack.enter_context(candidate.start(self._upstream.environment))
        figures = Figures(candidate.name, idle_mib=program.memory())
        self._paths[candidate.name] = candidate.scrape_path(self._upstream.environment)
        program.scrape(self._headers, self._paths[candidate.name])
        self.programs[candidate.name] = program
        self._run.figures[candidate.name] = figures

    def compare(self) -> None:
        """Hold the peers' samples against the exporter's."""
        first, *peers = (name for name in self.programs if name != c.JSON_EXPORTER)
        ours = self.programs[first].scrape(TEXT).body if peers else b""
        for name in peers:
            different = differences(ours, self.programs[name].scrape(TEXT).body)
            if different:
                raise Unequal(f"{name} differs from {first}:\n" + "\n".join(different))

    def rounds(self, rounds: int) -> None:
        """Scrape them in turn, so that what else the machine does hits all alike."""
        conditions = self._run.conditions
        self._upstream.set(compress=conditions.upstream_gzip, latency=conditions.latency)
        for _ in range(rounds):
            for name, program in self.programs.items():
                self._once(self._run.figures[name], program)
        for name, program in self.programs.items():
            figures = self._run.figures[name]
            figures.peak_mib, figures.after_mib = program.peak(), program.memory()

    def _once(self, figures: Figures, program: Program) -> None:
        scraped = program.scrape(self._headers, self._paths[figures.candidate])
        traffic = self._upstream.traffic()
        figures.wall.append(scraped.wall)
        figures.cpu.append(scraped.cpu)
        figures.requests, figures.upstream_bytes = traffic.requests, traffic.bytes
        figures.scrape_bytes = len(scraped.body)
        if not figures.samples:
            figures.samples = sample_count(scraped.text())


def pages(size: Size) -> int:
    """Pages of the listing of an account of this size."""
    return max(1, -(-size.portals // c.PER_PAGE))
