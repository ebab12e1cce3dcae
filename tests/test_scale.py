"""One exporter and one Prometheus for the accounts of many customers.

It says what it measured, and by the environment it is as large as you like:

    export SCALE_ACCOUNTS=500 SCALE_INTERVAL=60
    make test PYTEST_ARGS='-s --timeout=600 tests/test_scale.py'
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

import pytest

from exporter.simulator.server import Simulator
from exporter.simulator.uniform_account import uniform_account
from processes import Child, Prometheus, RunningExporter, eventually

ACCOUNTS = int(os.environ.get("SCALE_ACCOUNTS", "25"))
INTERVAL = int(os.environ.get("SCALE_INTERVAL", "1"))
LATENCY = 0.02
"""Seconds that the simulated API takes for each answer."""

RunExporter = Callable[..., RunningExporter]
RunPrometheus = Callable[[str], Prometheus]

CONFIG = """
global:
  scrape_interval: {interval}s
  scrape_timeout: {timeout}s
scrape_configs:
  - job_name: cloudflare-mcp
"""
ALL_AT_ONCE = """
    static_configs: [{{targets: ["{target}"]}}]
"""
ONE_BY_ONE = """
    http_sd_configs: [{{url: "http://{target}/sd"}}]
"""


@pytest.fixture(scope="module")
def customers() -> Simulator:
    """A customer has two portals of ten servers with 20 tools each."""
    one = uniform_account(portals=2, servers=10, tools=20, synced_at=time.time())
    ids = [f"{number:032x}" for number in range(1, ACCOUNTS + 1)]
    return Simulator(dict.fromkeys(ids, one), latency=LATENCY, quota=None)


@pytest.mark.parametrize(
    "way", [pytest.param(ALL_AT_ONCE, id="metrics"), pytest.param(ONE_BY_ONE, id="probe")]
)
def test_every_account_is_listed_in_every_interval(
    way: str,
    customers: Simulator,
    tmp_path: Path,
    run_exporter: RunExporter,
    run_prometheus: RunPrometheus,
) -> None:
    with customers:
        exporter = run_exporter(f"--config.file={configured(tmp_path, customers)}")
        target = exporter.url.removeprefix("http://")
        text = (CONFIG + way).format(target=target, interval=INTERVAL, timeout=min(INTERVAL, 10))
        prometheus = run_prometheus(text)
        patience = 60 + 4 * INTERVAL
        up = "count(cloudflare_mcp_up == 1)"
        eventually(lambda: asked(prometheus, up) == ACCOUNTS, "all accounts", within=patience)

        before = Used.of(exporter, prometheus, customers)
        window = f"cloudflare_mcp_up[{2 * INTERVAL + 1}s]"
        twice = f"count((count_over_time({window}) >= 2) * (min_over_time({window}) == 1))"
        eventually(
            lambda: (
                time.monotonic() > before.at + 2 * INTERVAL and asked(prometheus, twice) == ACCOUNTS
            ),
            "two intervals without a gap",
            within=patience,
        )
        report(before, Used.of(exporter, prometheus, customers), prometheus)
        assert asked(prometheus, "count(cloudflare_mcp_server_info)") == ACCOUNTS * 20


def configured(folder: Path, customers: Simulator) -> Path:
    """A configuration file with all customers."""
    token = folder / "token"
    token.write_text(customers.token)
    accounts = [
        {"name": f"Customer {number}", "account_id": one, "api_token_file": str(token)}
        for number, one in enumerate(customers.accounts)
    ]
    file = folder / "config.yml"
    file.write_text(json.dumps({"base_url": customers.base_url, "accounts": accounts}))
    return file


def asked(prometheus: Prometheus, expression: str) -> float:
    """The only value of an expression, 0 where there is none."""
    return next((value for _, value in prometheus.query(expression)), 0.0)


class Used(NamedTuple):
    """What was used up to a moment: seconds, MiB, requests."""

    at: float
    exporter_cpu: float
    exporter_memory: float
    prometheus_cpu: float
    prometheus_memory: float
    requests: int

    @classmethod
    def of(cls, exporter: Child, prometheus: Child, customers: Simulator) -> Self:
        """Up to now."""
        now = time.monotonic()
        ours, theirs = _used(exporter.process.pid), _used(prometheus.process.pid)
        return cls(now, *ours, *theirs, len(customers.requests))


def _used(pid: int) -> tuple[float, float]:
    """CPU seconds so far, and MiB resident at most."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])  # utime and stime, see proc(5)
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return ticks / os.sysconf("SC_CLK_TCK"), int(peak) / 1024


def report(before: Used, after: Used, prometheus: Prometheus) -> None:
    """Say what it took, for whoever reads along (``pytest -s``)."""
    seconds = after.at - before.at
    figures = {
        "accounts": ACCOUNTS,
        "interval, seconds": INTERVAL,
        "requests to the API a second": (after.requests - before.requests) / seconds,
        "seconds a scrape, mean": asked(prometheus, "avg(scrape_duration_seconds)"),
        "seconds a scrape, longest": asked(
            prometheus, f"max(max_over_time(scrape_duration_seconds[{2 * INTERVAL}s]))"
        ),
        "series": asked(prometheus, "sum(scrape_samples_scraped)"),
        "exporter, share of a core": (after.exporter_cpu - before.exporter_cpu) / seconds,
        "exporter, MiB at most": after.exporter_memory,
        "Prometheus, share of a core": (after.prometheus_cpu - before.prometheus_cpu) / seconds,
        "Prometheus, MiB at most": after.prometheus_memory,
    }
    sys.stdout.write("".join(f"{what}: {value:.5g}\n" for what, value in figures.items()))
