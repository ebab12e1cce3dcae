"""Recording rules: every object once, however many exporters list it.

The name of a rule is ``level:metric:operation``; the level names the labels that identify a
series, names ride along. While no exporter can list an account, its series keep the values of the
last listing for `Thresholds.gap_window`: a failed scrape neither resolves nor restarts an alert,
and what was detached before it does not come back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixin.alerts import promql
from mixin.alerts.model import Alert, Recording
from mixin.alerts.promql import ATTACHMENT, PORTAL, SERVER, indented, last_seen, one_info

if TYPE_CHECKING:
    from mixin.thresholds import Thresholds


def rules(thresholds: Thresholds) -> list[Recording | Alert]:
    """All recording rules but those that only the posture alerts need, in order of dependence."""
    selector = thresholds.selector
    return [
        *_account(selector, thresholds),
        *_server(selector),
        *_portal(selector),
        *_server_state(),
        *_portal_state(),
    ]


def aggregated(record: str, operator: str, by: str, metric: str) -> Recording:
    """`metric` without the labels of the scrape, held over gaps."""
    return held(record, f"{operator} by ({by}) ({metric})")


def held(record: str, expr: str) -> Recording:
    """`expr`, or while the account cannot be listed what this very rule recorded before."""
    previous = f"{record}\nand on (account_id)\n  {promql.GAP} == 1"
    return Recording(record, f"{expr}\nor\n(\n{indented(previous)}\n)")


def _account(selector: str, thresholds: Thresholds) -> list[Recording]:
    up = promql.UP
    info = "cloudflare_mcp_account_info"
    # A coarse step: it only finds a name for what an alert on a silent account says.
    last = last_seen(
        "account_id",
        "account_name",
        f"{info}{{{selector}}}",
        f"{thresholds.account_window}:5m",
    )
    return [
        Recording(up, f"max by (account_id) (cloudflare_mcp_up{{{selector}}})"),
        Recording(
            promql.GAP,
            f"max_over_time({up}[{thresholds.gap_window}]) == 1\n"
            f"unless on (account_id)\n  {up} == 1",
        ),
        Recording(
            promql.FAILURES,
            "sum by (account_id, reason) (\n"
            f"  increase(cloudflare_mcp_collection_failures_total{{{selector}}}"
            f"[{thresholds.reason_window}])\n)",
        ),
        Recording(
            promql.ACCOUNT_INFO,
            f"{one_info('account_id', 'account_name', info, selector)}\nor on (account_id)\n"
            f"group by (account_id, account_name) (\n{indented(last)}\n)",
        ),
    ]


def _server(selector: str) -> list[Recording]:
    def gauge(record: str, operator: str, metric: str, *labels: str) -> Recording:
        by = ", ".join((SERVER, *labels))
        return aggregated(record, operator, by, f"cloudflare_mcp_{metric}{{{selector}}}")

    return [
        held(
            promql.SERVER_INFO,
            one_info(
                SERVER,
                "server_name, hostname, auth_type",
                "cloudflare_mcp_server_info",
                selector,
            ),
        ),
        gauge(promql.SERVER_STATUS, "max", "server_status", "status"),
        gauge(
            promql.SERVER_AUTHENTICATION,
            "max",
            "server_authentication_status",
            "authentication_status",
        ),
        gauge(promql.SERVER_ERROR, "max", "server_error"),
        gauge(
            promql.SERVER_ERROR_INFO,
            "max",
            "server_error_info",
            "is_upstream",
            "retryable",
            "status_code",
            "mcp_code",
        ),
        gauge(promql.SERVER_RETRYABLE, "max", "server_retryable_upstream_failure"),
        gauge(promql.SERVER_STALENESS, "min", "server_sync_staleness_seconds"),
        gauge(promql.SERVER_TOOLS, "max", "server_tools"),
    ]


def _portal(selector: str) -> list[Recording]:
    attached = (
        f"max by ({ATTACHMENT}) (cloudflare_mcp_portal_server_info{{{selector}}})\n"
        f"* on ({PORTAL}) group_left (portal_name)\n  {promql.PORTAL_INFO}\n"
        f"* on ({SERVER}) group_left (server_name)\n  {promql.SERVER_INFO}"
    )
    return [
        held(
            promql.PORTAL_INFO,
            one_info(
                PORTAL,
                "portal_name, hostname",
                "cloudflare_mcp_portal_info",
                selector,
            ),
        ),
        held(promql.PORTAL_SERVER_INFO, attached),
        held(
            promql.PORTAL_SERVERS,
            f"sum by ({PORTAL}) (\n"
            f"  max by ({PORTAL}, auth_type) (cloudflare_mcp_portal_servers{{{selector}}})\n)",
        ),
        held(
            promql.PORTAL_EXPOSED_TOOLS,
            f"sum by ({PORTAL}) (\n"
            f"  max by ({ATTACHMENT}) "
            f"(cloudflare_mcp_portal_server_exposed_tools{{{selector}}})\n)",
        ),
    ]


def _server_state() -> list[Recording]:
    """1 or 0 for every server: what the alerts mean by a state, said once."""
    reauthorization = (
        f'{promql.SERVER_STATUS}{{status="stale"}}\n'
        f'or\n{promql.SERVER_AUTHENTICATION}{{authentication_status="stale"}}'
    )
    failing = (
        f'{promql.SERVER_ERROR}\nor\n{promql.SERVER_STATUS}{{status="error"}}\n'
        f"or\n{promql.SERVER_REAUTHORIZATION}"
    )
    unavailable = f'{promql.SERVER_FAILING}\nor\n{promql.SERVER_STATUS}{{status="waiting"}}'
    states = {
        promql.SERVER_REAUTHORIZATION: reauthorization,
        promql.SERVER_FAILING: failing,
        promql.SERVER_UNAVAILABLE: unavailable,
    }
    return [
        Recording(record, f"max by ({SERVER}) (\n{indented(expr)}\n)")
        for record, expr in states.items()
    ]


def _portal_state() -> list[Recording]:
    """Sums over the servers of each portal; a portal without servers has none."""
    sums = {
        promql.PORTAL_FAILING: promql.SERVER_FAILING,
        promql.PORTAL_UNAVAILABLE: promql.SERVER_UNAVAILABLE,
        promql.PORTAL_TOOLS: promql.SERVER_TOOLS,
    }
    return [
        Recording(
            record,
            f"sum by ({PORTAL}) (\n  {promql.PORTAL_SERVER_INFO}\n"
            f"  * on ({SERVER}) group_left ()\n    {server}\n)",
        )
        for record, server in sums.items()
    ]
