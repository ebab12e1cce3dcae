"""The overview's timelines: states, error classes, staleness, and the mix of kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.metrics import catalog as c
from mixin.dashboards import health, states
from mixin.dashboards.document import Row
from mixin.dashboards.panels import Look, Text, graph, history, query, steps
from mixin.dashboards.promql import in_portals, one, server_named

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import statetimeline, timeseries

    from mixin.thresholds import Thresholds

NAME = "{{server_name}} ({{server_id}})"


def rows(thresholds: Thresholds) -> tuple[Row, ...]:
    """Timelines, staleness, kinds."""
    return (
        Row("Over time", (_statuses(), _errors(), _staleness(thresholds))),
        Row("Kinds", (_auth_types(), _by_status())),
    )


def _statuses() -> statetimeline.Panel:
    return history(
        Text(
            "Status of each server",
            "What the API reports. Red: the last sync failed; purple: the stored authorization "
            "cannot be renewed, so an administrator must log in again; blue: nobody has logged in "
            "yet. Open the server's detail for the error class.",
        ),
        Look(mappings=states.mappings(*states.STATUS), width=12, height=10),
        [query(server_named(in_portals(health.reported_status())), NAME)],
    )


def _errors() -> statetimeline.Panel:
    return history(
        Text(
            "Error class of each server",
            "Dark red: the server could not be reached, so look at its host, DNS and firewall. "
            "Yellow: its own answer, called transient; wait for the next sync. Red: its own "
            "answer, and a retry will not help; look at the codes in the server's detail.",
        ),
        Look(mappings=states.mappings(*states.ERROR_CLASSES), width=12, height=10),
        [query(server_named(in_portals(health.error_class())), NAME)],
    )


def _staleness(thresholds: Thresholds) -> timeseries.Panel:
    return graph(
        Text(
            "Staleness of each server",
            "Time since the last successful sync; a sync in the background runs about every two "
            "hours. The line is the alert's threshold: a server above it has missed several. "
            "Servers with manual OAuth are never synced and left out.",
            "No server is synced",
        ),
        Look(unit="s", steps=steps((thresholds.sync_stale_seconds, states.STALE)), height=9),
        [query(server_named(in_portals(health.SYNCED)), NAME)],
        line_at_threshold=True,
    )


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
