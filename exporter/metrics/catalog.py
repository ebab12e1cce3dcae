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
        help: the HELP text; names the API fields that the value comes from.
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


def gauge(
    name: str,
    help_: str,
    labels: tuple[str, ...],
    *fields: str,
    unit: Literal["", "seconds", "bytes"] = "",
) -> Metric:
    """The declaration of a gauge, whose name gets the product's prefix."""
    return Metric(f"cloudflare_mcp_{name}", "gauge", help_, labels, unit, fields)


ERROR_FIELDS = ("server.error", "server.error_details")
STALENESS_FIELDS = ("server.last_successful_sync", "server.created_at")

# --- the account -------------------------------------------------------------------------------

UP = gauge(
    "up",
    "1 if this scrape, or the cached listing that serves it, listed the account whole, 0 if not; "
    "while 0 the account has no portal and no server series.",
    ACCOUNT,
)
ACCOUNT_INFO = gauge(
    "account_info",
    "Always 1; account_name is the configured name of the account, or its id.",
    (*ACCOUNT, "account_name"),
)
PORTALS = gauge("portals", "Portals of the account.", ACCOUNT, "portal.id")
SERVERS = gauge(
    "servers",
    "Distinct servers of the account by auth_type; a server in several portals counts once.",
    (*ACCOUNT, "auth_type"),
    "server.id",
    "server.auth_type",
)
COLLECTION_DURATION = gauge(
    "collection_duration_seconds",
    "How long the listing behind this scrape took; with a cache, the one that serves it.",
    ACCOUNT,
    unit="seconds",
)
COLLECTION_FAILURES = Metric(
    "cloudflare_mcp_collection_failures_total",
    "counter",
    "Listings that failed, by reason; every reason is present from the start.",
    (*ACCOUNT, "reason"),
)
LAST_SUCCESS = gauge(
    "last_success_timestamp_seconds",
    "Unix time at which the last whole listing ended; absent until there was one.",
    ACCOUNT,
    unit="seconds",
)
SKIPPED_RECORDS = gauge(
    "skipped_records",
    "Portal and server records of this listing left out because they could not be identified "
    "or read; the log names each once.",
    (*ACCOUNT, "kind"),
)
API_REQUESTS = Metric(
    "cloudflare_mcp_api_requests_total",
    "counter",
    "Requests to the API by HTTP status; code is error where no answer came.",
    (*ACCOUNT, "code"),
)
API_REQUEST_DURATION = Metric(
    "cloudflare_mcp_api_request_duration_seconds",
    "histogram",
    "Time from sending a request to the API to the end of the answer's body.",
    ACCOUNT,
    "seconds",
)
API_RESPONSE_BYTES = Metric(
    "cloudflare_mcp_api_response_bytes_total",
    "counter",
    "Bytes of the API's answers after decompression.",
    ACCOUNT,
)
API_RATELIMIT_REMAINING = gauge(
    "api_ratelimit_remaining",
    "Requests left in the API's current window: r= of the last Ratelimit header; "
    "absent until one came.",
    ACCOUNT,
)

# --- a portal ----------------------------------------------------------------------------------

