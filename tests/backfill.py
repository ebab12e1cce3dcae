"""A Prometheus with a past that is the same in every run: written down, not waited for."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from exporter.accounts import Accounts
from exporter.redaction import KnownSecrets
from exporter.settings import Account, Credentials, Secret
from exporter.simulator.server import Simulator
from processes import Prometheus, get
from realparts import require
from serving import serving
from simulated import Clock

JOB = "cloudflare-mcp"
INSTANCES = {"one:10180": 1_789_000_000.0, "two:10180": 1_789_500_000.0}
"""The exporters that list the same account, and since when each runs."""

Sample = tuple[str, Mapping[str, str], float]

# How long something took, and what the process and the interpreter say of themselves.
UNSTEADY = ("process_", "python_", "cloudflare_mcp_collection_d", "cloudflare_mcp_api_request_d")
DURATION = "cloudflare_mcp_collection_duration_seconds"
# Versions of Prometheus differ in how many samples a rate has, so that it must not change.
BYTES = "cloudflare_mcp_api_response_bytes_total"
STEADY: dict[str, float] = {
    "process_cpu_seconds_total": 12,
    "process_resident_memory_bytes": 60_000_000,
    "process_open_fds": 20,
    "process_max_fds": 1024,
    "scrape_duration_seconds": 0.5,
    "scrape_timeout_seconds": 10,
}
CONFIG = "global: {scrape_interval: 1m}\n"
FOR_EVER = "--storage.tsdb.retention.time=100y"


def told(
    simulator: Simulator,
    clock: Clock,
    moments: Iterable[float],
    *,
    collect_servers: bool = True,
) -> Iterator[list[Sample]]:
    """What one exporter exposes of the simulated account at each moment, but for what varies."""
    account = Account(
        name="Production",
        account_id=simulator.account_id,
        credentials=Credentials(token=Secret(text=simulator.token)),
        base_url=simulator.base_url,
        collect_servers=collect_servers,
    )
    secrets = KnownSecrets([simulator.token])
    with serving(Accounts([account], secrets, wall_clock=clock)) as url:
        for number, moment in enumerate(moments):
            clock.now = moment
            yield list(_samples(get(f"{url}/metrics").text, number))


def _samples(text: str, number: int) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            if sample.name == "cloudflare_mcp_exporter_build_info":
                labels = {"version": "1.2.3"}
            if sample.name.startswith(DURATION):
                yield sample.name, labels, 0.25
            elif sample.name == BYTES:
                yield sample.name, labels, 1_000_000.0 * number
            elif not sample.name.startswith(UNSTEADY):
                yield sample.name, labels, sample.value


def scrapes(samples: list[Sample], instances: Mapping[str, float]) -> Iterator[Sample]:
    """The samples as every one of the instances gives them, and what Prometheus adds."""
    for instance, started in instances.items():
        target = {"job": JOB, "instance": instance}
        yield "up", target, 1
        yield "process_start_time_seconds", target, started
        yield from ((name, target, value) for name, value in STEADY.items())
        for name, labels, value in samples:
            yield name, {**labels, **target}, value


def lines(samples: Iterable[Sample], moment: float) -> Iterator[str]:
    """OpenMetrics of one moment."""
    for name, labels, value in samples:
        inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{{{inner}}} {value!r} {moment:.3f}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def backfilled(home: Path, text: Iterable[str], *, lookback: str) -> Prometheus:
    """A Prometheus, ready, whose data is the text; series end ``lookback`` after their last sample.

    A scrape would have left a marker where a series ends; a file cannot.
    """
    past = home / "past.openmetrics"
    past.write_text("".join(text) + "# EOF\n", encoding="utf-8")
    subprocess.run(
        [require("promtool"), "tsdb", "create-blocks-from", "openmetrics", past, home / "data"],
        check=True,
        capture_output=True,
        timeout=100,
    )
    prometheus = Prometheus(
        require("prometheus"), home, CONFIG, FOR_EVER, f"--query.lookback-delta={lookback}"
    )
    prometheus.await_ready()
    return prometheus
