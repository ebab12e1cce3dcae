"""Alerts on what live probes find: between two syncs nothing else sees it.

A broken server is one alert: where the listing's own alert on it fires, these are silent. An
alert's labels are identities; names are looked up where the notification is written.

The metrics of probes belong to the exporter alone, so that no selector of jobs is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixin.alerts import promql
from mixin.alerts.model import PREFIX, Alert, Recording
from mixin.alerts.text import PORTAL_DASHBOARD, SERVER_DASHBOARD, dashboard, lines
from mixin.thresholds import SERVER_UID

if TYPE_CHECKING:
    from mixin.thresholds import Thresholds

PORTAL = "account_id, portal_id"
SERVER = "account_id, server_id"
ATTACHMENT = "account_id, portal_id, server_id"

SAID = ("Error", "Unreachable", "RetryableFailure", "NeedsReauthorization", "AwaitingAuthorization")
"""Alerts on a server that need no second one about the same failure."""

NOT_ITS_FAULT = "throttled|refused_address"
"""Outcomes that do not tell whether the server works."""

ATTACHED = f"group by ({SERVER}) (last_over_time({promql.PORTAL_SERVER_INFO}[1h]))"
"""The servers that are in a portal, also while listing fails."""

ATTACHMENT_DASHBOARD = dashboard(
    SERVER_UID, account="account_id", server="server_id", portal="portal_id"
)


def rules(thresholds: Thresholds) -> list[Recording | Alert]:
    """Every alert that asks somebody to act."""
    return [
        _server_not_answering(thresholds),
        _login_impossible(thresholds),
        *_certificates(thresholds),
        _portal_not_answering(thresholds),
        _server_hidden(thresholds),
    ]


def information(thresholds: Thresholds) -> list[Recording | Alert]:
    """Every alert that can wait."""
    drift = f"cloudflare_mcp_server_probe_catalog_drift_tools[{thresholds.probe_window}]"
    changed = f"max by ({SERVER}, change) (\n    last_over_time({drift})\n  )"
    return [
        Alert(
            name="ServerCatalogDrift",
            expr=_attached(f"sum by ({SERVER}) (\n  {changed}\n) > 0"),
            after=thresholds.catalog_drift_for,
            severity="info",
            summary="An MCP server lists other tools than Cloudflare has stored.",
            description=lines(
                f"{_SERVER} has {{{{ $value }}}} tools more or fewer than at its last sync, for "
                f"more than {thresholds.catalog_drift_for}.",
                _PORTALS,
            ),
            dashboard=SERVER_DASHBOARD,
        )
    ]


# --- servers -----------------------------------------------------------------------------------


def _server_not_answering(t: Thresholds) -> Alert:
    unknown = _last(
        "max",
        SERVER,
        f'cloudflare_mcp_server_probe_outcome{{outcome=~"{NOT_ITS_FAULT}"}}',
        t.probe_window,
    )
    fails = _last("max", SERVER, "cloudflare_mcp_server_probe_success", t.probe_window)
    expr = promql.unless(f"{fails} == 0", SERVER, f"{unknown} == 1", _firing(SERVER, *SAID))
    return Alert(
        name="ServerNotAnswering",
        expr=_attached(expr),
        after=t.server_not_answering_for,
        severity="warning",
        summary="An MCP server does not answer live probes.",
        description=lines(
            f"{_SERVER} has not answered as an MCP server for {t.server_not_answering_for}.",
            f"Outcome of the probe: {_outcome('server', t.probe_window)}.",
            f"Status that Cloudflare reports since its last sync: {_STATUS}.",
            _PORTALS,
        ),
        dashboard=SERVER_DASHBOARD,
    )


def _login_impossible(t: Thresholds) -> Alert:
    possible = _last("max", SERVER, "cloudflare_mcp_server_probe_login_possible", t.probe_window)
    return Alert(
        name="ServerLoginImpossible",
        expr=_attached(f"{possible} == 0"),
        after=t.login_impossible_for,
        severity="warning",
        summary="Nobody can log in to an MCP server.",
        description=lines(
            f"{_SERVER} answers and requires a login, but the OAuth metadata that a login needs "
            "cannot be fetched.",
            "Logins that Cloudflare has stored may work until they expire.",
            f"Status that Cloudflare reports since its last sync: {_STATUS}.",
            _PORTALS,
        ),
        dashboard=SERVER_DASHBOARD,
    )


def _certificates(t: Thresholds) -> list[Alert]:
    servers = _time_left(SERVER, "cloudflare_mcp_server_probe_certificate_expiry", t.probe_window)
    portals = _time_left(PORTAL, "cloudflare_mcp_portal_probe_certificate_expiry", t.probe_window)
    soon, late = t.certificate_warning_seconds, t.certificate_critical_seconds
    left = "expires in {{ $value | humanizeDuration }}"
    return [
        Alert(
            name="ServerCertificateExpiring",
            expr=_attached(f"{servers} < {soon} >= {late}"),
            after=t.certificate_for,
            severity="warning",
            summary="The TLS certificate of an MCP server expires soon.",
            description=lines(f"A certificate in the chain of {_SERVER} {left}.", _PORTALS),
            dashboard=SERVER_DASHBOARD,
        ),
        Alert(
            name="ServerCertificateExpiringNow",
            expr=_attached(f"{servers} < {late}"),
            after=t.certificate_for,
            severity="critical",
            summary="The TLS certificate of an MCP server is about to expire.",
            description=lines(
                f"A certificate in the chain of {_SERVER} {left}; no client can connect then.",
                _PORTALS,
            ),
            dashboard=SERVER_DASHBOARD,
        ),
        Alert(
            name="PortalCertificateExpiring",
            expr=f"{portals} < {soon}",
            after=t.certificate_for,
            severity="warning",
            summary="The TLS certificate of an MCP portal expires soon.",
            description=lines(f"A certificate in the chain of {_PORTAL} {left}."),
            dashboard=PORTAL_DASHBOARD,
        ),
    ]


# --- portals -----------------------------------------------------------------------------------


def _portal_not_answering(t: Thresholds) -> Alert:
    unknown = _last(
        "max",
        PORTAL,
        f'cloudflare_mcp_portal_probe_outcome{{outcome=~"{NOT_ITS_FAULT}"}}',
        t.probe_window,
    )
    fails = _last("max", PORTAL, "cloudflare_mcp_portal_probe_success", t.probe_window)
    return Alert(
        name="PortalNotAnswering",
        expr=promql.unless(f"{fails} == 0", PORTAL, f"{unknown} == 1"),
        after=t.portal_not_answering_for,
        severity="critical",
        summary="An MCP portal does not answer live probes.",
        description=lines(
            f"{_PORTAL} has not answered for {t.portal_not_answering_for}.",
            f"Outcome of the probe: {_outcome('portal', t.probe_window)}.",
        ),
        dashboard=PORTAL_DASHBOARD,
    )


def _server_hidden(t: Thresholds) -> Alert:
    visible = _last("max", ATTACHMENT, "cloudflare_mcp_portal_probe_server_visible", t.probe_window)
    return Alert(
        name="PortalHidesServer",
        expr=promql.unless(f"{visible} == 0", SERVER, _firing(SERVER, *SAID, "NotAnswering")),
        after=t.server_hidden_for,
        severity="critical",
        summary="Users of an MCP portal do not see a server that should be there.",
        description=lines(
            f"{_PORTAL} lists no tool of {_SERVER_NAME} ({{{{ $labels.server_id }}}}), which is "
            "attached and exposes tools.",
            f"Status that Cloudflare reports for the server: {_STATUS}.",
            "The list is the one that a service token gets.",
        ),
        dashboard=ATTACHMENT_DASHBOARD,
    )


# --- PromQL ------------------------------------------------------------------------------------


def _last(operator: str, by: str, series: str, window: str) -> str:
    """One value an object, of the last scrapes: one that is missed changes nothing."""
    return f"{operator} by ({by}) (\n  last_over_time({series}[{window}])\n)"


def _time_left(by: str, metric: str, window: str) -> str:
    """Seconds until the first certificate of an object expires."""
    return f"{_last('min', by, f'{metric}_timestamp_seconds', window)} - time()"


def _attached(expr: str) -> str:
    """`expr`, a vector by server, of those that are in a portal: others hurt nobody."""
    return f"(\n{promql.indented(expr)}\n)\nand on ({SERVER})\n{promql.indented(ATTACHED)}"


def _firing(by: str, *names: str) -> str:
    """The servers on which one of these alerts fires already."""
    names_of = f"{PREFIX}Server({'|'.join(names)})"
    return f'group by ({by}) (ALERTS{{alertname=~"{names_of}", alertstate="firing"}})'


# --- texts -------------------------------------------------------------------------------------


def _query(text: str, *labels: str) -> str:
    """A template expression; each ``<>`` in PromQL stands for matchers of the alert's labels."""
    matchers = ",".join(f"{label}=%q" for label in labels)
    values = "".join(f" $labels.{label}" for label in labels) * text.count("<>")
    return f"query (printf `{text.replace('<>', matchers)}`{values})"


