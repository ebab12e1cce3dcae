"""A server in its portals: what each shows of it, and how its overrides fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.metrics import catalog as c
from mixin.dashboards import states
from mixin.dashboards.document import Row
from mixin.dashboards.panels import Look, Text, graph, grid, query, steps
from mixin.dashboards.promql import ATTACHMENT, one, portal_named, server_named
from mixin.dashboards.tables import Column, columns, link
from mixin.thresholds import OVERVIEW_UID

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import table, timeseries

    from mixin.thresholds import Thresholds


def row(thresholds: Thresholds) -> Row:
    """The portals, and what they showed over time."""
    return Row("Portals", (_portals(thresholds), _shown()))


def _named(expr: str) -> str:
    return portal_named(server_named(expr))


def _portals(thresholds: Thresholds) -> table.Panel:
    orphaned = f"sum by ({ATTACHMENT}) ({one(c.PORTAL_SERVER_ORPHANED, by=('kind',))})"
    values = (
        _named(one(c.PORTAL_SERVER_INFO)),
        one(c.PORTAL_SERVER_EXPOSED_TOOLS),
        one(c.PORTAL_SERVER_EXPOSED_PROMPTS),
        orphaned,
        one(c.PORTAL_SERVER_DEFAULT_DISABLED),
        one(c.PORTAL_SERVER_ON_BEHALF),
    )
    panel = grid(
        Text(
            "Portals of this server",
            "What each portal shows its users of this server. No tools shown in red: the portal's "
            "overrides hide them all. Orphaned overrides in orange name what the server does not "
            "offer any more: fix or delete them in the portal's settings.",
            "In no portal",
        ),
        Look(),
        [query(expr, ref=ref, as_table=True) for ref, expr in zip("ABCDEF", values, strict=True)],
    )
    unknown = "not reported"
    overview = link(thresholds, OVERVIEW_UID, account="account_id", portal="Portal ID")
    return columns(
        panel,
        Column("portal_name", "Portal", link=("Open the portal", overview)),
        Column("server_name", "Server"),
        Column(
            "Value #B",
            "Tools shown",
            steps=steps((1, states.NEUTRAL), base=states.BAD),
            colored=True,
            missing="never synced",
        ),
        Column("Value #C", "Prompts shown", missing="never synced"),
        Column(
            "Value #D",
            "Orphaned overrides",
            steps=steps((1, states.STALE), base=states.NEUTRAL),
            colored=True,
            missing="never synced",
        ),
        Column("Value #E", "By default", mappings=states.flag("hidden", "shown"), missing=unknown),
        Column(
            "Value #F",
            "Users log in themselves",
            mappings=states.flag("yes", "no"),
            missing=unknown,
        ),
        Column("portal_id", "Portal ID"),
        Column("account_id", "account_id", hidden=True),
    )


def _shown() -> timeseries.Panel:
    tools = _named(one(c.PORTAL_SERVER_EXPOSED_TOOLS))
    orphaned = _named(f"sum by ({ATTACHMENT}) ({one(c.PORTAL_SERVER_ORPHANED, by=('kind',))})")
    return graph(
        Text(
            "Tools shown and orphaned overrides",
            "When the tools shown fall and the orphaned overrides rise at the same time, the "
            "server renamed or dropped tools: fix the overrides of that portal.",
            "Never synced",
        ),
        Look(unit="short"),
        [
            query(tools, "{{server_name}} in {{portal_name}}: tools", ref="A"),
            query(orphaned, "{{server_name}} in {{portal_name}}: orphaned overrides", ref="B"),
        ],
    )
