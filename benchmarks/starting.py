"""What each candidate costs before its first scrape: start, import, idle memory, disk."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.candidates import Candidate, installed_bytes
from benchmarks.processes import MIB, ROOT
from benchmarks.upstream import Upstream

_IMPORT = """
import time
wall, cpu = time.perf_counter(), time.process_time()
import {module}
print(time.perf_counter() - wall, time.process_time() - cpu)
"""


@dataclass
class Start:
    """Medians; seconds and MiB."""

    candidate: str
    healthy: list[float] = field(default_factory=list)
    healthy_cpu: list[float] = field(default_factory=list)
    importing: list[float] = field(default_factory=list)
    importing_cpu: list[float] = field(default_factory=list)
    idle_mib: list[float] = field(default_factory=list)
    installed_mib: float = 0.0

    def medians(self) -> dict[str, float]:
        """By the attributes' names."""
        return {
            name: value if isinstance(value, float) else statistics.median(value)
            for name, value in vars(self).items()
            if name != "candidate"
        }


def measure(upstream: Upstream, wanted: Sequence[Candidate], rounds: int) -> list[Start]:
    """Start each candidate so many times, in turn, after once to compile its modules."""
    starts = {candidate.name: Start(candidate.name) for candidate in wanted}
    for number in range(rounds + 1):
        for candidate in wanted:
            start = Start(candidate.name) if number == 0 else starts[candidate.name]
            _once(start, candidate, upstream)
    for candidate in wanted:
        installed = installed_bytes(candidate.distributions) if candidate.distributions else 0
        starts[candidate.name].installed_mib = installed / MIB
    return list(starts.values())


def _once(start: Start, candidate: Candidate, upstream: Upstream) -> None:
    with candidate.start(upstream.environment) as program:
        start.healthy.append(program.started)
        start.healthy_cpu.append(program.started_cpu)
        start.idle_mib.append(program.memory())
    if candidate.module:
        wall, cpu = _import(candidate.module, upstream)
        start.importing.append(wall)
        start.importing_cpu.append(cpu)


def _import(module: str, upstream: Upstream) -> tuple[float, float]:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT.format(module=module)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **upstream.environment},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    wall, cpu = map(float, done.stdout.split())
    return wall, cpu
