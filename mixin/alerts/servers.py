"""Alerts on MCP servers: one alert for one broken server, whatever else it breaks.

The kinds of failure exclude each other, the one that a person must act on first: a lapsed
authorization, then unreachable, then any other failure that lasts, then one that was called
retryable for too long. A server that fails in one of these ways is not reported as stale, nor as
waiting, as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixin.alerts import promql
from mixin.alerts.model import Alert, Recording
from mixin.alerts.promql import Scope, both, unless
from mixin.alerts.text import SERVER_DASHBOARD, Text, lines

if TYPE_CHECKING:
    from mixin.thresholds import Thresholds

FAILING = f"{promql.SERVER_FAILING} == 1"
LAPSED = f"{promql.SERVER_REAUTHORIZATION} == 1"


def rules(thresholds: Thresholds) -> list[Recording | Alert]:
    """Every alert of this kind."""
    scope = Scope(thresholds)
    text = Text(scope, thresholds)
    return [
        *_failing(thresholds, scope, text),
        _flapping(thresholds, scope, text),
        *_not_synced(thresholds, scope, text),
    ]


def _failing(t: Thresholds, scope: Scope, text: Text) -> list[Alert]:
    by = scope.server
    not_upstream = scope.last("cloudflare_mcp_server_error_info", 'is_upstream="false"')
    unreachable = f"{not_upstream} == 1"
    details = (text.portals, text.age, text.error_class)
    return [
        Alert(
            name="ServerNeedsReauthorization",
            expr=scope.of_server(LAPSED),
            after=t.reauthorization_for,
            severity="warning",
            summary="The stored authorization of an MCP server has lapsed.",
            description=lines(f"{text.server} needs an administrator to log in again.", *details),
            dashboard=SERVER_DASHBOARD,
        ),
        Alert(
            name="ServerUnreachable",
            expr=scope.of_server(unless(both(FAILING, by, unreachable), by, LAPSED)),
            after=t.unreachable_for,
            severity="warning",
            summary="An MCP server cannot be reached from its portals.",
            description=lines(
                f"{text.server} cannot be reached; the error is not the server's own answer.",
                *details,
            ),
            dashboard=SERVER_DASHBOARD,
        ),
        Alert(
            name="ServerError",
            expr=scope.of_server(unless(promql.SERVER_BROKEN, by, LAPSED, unreachable)),
            after=t.error_for,
            severity="warning",
            summary="An MCP server is in error and will not recover by a retry.",
            description=lines(
                f"{text.server} is in error, and since it last worked there was a failure that "
                "does not pass by itself.",
                *details,
            ),
            dashboard=SERVER_DASHBOARD,
        ),
        Alert(
            name="ServerRetryableFailure",
            expr=scope.of_server(
                unless(promql.SERVER_LONG, by, LAPSED, unreachable, promql.SERVER_BROKEN)
            ),
            after="0s",
            severity="warning",
            summary="A retryable MCP server failure persists.",
            description=lines(
                f"{text.server} has answered with an error for more than {t.retryable_for}, "
                "although the API calls the failure retryable.",
                *details,
            ),
            dashboard=SERVER_DASHBOARD,
        ),
    ]


def _flapping(t: Thresholds, scope: Scope, text: Text) -> Alert:
    failing = promql.SERVER_FAILING
    return Alert(
        name="ServerFlapping",
        expr=scope.of_server(
            both(
                f"changes({failing}[{t.flapping_window}]) >= {t.flapping_changes}",
                scope.server,
                f"max_over_time({failing}[{t.flapping_quiet_window}]) == 1",
            )
        ),
        after=t.flapping_for,
        severity="warning",
        summary="An MCP server keeps changing between working and failing.",
        description=lines(
            f"{text.server} has changed {{{{ $value }}}} times between working and failing "
            f"within {t.flapping_window}.",
            text.portals,
            text.age,
            text.error_class,
        ),
        dashboard=SERVER_DASHBOARD,
    )


def _not_synced(t: Thresholds, scope: Scope, text: Text) -> list[Alert]:
    by = scope.server
    age = f"min by ({by}) ({scope.last('cloudflare_mcp_server_sync_staleness_seconds')})"
    waiting = scope.last("cloudflare_mcp_server_status", 'status="waiting"') + " == 1"
    manual = scope.last(
        "cloudflare_mcp_server_authentication_status", 'authentication_status="manual"'
    )
    named = (LAPSED, promql.SERVER_BROKEN, promql.SERVER_LONG)
    return [
        Alert(
            name="ServerAwaitingAuthorization",
            expr=scope.of_server(
                unless(both(f"{age} > {t.waiting_seconds}", by, waiting), by, *named)
            ),
            after=t.waiting_for,
            severity="warning",
            summary="An MCP server still waits for its first authorization.",
            description=lines(
                f"{text.server} has waited for its first login for "
                "{{ $value | humanizeDuration }} and offers no tools until then.",
                text.portals,
            ),
            dashboard=SERVER_DASHBOARD,
        ),
        Alert(
            name="ServerSyncStale",
            expr=scope.of_server(
                unless(f"{age} > {t.sync_stale_seconds}", by, f"{manual} == 1", waiting, *named)
            ),
            after=t.sync_stale_for,
            severity="warning",
            summary="The catalog of an MCP server is not synced any more.",
            description=lines(
                f"{text.server} was last synced with success "
                "{{ $value | humanizeDuration }} ago, and no other alert says why.",
                text.portals,
            ),
            dashboard=SERVER_DASHBOARD,
        ),
    ]
