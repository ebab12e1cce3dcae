"""Fragments of annotation templates: one sentence each, in Prometheus' template language.

Names that an alert's labels cannot carry are looked up where the notification is written: PromQL
cannot join the names of several portals into one label.
"""

from __future__ import annotations

from mixin.alerts import promql
from mixin.thresholds import EXPORTER_UID, OVERVIEW_UID, SERVER_UID


def lookup(metric: str, *labels: str) -> str:
    """A template expression: the samples of `metric` that have the alert's own `labels`."""
    matched = ",".join(f"{label}=%q" for label in labels)
    values = " ".join(f"$labels.{label}" for label in labels)
    return f"query (printf `{metric}{{{matched}}}` {values})"


def listing(samples: str, label: str, otherwise: str, item: str | None = None) -> str:
    """The samples of a template expression, sorted by `label`, with commas between."""
    shown = item or f"{{{{ $item.Labels.{label} }}}}"
    return (
        f"{{{{ range $i, $item := {samples} | sortByLabel `{label}` }}}}"
        f"{{{{ if $i }}}}, {{{{ end }}}}{shown}{{{{ else }}}}{otherwise}{{{{ end }}}}"
    )


ACCOUNT = (
    f"account {{{{ with {lookup(promql.ACCOUNT_INFO, 'account_id')} }}}}"
    "{{ (first .).Labels.account_name }}{{ else }}{{ $labels.account_id }}{{ end }}"
)

SERVER = "MCP server {{ $labels.server_name }} ({{ $labels.server_id }}) of " + ACCOUNT

PORTAL = "MCP portal {{ $labels.portal_name }} ({{ $labels.portal_id }}) of " + ACCOUNT

PORTALS = (
    "Portals: "
    + listing(lookup(promql.PORTAL_SERVER_INFO, "account_id", "server_id"), "portal_name", "none")
    + "."
)

AGE = (
    f"{{{{ with {lookup(promql.SERVER_STALENESS, 'account_id', 'server_id')} }}}}"
    "No successful sync for {{ (first .).Value | humanizeDuration }}."
    "{{ else }}The time of the last successful sync is not known.{{ end }}"
)

# Two exporters may report two classes. Each sort keeps the order of the one before, so that the
# whole label set decides which class is first: one that is not upstream, as the alerts have it.
_ERROR_CLASSES = " | ".join(
    (
        lookup(promql.SERVER_ERROR_INFO, "account_id", "server_id"),
        *(
            f"sortByLabel `{label}`"
            for label in ("mcp_code", "status_code", "retryable", "is_upstream")
        ),
    )
)

ERROR_CLASS = (
    f"{{{{ with {_ERROR_CLASSES} }}}}"
    "{{ with first . }}Error class: upstream {{ .Labels.is_upstream }}, "
    "retryable {{ .Labels.retryable }}, HTTP status {{ or .Labels.status_code `none` }}, "
    "MCP code {{ or .Labels.mcp_code `none` }}.{{ end }}"
    "{{ else }}The API gave no details of an error.{{ end }}"
)

REASONS = (
    "Failures by reason: "
    + listing(
        "query (printf `" + promql.FAILURES + "{account_id=%q} > 0` $labels.account_id)",
        "reason",
        "none counted",
        "{{ $item.Labels.reason }} ({{ printf `%.0f` $item.Value }})",
    )
    + "."
)

FAILING_SERVERS = (
    "Its failing servers: "
    + listing(
        "query (printf `"
        + promql.PORTAL_SERVER_INFO
        + "{account_id=%q,portal_id=%q} * on (account_id, server_id) group_left () "
        + promql.SERVER_FAILING
        + " == 1` $labels.account_id $labels.portal_id)",
        "server_name",
        "none",
    )
    + "."
)

PORTAL_TOOLS = (
    f"{{{{ with {lookup(promql.PORTAL_TOOLS, 'account_id', 'portal_id')} }}}}"
    "{{ (first .).Value }}{{ else }}unknown{{ end }}"
)


def lines(*sentences: str) -> str:
    """A description: one sentence a line."""
    return "\n".join(sentences)


def dashboard(uid: str, **variables: str) -> str:
    """Uid and query of a dashboard with its variables set from the alert's labels."""
    query = "&".join(
        f"var-{variable}={{{{ $labels.{label} | urlquery }}}}"
        for variable, label in variables.items()
    )
    return uid + (f"?{query}" if query else "")


SERVER_DASHBOARD = dashboard(SERVER_UID, account="account_id", server="server_id")
PORTAL_DASHBOARD = dashboard(OVERVIEW_UID, account="account_id", portal="portal_id")
ACCOUNT_DASHBOARD = dashboard(EXPORTER_UID, account="account_id")
INSTANCE_DASHBOARD = dashboard(EXPORTER_UID, job="job", instance="instance")
EXPORTER_DASHBOARD = dashboard(EXPORTER_UID)
