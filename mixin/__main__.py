"""The command line: `python -m mixin render` and `python -m mixin check`."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mixin import alerts
from mixin.thresholds import ThresholdError, Thresholds, load

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parent.parent


def rendered(thresholds: Thresholds) -> dict[Path, str]:
    """Every rendered file: its path below the output directory, and its text."""
    files = {Path("alerts", name): text for name, text in alerts.render(thresholds).items()}
    if importlib.util.find_spec("mixin.dashboards") is None:
        return files
    # Imported here: drawing dashboards needs a library that rendering rules does without.
    dashboards = importlib.import_module("mixin.dashboards")
    drawn = dashboards.render(thresholds)
    return files | {Path("dashboards", name): text for name, text in drawn.items()}


def _render(output: Path, files: dict[Path, str]) -> int:
    for name, text in files.items():
        path = output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path}\n")
    return 0


def _check(output: Path, files: dict[Path, str]) -> int:
    different = [
        output / name
        for name, text in files.items()
        if not (output / name).is_file() or (output / name).read_text(encoding="utf-8") != text
    ]
    for path in different:
        sys.stderr.write(f"{path} differs from what mixin/ renders: run python -m mixin render\n")
    return 1 if different else 0


COMMANDS = {"render": _render, "check": _check}


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mixin", description="Render the alert rules and the dashboards."
    )
    parser.add_argument("command", choices=COMMANDS, help="write the files, or compare them")
    parser.add_argument(
        "--thresholds", type=Path, metavar="FILE", help="YAML with the values that differ"
    )
    parser.add_argument(
        "--set",
        type=_pair,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one value; may be repeated",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT,
        metavar="DIR",
        help="the directory that holds alerts/ and dashboards/ (default: the repository)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 1 for a difference, 2 for a value that is refused."""
    options = _parser().parse_args(argv)
    try:
        files = rendered(load(options.thresholds, dict(options.set)))
        return COMMANDS[options.command](options.output, files)
    except (ThresholdError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
