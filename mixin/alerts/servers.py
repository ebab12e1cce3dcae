"""Alerts on MCP servers: one alert for one broken server, whatever else it breaks.

The kinds of failure exclude each other, the one that a person must act on first: a lapsed
authorization, then unreachable, then transient, then any other error. A server that fails in one
of these ways, or still waits for its first login, is not reported as stale as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixin.alerts import promql, text
from mixin.alerts.model import Alert, Recording
from mixin.alerts.promql import SERVER, of_server, unless

if TYPE_CHECKING:
    from mixin.thresholds import Thresholds

FAILING = f"{promql.SERVER_FAILING} == 1"
LAPSED = f"{promql.SERVER_REAUTHORIZATION} == 1"
UNREACHABLE = f'{promql.SERVER_ERROR_INFO}{{is_upstream="false"}} == 1'
TRANSIENT = f"{promql.SERVER_RETRYABLE} == 1"
WAITING = f'{promql.SERVER_STATUS}{{status="waiting"}} == 1'
MANUAL = f'{promql.SERVER_AUTHENTICATION}{{authentication_status="manual"}} == 1'


def rules(thresholds: Thresholds) -> list[Recording | Alert]:
    """Every alert of this kind."""
    return [*_failing(thresholds), *_not_synced(thresholds)]


def _failing(t: Thresholds) -> list[Alert]:
    return [
        Alert(
            name="ServerNeedsReauthorization",
            expr=of_server(LAPSED),
            after=t.reauthorization_for,
            severity="warning",
            summary="The stored authorization of an MCP server has lapsed.",
            description=text.lines(
                f"{text.SERVER} needs an administrator to log in again.",
                text.PORTALS,
                text.AGE,
                text.ERROR_CLASS,
            ),
            dashboard=text.SERVER_DASHBOARD,
        ),
        Alert(
            name="ServerUnreachable",
            expr=of_server(
                unless(f"{FAILING}\nand on ({SERVER})\n  {UNREACHABLE}", SERVER, LAPSED)
            ),
            after=t.unreachable_for,
            severity="warning",
            summary="An MCP server cannot be reached from its portals.",
            description=text.lines(
                f"{text.SERVER} cannot be reached; the error is not the server's own answer.",
                text.PORTALS,
                text.AGE,
                text.ERROR_CLASS,
            ),
            dashboard=text.SERVER_DASHBOARD,
        ),
        Alert(
            name="ServerRetryableFailure",
            expr=of_server(unless(TRANSIENT, SERVER, LAPSED, UNREACHABLE)),
            after=t.retryable_for,
            severity="warning",
            summary="An MCP server's failure that was called transient lasts.",
            description=text.lines(
                f"{text.SERVER} has answered with an error for more than {t.retryable_for}, "
                "although the API calls the failure retryable.",
                text.PORTALS,
                text.AGE,
                text.ERROR_CLASS,
            ),
            dashboard=text.SERVER_DASHBOARD,
        ),
        Alert(
            name="ServerError",
            expr=of_server(unless(FAILING, SERVER, LAPSED, UNREACHABLE, TRANSIENT)),
            after=t.error_for,
            severity="warning",
            summary="An MCP server is in error and will not recover by a retry.",
            description=text.lines(
                f"{text.SERVER} is in error, and the API does not call the failure retryable.",
                text.PORTALS,
                text.AGE,
                text.ERROR_CLASS,
            ),
            dashboard=text.SERVER_DASHBOARD,
        ),
        Alert(
            name="ServerFlapping",
            expr=of_server(
                f"changes({promql.SERVER_FAILING}[{t.flapping_window}]) >= {t.flapping_changes}"
            ),
            after=t.flapping_for,
            severity="warning",
            summary="An MCP server keeps changing between working and failing.",
            description=text.lines(
                f"{text.SERVER} has changed {{{{ $value }}}} times between working and failing "
                f"within {t.flapping_window}.",
                text.PORTALS,
                text.AGE,
                text.ERROR_CLASS,
            ),
            dashboard=text.SERVER_DASHBOARD,
        ),
    ]


def _not_synced(t: Thresholds) -> list[Alert]:
    age = promql.SERVER_STALENESS
    waiting = f"{age} > {t.waiting_seconds}\nand on ({SERVER})\n  {WAITING}"
    return [
        Alert(
            name="ServerAwaitingAuthorization",
            expr=of_server(unless(waiting, SERVER, FAILING)),
            after=t.waiting_for,
            severity="warning",
            summary="An MCP server still waits for its first authorization.",
            description=text.lines(
                f"{text.SERVER} has waited for its first login for "
                "{{ $value | humanizeDuration }} and offers no tools until then.",
                text.PORTALS,
            ),
            dashboard=text.SERVER_DASHBOARD,
        ),
        Alert(
            name="ServerSyncStale",
            expr=of_server(
                unless(
                    f"{age} > {t.sync_stale_seconds}",
                    SERVER,
                    MANUAL,
                    f"{promql.SERVER_UNAVAILABLE} == 1",
                )
            ),
            after=t.sync_stale_for,
            severity="warning",
            summary="The catalog of an MCP server is not synced any more.",
            description=text.lines(
                f"{text.SERVER} reports no error, but was last synced with success "
                "{{ $value | humanizeDuration }} ago.",
                text.PORTALS,
            ),
            dashboard=text.SERVER_DASHBOARD,
        ),
    ]
