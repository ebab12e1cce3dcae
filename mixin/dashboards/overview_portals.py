"""The overview's list of every portal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.metrics import catalog as c
from mixin.dashboards import states
from mixin.dashboards.document import Row
from mixin.dashboards.panels import Look, Text, grid, query, steps
from mixin.dashboards.promql import PORTAL, account_named, one, portal_named
from mixin.dashboards.tables import Column, columns, link
from mixin.thresholds import OVERVIEW_UID

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import table

    from mixin.thresholds import Thresholds


def row(thresholds: Thresholds) -> Row:
    """One table."""
    return Row("Portals", (_portals(thresholds),))


def _portals(thresholds: Thresholds) -> table.Panel:
    stale_after = thresholds.sync_stale_seconds
    this = link(thresholds, OVERVIEW_UID, account="account_id", portal="Portal ID")
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
