"""The few shapes of PromQL that the rules share."""

from __future__ import annotations

PORTAL = "account_id, portal_id"
SERVER = "account_id, server_id"
ATTACHMENT = "account_id, portal_id, server_id"

UP = "account_id:cloudflare_mcp_up:max"
GAP = "account_id:cloudflare_mcp_up:gap"
FAILURES = "account_id_reason:cloudflare_mcp_collection_failures:increase"
ACCOUNT_INFO = "account_id:cloudflare_mcp_account_info:max"

SERVER_INFO = "account_id_server_id:cloudflare_mcp_server_info:max"
SERVER_STATUS = "account_id_server_id_status:cloudflare_mcp_server_status:max"
SERVER_AUTHENTICATION = (
    "account_id_server_id_authentication_status:cloudflare_mcp_server_authentication_status:max"
)
SERVER_ERROR = "account_id_server_id:cloudflare_mcp_server_error:max"
SERVER_ERROR_INFO = "account_id_server_id:cloudflare_mcp_server_error_info:max"
SERVER_RETRYABLE = "account_id_server_id:cloudflare_mcp_server_retryable_upstream_failure:max"
SERVER_STALENESS = "account_id_server_id:cloudflare_mcp_server_sync_staleness_seconds:min"
SERVER_TOOLS = "account_id_server_id:cloudflare_mcp_server_tools:max"
SERVER_REAUTHORIZATION = "account_id_server_id:cloudflare_mcp_server_needs_reauthorization:max"
SERVER_FAILING = "account_id_server_id:cloudflare_mcp_server_failing:max"
SERVER_UNAVAILABLE = "account_id_server_id:cloudflare_mcp_server_unavailable:max"

PORTAL_INFO = "account_id_portal_id:cloudflare_mcp_portal_info:max"
PORTAL_SERVERS = "account_id_portal_id:cloudflare_mcp_portal_servers:sum"
PORTAL_SERVER_INFO = "account_id_portal_id_server_id:cloudflare_mcp_portal_server_info:max"
PORTAL_FAILING = "account_id_portal_id:cloudflare_mcp_server_failing:sum"
PORTAL_UNAVAILABLE = "account_id_portal_id:cloudflare_mcp_server_unavailable:sum"
PORTAL_EXPOSED_TOOLS = "account_id_portal_id:cloudflare_mcp_portal_server_exposed_tools:sum"
PORTAL_TOOLS = "account_id_portal_id:cloudflare_mcp_server_tools:sum"

PORTAL_CODE_MODE = "account_id_portal_id_code_mode:cloudflare_mcp_portal_code_mode:max"
ORPHANED_OVERRIDES = (
    "account_id_portal_id_server_id:cloudflare_mcp_portal_server_orphaned_overrides:sum"
)


def indented(text: str) -> str:
    """The text two columns to the right."""
    return "\n".join(f"  {line}" for line in text.splitlines())


def unless(expr: str, by: str, *others: str) -> str:
    """`expr` without the objects for which any of `others` has a sample."""
    return "\n".join([expr, *(f"unless on ({by})\n{indented(other)}" for other in others)])


def one_info(by: str, labels: str, info: str, selector: str) -> str:
    """One series of value 1 an object, with the names that the longest running exporter gives it.

    While two exporters know an object by different names, which of them wins must not change from
    one evaluation to the next: names are labels of alerts. An exporter that does not tell its
    start is taken too, so that no object is lost.

    Args:
        by: the labels that identify the object.
        labels: the names.
        info: an info metric of the exporter.
        selector: matchers of the exporter's scrape jobs.
    """
    names = f"{info}{{{selector}}}"
    started = f"max by (job, instance) (process_start_time_seconds{{{selector}}})"
    by_start = f"{names}\n* on (job, instance) group_left ()\n  {started}\nor\n{names}"
    longest = f"bottomk by ({by}) (1,\n{indented(by_start)}\n)"
    return f"group by ({by}, {labels}) (\n{indented(longest)}\n)"


def last_seen(by: str, labels: str, info: str, window: str) -> str:
    """When each object was last seen within the window, under the last of its names.

    Args:
        by: the labels that identify the object.
        labels: the names.
        info: the series to look for.
        window: range and step of a subquery; without a step, that of the rules' evaluation.
    """
    return (
        f"topk by ({by}) (1,\n  max by ({by}, {labels}) (\n"
        f"    max_over_time(timestamp({info})[{window}])\n  )\n)"
    )


def named(expr: str, by: str, label: str, info: str) -> str:
    """`expr`, its value unchanged, with a name taken from an info series whose value is 1."""
    return f"(\n{indented(expr)}\n)\n* on ({by}) group_left ({label})\n{indented(info)}"


def of_server(expr: str) -> str:
    """`expr`, a vector by server, with the server's name; only servers that are in a portal.

    The exporter may list detached servers, too. What breaks in one of these hurts nobody.
    """
    attached = f"{expr}\nand on ({SERVER})\n  {PORTAL_SERVER_INFO}"
    return named(attached, SERVER, "server_name", SERVER_INFO)


def of_portal(expr: str) -> str:
    """`expr`, a vector by portal, with the portal's name."""
    return named(expr, PORTAL, "portal_name", PORTAL_INFO)
