"""What happens over time and with size: many scrapes, many accounts, each dimension grown."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import candidates as c
from benchmarks.comparing import sample_count
from benchmarks.processes import PLAIN, Program
from benchmarks.scrapes import Conditions, Figures, measure
from benchmarks.upstream import Size, Upstream

SOAK_SIZE = Size(5, 40, 20)
SOAK_SCRAPES = 1000
SETTLED_AFTER = 10
MANY = Size(2, 10, 20, accounts=500)
MANY_LATENCY = 0.02
GROWTH = {
    "servers": (Size(10, 10, 20), Size(10, 20, 20), Size(10, 40, 20), Size(10, 80, 20)),
    "portals": (Size(5, 20, 20), Size(10, 20, 20), Size(20, 20, 20), Size(40, 20, 20)),
    "tools": (Size(10, 20, 0), Size(10, 20, 20), Size(10, 20, 40), Size(10, 20, 80)),
}
"""Sizes that differ in one dimension, smallest first."""


@dataclass(frozen=True)
class Held:
    """What a process holds at one moment; memory in MiB."""

    scrapes: int
    memory: float
    threads: int
    files: int

    @classmethod
    def of(cls, program: Program, scrapes: int) -> Held:
        """Now."""
        return cls(scrapes, program.memory(), program.threads(), program.files())


def soak(seconds: float) -> list[Held]:
    """The exporter after ten scrapes, at stages, and at the end: 1,000 scrapes or the time."""
    stages = {SETTLED_AFTER, 100, 250, 500, 750, SOAK_SCRAPES}
    held: list[Held] = []
    end = time.monotonic() + seconds
    with Upstream(SOAK_SIZE) as upstream, c.ours().start(upstream.environment) as program:
        upstream.set(compress=True)
        for number in range(1, SOAK_SCRAPES + 1):
            program.get("/metrics", {**PLAIN, "Accept-Encoding": "gzip"})
            late = time.monotonic() > end
            if number in stages or late:
                held.append(Held.of(program, number))
            if late:
                break
    return held


def growth(rounds: int) -> Iterator[tuple[str, Size, Figures]]:
    """The exporter's figures as each dimension grows."""
    for dimension, sizes in GROWTH.items():
        for size in sizes:
            with Upstream(size) as upstream:
                for run in measure(upstream, size, [Conditions()], [c.ours()], rounds=rounds):
                    yield dimension, size, run.figures[c.OURS]


@dataclass(frozen=True)
class Many:
    """Many accounts at one scrape, and one of them alone; medians in seconds, MiB."""

    wall: float
    cpu: float
    probe_wall: float
    probe_cpu: float
    samples: int
    requests: int
    peak_mib: float
    up: int


def many_accounts(rounds: int) -> Many:
    """500 accounts with 20 ms a page: all at ``/metrics``, one at ``/probe``."""
    with tempfile.TemporaryDirectory() as folder, Upstream(MANY) as upstream:
        upstream.set(compress=True)
        file = Path(folder) / "accounts.yml"
        names = _configure(file, upstream)
        with c.ours(f"--config.file={file}").start({}) as program:
            program.scrape()
            upstream.set(compress=True, latency=MANY_LATENCY)
            whole = [program.scrape() for _ in range(rounds)]
            requests = upstream.traffic().requests // rounds
            probe = f"/probe?account={names[len(names) // 2]}"
            program.scrape(path=probe)
            probes = [program.scrape(path=probe) for _ in range(rounds * 3)]
            text = whole[-1].text()
            return Many(
                wall=statistics.median(each.wall for each in whole),
                cpu=statistics.median(each.cpu for each in whole),
                probe_wall=statistics.median(each.wall for each in probes),
                probe_cpu=statistics.median(each.cpu for each in probes),
                samples=sample_count(text),
                requests=requests,
                peak_mib=program.peak(),
                up=sum(line.endswith(b" 1.0") for line in _lines_of(text, b"cloudflare_mcp_up{")),
            )


def _lines_of(text: bytes, begin: bytes) -> list[bytes]:
    return [line for line in text.splitlines() if line.startswith(begin)]


def _configure(file: Path, upstream: Upstream) -> list[str]:
    """Write the configuration of all accounts; their names."""
    names = [f"account-{number:03}" for number in range(1, MANY.accounts + 1)]
    token = file.with_name("token")
    token.write_text(upstream.environment["CLOUDFLARE_API_TOKEN"])
    token.chmod(0o600)
    document = {
        "base_url": upstream.environment["CLOUDFLARE_BASE_URL"],
        "accounts": [
            {"name": name, "account_id": identity, "api_token_file": str(token)}
            for name, identity in zip(names, MANY.account_ids(), strict=True)
        ],
    }
    file.write_text(json.dumps(document))  # JSON is YAML
    return names
