"""What is wrong with a server or a portal, as one number: the alerts' definitions, on raw metrics.

The dashboards work without the recording rules; `states` names the numbers. Where several states
hold, the greatest number is the one that counts, so that one aggregation decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.metrics import catalog as c
from mixin.dashboards import states
from mixin.dashboards.promql import PORTAL, SERVER, one, select

if TYPE_CHECKING:
    from mixin.dashboards.states import State
    from mixin.thresholds import Thresholds

    Coded = tuple[tuple[State, str], ...]
    """States, and series of value 1 that are there while each holds."""


def _status(*names: str) -> str:
    return f"{select(c.SERVER_STATUS, _is('status', names))} == 1"


def _authentication(*names: str) -> str:
    label = "authentication_status"
    return f"{select(c.SERVER_AUTHENTICATION_STATUS, _is(label, names))} == 1"


def _is(label: str, names: tuple[str, ...]) -> str:
    operator = "=" if len(names) == 1 else "=~"
    return f'{label}{operator}"{"|".join(names)}"'


def _troubled(*statuses: str, authentication: tuple[str, ...] = ("stale",)) -> str:
    """Servers that are in error, or of one of these statuses."""
    error = f"{select(c.SERVER_ERROR)} == 1"
    return f"({error} or {_status(*statuses)} or {_authentication(*authentication)})"


FAILING = f"max by ({SERVER}) {_troubled('error', 'stale')}"
UNAVAILABLE = f"max by ({SERVER}) {_troubled('error', 'stale', 'waiting')}"
WAITING = f"max by ({SERVER}) ({_status('waiting')}) unless on ({SERVER}) {FAILING}"


def synced(at: str = "") -> str:
    """Staleness of the servers that are synced in the background: with manual OAuth none is."""
    return f"({one(c.SERVER_STALENESS, at=at)} unless on ({SERVER}) {_authentication('manual')})"


def stale(thresholds: Thresholds) -> str:
    """Staleness of servers without a success for too long that report no other trouble."""
    excused = _troubled("error", "stale", "waiting", authentication=("stale", "manual"))
    late = f"{one(c.SERVER_STALENESS)} > {thresholds.sync_stale_seconds}"
    return f"({late} unless on ({SERVER}) {excused})"


# --- numbers ------------------------------------------------------------------------------------


def _greatest(found: Coded, by: str, otherwise: str = "") -> str:
    # Series of equal labels hide those after them: the greatest number comes first.
    ordered = sorted(found, key=lambda pair: -pair[0].code)
    parts = [f"{state.code} * ({expr})" for state, expr in ordered]
    return f"max by ({by}) ({' or '.join([*parts, *([otherwise] if otherwise else [])])})"


def _greatest_with_alert(found: Coded, by: str) -> str:
    """The same, with the name of the state's alert as the label ``alert``."""
    named = " or ".join(
        f'label_replace({state.code} * ({expr}), "alert", "{state.alert}", "", "")'
        for state, expr in found
    )
    return f"max by ({by}, alert) (topk by ({by}) (1, {named}))"


def _failing() -> Coded:
    return (
        (states.NEEDS_REAUTHORIZATION, f"{_status('stale')} or {_authentication('stale')}"),
        (states.CANNOT_BE_REACHED, select(c.SERVER_ERROR_INFO, 'is_upstream="false"')),
        (states.RETRYABLE_FAILURE, f"{select(c.SERVER_RETRYABLE)} == 1"),
        (states.IN_ERROR, f"{select(c.SERVER_ERROR)} == 1 or {_status('error')}"),
    )


def _servers(thresholds: Thresholds) -> Coded:
    late = f"{select(c.SERVER_STALENESS)} > bool {thresholds.sync_stale_seconds} == 1"
    return (
        *_failing(),
        (states.AWAITS_LOGIN, _status("waiting")),
        (states.SYNC_STALE, f"{late} unless on ({SERVER}) {_authentication('manual')}"),
    )


def failure() -> str:
    """Code of what is wrong, for each server that fails."""
    return _greatest(_failing(), SERVER)


def trouble(thresholds: Thresholds) -> str:
    """Code of what is wrong, for each server with which something is."""
    return _greatest(_servers(thresholds), SERVER)


def trouble_with_alert(thresholds: Thresholds) -> str:
    """The same, with the label ``alert``."""
    return _greatest_with_alert(_servers(thresholds), SERVER)


def health(thresholds: Thresholds) -> str:
    """Code of the health of every server."""
    return _greatest(_servers(thresholds), SERVER, f"0 * {select(c.SERVER_ERROR)}")


def portal_trouble_with_alert() -> str:
    """Code of what is wrong, for each portal with which something is, with the label ``alert``."""
    shown = f"sum by ({PORTAL}) ({one(c.PORTAL_SERVER_EXPOSED_TOOLS)})"
    servers = f"sum by ({PORTAL}) ({one(c.PORTAL_SERVERS, by=('auth_type',))})"
    works = f"({one(c.PORTAL_SERVER_INFO)} unless on ({SERVER}) {UNAVAILABLE})"
    failing = f"{one(c.PORTAL_SERVERS_WITH_ERROR)} > bool 0 == 1"
    found = (
        (states.SHOWS_NO_TOOLS, f"{shown} == bool 0 == 1"),
        (states.HAS_NO_SERVERS, f"{servers} == bool 0 == 1"),
        (states.NO_SERVER_WORKS, f"{failing} unless on ({PORTAL}) {works}"),
    )
    return _greatest_with_alert(found, PORTAL)


def reported_status() -> str:
    """Code of the status that the API reports, by server."""
    return _greatest(tuple((state, _status(state.label)) for state in states.STATUS), SERVER)


def reported_authentication() -> str:
    """Code of the authentication status that the API reports, by server."""
    found = tuple((state, _authentication(state.label)) for state in states.AUTHENTICATION)
    return _greatest(found, SERVER)


def error_class() -> str:
    """Code of the class of error, by server."""
    found = (
        (states.ERROR_RETRYABLE, f"{select(c.SERVER_RETRYABLE)} == 1"),
        (states.ERROR_UNREACHABLE, select(c.SERVER_ERROR_INFO, 'is_upstream="false"')),
        (states.ERROR_UPSTREAM, select(c.SERVER_ERROR_INFO, 'is_upstream="true"')),
        (states.ERROR_UNCLASSIFIED, f"{select(c.SERVER_ERROR)} == 1"),
        (states.NO_ERROR, f"{select(c.SERVER_ERROR)} == bool 0 == 1"),
    )
    return _greatest(found, SERVER)
