"""The exporters' processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.metrics import catalog as c
from mixin.dashboards import states
from mixin.dashboards.document import Row
from mixin.dashboards.panels import Look, Text, graph, query
from mixin.dashboards.promql import select

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import timeseries

OURS = f"and on (job, instance) {select(c.BUILD_INFO)}"
"""While the job is not narrowed its filter matches the processes of every other job too."""
EMPTY = "No exporter is scraped"


def row() -> Row:
    """CPU, memory, files."""
    return Row("Process", (_cpu(), _memory(), _files()))


def _cpu() -> timeseries.Panel:
    used = f"rate({select('process_cpu_seconds_total')}[$__rate_interval]) {OURS}"
    return graph(
        Text(
            "CPU",
            "Cores in use. It follows the size of the listing and how often it is scraped; near a "
            "limit of its container, scrapes become slow.",
            EMPTY,
        ),
        Look(unit="short", decimals=2, width=8),
        [query(f"max by (instance) ({used})", "{{instance}}")],
    )


def _memory() -> timeseries.Panel:
    used = f"{select('process_resident_memory_bytes')} {OURS}"
    return graph(
        Text(
            "Memory",
            "Resident memory. It follows the largest page of the API; a steady climb over days "
            "would be a leak: restart it and report that.",
            EMPTY,
        ),
        Look(unit="bytes", width=8),
        [query(f"max by (instance) ({used})", "{{instance}}")],
    )


def _files() -> timeseries.Panel:
    used = f"{select('process_open_fds')} {OURS}"
    limit = f"{select('process_max_fds')} {OURS}"
    panel = graph(
        Text(
            "Open files",
            "Files and sockets in use, and the limit of the process. Near the limit new scrapes "
            "are refused: look for clients that keep connections open.",
            EMPTY,
        ),
        Look(unit="short", width=8),
        [
            query(f"max by (instance) ({used})", "{{instance}}", ref="A"),
            query(f"min({limit})", "limit", ref="B"),
        ],
    )
    return panel.override_by_name("limit", states.dashed(states.BAD))
