"""The overview's first screen: counts, the servers that need somebody, the portals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders.common import TableSortByFieldState

from exporter.metrics import catalog as c
from mixin.dashboards import health, states
from mixin.dashboards.document import Row
from mixin.dashboards.panels import PLAIN, Look, Text, grid, number, query, steps
from mixin.dashboards.promql import (
    PORTAL,
    SERVER,
    account_named,
    attached,
    count,
    in_portals,
    one,
    portal_named,
    server_named,
    with_portals,
)
from mixin.dashboards.tables import Column, columns, grouped, link
from mixin.thresholds import OVERVIEW_UID, SERVER_UID

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, table

    from mixin.thresholds import Thresholds


def rows(thresholds: Thresholds) -> tuple[Row, ...]:
    """Counts, then the two tables."""
    return (
        Row("Now", (*_accounts(), *_servers(thresholds))),
        Row("What needs attention", (_attention(thresholds),)),
        Row("Portals", (_portals(thresholds),)),
    )


def _look(*above: tuple[float, str], unit: str = "short") -> Look:
    return Look(unit=unit, steps=steps(*above) if above else PLAIN, width=3, height=4)


def _accounts() -> tuple[stat.Panel, ...]:
    return (
        number(
            Text(
                "Accounts not listed",
                "Accounts that no exporter can list now. While it is red, nothing on this page is "
                "known about them: open the exporter dashboard and look at the failures by reason.",
                "No exporter is scraped",
            ),
            _look((1, states.BAD)),
            f"sum(1 - {one(c.UP)})",
        ),
        number(
            Text(
                "Portals",
                "Portals of the chosen accounts. It has no limit; a fall that nobody planned shows "
                "up as an alert too.",
            ),
            _look(),
            count(one(c.PORTAL_INFO)),
        ),
        number(
            Text("Servers", "Distinct servers of the chosen portals; one in three portals is one."),
            _look(),
            count(in_portals(one(c.SERVER_INFO))),
        ),
    )


def _servers(thresholds: Thresholds) -> tuple[stat.Panel, ...]:
    stale_after = thresholds.sync_stale_seconds
    return (
        number(
            Text(
                "Failing",
                "Servers in portals that are in error, or whose authorization has lapsed: their "
                "users lose the tools. When it is red, find them in the table below and follow the "
                "link.",
            ),
            _look((1, states.BAD)),
            count(attached(health.FAILING)),
        ),
        number(
            Text(
                "Retryable upstream failures",
                "Failing servers whose own answer was an error that the API calls transient. Wait "
                "for the next sync, about two hours; if it lasts, ask the server's owner.",
            ),
            _look((1, states.TRANSIENT)),
            count(attached(health.RETRYABLE)),
        ),
        number(
            Text(
                "Waiting for first login",
                "Servers that nobody has authorized yet; they offer no tools. An administrator, or "
                "with manual OAuth a user, must log in to them.",
            ),
            _look((1, states.WAITING)),
            count(attached(health.WAITING)),
        ),
        number(
            Text(
                "Stale",
                "Servers that report no trouble but had no successful sync for longer than the "
                "alert allows. Start a sync in the product's dashboard and see what it says.",
            ),
            _look((1, states.STALE)),
            count(attached(health.stale(thresholds))),
        ),
        number(
            Text(
                "Worst staleness",
                "Longest time since a successful sync, servers with manual OAuth left out: these "
                "are never synced. It turns orange where the alert begins.",
                "No server is synced",
            ),
            _look((stale_after, states.STALE), unit="s"),
            f"max({attached(health.SYNCED)})",
        ),
    )


def _attention(thresholds: Thresholds) -> table.Panel:
    trouble = health.trouble(thresholds)

    def by_portal(expr: str) -> str:
        named = account_named(server_named(expr))
        return with_portals(named, "account_name", "server_name")

    troubled = f"and on ({SERVER}) ({trouble})"
    successful = f"{one(c.SERVER_LAST_SUCCESSFUL_SYNC)} {troubled}"
    began = 'ALERTS_FOR_STATE{alertname=~"CloudflareMCPServer.*", account_id=~"$account"}'
    alerting = f"min by ({SERVER}) ({began}) {troubled}"
    detail = link(SERVER_UID, account="account_id", server="Server ID")
    panel = grid(
        Text(
            "Servers that need attention",
            "One row for each server that is not well, the most urgent kind first. Alert since: "
            "when its alert began to count, where the shipped rules are loaded. Follow the "
            "server's name to its history; the runbook of the alert says what to do. A server in "
            "no portal is left out: nobody loses it.",
            "No server needs attention",
        ),
        Look(height=9),
        [
            query(by_portal(trouble), ref="A", as_table=True),
            query(f"1000 * ({by_portal(alerting)})", ref="B", as_table=True),
            query(f"1000 * ({by_portal(successful)})", ref="C", as_table=True),
        ],
    )
    return grouped(
        panel.sort_by([TableSortByFieldState().display_name("Why")]),
        ("account_id", "account_name", "server_id", "server_name"),
        "portal_name",
        Column(
            "Value #A", "Why", mappings=states.mappings(*states.HEALTH), colored=True, width=210
        ),
        Column("server_name", "Server", link=("Open the server", detail)),
        Column("portal_name", "Portals that lose it"),
        Column("Value #B", "Alert since", unit="dateTimeFromNow", missing="no alert", width=160),
        Column(
            "Value #C", "Last successful sync", unit="dateTimeFromNow", missing="never", width=180
        ),
        Column("account_name", "Account"),
        Column("server_id", "Server ID"),
        Column("account_id", "account_id", hidden=True),
    )


def _portals(thresholds: Thresholds) -> table.Panel:
    stale_after = thresholds.sync_stale_seconds
    this = link(OVERVIEW_UID, account="account_id", portal="Portal ID")
    servers = f"sum by ({PORTAL}) ({one(c.PORTAL_SERVERS, by=('auth_type',))})"
    exposed = f"sum by ({PORTAL}) ({one(c.PORTAL_SERVER_EXPOSED_TOOLS)})"
    values = (
        account_named(portal_named(servers, "hostname")),
        one(c.PORTAL_SERVERS_WITH_ERROR),
        one(c.PORTAL_SERVERS_RETRYABLE),
        exposed,
        one(c.PORTAL_STALENESS),
    )
    panel = grid(
        Text(
            "Every portal",
            "Each portal with its servers and the tools that its users see. A red count of errors: "
            "open the portal by its name and look at the table above. No tools although there are "
            "servers: its overrides hide them, or none of the servers was ever synced.",
            "No portals",
        ),
        Look(),
        [query(expr, ref=ref, as_table=True) for ref, expr in zip("ABCDE", values, strict=True)],
    )
    return columns(
        panel,
        Column("portal_name", "Portal", link=("Only this portal", this)),
        Column("hostname", "Hostname"),
        Column("Value #A", "Servers", width=100),
        Column("Value #B", "In error", width=100, steps=steps((1, states.BAD)), colored=True),
        Column(
            "Value #C", "Retryable", width=100, steps=steps((1, states.TRANSIENT)), colored=True
        ),
        Column(
            "Value #D",
            "Tools shown",
            width=120,
            steps=steps((1, states.NEUTRAL), base=states.BAD),
            colored=True,
            missing="unknown",
        ),
        Column(
            "Value #E",
            "Worst staleness",
            unit="s",
            width=150,
            steps=steps((stale_after, states.STALE)),
            colored=True,
            missing="unknown",
        ),
        Column("account_name", "Account"),
        Column("portal_id", "Portal ID"),
        Column("account_id", "account_id", hidden=True),
    )
