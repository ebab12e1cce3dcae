"""What is wrong with a server, as one number: the alerts' definitions, on the raw metrics.

The dashboards work without the recording rules; `states.HEALTH` names the numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.metrics import catalog as c
from mixin.dashboards import states
from mixin.dashboards.promql import SERVER, one, select

if TYPE_CHECKING:
    from mixin.thresholds import Thresholds


def is_status(status: str) -> str:
    """Servers of this status."""
    matcher = f'status="{status}"'
    return f"{one(c.SERVER_STATUS, matcher)} == 1"


def is_authentication(status: str) -> str:
    """Servers of this authentication status."""
    matcher = f'authentication_status="{status}"'
    return f"{one(c.SERVER_AUTHENTICATION_STATUS, matcher)} == 1"


LAPSED = f"({is_status('stale')} or {is_authentication('stale')})"
FAILING = f"({one(c.SERVER_ERROR)} == 1 or {is_status('error')} or {LAPSED})"
NOT_REACHED = 'is_upstream="false"'
UNREACHABLE = f"({FAILING} and on ({SERVER}) {select(c.SERVER_ERROR_INFO, NOT_REACHED)})"
RETRYABLE = f"({one(c.SERVER_RETRYABLE)} == 1)"
WAITING = f"({is_status('waiting')} unless on ({SERVER}) {FAILING})"
SYNCED = f"({one(c.SERVER_STALENESS)} unless on ({SERVER}) ({is_authentication('manual')}))"
"""Staleness of the servers that are synced in the background: those with manual OAuth never are."""


def stale(thresholds: Thresholds) -> str:
    """Staleness of servers without a success for too long that report no other trouble."""
    late = f"{SYNCED} > {thresholds.sync_stale_seconds}"
    return f"({late} unless on ({SERVER}) ({FAILING} or {is_status('waiting')}))"


def coded(pairs: list[tuple[str, states.State]]) -> str:
    """The code of the first expression that has a series, by server."""
    return " or ".join(f"0 * {expr} + {state.code}" for expr, state in pairs)


def trouble(thresholds: Thresholds) -> str:
    """Code of what is wrong, for each server with which something is."""
    return coded(
        [
            (LAPSED, states.NEEDS_REAUTHORISATION),
            (UNREACHABLE, states.CANNOT_BE_REACHED),
            (RETRYABLE, states.RETRYABLE_FAILURE),
            (FAILING, states.IN_ERROR),
            (WAITING, states.AWAITS_LOGIN),
            (stale(thresholds), states.SYNC_STALE),
        ]
    )


def health(thresholds: Thresholds) -> str:
    """Code of the health of every server."""
    return f"{trouble(thresholds)} or 0 * {one(c.SERVER_ERROR)}"


def reported_status() -> str:
    """Code of the status that the API reports, by server."""
    return coded([(f"({is_status(state.label)})", state) for state in states.STATUS])


def reported_authentication() -> str:
    """Code of the authentication status that the API reports, by server."""
    return coded(
        [(f"({is_authentication(state.label)})", state) for state in states.AUTHENTICATION]
    )


def error_class() -> str:
    """Code of the class of error, by server."""
    error = one(c.SERVER_ERROR)
    return coded(
        [
            (f"({error} == 0)", states.NO_ERROR),
            (RETRYABLE, states.ERROR_RETRYABLE),
            (one(c.SERVER_ERROR_INFO, NOT_REACHED), states.ERROR_UNREACHABLE),
            (one(c.SERVER_ERROR_INFO, 'is_upstream="true"'), states.ERROR_UPSTREAM),
            (error, states.ERROR_UNCLASSIFIED),
        ]
    )
