"""Declarations of all metrics: name, type, help, labels and API fields.

The exposition, the documentation, the dashboards and the alert rules all use these declarations,
and tests compare each with them.
"""

from __future__ import annotations

from typing import Literal

import msgspec

ACCOUNT = ("account_id",)
PORTAL = ("account_id", "portal_id")
SERVER = ("account_id", "server_id")
ATTACHMENT = ("account_id", "portal_id", "server_id")


class Metric(msgspec.Struct, frozen=True):
    """The declaration of one metric family.

    Attributes:
        name: in the text format (a counter's ends in ``_total``).
        kind: the type in the text format.
        help: the HELP text: the meaning first, then the API fields and the rule.
        labels: all label names.
        unit: the base unit, empty for a plain number; where set, the name ends in it.
        fields: the API fields that decide a value or a label, as ``portal.`` or ``server.`` paths.
    """

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    help: str
    labels: tuple[str, ...]
    unit: Literal["", "seconds", "bytes"] = ""
    fields: tuple[str, ...] = ()


def _gauge(
    name: str,
    help_: str,
    labels: tuple[str, ...],
    *fields: str,
    unit: Literal["", "seconds", "bytes"] = "",
) -> Metric:
    return Metric(f"cloudflare_mcp_{name}", "gauge", help_, labels, unit, fields)


ERROR_FIELDS = ("server.error", "server.error_details")
STALENESS_FIELDS = ("server.last_successful_sync", "server.created_at")

# --- the account -------------------------------------------------------------------------------

UP = _gauge(
    "up",
    "Whether the last listing of the account succeeded. While 0, the account has no portal and "
    "no server series.",
    ACCOUNT,
)
ACCOUNT_INFO = _gauge(
    "account_info",
    "Information about the account. account_name is its configured name, or its ID.",
    (*ACCOUNT, "account_name"),
)
PORTALS = _gauge("portals", "Number of portals in the account.", ACCOUNT, "portal.id")
SERVERS = _gauge(
    "servers",
    "Number of distinct servers in the account, by auth_type. A server in several portals counts "
    "once.",
    (*ACCOUNT, "auth_type"),
    "server.id",
    "server.auth_type",
)
COLLECTION_DURATION = _gauge(
    "collection_duration_seconds",
    "Duration of the listing that this scrape shows. With a cache, that is the cached one.",
    ACCOUNT,
    unit="seconds",
)
COLLECTION_FAILURES = Metric(
    "cloudflare_mcp_collection_failures_total",
    "counter",
    "Total number of failed listings, by reason. Every reason is present from the start.",
    (*ACCOUNT, "reason"),
)
COLLECTION_FAILED = _gauge(
    "collection_failed",
    "1 for the reason why the listing behind this scrape failed, 0 for the others; all of them 0 "
    "if it did not fail.",
    (*ACCOUNT, "reason"),
)
LAST_SUCCESS = _gauge(
    "last_success_timestamp_seconds",
    "Unix time of the last successful listing. Absent until there was one.",
    ACCOUNT,
    unit="seconds",
)
SKIPPED_RECORDS = _gauge(
    "skipped_records",
    "Number of portal and server records skipped in this listing because they are invalid. The "
    "log names each once.",
    (*ACCOUNT, "kind"),
)
API_REQUESTS = Metric(
    "cloudflare_mcp_api_requests_total",
    "counter",
    "Total number of API requests, by HTTP status code. code is error if there was no response.",
    (*ACCOUNT, "code"),
)
API_REQUEST_DURATION = Metric(
    "cloudflare_mcp_api_request_duration_seconds",
    "histogram",
    "Duration of API requests, including the response body.",
    ACCOUNT,
    "seconds",
)
API_RESPONSE_BYTES = Metric(
    "cloudflare_mcp_api_response_bytes_total",
    "counter",
    "Total size of API responses after decompression.",
    ACCOUNT,
)
API_RATELIMIT_REMAINING = _gauge(
    "api_ratelimit_remaining",
    "Remaining API requests in the current rate limit window, from r= of the Ratelimit header. "
    "Absent until there was one.",
    ACCOUNT,
)

# --- a portal ----------------------------------------------------------------------------------