def _name(info: str, label: str, *labels: str) -> str:
    found = _query(f"last_over_time({info}{{<>}}[1h])", *labels)
    return (
        f"{{{{ with {found} | sortByLabel `{label}` }}}}{{{{ (first .).Labels.{label} }}}}"
        f"{{{{ else }}}}{{{{ $labels.{labels[-1]} }}}}{{{{ end }}}}"
    )


def _listed(samples: str, label: str, otherwise: str) -> str:
    return (
        f"{{{{ range $i, $item := {samples} | sortByLabel `{label}` }}}}"
        f"{{{{ if $i }}}}, {{{{ end }}}}{{{{ $item.Labels.{label} }}}}"
        f"{{{{ else }}}}{otherwise}{{{{ end }}}}"
    )


def _outcome(kind: str, window: str) -> str:
    samples = _query(
        f"max by (outcome) (last_over_time(cloudflare_mcp_{kind}_probe_outcome{{<>}}[{window}])"
        " == 1)",
        "account_id",
        f"{kind}_id",
    )
    return _listed(samples, "outcome", "unknown")


_ACCOUNT = "account " + _name("cloudflare_mcp_account_info", "account_name", "account_id")
_SERVER_NAME = _name(promql.SERVER_INFO, "server_name", "account_id", "server_id")
_SERVER = f"MCP server {_SERVER_NAME} ({{{{ $labels.server_id }}}}) of {_ACCOUNT}"
_PORTAL_NAME = _name(promql.PORTAL_INFO, "portal_name", "account_id", "portal_id")
_PORTAL = f"MCP portal {_PORTAL_NAME} ({{{{ $labels.portal_id }}}}) of {_ACCOUNT}"
_PORTALS_OF = _query(
    f"last_over_time({promql.PORTAL_INFO}[1h]) and on ({PORTAL}) "
    f"last_over_time({promql.PORTAL_SERVER_INFO}{{<>}}[1h])",
    "account_id",
    "server_id",
)
_PORTALS = f"Portals: {_listed(_PORTALS_OF, 'portal_name', 'none')}."
_STATUS = _listed(
    _query("max by (status) (cloudflare_mcp_server_status{<>} == 1)", "account_id", "server_id"),
    "status",
    "unknown",
)
