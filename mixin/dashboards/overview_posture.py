"""The overview's security posture: what is open, and what goes around the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.metrics import catalog as c
from mixin.dashboards import states
from mixin.dashboards.document import Row
from mixin.dashboards.panels import Look, Text, grid, number, query, steps
from mixin.dashboards.promql import (
    SERVER,
    account_named,
    attached,
    count,
    in_portals,
    one,
    server_named,
)
from mixin.dashboards.tables import Column, columns, link
from mixin.thresholds import SERVER_UID

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, table

    from mixin.thresholds import Thresholds

UNAUTHENTICATED = one(c.SERVER_INFO, 'auth_type="unauthenticated"')
OPEN = f"({attached(UNAUTHENTICATED)})"
AROUND = f"({one(c.SERVER_GATEWAY)} == 0)"
LOOK = Look(unit="short", steps=steps((1, states.STALE)), width=6, height=4)


def row(thresholds: Thresholds) -> Row:
    """Four counts, and the servers that they count."""
    return Row("Security posture", (*_counts(), _servers(thresholds)))


def _counts() -> tuple[stat.Panel, ...]:
    return (
        number(
            Text(
                "Unauthenticated servers in portals",
                "Servers that ask for no authentication and are attached to a portal. Whoever "
                "knows the address reaches them; ask the owner to protect them.",
            ),
            LOOK,
            count(OPEN),
        ),
        number(
            Text(
                "Portals that enforce code mode",
                "Their users' clients reach tools only by running code. Check that this was meant.",
            ),
            LOOK,
            count(_enforced()),
        ),
        number(
            Text(
                "Portals outside the gateway",
                "Portals whose traffic does not go through the secure web gateway, so that its "
                "policies and logs do not see it. Turn it on in the portal's settings.",
            ),
            LOOK,
            count(f"{one(c.PORTAL_GATEWAY)} == 0"),
        ),
        number(
            Text(
                "Servers outside the gateway",
                "Servers whose traffic does not go through the secure web gateway. The table "
                "beside names them; turn it on in the server's settings.",
            ),
            LOOK,
            count(in_portals(AROUND)),
        ),
    )


def _enforced() -> str:
    matcher = 'code_mode="enforced"'
    return f"{one(c.PORTAL_CODE_MODE, matcher)} == 1"


def _servers(thresholds: Thresholds) -> table.Panel:
    reported = f"({one(c.SERVER_GATEWAY)} and on ({SERVER}) {OPEN})"
    silent = f"2 * {OPEN}"
    found = in_portals(f"{AROUND} or {reported} or {silent}")
    expr = account_named(server_named(found, "auth_type", "hostname"))
    detail = link(thresholds, SERVER_UID, account="account_id", server="Server ID")
    panel = grid(
        Text(
            "Servers to look at",
            "Servers that ask for no authentication, or whose traffic goes around the secure web "
            "gateway. Nothing here is broken: decide for each whether it is meant.",
            "No such server",
        ),
        Look(),
        [query(expr, ref="A", as_table=True)],
    )
    gateway = (
        states.State(0, "outside", states.STALE),
        states.State(1, "inside", states.GOOD),
        states.State(2, "not reported", states.UNKNOWN),
    )
    return columns(
        panel,
        Column("server_name", "Server", link=("Open the server", detail)),
        Column("auth_type", "Authentication", width=160),
        Column(
            "Value #A",
            "Secure web gateway",
            mappings=states.mappings(*gateway),
            colored=True,
            width=180,
        ),
        Column("hostname", "Address"),
        Column("account_name", "Account"),
        Column("server_id", "Server ID"),
        Column("account_id", "account_id", hidden=True),
    )
