"""The results as tables of plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks import candidates as c
from benchmarks.processes import MIB
from benchmarks.results import Results, environment
from benchmarks.targets import Target


def report(results: Results, found: list[Target]) -> str:
    """Everything, one table after the other."""
    parts = [" | ".join(f"{name} {value}" for name, value in environment().items())]
    for title, head, rows in (
        ("Scrapes (medians; ratio: CPU by ours, round by round)", RUN_HEAD, _runs(results)),
        ("Before the first scrape (medians)", START_HEAD, _starts(results)),
        ("Growth of ours, API plain", GROWTH_HEAD, _growth(results)),
        ("Rendering", ("who", "us a sample"), _rendering(results)),
        ("Stages of ours at the largest size, ms of CPU", _stages_head(results), _stages(results)),
        ("Status page of 1,600 servers, ms", STATUS_HEAD, _status(results)),
        ("Soak", ("scrapes", "MiB", "threads", "files"), _soak(results)),
        (
            "Many accounts, 20 ms a page",
            ("what", "wall ms", "CPU ms", "requests", "samples", "peak MiB"),
            _many(results),
        ),
        (
            "Live probes of 500 servers over TLS",
            ("CPU ms", "wall ms", "% of a core at 500 a minute", "MiB", "files", "listing, ratio"),
            _probing(results),
        ),
        ("Targets", ("", "what", "target", "measured"), _targets(found)),
    ):
        lines = list(rows)
        if lines:
            parts.append(f"{title}\n\n{table(head, lines)}")
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, in columns for the eye too."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = (head, ["-" * width for width in widths], *rows)
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"
        for line in lines
    )


RUN_HEAD = (
    *("size", "conditions", "who", "CPU ms", "min-max", "ratio", "wall ms", "peak MiB", "after"),
    *("requests", "MiB in", "KiB out", "samples"),
)


def _runs(results: Results) -> Iterator[Sequence[str]]:
    for run in results.runs:
        for name, figures in run.figures.items():
            ratio = run.ratio(name, c.OURS)
            yield (
                str(run.size),
                str(run.conditions),
                name,
                _ms(figures.median_cpu),
                f"{_ms(min(figures.cpu))}-{_ms(max(figures.cpu))}",
                "" if ratio is None else f"{ratio:.2f}",
                _ms(figures.median_wall),
                f"{figures.peak_mib:.0f}",
                f"{figures.after_mib:.0f}",
                str(figures.requests),
                f"{figures.upstream_bytes / MIB:.2f}",
                f"{figures.scrape_bytes / 1024:.0f}",
                str(figures.samples),
            )


START_HEAD = (
    *("who", "start ms", "its CPU ms", "import ms", "its CPU ms", "idle MiB", "installed MiB"),
)


def _starts(results: Results) -> Iterator[Sequence[str]]:
    for start in results.starts:
        found = start.medians()
        yield (
            start.candidate,
            *(
                _ms(found[name])
                for name in ("healthy", "healthy_cpu", "importing", "importing_cpu")
            ),
            f"{found['idle_mib']:.1f}",
            f"{found['installed_mib']:.1f}",
        )


GROWTH_HEAD = ("by", "size", "CPU ms", "us a server", "peak MiB", "after", "MiB in", "samples")


def _growth(results: Results) -> Iterator[Sequence[str]]:
    for dimension, size, figures in results.growth:
        servers = size.portals * size.servers
        yield (
            dimension,
            str(size),
            _ms(figures.median_cpu),
            f"{figures.median_cpu / servers * 1e6:.0f}",
            f"{figures.peak_mib:.1f}",
            f"{figures.after_mib:.1f}",
            f"{figures.upstream_bytes / MIB:.2f}",
            str(figures.samples),
        )


def _rendering(results: Results) -> Iterator[Sequence[str]]:
    for name, value in results.rendering.get("microseconds", {}).items():
        yield name, f"{value:.2f}"


def _stages_head(results: Results) -> Sequence[str]:
    return ("stage", *results.stages)


def _stages(results: Results) -> Iterator[Sequence[str]]:
    for stage in next(iter(results.stages.values()), ()):
        yield stage, *(f"{found[stage]:.0f}" for found in results.stages.values())


STATUS_HEAD = ("what", "first", "made again", "unchanged", "bytes")


def _status(results: Results) -> Iterator[Sequence[str]]:
    for name, found in results.status.items():
        times = (_ms(found[when]) for when in STATUS_HEAD[1:-1])
        yield name, *times, f"{found['bytes']:,.0f}"


def _soak(results: Results) -> Iterator[Sequence[str]]:
    for held in results.soak:
        yield str(held.scrapes), f"{held.memory:.1f}", str(held.threads), str(held.files)


def _many(results: Results) -> Iterator[Sequence[str]]:
    many = results.many
    if many:
        peak = f"{many.peak_mib:.0f}"
        yield (
            "all of 500",
            _ms(many.wall),
            _ms(many.cpu),
            str(many.requests),
            str(many.samples),
            peak,
        )
        yield "/probe of one", _ms(many.probe_wall), _ms(many.probe_cpu), "1", "", ""


def _probing(results: Results) -> Iterator[Sequence[str]]:
    found = results.probing
    if found:
        yield (
            _ms(found.cpu),
            _ms(found.wall),
            f"{found.share * 100:.1f}",
            " ".join(f"{one:.1f}" for one in found.memory),
            " ".join(map(str, found.files)),
            f"{found.listing_ratio:.2f}",
        )


def _targets(found: list[Target]) -> Iterator[Sequence[str]]:
    for target in found:
        yield "met" if target.met else "MISSED", target.what, target.limit, target.measured


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f}" if seconds < 1 else f"{seconds * 1000:.0f}"
