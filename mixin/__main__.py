"""The command line: `python -m mixin render` and `python -m mixin check`."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mixin import alerts, chart
from mixin.thresholds import ThresholdError, Thresholds, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ROOT = Path(__file__).parent.parent


def _dashboards(thresholds: Thresholds) -> dict[str, str]:
    """The dashboards, drawn by a library that rendering rules does without: imported here."""
    module = importlib.import_module("mixin.dashboards")
    return cast("dict[str, str]", module.render(thresholds))


PARTS: dict[str, Callable[[Thresholds], dict[str, str]]] = {
    "alerts": alerts.render,
    "dashboards": _dashboards,
}


def rendered(thresholds: Thresholds, parts: Iterable[str] = tuple(PARTS)) -> dict[Path, str]:
    """Every rendered file: its path below the output directory, and its text."""
    return {
        Path(part, name): text for part in parts for name, text in PARTS[part](thresholds).items()
    }


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
CHART = Path("deploy/helm/cloudflare-mcp-exporter/files")
"""Where the chart has its files, below the output directory."""


def _with_chart(files: dict[Path, str]) -> dict[Path, str]:
    """The files and those of the chart, which are made from the defaults."""
    return {**files, **{CHART / name: text for name, text in chart.files(rendered).items()}}


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
        "--chart", action="store_true", help="the files of the Helm chart too, from the defaults"
    )
    parser.add_argument("--only", choices=PARTS, help="leave the other part alone")
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
        parts = [options.only] if options.only else PARTS
        files = rendered(load(options.thresholds, dict(options.set)), parts)
        if options.chart:
            files = _with_chart(files)
        return COMMANDS[options.command](options.output, files)
    except (ThresholdError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
