"""The targets, each with what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import candidates as c
from benchmarks.endurance import MANY
from benchmarks.probing import TARGETS
from benchmarks.results import Results
from benchmarks.scrapes import Conditions, Figures, pages
from benchmarks.upstream import Size

HUGE = Size(200, 50, 20)
USUAL = Size(5, 40, 20)
SMALL = Size(1, 8, 20)
"""What most people have."""

PLAIN, GZIP = str(Conditions()), str(Conditions(upstream_gzip=True))
LATENCY = 0.15
LATE = str(Conditions(upstream_gzip=True, latency=LATENCY))
PARALLEL = 4
"""Pages side by side: the exporter's default."""

STEADY = 1.05
"""What memory may be after the soak, by what it was after ten scrapes."""

SETTLED = 250
"""Scrapes after which the C library's heap has its shape, so that a leak alone would grow it."""


@dataclass(frozen=True)
class Target:
    """One target; ``measured`` and ``limit`` are text for people."""

    what: str
    limit: str
    measured: str
    met: bool


def targets(results: Results) -> list[Target]:
    """Those whose figures were measured."""
    return [
        *_against_peers(results),
        *_against_floor(results),
        *_memory(results),
        *_rendering(results),
        *_latency(results),
        *_starting(results),
        *_many(results),
        *_probing(results),
        *_growth(results),
        *_status(results),
        *_soak(results),
    ]


def plain(found: list[Target]) -> list[dict[str, Any]]:
    """As JSON has them."""
    return [asdict(target) for target in found]


def _most(what: str, value: float, limit: float, unit: str) -> Target:
    return Target(what, f"at most {limit:g} {unit}", f"{value:.3g} {unit}", value <= limit)


def _against_peers(results: Results) -> Iterator[Target]:
    for size, peer, conditions, times in (
        (HUGE, c.REQUESTS_JSON, PLAIN, 20),
        (HUGE, c.REQUESTS_JSON, GZIP, 14),
        (HUGE, c.SDK, PLAIN, 24),
        (HUGE, c.SDK, GZIP, 20),
        (USUAL, c.REQUESTS_JSON, PLAIN, 6),
        (USUAL, c.REQUESTS_JSON, GZIP, 6),
    ):
        run = results.run(size, conditions)
        ratio = run.ratio(peer, c.OURS) if run else None
        if ratio is not None:
            what = f"CPU of {peer} by ours, {size}, {conditions}"
            yield Target(what, f"at least {times}", f"{ratio:.1f}", ratio >= times)


def _against_floor(results: Results) -> Iterator[Target]:
    # For the small size alone: it is all fixed costs. For a large one a program that parses every
    # byte cannot come near one that throws them away.
    for conditions in (PLAIN, GZIP):
        run = results.run(SMALL, conditions)
        ratio = run.ratio(c.OURS, c.FLOOR) if run else None
        if ratio is not None:
            yield _most(f"CPU by {c.FLOOR}, {SMALL}, {conditions}", ratio, 1.7, "times")


def _memory(results: Results) -> Iterator[Target]:
    for conditions in (PLAIN, GZIP):
        run = results.run(HUGE, conditions)
        if run and c.OURS in run.figures:
            yield _most(
                f"Peak memory, {HUGE}, {conditions}", run.figures[c.OURS].peak_mib, 200, "MiB"
            )
    sizes = _grown(results, "tools")
    if sizes:
        bare, large = sizes[0], sizes[-1]
        kept = large[1].after_mib - bare[1].after_mib
        yield _most(f"Memory kept for catalogs, {large[0]} over {bare[0]}", kept, 5, "MiB")
        body = (large[1].upstream_bytes - bare[1].upstream_bytes) / (1 << 20)
        extra = large[1].peak_mib - bare[1].peak_mib
        what = f"Peak memory for the same, by the bytes of the page ({body:.0f} MiB)"
        yield _most(what, extra / body, 1.3, "times")


def _rendering(results: Results) -> Iterator[Target]:
    if not results.rendering:
        return
    count = results.rendering["samples"]
    for name, value in results.rendering["microseconds"].items():
        if name.startswith(c.OURS):
            yield _most(f"A sample of {count:,}, {name}", value, 1.5, "us")
    same = results.rendering["same"]
    yield Target(
        "The text that prometheus_client writes",
        "equal bytes",
        "equal" if same else "differs",
        same,
    )


