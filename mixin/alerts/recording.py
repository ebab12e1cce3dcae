"""Recording rules: every object once, however many exporters list it.

The name of a rule is ``level:metric:operation``; the level names the labels that identify a
series. Each rule looks back over `Thresholds.gap_window`, so that what an exporter told last counts
until it tells something else, or for that long: a scrape that fails, a pod that is replaced and a
scrape interval of ten minutes change nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixin.alerts import promql
from mixin.alerts.model import Alert, Recording
from mixin.alerts.promql import Scope, aggregated, both, either, indented, unless

if TYPE_CHECKING:
    from mixin.thresholds import Thresholds


def rules(thresholds: Thresholds) -> list[Recording | Alert]:
    """All recording rules, in order of dependence."""
    scope = Scope(thresholds)
    return [
        *_account(scope, thresholds),
        *_server(scope),
        *_server_over_time(scope, thresholds),
        *_portal(scope),
    ]


def _account(scope: Scope, t: Thresholds) -> list[Recording]:
    by = scope.account
    listed = f"max by ({by}) ({scope.most('cloudflare_mcp_up')}) == 1"
    success = scope.most("cloudflare_mcp_last_success_timestamp_seconds")
    # A file that is not written any more goes on saying that all is well.
    old = f"time() - max by ({by}) ({success}) > {scope.window_seconds}"
    failing = f"max by ({by}) ({scope.last('cloudflare_mcp_up')}) == 0"
    failed = scope.most("cloudflare_mcp_collection_failed")
    configured = scope.most(
        "cloudflare_mcp_exporter_account_configured_timestamp_seconds", window=t.account_window
    )
    of_exporter = scope.by("job", "instance", "account_id")
    return [
        Recording(promql.UP, either(unless(listed, by, old), failing)),
        Recording(promql.FAILED, f"max by ({scope.by('account_id', 'reason')}) ({failed})"),
        Recording(promql.CONFIGURED, f"max by ({of_exporter}) ({configured})"),
    ]


def _server(scope: Scope) -> list[Recording]:
    """What is said of servers now."""
    lapsed = either(
        scope.last("cloudflare_mcp_server_status", 'status="stale"'),
        scope.last("cloudflare_mcp_server_authentication_status", 'authentication_status="stale"'),
    )
    failing = either(
        scope.last("cloudflare_mcp_server_error"),
        scope.last("cloudflare_mcp_server_status", 'status="error"'),
        promql.SERVER_REAUTHORIZATION,
    )
    return [
        _info(
            scope,
            promql.SERVER_INFO,
            "cloudflare_mcp_server_info",
            scope.server,
            "server_name, hostname, auth_type",
        ),
        Recording(promql.SERVER_REAUTHORIZATION, aggregated("max", scope.server, lapsed)),
        Recording(
            promql.SERVER_FAILING,
            scope.of_listed_account(aggregated("max", scope.server, failing)),
        ),
    ]


def _server_over_time(scope: Scope, t: Thresholds) -> list[Recording]:
    """How long a server has failed, and whether it may recover by itself.

    A failure belongs to the others since the server last worked: when its class changes, what was
    known of it before still counts.
    """
    error = scope.last("cloudflare_mcp_server_error")
    status = scope.last("cloudflare_mcp_server_status", 'status="error"')
    retryable = scope.last("cloudflare_mcp_server_retryable_upstream_failure")
    manual = scope.last(
        "cloudflare_mcp_server_authentication_status", 'authentication_status="manual"'
    )
    failing = f"{promql.SERVER_FAILING} == 1"
    # Compared exporter by exporter: one may know of a failure that another does not.
    lasting = either(
        f"{error} > {retryable}",
        f"{status} > ignoring (status) {retryable}",
        f"{promql.SERVER_REAUTHORIZATION} == 1",
        f"{manual} == 1",  # never synced again, so that nothing passes by itself
    )
    window = t.failure_window
    since_it_worked = (
        f"max_over_time({promql.SERVER_LASTING}[{window}])\n"
        f"> on ({scope.server})\n"
        f"  (max_over_time({promql.SERVER_WORKED}[{window}]) or {promql.SERVER_FAILING} * 0)"
    )
    long = both(
        f"min_over_time({promql.SERVER_FAILING}[{t.retryable_for}]) == 1",
        scope.server,
        f"max_over_time({promql.SERVER_FAILING}[{t.failure_window}] offset {t.retryable_for}) == 1",
    )
    return [
        Recording(promql.SERVER_WORKED, f"timestamp({promql.SERVER_FAILING} == 0)"),
        Recording(
            promql.SERVER_LASTING,
            f"timestamp(\n{indented(both(failing, scope.server, f'({lasting})'))}\n)",
        ),
        Recording(promql.SERVER_BROKEN, both(failing, scope.server, f"({since_it_worked})")),
        Recording(promql.SERVER_LONG, both(failing, scope.server, f"({long})")),
    ]


def _portal(scope: Scope) -> list[Recording]:
    servers = scope.last("cloudflare_mcp_portal_servers")
    attached = scope.last("cloudflare_mcp_portal_server_info")
    return [
        _info(
            scope,
            promql.PORTAL_INFO,
            "cloudflare_mcp_portal_info",
            scope.portal,
            "portal_name, hostname",
        ),
        Recording(
            promql.PORTAL_SERVER_INFO,
            scope.of_listed_account(f"max by ({scope.attachment}) ({attached})"),
        ),
        Recording(
            promql.PORTAL_SERVERS,
            f"sum by ({scope.portal}) (\n  max by ({scope.portal}, auth_type) ({servers})\n)",
        ),
    ]


def _info(scope: Scope, record: str, metric: str, by: str, names: str) -> Recording:
    """The names that an object has now; the last ones where no scrape is recent."""
    now = f"max by ({by}, {names}) ({scope.select(metric)})"
    before = f"max by ({by}, {names}) ({scope.last(metric)})"
    return Recording(record, f"{now}\nor on ({by})\n{before}")