PORTAL_INFO = gauge(
    "portal_info",
    "Always 1; the portal's name, and its hostname without user info, query and fragment.",
    (*PORTAL, "portal_name", "hostname"),
    "portal.id",
    "portal.name",
    "portal.hostname",
)
PORTAL_SERVERS = gauge(
    "portal_servers",
    "Distinct servers attached to the portal by auth_type.",
    (*PORTAL, "auth_type"),
    "portal.servers",
    "server.auth_type",
)
PORTAL_SERVERS_WITH_ERROR = gauge(
    "portal_servers_with_error",
    "Servers of the portal whose cloudflare_mcp_server_error is 1.",
    PORTAL,
    "portal.servers",
    *ERROR_FIELDS,
)
PORTAL_SERVERS_RETRYABLE = gauge(
    "portal_servers_retryable_upstream_failure",
    "Servers of the portal whose cloudflare_mcp_server_retryable_upstream_failure is 1.",
    PORTAL,
    "portal.servers",
    *ERROR_FIELDS,
    "server.error_details.is_upstream",
    "server.error_details.retryable",
)
PORTAL_STALENESS = gauge(
    "portal_sync_staleness_seconds",
    "Largest cloudflare_mcp_server_sync_staleness_seconds among the portal's servers; "
    "absent if none has one.",
    PORTAL,
    "portal.servers",
    *STALENESS_FIELDS,
    unit="seconds",
)
PORTAL_CODE_MODE = gauge(
    "portal_code_mode",
    "1 for the value of code_mode that holds, 0 for the others; "
    "absent if code_mode is not reported.",
    (*PORTAL, "code_mode"),
    "portal.code_mode",
)
PORTAL_CODE_MODE_ALLOWED = gauge(
    "portal_code_mode_allowed",
    "0 if code_mode is off or allow_code_mode is false, else 1; absent if neither is reported.",
    PORTAL,
    "portal.code_mode",
    "portal.allow_code_mode",
)
PORTAL_GATEWAY = gauge(
    "portal_secure_web_gateway",
    "1 if the portal's traffic goes through the secure web gateway (secure_web_gateway); "
    "absent if not reported.",
    PORTAL,
    "portal.secure_web_gateway",
)
PORTAL_CREATED = gauge(
    "portal_created_timestamp_seconds",
    "Unix time of the portal's created_at; absent if not reported.",
    PORTAL,
    "portal.created_at",
    unit="seconds",
)
PORTAL_MODIFIED = gauge(
    "portal_modified_timestamp_seconds",
    "Unix time of the portal's modified_at; absent if not reported.",
    PORTAL,
    "portal.modified_at",
    unit="seconds",
)

# --- a server ----------------------------------------------------------------------------------

SERVER_INFO = gauge(
    "server_info",
    "Always 1; the server's name, auth_type, and its hostname without user info, query and "
    "fragment.",
    (*SERVER, "server_name", "hostname", "auth_type"),
    "server.id",
    "server.server_id",
    "server.name",
    "server.hostname",
    "server.auth_type",
)
SERVER_STATUS = gauge(
    "server_status",
    "1 for the value of status that holds, 0 for the others; absent if status is not reported.",
    (*SERVER, "status"),
    "server.status",
)
SERVER_AUTHENTICATION_STATUS = gauge(
    "server_authentication_status",
    "1 for the value of authentication_status that holds, 0 for the others; an "
    "auth_config_summary.auth_mode of manual counts as manual; absent if neither is reported.",
    (*SERVER, "authentication_status"),
    "server.authentication_status",
    "server.auth_config_summary.auth_mode",
)
SERVER_ERROR = gauge(
    "server_error",
    "1 if error is a non-empty text or error_details has a member that is not null, else 0.",
    SERVER,
    *ERROR_FIELDS,
)
SERVER_ERROR_INFO = gauge(
    "server_error_info",
    "1 while the server is in error with error_details: true, false or unknown, and the codes "
    "as whole numbers or empty; absent otherwise.",
    (*SERVER, "is_upstream", "retryable", "status_code", "mcp_code"),
    *ERROR_FIELDS,
    "server.error_details.is_upstream",
    "server.error_details.retryable",
    "server.error_details.status_code",
    "server.error_details.mcp_code",
)
SERVER_RETRYABLE = gauge(
    "server_retryable_upstream_failure",
    "1 if the server is in error and error_details.is_upstream and .retryable are both true, "
    "else 0.",
    SERVER,
    *ERROR_FIELDS,
    "server.error_details.is_upstream",
    "server.error_details.retryable",
)
SERVER_LAST_SYNC = gauge(
    "server_last_sync_timestamp_seconds",
    "Unix time of the last sync attempt (last_synced); absent if there was none.",
    SERVER,
    "server.last_synced",
    unit="seconds",
)
SERVER_LAST_SUCCESSFUL_SYNC = gauge(
    "server_last_successful_sync_timestamp_seconds",
    "Unix time of the last successful sync (last_successful_sync); absent if there was none.",
    SERVER,
    "server.last_successful_sync",
    unit="seconds",
)
SERVER_STALENESS = gauge(
    "server_sync_staleness_seconds",
    "Seconds from last_successful_sync, or from created_at if there never was one, to this "
    "scrape; never negative; absent if neither is known.",
    SERVER,
    *STALENESS_FIELDS,
    unit="seconds",
)
SERVER_TOOLS = gauge(
    "server_tools", "Tools that the server offers; absent where tools is null.", SERVER,
    "server.tools",
)  # fmt: skip
SERVER_PROMPTS = gauge(
    "server_prompts", "Prompts that the server offers; absent where prompts is null.", SERVER,
    "server.prompts",
)  # fmt: skip
SERVER_PORTALS = gauge(
    "server_portals",
    "Portals that the server is attached to; 0 is seen with --collector.servers only.",
    SERVER,
    "portal.servers",
)
SERVER_GATEWAY = gauge(
    "server_secure_web_gateway",
    "1 if traffic to the server goes through the secure web gateway (secure_web_gateway); "
    "absent if not reported.",
    SERVER,
    "server.secure_web_gateway",
)
SERVER_SHARED_CALLBACK = gauge(
    "server_shared_oauth_callback",
    "1 if is_shared_oauth_callback_enabled; absent if not reported.",
    SERVER,
    "server.is_shared_oauth_callback_enabled",
)
SERVER_CREATED = gauge(
    "server_created_timestamp_seconds",
    "Unix time of the server's created_at; absent if not reported.",
    SERVER,
    "server.created_at",
    unit="seconds",
)
SERVER_MODIFIED = gauge(
    "server_modified_timestamp_seconds",
    "Unix time of the server's modified_at; absent if not reported.",
    SERVER,
    "server.modified_at",
    unit="seconds",
)