PORTAL_INFO = _gauge(
    "portal_info",
    "Information about the portal: its name and hostname (without user info, query and fragment).",
    (*PORTAL, "portal_name", "hostname"),
    "portal.id",
    "portal.name",
    "portal.hostname",
)
PORTAL_SERVERS = _gauge(
    "portal_servers",
    "Number of distinct servers in the portal, by auth_type.",
    (*PORTAL, "auth_type"),
    "portal.servers",
    "server.auth_type",
)
PORTAL_SERVERS_WITH_ERROR = _gauge(
    "portal_servers_with_error",
    "Number of servers in the portal that are in error (cloudflare_mcp_server_error is 1).",
    PORTAL,
    "portal.servers",
    *ERROR_FIELDS,
)
PORTAL_SERVERS_RETRYABLE = _gauge(
    "portal_servers_retryable_upstream_failure",
    "Number of servers in the portal with a retryable failure "
    "(cloudflare_mcp_server_retryable_upstream_failure is 1).",
    PORTAL,
    "portal.servers",
    *ERROR_FIELDS,
    "server.error_details.is_upstream",
    "server.error_details.retryable",
)
PORTAL_STALENESS = _gauge(
    "portal_sync_staleness_seconds",
    "Largest cloudflare_mcp_server_sync_staleness_seconds of the portal's servers. Absent if no "
    "server has one.",
    PORTAL,
    "portal.servers",
    *STALENESS_FIELDS,
    unit="seconds",
)
PORTAL_CODE_MODE = _gauge(
    "portal_code_mode",
    "Code mode of the portal (code_mode): 1 for the current value, 0 for the others. Absent if "
    "not reported.",
    (*PORTAL, "code_mode"),
    "portal.code_mode",
)
PORTAL_CODE_MODE_ALLOWED = _gauge(
    "portal_code_mode_allowed",
    "Whether the portal allows code mode: 0 if code_mode is off or allow_code_mode is false. "
    "Absent if neither is reported.",
    PORTAL,
    "portal.code_mode",
    "portal.allow_code_mode",
)
PORTAL_GATEWAY = _gauge(
    "portal_secure_web_gateway",
    "Whether the portal's traffic goes through Secure Web Gateway (secure_web_gateway). Absent "
    "if not reported.",
    PORTAL,
    "portal.secure_web_gateway",
)
PORTAL_CREATED = _gauge(
    "portal_created_timestamp_seconds",
    "Unix time of the portal's creation (created_at). Absent if not reported.",
    PORTAL,
    "portal.created_at",
    unit="seconds",
)
PORTAL_MODIFIED = _gauge(
    "portal_modified_timestamp_seconds",
    "Unix time of the portal's last modification (modified_at). Absent if not reported.",
    PORTAL,
    "portal.modified_at",
    unit="seconds",
)

# --- a server ----------------------------------------------------------------------------------

SERVER_INFO = _gauge(
    "server_info",
    "Information about the server: its name, auth_type and hostname (without user info, query "
    "and fragment).",
    (*SERVER, "server_name", "hostname", "auth_type"),
    "server.id",
    "server.server_id",
    "server.name",
    "server.hostname",
    "server.auth_type",
)
SERVER_STATUS = _gauge(
    "server_status",
    "Status of the server (status): 1 for the current value, 0 for the others. Absent if not "
    "reported.",
    (*SERVER, "status"),
    "server.status",
)
SERVER_AUTHENTICATION_STATUS = _gauge(
    "server_authentication_status",
    "Authentication status of the server (authentication_status): 1 for the current value, 0 for "
    "the others. Also manual if auth_config_summary.auth_mode is. Absent if neither is reported.",
    (*SERVER, "authentication_status"),
    "server.authentication_status",
    "server.auth_config_summary.auth_mode",
)
SERVER_ERROR = _gauge(
    "server_error",
    "Whether the server is in error: error is not empty, or error_details has a member that is "
    "not null.",
    SERVER,
    *ERROR_FIELDS,
)
SERVER_ERROR_INFO = _gauge(
    "server_error_info",
    "Information about the error of a server, from error_details: true, false or unknown, and "
    "codes as integers or empty. Absent without an error.",
    (*SERVER, "is_upstream", "retryable", "status_code", "mcp_code"),
    *ERROR_FIELDS,
    "server.error_details.is_upstream",
    "server.error_details.retryable",
    "server.error_details.status_code",
    "server.error_details.mcp_code",
)
SERVER_RETRYABLE = _gauge(
    "server_retryable_upstream_failure",
    "Whether the server is in error, the failure is its own and a retry may help: "
    "error_details.is_upstream and error_details.retryable are true.",
    SERVER,
    *ERROR_FIELDS,
    "server.error_details.is_upstream",
    "server.error_details.retryable",
)
SERVER_LAST_SYNC = _gauge(
    "server_last_sync_timestamp_seconds",
    "Unix time of the last sync attempt (last_synced). Absent if there was none.",
    SERVER,
    "server.last_synced",
    unit="seconds",
)
SERVER_LAST_SUCCESSFUL_SYNC = _gauge(
    "server_last_successful_sync_timestamp_seconds",
    "Unix time of the last successful sync (last_successful_sync). Absent if there was none.",
    SERVER,
    "server.last_successful_sync",
    unit="seconds",
)
SERVER_STALENESS = _gauge(
    "server_sync_staleness_seconds",
    "Time since the last successful sync (last_successful_sync), or since created_at if there "
    "was none. Never negative. Absent if neither is reported.",
    SERVER,
    *STALENESS_FIELDS,
    unit="seconds",
)
SERVER_TOOLS = _gauge(
    "server_tools",
    "Number of tools that the server offers. Absent if tools is null.", SERVER,
    "server.tools",
)  # fmt: skip
SERVER_PROMPTS = _gauge(
    "server_prompts",
    "Number of prompts that the server offers. Absent if prompts is null.", SERVER,
    "server.prompts",
)  # fmt: skip
SERVER_PORTALS = _gauge(
    "server_portals",
    "Number of portals that include the server. 0 occurs only with --collector.servers.",
    SERVER,
    "portal.servers",
)
SERVER_GATEWAY = _gauge(
    "server_secure_web_gateway",
    "Whether traffic to the server goes through Secure Web Gateway (secure_web_gateway). Absent "
    "if not reported.",
    SERVER,
    "server.secure_web_gateway",
)
SERVER_SHARED_CALLBACK = _gauge(
    "server_shared_oauth_callback",
    "Whether the server uses the shared OAuth callback (is_shared_oauth_callback_enabled). "
    "Absent if not reported.",
    SERVER,
    "server.is_shared_oauth_callback_enabled",
)
SERVER_CREATED = _gauge(
    "server_created_timestamp_seconds",
    "Unix time of the server's creation (created_at). Absent if not reported.",
    SERVER,
    "server.created_at",
    unit="seconds",
)
SERVER_MODIFIED = _gauge(
    "server_modified_timestamp_seconds",
    "Unix time of the server's last modification (modified_at). Absent if not reported.",
    SERVER,
    "server.modified_at",
    unit="seconds",
)

