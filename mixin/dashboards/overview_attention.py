"""The overview's tables of what needs somebody: servers, portals, and what is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders.common import TableSortByFieldState

from exporter.metrics import catalog as c
from mixin.dashboards import health, states
from mixin.dashboards.document import Row
from mixin.dashboards.panels import STEPS, Look, Text, grid, query
from mixin.dashboards.promql import (
    SERVER,
    account_named,
    attached,
    last_seen,
    one,
    portal_named,
    server_named,
    with_portals,
)
from mixin.dashboards.tables import Column, columns, grouped, link, runbook, value_of
from mixin.thresholds import OVERVIEW_UID, SERVER_UID

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import table

    from mixin.thresholds import Thresholds


def row(thresholds: Thresholds) -> Row:
    """Four tables."""
    panels = (
        _servers(thresholds),
        _portals(thresholds),
        _portals_gone(thresholds),
        _servers_gone(thresholds),
    )
    return Row("What needs attention", panels, collapsed=False)


def _why(thresholds: Thresholds, field: str, of: tuple[states.State, ...], width: int) -> Column:
    return Column(
        field,
        "Why",
        mappings=states.mappings(*of),
        colored=True,
        width=width,
        link=runbook(thresholds, value_of("alert")),
    )


def _servers(thresholds: Thresholds) -> table.Panel:
    named = account_named(server_named(health.trouble_with_alert(thresholds)))
    found = with_portals(named, "account_name", "server_name", "alert")
    # A row that only these queries gave would have no reason.
    troubled = f"and on ({SERVER}) {attached(health.trouble(thresholds))}"
    began = 'ALERTS_FOR_STATE{alertname=~"CloudflareMCPServer.*", account_id=~"$account"}'
    alerting = f"1000 * min by ({SERVER}) ({began}) {troubled}"
    successful = f"1000 * {one(c.SERVER_LAST_SUCCESSFUL_SYNC)} {troubled}"
    detail = link(thresholds, SERVER_UID, account="account_id", server="Server ID")
    panel = grid(
        Text(
            "Servers that need attention",
            "One row for each server that is not well, the most urgent kind first. Why: a click "
            "opens the runbook. Alert since: when its alert began to count, where the shipped "
            "rules are loaded. A click on the server's name opens its history. A server in no "
            "portal is left out: nobody loses it.",
            "No server needs attention",
        ),
        Look(height=9),
        [
            query(found, ref="A", as_table=True),
            query(alerting, ref="B", as_table=True),
            query(successful, ref="C", as_table=True),
        ],
    )
    return grouped(
        panel.sort_by([TableSortByFieldState().display_name("Why").desc(True)]),
        ("account_id", "account_name", "server_id", "server_name", "alert"),
        "portal_name",
        _why(thresholds, "Value #A", states.HEALTH, 210),
        Column("server_name", "Server", link=("Open the server", detail)),
        Column("portal_name", "Portals that lose it"),
        Column("Value #B", "Alert since", unit="dateTimeFromNow", missing="no alert", width=160),
        Column(
            "Value #C", "Last successful sync", unit="dateTimeFromNow", missing="never", width=180
        ),
        Column("account_name", "Account"),
        Column("server_id", "Server ID"),
        Column("account_id", "account_id", hidden=True),
        Column("alert", "alert", hidden=True),
    )


def _portals(thresholds: Thresholds) -> table.Panel:
    this = link(thresholds, OVERVIEW_UID, account="account_id", portal="portal_id")
    found = account_named(portal_named(health.portal_trouble_with_alert()))
    panel = grid(
        Text(
            "Portals that need attention",
            "Portals whose users have nothing. Red: every server fails or waits, and at least one "
            "fails. Orange: no server is attached, or the servers' tools are all hidden by the "
            "portal's own settings, or none was ever synced. Why: a click opens the runbook.",
            "No portal needs attention",
        ),
        Look(width=8, height=7),
        [query(found, ref="A", as_table=True)],
    )
    return columns(
        panel.sort_by([TableSortByFieldState().display_name("Why").desc(True)]),
        _why(thresholds, "Value #A", states.PORTAL_TROUBLE, 150),
        Column("portal_name", "Portal", link=("Only this portal", this)),
        Column("account_name", "Account"),
        Column("portal_id", "portal_id", hidden=True),
        Column("account_id", "account_id", hidden=True),
        Column("alert", "alert", hidden=True),
    )


def _gone(text: Text, expr: str, *shown: Column) -> table.Panel:
    panel = grid(
        text,
        Look(width=8, height=7),
        [query(f"1000 * ({account_named(expr)})", ref="A", as_table=True)],
    )
    return columns(
        panel.max_data_points(STEPS).sort_by(
            [TableSortByFieldState().display_name("Last seen").desc(True)]
        ),
        *shown,
        Column("Value #A", "Last seen", unit="dateTimeFromNow", width=150),
        Column("account_name", "Account"),
        Column("account_id", "account_id", hidden=True),
    )


def _portals_gone(thresholds: Thresholds) -> table.Panel:
    return _gone(
        Text(
            "Portals gone",
            "Portals that were there within the time range and are not listed now, although the "
            "account is. Their users lost everything: ask who deleted them, and whether that was "
            "meant. A click opens the runbook.",
            "No portal is gone",
        ),
        last_seen(c.PORTAL_INFO, "portal_name"),
        Column("portal_name", "Portal", link=runbook(thresholds, "PortalDisappeared")),
        Column("portal_id", "portal_id", hidden=True),
    )


def _servers_gone(thresholds: Thresholds) -> table.Panel:
    detail = link(thresholds, SERVER_UID, account="account_id", server="server_id")
    return _gone(
        Text(
            "Servers gone",
            "Servers that were there within the time range and are not listed now, although the "
            "account is. Their users lost the tools: ask who deleted or detached them, and "
            "whether that was meant. A click opens the server's history.",
            "No server is gone",
        ),
        last_seen(c.SERVER_INFO, "server_name"),
        Column("server_name", "Server", link=("Open the server", detail)),
        Column("server_id", "server_id", hidden=True),
    )
