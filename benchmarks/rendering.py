"""Microseconds a sample of making the text, against prometheus_client over the same samples.

Run in a process of its own, since the samples of prometheus_client take a gigabyte.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from prometheus_client.exposition import generate_latest as text_of
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_of
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import CollectorRegistry

from benchmarks.comparing import sample_count
from benchmarks.processes import ROOT
from exporter.cloudflare.decode import decode_portals
from exporter.cloudflare.merge import build
from exporter.metrics.exposition import render
from exporter.metrics.families import families
from exporter.metrics.formats import Format
from exporter.model import Inventory
from exporter.scrape_result import ListingResult
from exporter.simulator.api import Api
from exporter.simulator.messages import DEMO_TOKEN, Request
from exporter.simulator.uniform_account import uniform_account

ACCOUNT = "0" * 32
SERVERS = 50
NOW = 1_767_229_200.0
NOTHING = ()


class _Ready:
    """Families of prometheus_client that are there already."""

    def __init__(self, text: str) -> None:
        self._families = list(text_string_to_metric_families(text))

    def collect(self) -> list[Any]:
        return self._families


def measure(portals: int, rounds: int) -> dict[str, Any]:
    """The figures, measured in a child process."""
    command = [sys.executable, "-m", "benchmarks.rendering", str(portals), str(rounds)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _inventory(portals: int) -> Inventory:
    api = Api({ACCOUNT: uniform_account(portals=portals, servers=SERVERS, tools=5)}, quota=None)
    headers = {"user-agent": "benchmark", "authorization": f"Bearer {DEMO_TOKEN}"}
    path = f"/client/v4/accounts/{ACCOUNT}/access/ai-controls/mcp/portals"
    pages = range(1, -(-portals // 100) + 1)
    asked = (
        Request("GET", path, {"page": str(page), "per_page": "100"}, headers) for page in pages
    )
    return build(decode_portals(api.answer(request, NOW).body) for request in asked)


def _main(portals: int, rounds: int) -> None:
    scrape = ListingResult(ACCOUNT, ACCOUNT, 1.0, NOW, inventory=_inventory(portals))

    def ours(form: Format) -> Callable[[], object]:
        # Each piece is let go, as where it is compressed and sent.
        return lambda: deque(render(families([scrape], NOW), NOTHING, form), maxlen=0)

    text = b"".join(render(families([scrape], NOW), NOTHING, Format.TEXT))
    registry = CollectorRegistry()
    registry.register(_Ready(text.decode()))
    makers: dict[str, Callable[[], object]] = {
        "ours, text": ours(Format.TEXT),
        "ours, OpenMetrics": ours(Format.OPENMETRICS),
        "prometheus_client, text": lambda: text_of(registry),
        "prometheus_client, OpenMetrics": lambda: openmetrics_of(registry),  # type: ignore[no-untyped-call]
    }
    count = sample_count(text)
    took: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(rounds):
        for name, make in makers.items():
            begin = time.process_time()
            make()
            took[name].append((time.process_time() - begin) / count * 1e6)
    figures = {name: statistics.median(each) for name, each in took.items()}
    same = text == text_of(registry)
    sys.stdout.write(json.dumps({"samples": count, "microseconds": figures, "same": same}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("portals", type=int)
    parser.add_argument("rounds", type=int)
    options = parser.parse_args()
    _main(options.portals, options.rounds)