def _latency(results: Results) -> Iterator[Target]:
    for late in (run for run in results.runs if run.conditions.latency):
        quick = results.run(late.size, GZIP)
        if quick and c.OURS in late.figures and c.OURS in quick.figures:
            extra = late.figures[c.OURS].median_wall - quick.figures[c.OURS].median_wall
            count = pages(late.size)
            ideal = 1 + -(-(count - 1) // PARALLEL)
            what = f"Waiting, {late.size}, {count} pages of {LATENCY * 1000:.0f} ms"
            yield _most(what, extra / LATENCY, ideal + 0.5, "page times")


def _starting(results: Results) -> Iterator[Target]:
    for start in results.starts:
        if start.candidate == c.OURS:
            found = start.medians()
            yield _most("Start to first answered /-/healthy", found["healthy"], 0.5, "s")
            yield _most("Idle memory", found["idle_mib"], 34, "MiB")


def _many(results: Results) -> Iterator[Target]:
    if results.many:
        yield Target(
            "500 accounts of 2x10x20: all listed",
            str(MANY.accounts),
            str(results.many.up),
            results.many.up == MANY.accounts,
        )
        yield _most("500 accounts at one scrape, 20 ms a page", results.many.wall, 9, "s")
        yield _most("One of them by /probe", results.many.probe_wall * 1000, 100, "ms")


def _probing(results: Results) -> Iterator[Target]:
    found = results.probing
    if found:
        yield Target(
            "Probes of 500 servers that succeed",
            "500",
            str(found.succeeded),
            found.succeeded == TARGETS,
        )
        yield _most("500 probes a minute over TLS", found.share * 100, 5, "% of a core")
        grown = found.memory[-1] / found.memory[0]
        yield _most("Memory after the last 500 probes by the first", grown, STEADY, "times")
        yield _most("CPU of a listing, with probes by without", found.listing_ratio, 1.05, "times")


def _growth(results: Results) -> Iterator[Target]:
    servers = _grown(results, "servers")
    if servers:
        rates = [figures.median_cpu / (size.portals * size.servers) for size, figures in servers]
        what = f"CPU a server, {servers[-1][0]} by {servers[0][0]}"
        yield _most(what, rates[-1] / rates[0], 1.1, "times")
    tools = _grown(results, "tools")
    if tools:
        early, late = _slope(tools[0], tools[-2]), _slope(tools[-2], tools[-1])
        what = f"CPU a MiB of tools: {late * 1000:.2g} ms for the last, by that for the first"
        yield _most(what, late / early, 1.3, "times")


def _status(results: Results) -> Iterator[Target]:
    for name, found in results.status.items():
        if name == "JSON":
            continue
        yield _most(f"Status page of 1,600 servers, {name}", found["made again"], 0.3, "s")
        yield _most("Its size, uncompressed", found["bytes"] / 1000, 100, "kB")


def _grown(results: Results, dimension: str) -> list[tuple[Size, Figures]]:
    return [(size, figures) for grown, size, figures in results.growth if grown == dimension]


def _slope(small: tuple[Size, Figures], large: tuple[Size, Figures]) -> float:
    """CPU seconds a MiB of bodies, between two sizes."""
    size = (large[1].upstream_bytes - small[1].upstream_bytes) / (1 << 20)
    return (large[1].median_cpu - small[1].median_cpu) / size


def _soak(results: Results) -> Iterator[Target]:
    if len(results.soak) > 1:
        first, last = results.soak[0], results.soak[-1]
        what = f"Memory after {last.scrapes} scrapes by that after {first.scrapes}"
        yield _most(what, last.memory / first.memory, STEADY, "times")
        settled = next((held for held in results.soak if held.scrapes >= SETTLED), first)
        what = f"Memory after {last.scrapes} scrapes by that after {settled.scrapes}"
        yield _most(what, last.memory / settled.memory, 1.01, "times")
        held = last.threads <= first.threads + 1 and last.files <= first.files + 1
        text = f"{first.threads}, {first.files}; then {last.threads}, {last.files}"
        yield Target("Threads and open files", "as after ten", text, held)
