"""Alerts on what live probes find: between two syncs nothing else sees it.

A broken server is one alert: where the listing's own alert on it fires, these are silent. An
alert's labels are identities; names are looked up where the notification is written.

The metrics of probes have jobs of their own and belong to the exporter alone: they are read without
the selector of jobs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixin.alerts import promql
from mixin.alerts.model import PREFIX, Alert, Recording
from mixin.alerts.promql import Scope, both, unless
from mixin.alerts.text import PORTAL_DASHBOARD, SERVER_DASHBOARD, Text, dashboard, lines
from mixin.thresholds import SERVER_UID

if TYPE_CHECKING:
    from mixin.thresholds import Thresholds

SAID = ("Error", "Unreachable", "RetryableFailure", "NeedsReauthorization", "AwaitingAuthorization")
"""Alerts on a server that need no second one about the same failure."""

NOT_ITS_FAULT = "throttled|refused_address"
"""Outcomes that do not tell whether the server works."""

REMEMBERED = "1h"
"""How long names and portals count after the account was listed last: probes go on meanwhile."""

EXPIRES = "expires in {{ $value | humanizeDuration }}"

ATTACHMENT_DASHBOARD = dashboard(
    SERVER_UID, account="account_id", server="server_id", portal="portal_id"
)


def rules(thresholds: Thresholds) -> list[Recording | Alert]:
    """Every alert that asks somebody to act."""
    scope = Scope(thresholds)
    text = Text(scope, thresholds, remembered=REMEMBERED)
    return [
        _server_not_answering(thresholds, scope, text),
        _login_impossible(thresholds, scope, text),
        *_certificates_of_servers(thresholds, scope, text),
        _certificate_of_portal(thresholds, scope, text),
        _portal_not_answering(thresholds, scope, text),
        _server_hidden(thresholds, scope, text),
    ]


def information(thresholds: Thresholds) -> list[Recording | Alert]:
    """Every alert that can wait."""
    scope = Scope(thresholds)
    text = Text(scope, thresholds, remembered=REMEMBERED)
    drift = f"cloudflare_mcp_server_probe_catalog_drift_tools[{thresholds.probe_window}]"
    changed = f"max by ({scope.server}, change) (\n    last_over_time({drift})\n  )"
    return [
        Alert(
            name="ServerCatalogDrift",
            expr=_attached(scope, f"sum by ({scope.server}) (\n  {changed}\n) > 0"),
            after=thresholds.catalog_drift_for,
            severity="info",
            summary="An MCP server lists other tools than Cloudflare has stored.",
            description=lines(
                f"{text.server} has {{{{ $value }}}} tools more or fewer than at its last sync, "
                f"for more than {thresholds.catalog_drift_for}.",
                text.portals,
            ),
            dashboard=SERVER_DASHBOARD,
        )
    ]


# --- servers -----------------------------------------------------------------------------------


def _server_not_answering(t: Thresholds, scope: Scope, text: Text) -> Alert:
    unknown = _last(
        "max",
        scope.server,
        f'cloudflare_mcp_server_probe_outcome{{outcome=~"{NOT_ITS_FAULT}"}}',
        t.probe_window,
    )
    fails = _last("max", scope.server, "cloudflare_mcp_server_probe_success", t.probe_window)
    expr = unless(f"{fails} == 0", scope.server, f"{unknown} == 1", _firing(scope.server, *SAID))
    return Alert(
        name="ServerNotAnswering",
        expr=_attached(scope, expr),
        after=t.server_not_answering_for,
        severity="warning",
        summary="An MCP server does not answer live probes.",
        description=lines(
            f"{text.server} has not answered as an MCP server for {t.server_not_answering_for}.",
            f"Outcome of the probe: {text.probe_outcome('server')}.",
            f"Status that Cloudflare reports since its last sync: {text.server_status}.",
            text.portals,
        ),
        dashboard=SERVER_DASHBOARD,
    )


def _login_impossible(t: Thresholds, scope: Scope, text: Text) -> Alert:
    login = "cloudflare_mcp_server_probe_login_possible"
    possible = _last("max", scope.server, login, t.probe_window)
    return Alert(
        name="ServerLoginImpossible",
        expr=_attached(scope, f"{possible} == 0"),
        after=t.login_impossible_for,
        severity="warning",
        summary="Nobody can log in to an MCP server.",
        description=lines(
            f"{text.server} answers and requires a login, but the OAuth metadata that a login "
            "needs cannot be fetched.",
            "Logins that Cloudflare has stored may work until they expire.",
            f"Status that Cloudflare reports since its last sync: {text.server_status}.",
            text.portals,
        ),
        dashboard=SERVER_DASHBOARD,
    )


def _certificates_of_servers(t: Thresholds, scope: Scope, text: Text) -> list[Alert]:
    expiry = "cloudflare_mcp_server_probe_certificate_expiry_timestamp_seconds"
    seconds = _time_left(scope.server, expiry, t.probe_window)
    soon, late = t.certificate_warning_seconds, t.certificate_critical_seconds
    return [
        Alert(
            name="ServerCertificateExpiring",
            expr=_attached(scope, f"{seconds} < {soon} >= {late}"),
            after=t.certificate_for,
            severity="warning",
            summary="The TLS certificate of an MCP server expires soon.",
            description=lines(
                f"A certificate in the chain of {text.server} {EXPIRES}.", text.portals
            ),
            dashboard=SERVER_DASHBOARD,
        ),
        Alert(
            name="ServerCertificateExpiringNow",
            expr=_attached(scope, f"{seconds} < {late}"),
            after=t.certificate_for,
            severity="critical",
            summary="The TLS certificate of an MCP server is about to expire.",
            description=lines(
                f"A certificate in the chain of {text.server} {EXPIRES}; "
                "no client can connect then.",
                text.portals,
            ),
            dashboard=SERVER_DASHBOARD,
        ),
    ]


# --- portals -----------------------------------------------------------------------------------


def _portal_not_answering(t: Thresholds, scope: Scope, text: Text) -> Alert:
    unknown = _last(
        "max",
        scope.portal,
        f'cloudflare_mcp_portal_probe_outcome{{outcome=~"{NOT_ITS_FAULT}"}}',
        t.probe_window,
    )
    fails = _last("max", scope.portal, "cloudflare_mcp_portal_probe_success", t.probe_window)
    return Alert(
        name="PortalNotAnswering",
        expr=unless(f"{fails} == 0", scope.portal, f"{unknown} == 1"),
        after=t.portal_not_answering_for,
        severity="critical",
        summary="An MCP portal does not answer live probes.",
        description=lines(
            f"{text.portal} has not answered for {t.portal_not_answering_for}.",
            f"Outcome of the probe: {text.probe_outcome('portal')}.",
        ),
        dashboard=PORTAL_DASHBOARD,
    )


def _certificate_of_portal(t: Thresholds, scope: Scope, text: Text) -> Alert:
    expiry = "cloudflare_mcp_portal_probe_certificate_expiry_timestamp_seconds"
    seconds = _time_left(scope.portal, expiry, t.probe_window)
    return Alert(
        name="PortalCertificateExpiring",
        expr=f"{seconds} < {t.certificate_warning_seconds}",
        after=t.certificate_for,
        severity="warning",
        summary="The TLS certificate of an MCP portal expires soon.",
        description=lines(f"A certificate in the chain of {text.portal} {EXPIRES}."),
        dashboard=PORTAL_DASHBOARD,
    )


def _server_hidden(t: Thresholds, scope: Scope, text: Text) -> Alert:
    listed = "cloudflare_mcp_portal_probe_server_visible"
    visible = _last("max", scope.attachment, listed, t.probe_window)
    return Alert(
        name="PortalHidesServer",
        expr=unless(f"{visible} == 0", scope.server, _firing(scope.server, *SAID, "NotAnswering")),
        after=t.server_hidden_for,
        severity="critical",
        summary="Users of an MCP portal do not see a server that should be there.",
        description=lines(
            f"{text.portal} lists no tool of {text.server_name} ({{{{ $labels.server_id }}}}), "
            "which is attached and exposes tools.",
            f"Status that Cloudflare reports for the server: {text.server_status}.",
            "The list is the one that a service token gets.",
        ),
        dashboard=ATTACHMENT_DASHBOARD,
    )


# --- PromQL ------------------------------------------------------------------------------------


def _last(operator: str, by: str, series: str, window: str) -> str:
    """One value an object, of the last scrapes: one that is missed changes nothing."""
    return f"{operator} by ({by}) (\n  last_over_time({series}[{window}])\n)"


def _time_left(by: str, expiry: str, window: str) -> str:
    """Seconds until the first certificate of an object expires."""
    return f"{_last('min', by, expiry, window)} - time()"


def _attached(scope: Scope, expr: str) -> str:
    """`expr`, a vector by server, of those that are in a portal: others hurt nobody."""
    attached = f"last_over_time({promql.PORTAL_SERVER_INFO}[{REMEMBERED}])"
    return both(
        f"(\n{promql.indented(expr)}\n)",
        scope.server,
        f"group by ({scope.server}) ({attached})",
    )


def _firing(by: str, *names: str) -> str:
    """The servers on which one of these alerts fires already."""
    names_of = f"{PREFIX}Server({'|'.join(names)})"
    return f'group by ({by}) (ALERTS{{alertname=~"{names_of}", alertstate="firing"}})'