# --- a server in a portal ----------------------------------------------------------------------

PORTAL_SERVER_INFO = _gauge(
    "portal_server_info",
    "The server is in the portal. Always 1.",
    ATTACHMENT,
    "portal.servers",
)
PORTAL_SERVER_DEFAULT_DISABLED = _gauge(
    "portal_server_default_disabled",
    "Whether the portal hides the server's tools and prompts unless they are enabled one by one "
    "(default_disabled). Absent if not reported.",
    ATTACHMENT,
    "server.default_disabled",
)
PORTAL_SERVER_ON_BEHALF = _gauge(
    "portal_server_on_behalf",
    "Whether the portal connects with the credentials of each user (on_behalf). Absent if not "
    "reported.",
    ATTACHMENT,
    "server.on_behalf",
)
PORTAL_SERVER_EXPOSED_TOOLS = _gauge(
    "portal_server_exposed_tools",
    "Number of the server's tools that the portal exposes, by updated_tools[].enabled and "
    "default_disabled. Absent if tools is null.",
    ATTACHMENT,
    "server.tools",
    "server.updated_tools",
    "server.default_disabled",
)
PORTAL_SERVER_EXPOSED_PROMPTS = _gauge(
    "portal_server_exposed_prompts",
    "Number of the server's prompts that the portal exposes, by updated_prompts[].enabled and "
    "default_disabled. Absent if prompts is null.",
    ATTACHMENT,
    "server.prompts",
    "server.updated_prompts",
    "server.default_disabled",
)
PORTAL_SERVER_ORPHANED = _gauge(
    "portal_server_orphaned_overrides",
    "Number of entries in updated_tools and updated_prompts that name a tool or prompt that the "
    "server no longer offers. Absent if tools or prompts is null.",
    (*ATTACHMENT, "kind"),
    "server.tools",
    "server.updated_tools",
    "server.prompts",
    "server.updated_prompts",
)

# --- the exporter itself -----------------------------------------------------------------------

BUILD_INFO = _gauge(
    "exporter_build_info",
    "Information about the exporter: version, revision and Python version.",
    ("version", "revision", "python_version"),
)
CONFIG_RELOAD_SUCCESSFUL = _gauge(
    "exporter_config_last_reload_successful",
    "Whether the last attempt to load the configuration succeeded. If 0, the previous one is "
    "still in use.",
    (),
)
CONFIG_RELOAD_TIMESTAMP = _gauge(
    "exporter_config_last_reload_success_timestamp_seconds",
    "Unix time at which the configuration in use was loaded.",
    (),
    unit="seconds",
)
ACCOUNT_CONFIGURED = _gauge(
    "exporter_account_configured_timestamp_seconds",
    "Unix time at which the configuration in use, which has this account, was loaded.",
    ACCOUNT,
    unit="seconds",
)

ALL: tuple[Metric, ...] = tuple(value for value in globals().values() if isinstance(value, Metric))
"""All declarations, in the order of exposition."""
