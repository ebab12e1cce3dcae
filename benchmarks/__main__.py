"""Runs the benchmark: ``make bench``, or ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import candidates as c
from benchmarks import endurance, probing, rendering, stages, starting, status
from benchmarks.report import report
from benchmarks.results import Results, save
from benchmarks.scrapes import Conditions, measure
from benchmarks.targets import HUGE, LATENCY, USUAL, plain, targets
from benchmarks.upstream import Size, Upstream

SIZES = ("1x8x20", "5x40x20", "10x80x20", "1x1x2600", "50x20x20", "200x50x20")
QUICK_SIZES = ("1x8x20", "5x40x20", "50x20x20")
BOTH = (Conditions(), Conditions(upstream_gzip=True))
LATE = Conditions(upstream_gzip=True, latency=LATENCY)
BARE = Conditions(upstream_gzip=True, scrape_gzip=False)
FLOORS = (c.FLOOR, c.FLOOR_LINES)
MAX_WITH_PEERS = 1000
"""Servers up to which waiting is measured for the peers too: they take long enough without."""

Options = argparse.Namespace
LATEST = Path(__file__).parent / "results" / "latest.json"


def main(argv: Sequence[str]) -> int:
    """Measure, print, save."""
    options = _parser().parse_args(argv)
    results = Results()
    for part in options.parts:
        begin = time.monotonic()
        PARTS[part](options, results)
        _tell(f"{part}: {time.monotonic() - begin:.0f} s")
    found = targets(results)
    sys.stdout.write(report(results, found))
    save(results, plain(found), options.output)
    return 0


def _wanted(options: Options) -> list[c.Candidate]:
    peers = [peer for peer in c.PEERS if peer.name in options.only]
    if options.json_exporter:
        peers.append(c.json_exporter(options.json_exporter))
    return [c.ours(), *peers]


def _scrapes(options: Options, results: Results) -> None:
    floors = frozenset(options.only) & set(FLOORS)
    for size in options.sizes:
        with Upstream(size) as upstream:
            rounds = _rounds(options, size)
            for run in measure(
                upstream, size, BOTH, _wanted(options), rounds=rounds, floors=floors
            ):
                results.runs.append(run)
                _tell(f"  {size}, {run.conditions}")


def _waiting(options: Options, results: Results) -> None:
    for size in (size for size in options.sizes if size.portals > 1):
        few = _servers(size) <= MAX_WITH_PEERS and not options.quick
        with Upstream(size) as upstream:
            rounds = _rounds(options, size)
            wanted = _wanted(options) if few else [c.ours()]
            results.runs += measure(upstream, size, [LATE], wanted, rounds=rounds)
            if size in {USUAL, HUGE}:
                results.runs += measure(upstream, size, [BARE], [c.ours()], rounds=rounds)


def _starts(options: Options, results: Results) -> None:
    with Upstream(Size(1, 1, 1)) as upstream:
        results.starts = starting.measure(upstream, _wanted(options), options.rounds)


def _growth(options: Options, results: Results) -> None:
    results.growth = list(endurance.growth(options.rounds))


def _soak(options: Options, results: Results) -> None:
    results.soak = endurance.soak(15 if options.quick else 120)


def _many(options: Options, results: Results) -> None:
    results.many = endurance.many_accounts(1 if options.quick else 3)


def _probing(options: Options, results: Results) -> None:
    results.probing = probing.measure(2 if options.quick else 5)


def _rendering(options: Options, results: Results) -> None:
    portals = 50 if options.quick else HUGE.portals
    results.rendering = rendering.measure(portals, 1 if options.quick else 3)


def _stages(options: Options, results: Results) -> None:
    results.stages = stages.measure(max(options.sizes, key=_servers), options.rounds)


def _status(options: Options, results: Results) -> None:
    results.status = status.measure(options.rounds)


def _servers(size: Size) -> int:
    return size.portals * size.servers


PARTS: dict[str, Callable[[Options, Results], None]] = {
    "scrapes": _scrapes,
    "waiting": _waiting,
    "starts": _starts,
    "rendering": _rendering,
    "stages": _stages,
    "status": _status,
    "growth": _growth,
    "many": _many,
    "probing": _probing,
    "soak": _soak,
}
QUICK_PARTS = (
    *("scrapes", "waiting", "starts", "rendering", "stages", "status", "probing", "soak"),
)


def _rounds(options: Options, size: Size) -> int:
    """Fewer where a scrape of the slowest takes half a minute."""
    rounds: int = options.rounds
    return min(rounds, 3) if size == HUGE else rounds


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _parser() -> argparse.ArgumentParser:
    quick = "--quick" in sys.argv
    names = [*(peer.name for peer in c.PEERS), *FLOORS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes and few parts")
    parser.add_argument(
        "--sizes",
        type=lambda text: [Size.parse(each) for each in text.split(",")],
        default=",".join(QUICK_SIZES if quick else SIZES),
        help="portals x servers x tools, by commas (default: %(default)s)",
    )
    parser.add_argument("--rounds", type=int, default=3 if quick else 5, help="scrapes of each")
    parser.add_argument(
        "--only",
        type=_words,
        default=",".join(names),
        help="whom to compare with, by commas; ours is always there (default: %(default)s)",
    )
    parser.add_argument(
        "--parts",
        type=_words,
        default=",".join(QUICK_PARTS if quick else PARTS),
        help="what to measure, by commas (default: %(default)s)",
    )
    parser.add_argument("--json-exporter", type=Path, help="a json_exporter's binary")
    parser.add_argument("--output", type=Path, default=LATEST, help="(default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
