"""A server's present: what is wrong, what the API says, and what the server is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.metrics import catalog as c
from mixin.dashboards import health, states
from mixin.dashboards.document import Row
from mixin.dashboards.panels import PLAIN, Look, Text, grid, number, query, steps
from mixin.dashboards.promql import account_named, in_portals, one, server_named
from mixin.dashboards.tables import Column, columns

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, table

    from mixin.thresholds import Thresholds

NAME = "{{server_name}}"


def row(thresholds: Thresholds) -> Row:
    """States, numbers, identity."""
    return Row("Now", (*_states(thresholds), *_numbers(thresholds), _identity()), collapsed=False)


def _state(
    title: str, description: str, expr: str, of: tuple[states.State, ...], empty: str
) -> stat.Panel:
    look = Look(mappings=states.mappings(*of), width=6, height=4)
    return number(
        Text(title, description, empty), look, server_named(in_portals(expr)), legend=NAME
    )


def _states(thresholds: Thresholds) -> tuple[stat.Panel, ...]:
    return (
        _state(
            "Health",
            "What is wrong, as the alerts see it. Purple: an administrator must log in again; dark "
            "red: look at the host, DNS and firewall of the server; red: look at the error below; "
            "orange: start a sync in the product's dashboard.",
            health.health(thresholds),
            states.HEALTH,
            "Not listed now",
        ),
        _state(
            "Status",
            "The status that the API reports: how the last sync of the catalog went. Red or "
            "purple: read the text of the error in the product's dashboard.",
            health.reported_status(),
            states.STATUS,
            "Not reported",
        ),
        _state(
            "Authentication",
            "The authentication status that the API reports. Purple: the stored authorization "
            "cannot be renewed; an administrator must log in again. Manual: never synced in the "
            "background.",
            health.reported_authentication(),
            states.AUTHENTICATION,
            "Not reported",
        ),
        _state(
            "Error class",
            "Dark red: the server could not be reached. Yellow: its own answer, called transient. "
            "Red: its own answer, and a retry will not help; see the codes below.",
            health.error_class(),
            states.ERROR_CLASSES,
            "Not listed now",
        ),
    )


def _numbers(thresholds: Thresholds) -> tuple[stat.Panel, ...]:
    stale = steps((thresholds.sync_stale_seconds, states.STALE))
    successful = f"1000 * {one(c.SERVER_LAST_SUCCESSFUL_SYNC)}"
    return (
        _number(
            "Staleness",
            "Time since the last successful sync, or since the server was created. Orange: longer "
            "than the alert allows. A server with manual OAuth is never synced: not an alert.",
            one(c.SERVER_STALENESS),
            Look(unit="s", steps=stale, width=6, height=4),
            "Not known",
        ),
        _number(
            "Last successful sync",
            "When the catalog was last read with success. If that is long ago, compare it with "
            "the attempts below: without attempts the product does not try.",
            successful,
            Look(unit="dateTimeFromNow", steps=PLAIN, width=6, height=4),
            "Never",
        ),
        _number(
            "Tools",
            "Tools that the server offers. Red: it offers none, so its users have nothing; it was "
            "never synced, or its owner took them away.",
            one(c.SERVER_TOOLS),
            Look(
                unit="short",
                steps=steps((1, states.NEUTRAL), base=states.BAD),
                width=6,
                height=4,
            ),
            "Never synced",
        ),
        _number(
            "Portals",
            "Portals that the server is attached to: all of their users lose it when it fails.",
            one(c.SERVER_PORTALS),
            Look(unit="short", steps=PLAIN, width=6, height=4),
            "Not listed now",
        ),
    )


def _number(title: str, description: str, expr: str, look: Look, empty: str) -> stat.Panel:
    return number(
        Text(title, description, empty), look, server_named(in_portals(expr)), legend=NAME
    )


def _identity() -> table.Panel:
    info = account_named(server_named(in_portals(one(c.SERVER_INFO)), "hostname", "auth_type"))
    values = (
        info,
        one(c.SERVER_GATEWAY),
        one(c.SERVER_SHARED_CALLBACK),
        f"1000 * {one(c.SERVER_CREATED)}",
        f"1000 * {one(c.SERVER_MODIFIED)}",
    )
    panel = grid(
        Text(
            "Identity",
            "Who and where the server is; names for a ticket to its owner. Orange: its traffic "
            "goes around the secure web gateway; turn that on in the server's settings.",
            "No such server is listed now",
        ),
        Look(height=5),
        [
            query(in_portals(expr), ref=ref, as_table=True)
            for ref, expr in zip("ABCDE", values, strict=True)
        ],
    )
    unknown = "not reported"
    return columns(
        panel,
        Column("server_name", "Server"),
        Column("server_id", "Server ID"),
        Column("hostname", "Address"),
        Column("auth_type", "Authentication"),
        Column(
            "Value #B",
            "Gateway",
            mappings=states.flag("inside", "outside", yes_color=states.GOOD, no_color=states.STALE),
            colored=True,
            missing=unknown,
        ),
        Column(
            "Value #C",
            "Shared OAuth callback",
            mappings=states.flag("yes", "no"),
            missing=unknown,
        ),
        Column("Value #D", "Created", unit="dateTimeAsIso", missing=unknown),
        Column("Value #E", "Modified", unit="dateTimeAsIso", missing=unknown),
        Column("account_name", "Account"),
    )