# --- a server in a portal ----------------------------------------------------------------------

PORTAL_SERVER_INFO = gauge(
    "portal_server_info",
    "Always 1; this server is attached to this portal.",
    ATTACHMENT,
    "portal.servers",
)
PORTAL_SERVER_DEFAULT_DISABLED = gauge(
    "portal_server_default_disabled",
    "1 if the portal hides the server's tools and prompts unless one is enabled "
    "(default_disabled); absent if not reported.",
    ATTACHMENT,
    "server.default_disabled",
)
PORTAL_SERVER_ON_BEHALF = gauge(
    "portal_server_on_behalf",
    "1 if the portal connects with its users' own credentials (on_behalf); absent if not reported.",
    ATTACHMENT,
    "server.on_behalf",
)
PORTAL_SERVER_EXPOSED_TOOLS = gauge(
    "portal_server_exposed_tools",
    "Tools of the server that the portal shows its users, by updated_tools[].enabled and "
    "default_disabled; absent where tools is null.",
    ATTACHMENT,
    "server.tools",
    "server.updated_tools",
    "server.default_disabled",
)
PORTAL_SERVER_EXPOSED_PROMPTS = gauge(
    "portal_server_exposed_prompts",
    "Prompts of the server that the portal shows its users, by updated_prompts[].enabled and "
    "default_disabled; absent where prompts is null.",
    ATTACHMENT,
    "server.prompts",
    "server.updated_prompts",
    "server.default_disabled",
)
PORTAL_SERVER_ORPHANED = gauge(
    "portal_server_orphaned_overrides",
    "Entries of updated_tools and updated_prompts that name something the server does not "
    "offer any more; absent where the catalog is null.",
    (*ATTACHMENT, "kind"),
    "server.tools",
    "server.updated_tools",
    "server.prompts",
    "server.updated_prompts",
)

# --- the exporter itself -----------------------------------------------------------------------

BUILD_INFO = gauge(
    "exporter_build_info",
    "Always 1; the exporter's version and revision, and the Python it runs on.",
    ("version", "revision", "python_version"),
)
CONFIG_RELOAD_SUCCESSFUL = gauge(
    "exporter_config_last_reload_successful",
    "1 if the last attempt to load the configuration worked, 0 if the old one is still in use.",
    (),
)
CONFIG_RELOAD_TIMESTAMP = gauge(
    "exporter_config_last_reload_success_timestamp_seconds",
    "Unix time at which the configuration in use was loaded.",
    (),
    unit="seconds",
)

ALL: tuple[Metric, ...] = tuple(value for value in globals().values() if isinstance(value, Metric))
"""All declarations, in the order of exposition."""
