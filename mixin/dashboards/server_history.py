"""A server's past: states, errors with their codes, syncs tried and done, its catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.metrics import catalog as c
from mixin.dashboards import health, states
from mixin.dashboards.document import Row
from mixin.dashboards.panels import Look, Text, graph, grid, history, query, steps
from mixin.dashboards.promql import SERVER, in_portals, key, one, select, server_named
from mixin.dashboards.tables import Column, columns

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import statetimeline, table, timeseries

    from mixin.thresholds import Thresholds

CODES = ("is_upstream", "retryable", "status_code", "mcp_code")


def rows(thresholds: Thresholds) -> tuple[Row, ...]:
    """Timelines, errors, syncs, catalog."""
    return (
        Row("History", (_timeline(thresholds),), collapsed=False),
        Row("Errors", (_errors(), _changes(thresholds))),
        Row("Syncs", (_syncs(thresholds), _attempts())),
        Row("Catalog", (_catalog(),)),
    )


def _timeline(thresholds: Thresholds) -> statetimeline.Panel:
    shown = (
        ("health", health.health(thresholds)),
        ("status", health.reported_status()),
        ("authentication", health.reported_authentication()),
        ("error class", health.error_class()),
    )
    return history(
        Text(
            "States",
            "The four states above over time. Whatever turned red or purple first is where to "
            "look: a lapsed authentication comes before the failing syncs that follow it.",
            "Not listed in this time range",
        ),
        Look(mappings=states.mappings(*states.SERVER_STATES), height=9),
        [
            query(server_named(in_portals(expr)), f"{{{{server_name}}}}: {name}", ref=ref)
            for ref, (name, expr) in zip("ABCD", shown, strict=True)
        ],
    )


def _errors() -> table.Panel:
    present = one(c.SERVER_ERROR_INFO, by=CODES)
    seen = one(c.SERVER_ERROR_INFO, by=CODES, at="[$__range]")
    expr = server_named(in_portals(f"{present} or 0 * {seen}"))
    panel = grid(
        Text(
            "Errors in this time range",
            "Each kind of error that was seen, with the HTTP status of the server and the code of "
            "the MCP answer. 401 and 403: log in again or ask for the permission; 404: the address "
            "changed; 5xx: the server's owner must act.",
            "No error with details",
        ),
        Look(width=14),
        [query(expr, ref="A", as_table=True)],
    )
    now = states.flag("now", "earlier", yes_color=states.BAD)
    return columns(
        panel,
        Column("Value #A", "Seen", mappings=now, colored=True, width=90),
        Column("server_name", "Server"),
        Column("is_upstream", "Server answered", width=140),
        Column("retryable", "Retryable", width=110),
        Column("status_code", "HTTP status", width=110),
        Column("mcp_code", "MCP code", width=110),
    )


def _changes(thresholds: Thresholds) -> timeseries.Panel:
    window = thresholds.flapping_window
    changes = f"max by ({SERVER}) (changes({select(c.SERVER_ERROR)}[{window}]))"
    return graph(
        Text(
            "Changes between working and in error",
            f"How often the error came or went within {window}. Above the line the server flaps: "
            "look at its load, its restarts, and at limits in front of it.",
        ),
        Look(
            unit="short",
            steps=steps((thresholds.flapping_changes, states.BAD)),
            width=10,
        ),
        [query(server_named(in_portals(changes)), "{{server_name}}")],
        line_at_threshold=True,
    )


def _syncs(thresholds: Thresholds) -> timeseries.Panel:
    attempt = f"time() - {one(c.SERVER_LAST_SYNC)}"
    success = f"time() - {one(c.SERVER_LAST_SUCCESSFUL_SYNC)}"
    return graph(
        Text(
            "Time since the last sync attempt and success",
            "Both fall together while all is well. Attempts that fall while the success climbs "
            "fail: see the errors. Both climbing: the product does not try, as with manual OAuth. "
            "The line is the alert's threshold for the success.",
            "Never synced",
        ),
        Look(unit="s", steps=steps((thresholds.sync_stale_seconds, states.STALE)), width=14),
        [
            query(server_named(in_portals(attempt)), "{{server_name}}: attempt", ref="A"),
            query(server_named(in_portals(success)), "{{server_name}}: success", ref="B"),
        ],
        line_at_threshold=True,
    )


def _attempts() -> timeseries.Panel:
    def seen(metric: c.Metric) -> str:
        times = f"max by ({key(metric)}) (changes({select(metric)}[$__rate_interval]))"
        return server_named(in_portals(times))

    return graph(
        Text(
            "Syncs seen",
            "Attempts and successes as they were seen; two between two scrapes count as one. "
            "Attempts without successes beside them failed: see the errors.",
            "Never synced",
        ),
        Look(unit="short", width=10),
        [
            query(seen(c.SERVER_LAST_SYNC), "{{server_name}}: attempts", ref="A"),
            query(seen(c.SERVER_LAST_SUCCESSFUL_SYNC), "{{server_name}}: successes", ref="B"),
        ],
    )


def _catalog() -> timeseries.Panel:
    tools, prompts = one(c.SERVER_TOOLS), one(c.SERVER_PROMPTS)
    return graph(
        Text(
            "Tools and prompts offered",
            "The size of the server's catalog. A fall means that users lost tools: ask the "
            "server's owner whether it was meant, and look for orphaned overrides below.",
            "Never synced",
        ),
        Look(unit="short"),
        [
            query(server_named(in_portals(tools)), "{{server_name}}: tools", ref="A"),
            query(server_named(in_portals(prompts)), "{{server_name}}: prompts", ref="B"),
        ],
    )
