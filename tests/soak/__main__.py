"""``make soak``, or ``python -m soak --help`` in the directory of the tests."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from realparts import find
from soak.run import soak


def main() -> int:
    """Returns 0 if there are no violations."""
    parser = argparse.ArgumentParser(prog="soak")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        result = soak(Path(home), chosen.minutes * 60, chosen.seed, find("prometheus"))
    faults = (f"{count:6} {name}" for name, count in sorted(result.faults.items()))
    sys.stdout.write("\n".join([*faults, *result.problems[:20], str(result), ""]))
    return bool(result.problems)


if __name__ == "__main__":
    sys.exit(main())
