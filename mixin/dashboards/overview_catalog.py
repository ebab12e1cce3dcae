"""The overview's catalog changes: tools gained and lost, overrides that fit nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.metrics import catalog as c
from mixin.dashboards import states
from mixin.dashboards.document import Row
from mixin.dashboards.panels import LINES, Look, Text, graph, grid, query, steps
from mixin.dashboards.promql import (
    ATTACHMENT,
    PORTAL,
    SERVER,
    account_named,
    in_portals,
    one,
    portal_named,
    server_named,
)
from mixin.dashboards.tables import Column, columns, link
from mixin.thresholds import SERVER_UID

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import table, timeseries

    from mixin.thresholds import Thresholds

THEN = "offset $__range"


def row(thresholds: Thresholds) -> Row:
    """Changes over the range, the count of tools, and orphaned overrides."""
    return Row("Catalog", (_changes(thresholds), _orphaned(thresholds), _tools()))


def changed() -> str:
    """Tools gained (above 0) or lost (below 0) since the range began, by server, with its name.

    Only accounts that are listed now and were then: otherwise all of their servers would look
    new, or gone.
    """
    now, before = one(c.SERVER_TOOLS), one(c.SERVER_TOOLS, at=THEN)
    gained = f"({now} unless on ({SERVER}) {before})"
    lost = f"(0 - ({before} unless on ({SERVER}) {now}))"
    moved = f"(({now} - {before}) or {gained} or {lost}) != 0"
    listed = f"({one(c.UP)} == 1 and on (account_id) {one(c.UP, at=THEN)} == 1)"
    return server_named(f"({moved}) and on (account_id) {listed}", over="[$__range]")


def _changes(thresholds: Thresholds) -> table.Panel:
    detail = link(thresholds, SERVER_UID, account="account_id", server="Server ID")
    panel = grid(
        Text(
            "Tools gained and lost",
            "Servers that offer more or fewer tools than when the time range began; a server that "
            "is new, or gone, counts with all of its tools. Red: users lost tools; ask the "
            "server's owner whether that was meant, and look for overrides that fit nothing.",
            "No change since the range began, or its beginning is not known",
        ),
        Look(width=12),
        [query(account_named(changed()), ref="A", as_table=True)],
    )
    return columns(
        panel,
        Column("server_name", "Server", link=("Open the server", detail)),
        Column(
            "Value #A",
            "Tools",
            steps=steps((0, states.GOOD), base=states.BAD),
            colored=True,
            width=100,
        ),
        Column("account_name", "Account"),
        Column("server_id", "Server ID"),
        Column("account_id", "account_id", hidden=True),
    )


def _orphaned(thresholds: Thresholds) -> table.Panel:
    orphaned = f"{one(c.PORTAL_SERVER_ORPHANED, by=('kind',))} > 0"
    named = portal_named(
        server_named(f"{orphaned} and on ({ATTACHMENT}) {one(c.PORTAL_SERVER_INFO)}")
    )
    detail = link(
        thresholds, SERVER_UID, account="account_id", portal="portal_id", server="Server ID"
    )
    panel = grid(
        Text(
            "Orphaned overrides",
            "Overrides of a portal that name a tool or prompt that the server does not offer any "
            "more. What was renamed upstream is now shown, or hidden, by the portal's default: "
            "fix or delete the override in the portal's settings.",
            "No orphaned overrides",
        ),
        Look(width=12),
        [query(account_named(named), ref="A", as_table=True)],
    )
    return columns(
        panel,
        Column("server_name", "Server", link=("Open the server", detail)),
        Column("portal_name", "Portal"),
        Column("kind", "Kind", width=90),
        Column("Value #A", "Overrides", steps=steps((1, states.STALE)), colored=True, width=110),
        Column("account_name", "Account"),
        Column("server_id", "Server ID"),
        Column("account_id", "account_id", hidden=True),
        Column("portal_id", "portal_id", hidden=True),
    )


def _tools() -> timeseries.Panel:
    offered = f"sum({in_portals(one(c.SERVER_TOOLS))})"
    prompts = f"sum({in_portals(one(c.SERVER_PROMPTS))})"
    exposed = f"sum by ({PORTAL}) ({one(c.PORTAL_SERVER_EXPOSED_TOOLS)})"
    before = one(c.PORTAL_SERVER_EXPOSED_TOOLS, at="[$__range] @ end()")
    largest = f"topk({LINES}, sum by ({PORTAL}) ({before}))"
    shown = f"{portal_named(exposed)} and on ({PORTAL}) {largest}"
    return graph(
        Text(
            "Tools over time",
            "Tools and prompts that the chosen servers offer, and the tools that each portal shows "
            f"its users, for the {LINES} portals that show the most. A sudden fall means that "
            "users lost tools: look at the tables above.",
        ),
        Look(unit="short"),
        [
            query(offered, "tools offered", ref="A"),
            query(prompts, "prompts offered", ref="B"),
            query(shown, "tools shown by {{portal_name}}", ref="C"),
        ],
    )
