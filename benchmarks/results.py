"""Everything that one run of the benchmark found, as one value, and where it was found."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.endurance import Held, Many
from benchmarks.probing import Probing
from benchmarks.scrapes import Figures, Run
from benchmarks.starting import Start
from benchmarks.upstream import Size

LIBRARIES = (
    *("msgspec", "prometheus-client", "requests", "urllib3", "uvicorn"),
    *("cloudflare", "httpx", "pydantic"),
)


@dataclass
class Results:
    """What was measured; a part that was not asked for is empty."""

    runs: list[Run] = field(default_factory=list)
    growth: list[tuple[str, Size, Figures]] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    soak: list[Held] = field(default_factory=list)
    many: Many | None = None
    probing: Probing | None = None
    rendering: dict[str, Any] = field(default_factory=dict)
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    status: dict[str, dict[str, float]] = field(default_factory=dict)

    def run(self, size: Size, conditions: str) -> Run | None:
        """The one of this size under these conditions, if it was measured."""
        same = (run for run in self.runs if run.size == size and str(run.conditions) == conditions)
        return next(same, None)


def environment() -> dict[str, str]:
    """The machine and the versions."""
    cpu = Path("/proc/cpuinfo").read_text().partition("model name\t: ")[2].partition("\n")[0]
    memory = Path("/proc/meminfo").read_text().split()[1]
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {
        "time": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": f"{os.cpu_count()} cores, {cpu.strip()}, {int(memory) >> 20} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "load": f"{os.getloadavg()[0]:.1f} at the end, about 2 of it the benchmark's own",
        "python": platform.python_version(),
        **versions,
    }


def save(results: Results, targets: list[dict[str, Any]], file: Path) -> None:
    """Write it all as JSON."""
    file.parent.mkdir(exist_ok=True)
    document = {"environment": environment(), "targets": targets, **dataclasses.asdict(results)}
    file.write_text(json.dumps(document, indent=1, default=str) + "\n")
