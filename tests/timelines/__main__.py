"""``make timelines``, or ``python -m timelines --help`` in the folder of the tests."""

from __future__ import annotations

import argparse
import sys

from realparts import version
from timelines.making import timelines
from timelines.run import run, smallest


def main() -> int:
    """0 where every promise was held."""
    parser = argparse.ArgumentParser(prog="timelines")
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first one")
    parser.add_argument("--shrink", type=int, default=1, help="how many violations to shrink")
    chosen = parser.parse_args()
    result = run(range(chosen.first, chosen.first + chosen.seeds))
    for seed, broken in sorted(result.broken.items()):
        sys.stdout.write(f"seed {seed}: {broken[0]} (and {len(broken) - 1} more)\n")
    for seed in sorted(result.broken)[: chosen.shrink]:
        violation = result.broken[seed][0]
        sys.stdout.write(f"\nseed {seed}, {violation}, shrunk:\n")
        for timeline in smallest(timelines(seed), violation):
            sys.stdout.write(f"{timeline}\n")
    sys.stdout.write(f"{result}, promtool {version('promtool')}\n")
    return bool(result.broken)


if __name__ == "__main__":
    sys.exit(main())
