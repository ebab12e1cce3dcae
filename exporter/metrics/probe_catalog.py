"""Declarations of the metrics of live probes; see `exporter.metrics.catalog`."""

from __future__ import annotations

from exporter.metrics.catalog import ATTACHMENT, PORTAL, SERVER, Metric, gauge

SERVER_SUCCESS = gauge(
    "server_probe_success",
    "Whether the server answered as an MCP server of its auth type should: with a result, or, if "
    "it is oauth or bearer, by requiring authorization.",
    SERVER,
)
SERVER_OUTCOME = gauge(
    "server_probe_outcome",
    "The outcome of the probe of the server: 1 for the current one, 0 for the others.",
    (*SERVER, "outcome"),
)
SERVER_DURATION = gauge(
    "server_probe_duration_seconds",
    "Duration of each phase of the probe, as far as it came: resolve, connect, tls, discover, "
    "list.",
    (*SERVER, "phase"),
    unit="seconds",
)
SERVER_HTTP_STATUS = gauge(
    "server_probe_http_status_code",
    "HTTP status of the server's response. Absent if there was none.",
    SERVER,
)
SERVER_PROBE_INFO = gauge(
    "server_probe_info",
    "Information about the server: the version of MCP that it speaks, or other. Absent if unknown.",
    (*SERVER, "protocol_version"),
)
SERVER_CERTIFICATE_EXPIRY = gauge(
    "server_probe_certificate_expiry_timestamp_seconds",
    "Unix time at which the first certificate of the chain expires. Absent without TLS.",
    SERVER,
    unit="seconds",
)
SERVER_LOGIN_POSSIBLE = gauge(
    "server_probe_login_possible",
    "Whether the OAuth metadata that a login needs are available. Absent if the server requires "
    "no login.",
    SERVER,
)
SERVER_PROBE_TOOLS = gauge(
    "server_probe_tools",
    "Tools that the server lists now. Absent if they cannot be listed without credentials.",
    SERVER,
)
SERVER_DRIFT = gauge(
    "server_probe_catalog_drift_tools",
    "Tools that the server has added or removed since Cloudflare's last sync. Absent if either "
    "list is unknown.",
    (*SERVER, "change"),
)
SERVER_TIMESTAMP = gauge(
    "server_probe_timestamp_seconds",
    "Unix time of the probe; older than the scrape if --probe.min-interval is not over yet.",
    SERVER,
    unit="seconds",
)
PORTAL_SUCCESS = gauge(
    "portal_probe_success",
    "Whether the portal answered: its home page, or, with a service token, the list of its tools.",
    PORTAL,
)
PORTAL_OUTCOME = gauge(
    "portal_probe_outcome",
    "The outcome of the probe of the portal: 1 for the current one, 0 for the others.",
    (*PORTAL, "outcome"),
)
PORTAL_DURATION = gauge(
    "portal_probe_duration_seconds",
    "Duration of each phase of the probe, as far as it came: resolve, connect, tls, discover, "
    "list.",
    (*PORTAL, "phase"),
    unit="seconds",
)
PORTAL_HTTP_STATUS = gauge(
    "portal_probe_http_status_code",
    "HTTP status of the portal's response. Absent if there was none.",
    PORTAL,
)
PORTAL_CERTIFICATE_EXPIRY = gauge(
    "portal_probe_certificate_expiry_timestamp_seconds",
    "Unix time at which the first certificate of the chain expires.",
    PORTAL,
    unit="seconds",
)
PORTAL_TIMESTAMP = gauge(
    "portal_probe_timestamp_seconds",
    "Unix time of the probe; older than the scrape if --probe.min-interval is not over yet.",
    PORTAL,
    unit="seconds",
)
SERVER_VISIBLE = gauge(
    "portal_probe_server_visible",
    "Whether the portal's list of tools, as a service token gets it, has tools of this server; "
    "for attached servers that expose tools and do not act on behalf of their users. The portal "
    "may have stored the list: it does not prove that the server answers.",
    ATTACHMENT,
)
SERVER_VISIBLE_TOOLS = gauge(
    "portal_probe_server_tools",
    "Tools of this server in the portal's list, as a service token gets it.",
    ATTACHMENT,
)

PROBES: tuple[Metric, ...] = tuple(
    value for value in globals().values() if isinstance(value, Metric)
)
"""All declarations, in the order of exposition."""
