"""The overview's timelines: states, error classes, staleness, and the mix of kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.metrics import catalog as c
from mixin.dashboards import health, states
from mixin.dashboards.document import Row
from mixin.dashboards.panels import LINES, STEPS, Look, Text, graph, history, query, steps
from mixin.dashboards.promql import SERVER, in_portals, longest, one, server_named

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import statetimeline, timeseries

    from mixin.thresholds import Thresholds

NAME = "{{server_name}} ({{server_id}})"


def rows(thresholds: Thresholds) -> tuple[Row, ...]:
    """Timelines, staleness, kinds."""
    return (
        Row("Over time", (_failures(), _staleness(thresholds))),
        Row("Kinds", (_auth_types(), _by_status())),
    )


def _failures() -> statetimeline.Panel:
    named = server_named(in_portals(health.failure()))
    shown = longest(named, among=health.FAILING, by=SERVER, most=LINES)
    return history(
        Text(
            "Servers that failed",
            f"How they failed, and when; nothing while they worked. The {LINES} that failed for "
            "the longest: choose portals to see others. Purple: an administrator must log in "
            "again. Dark red: look at the server's host, DNS and firewall. Yellow: wait for the "
            "next sync. Red: see the codes in the server's detail.",
            "No server failed",
        ),
        Look(mappings=states.mappings(*states.FAILURES), height=10),
        [query(shown, NAME)],
    ).max_data_points(STEPS)


def _staleness(thresholds: Thresholds) -> timeseries.Panel:
    stalest = f"topk({LINES}, {health.synced(at='@ end()')})"
    shown = f"{server_named(in_portals(health.synced()))} and on ({SERVER}) {stalest}"
    return graph(
        Text(
            "Time since the last successful sync",
            f"The {LINES} servers for which it is longest at the end; a sync in the background "
            "runs about every two hours. The line is the alert's threshold: a server above it has "
            "missed several. Servers with manual OAuth are never synced and left out.",
            "No server is synced",
        ),
        Look(unit="s", steps=steps((thresholds.sync_stale_seconds, states.STALE)), height=9),
        [query(shown, NAME)],
        line_at_threshold=True,
    ).max_data_points(STEPS)


def _auth_types() -> timeseries.Panel:
    by_type = f"sum by (auth_type) ({one(c.SERVERS, by=('auth_type',))})"
    return graph(
        Text(
            "Servers by authentication type",
            "Distinct servers of the chosen accounts, whichever portals are chosen. A rise of "
            "unauthenticated is a decision that somebody should have taken on purpose.",
        ),
        Look(unit="short", width=12),
        [query(by_type, "{{auth_type}}")],
    )


def _by_status() -> timeseries.Panel:
    by_status = f"sum by (status) ({in_portals(one(c.SERVER_STATUS, by=('status',)))})"
    panel = graph(
        Text(
            "Servers by status",
            "Distinct servers by the status that the API reports, in the colors of the timeline. "
            "When error or stale rises, the table of servers that need attention names them.",
        ),
        Look(unit="short", width=12),
        [query(by_status, "{{status}}")],
    )
    for state in states.STATUS:
        panel.override_by_name(state.label, [states.fixed_color(state.color)])
    return panel
