"""Fragments of annotation templates: one sentence each, in Prometheus' template language.

The labels of an alert are identities that never change, or renaming a server would end its alert
and begin another one. Names are looked up where the notification is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mixin.alerts import promql
from mixin.thresholds import EXPORTER_UID, OVERVIEW_UID, SERVER_UID

if TYPE_CHECKING:
    from mixin.alerts.promql import Scope
    from mixin.thresholds import Thresholds


def listing(samples: str, label: str, otherwise: str) -> str:
    """The values of a label in the samples of a template expression, sorted, commas between."""
    return (
        f"{{{{ range $i, $item := {samples} | sortByLabel `{label}` }}}}"
        f"{{{{ if $i }}}}, {{{{ end }}}}{{{{ $item.Labels.{label} }}}}"
        f"{{{{ else }}}}{otherwise}{{{{ end }}}}"
    )


class Text:
    """The sentences for rules of a scope.

    Attributes:
        tools_of_servers: PromQL for the tools that the servers of each portal offer.
    """

    def __init__(self, scope: Scope, thresholds: Thresholds, *, remembered: str = "") -> None:
        """Make the sentences.

        Args:
            scope: of the rules.
            thresholds: of the rules.
            remembered: how old the names and portals of an object may be, for rules that go on
                while its account cannot be listed; those of now, if empty.
        """
        self._scope = scope
        self._remembered = remembered
        self._probe_window = thresholds.probe_window
        self._account_window = thresholds.account_window
        tools = f"max by ({scope.server}) ({scope.last('cloudflare_mcp_server_tools')})"
        self.tools_of_servers = scope.sum_by_portal(tools)

    def _query(self, text: str, *labels: str) -> str:
        """A template expression: the samples of a query.

        Args:
            text: PromQL; each of its ``<>`` stands for matchers of the alert's own `labels` and
                the kept ones.
            labels: of the alert.
        """
        own = (*self._scope.labels, *labels)
        matchers = ",".join(f"{label}=%q" for label in own)
        values = "".join(f" $labels.{label}" for label in own) * text.count("<>")
        return f"query (printf `{text.replace('%', '%%').replace('<>', matchers)}`{values})"

    def _recorded(self, series: str) -> str:
        """A recorded series, as far back as it is remembered."""
        return f"last_over_time({series}[{self._remembered}])" if self._remembered else series

    def _name(self, info: str, label: str, *labels: str) -> str:
        """A name from an info series, or the identity where there is none."""
        return (
            f"{{{{ with {self._query(info, *labels)} | sortByLabel `{label}` }}}}"
            f"{{{{ (first .).Labels.{label} }}}}{{{{ else }}}}{{{{ $labels.{labels[-1]} }}}}"
            "{{ end }}"
        )

    @property
    def account(self) -> str:
        """Account Production."""
        info = self._scope.last("cloudflare_mcp_account_info", "<>", window=self._account_window)
        return f"account {self._name(info, 'account_name', 'account_id')}"

    @property
    def server_name(self) -> str:
        """Jira."""
        info = self._recorded(f"{promql.SERVER_INFO}{{<>}}")
        return self._name(info, "server_name", "account_id", "server_id")

    @property
    def server(self) -> str:
        """MCP server Jira (jira) of account Production."""
        return f"MCP server {self.server_name} ({{{{ $labels.server_id }}}}) of {self.account}"

    @property
    def portal(self) -> str:
        """MCP portal Engineering (eng) of account Production."""
        return self._portal(self._recorded(f"{promql.PORTAL_INFO}{{<>}}"))

    @property
    def lost_portal(self) -> str:
        """The same where the portal is gone: its last name."""
        info = self._scope.select("cloudflare_mcp_portal_info", "<>")
        seen = f"max_over_time(timestamp({info})[{self._account_window}:5m])"
        return self._portal(f"topk(1, max by (portal_name) ({seen}))")

    def _portal(self, info: str) -> str:
        name = self._name(info, "portal_name", "account_id", "portal_id")
        return f"MCP portal {name} ({{{{ $labels.portal_id }}}}) of {self.account}"

    @property
    def portals(self) -> str:
        """Of a server, by name."""
        attached = self._recorded(f"{promql.PORTAL_SERVER_INFO}{{<>}}")
        names = self._query(
            f"{self._recorded(promql.PORTAL_INFO)} and on ({self._scope.portal}) {attached}",
            "account_id",
            "server_id",
        )
        return f"Portals: {listing(names, 'portal_name', 'none')}."

    @property
    def age(self) -> str:
        """How long a server has not been synced."""
        staleness = self._scope.last("cloudflare_mcp_server_sync_staleness_seconds", "<>")
        return (
            f"{{{{ with {self._query(f'min({staleness})', 'account_id', 'server_id')} }}}}"
            "No successful sync for {{ (first .).Value | humanizeDuration }}."
            "{{ else }}The time of the last successful sync is not known.{{ end }}"
        )

    @property
    def error_class(self) -> str:
        """The class of a server's error; of several, one that is not upstream."""
        labels = ("mcp_code", "status_code", "retryable", "is_upstream")
        classes = self._scope.select("cloudflare_mcp_server_error_info", "<>")
        before = self._scope.last("cloudflare_mcp_server_error_info", "<>")
        by = ", ".join(labels)
        found = self._query(
            f"max by ({by}) ({classes}) or on () max by ({by}) ({before})",
            "account_id",
            "server_id",
        )
        # Each sort keeps the order of the one before: the whole label set decides which is first.
        ordered = " | ".join((found, *(f"sortByLabel `{label}`" for label in labels)))
        return (
            f"{{{{ with {ordered} }}}}"
            "{{ with first . }}Error class: upstream {{ .Labels.is_upstream }}, "
            "retryable {{ .Labels.retryable }}, HTTP status {{ or .Labels.status_code `none` }}, "
            "MCP code {{ or .Labels.mcp_code `none` }}.{{ end }}"
            "{{ else }}The API gave no details of an error.{{ end }}"
        )

    @property
    def reasons(self) -> str:
        """Why listings of an account failed."""
        failed = self._query(f"{promql.FAILED}{{<>}} == 1", "account_id")
        return f"Reasons: {listing(failed, 'reason', 'none known')}."

    @property
    def server_status(self) -> str:
        """What Cloudflare says of a server now."""
        status = self._scope.select("cloudflare_mcp_server_status", "<>")
        found = self._query(f"max by (status) ({status} == 1)", "account_id", "server_id")
        return listing(found, "status", "unknown")

    def probe_outcome(self, kind: Literal["server", "portal"]) -> str:
        """How the last live probe of a server or a portal ended."""
        outcome = f"last_over_time(cloudflare_mcp_{kind}_probe_outcome{{<>}}[{self._probe_window}])"
        found = self._query(f"max by (outcome) ({outcome} == 1)", "account_id", f"{kind}_id")
        return listing(found, "outcome", "unknown")

    @property
    def failing_servers(self) -> str:
        """Of a portal, by name."""
        scope = self._scope
        names = self._query(
            f"{promql.SERVER_INFO} and on ({scope.server}) "
            f"({promql.PORTAL_SERVER_INFO}{{<>}} and on ({scope.server}) "
            f"{promql.SERVER_FAILING} == 1)",
            "account_id",
            "portal_id",
        )
        return f"Its failing servers: {listing(names, 'server_name', 'none')}."


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
