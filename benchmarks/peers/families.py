"""The metric families of an account, the ordinary way: what both Python peers have in common.

Written as one would after reading prometheus_client's chapter on custom collectors. The peers
differ in how a portal reaches them, as a dict or as a model, so they bring their own `get`.
"""

from __future__ import annotations

import os
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from prometheus_client import (
    REGISTRY,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

Get = Callable[[Any, str], Any]

ACCOUNT_ID = os.environ["CLOUDFLARE_ACCOUNT_ID"]
PER_PAGE = int(os.environ.get("PER_PAGE", "20"))

REASONS = (
    *("auth", "not_found", "rate_limited", "timeout", "connection"),
    *("upstream_5xx", "upstream_4xx", "api_error", "invalid_response", "incomplete", "internal"),
)
AUTH_TYPES = ("oauth", "bearer", "unauthenticated")
STATUSES = ("waiting", "ready", "stale", "error")
AUTHENTICATION_STATUSES = ("not_required", "required", "connected", "stale", "manual")
CODE_MODES = ("off", "opt_in", "default_on", "enforced")

ACCOUNT = ["account_id"]
PORTAL = ["account_id", "portal_id"]
SERVER = ["account_id", "server_id"]
ATTACHMENT = ["account_id", "portal_id", "server_id"]

FAILURES = Counter("cloudflare_mcp_collection_failures", "Failed listings.", [*ACCOUNT, "reason"])
REQUESTS = Counter("cloudflare_mcp_api_requests", "Requests to the API.", [*ACCOUNT, "code"])
DURATION = Histogram(
    "cloudflare_mcp_api_request_duration_seconds",
    "Time of a request.",
    ACCOUNT,
    buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
BYTES = Counter("cloudflare_mcp_api_response_bytes", "Bytes of decoded bodies.", ACCOUNT)
REMAINING = Gauge("cloudflare_mcp_api_ratelimit_remaining", "Requests left.", ACCOUNT)


def note_request(code: int, seconds: float, size: int) -> None:
    """Counts one request."""
    REQUESTS.labels(ACCOUNT_ID, str(code)).inc()
    DURATION.labels(ACCOUNT_ID).observe(seconds)
    BYTES.labels(ACCOUNT_ID).inc(size)


def serve(list_portals: Callable[[], list[Any]], get: Get) -> None:
    """Listens on the port that the environment names, for ever."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    for reason in REASONS:
        FAILURES.labels(ACCOUNT_ID, reason)
    for code in ("200", "error"):
        REQUESTS.labels(ACCOUNT_ID, code)
    REGISTRY.register(PortalsCollector(list_portals, get))
    _, thread = start_http_server(int(os.environ["PORT"]), addr="127.0.0.1")
    thread.join()


class PortalsCollector(Collector):
    """Lists the portals at each scrape."""

    def __init__(self, list_portals: Callable[[], list[Any]], get: Get) -> None:
        self._list_portals = list_portals
        self._get = get
        self._last_success: float | None = None

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing, so that registering does not list."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All families."""
        start = time.time()
        try:
            portals = self._list_portals()
        except Exception:  # noqa: BLE001 - whatever it is, the account was not listed
            FAILURES.labels(ACCOUNT_ID, "connection").inc()
            portals = None
        else:
            self._last_success = time.time()
        yield from self._account(start, portals)
        if portals is not None:
            yield from portal_families(portals, self._get)
            yield from server_families(portals, self._get)
            yield from attachment_families(portals, self._get)

    def _account(self, start: float, portals: list[Any] | None) -> Iterator[GaugeMetricFamily]:
        up = gauge("up", "Whether the account could be listed.", ACCOUNT)
        up.add_metric([ACCOUNT_ID], 0 if portals is None else 1)
        yield up
        info = gauge("account_info", "The account's name.", [*ACCOUNT, "account_name"])
        info.add_metric([ACCOUNT_ID, ACCOUNT_ID], 1)
        yield info
        duration = gauge("collection_duration_seconds", "Time of the listing.", ACCOUNT)
        duration.add_metric([ACCOUNT_ID], time.time() - start)
        yield duration
        success = gauge("last_success_timestamp_seconds", "Last listing.", ACCOUNT)
        if self._last_success is not None:
            success.add_metric([ACCOUNT_ID], self._last_success)
        yield success
        if portals is None:
            return
        count = gauge("portals", "Portals.", ACCOUNT)
        count.add_metric([ACCOUNT_ID], len(portals))
        yield count
        skipped = gauge("skipped_records", "Records left out.", [*ACCOUNT, "kind"])
        for kind in ("portal", "server"):
            skipped.add_metric([ACCOUNT_ID, kind], 0)
        yield skipped


def gauge(name: str, text: str, labels: list[str]) -> GaugeMetricFamily:
    """A family without samples."""
    return GaugeMetricFamily(f"cloudflare_mcp_{name}", text, labels=labels)


def timestamp(value: str | datetime | None) -> float | None:
    """Unix seconds; a time without a zone is UTC."""
    if not value:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def staleness(server: Any, get: Get, now: float) -> float | None:
    """Seconds since the last successful sync, or since creation."""
    since = timestamp(get(server, "last_successful_sync")) or timestamp(get(server, "created_at"))
    return None if since is None else max(0.0, now - since)


def in_error(server: Any, get: Get) -> bool:
    """Whether the API says that something is wrong with it."""
    details = get(server, "error_details")
    members = ("cause", "is_upstream", "mcp_code", "retryable", "status_code")
    failed = details is not None and any(get(details, name) is not None for name in members)
    return bool(get(server, "error")) or failed


def is_retryable(server: Any, get: Get) -> bool:
    """Whether the server itself failed in passing."""
    details = get(server, "error_details")
    if details is None:
        return False
    return get(details, "is_upstream") is True and get(details, "retryable") is True


def auth_type(server: Any, get: Get) -> str:
    """One of the known types, or other."""
    value = get(server, "auth_type")
    return value if value in AUTH_TYPES else "other"


def add_states(
    family: GaugeMetricFamily, labels: list[str], states: tuple[str, ...], state: str | None
) -> None:
    """One sample a state, all states."""
    if not state:
        return
    held = state if state in states else "other"
    for each in (*states, "other"):
        family.add_metric([*labels, each], 1 if each == held else 0)


def add(family: GaugeMetricFamily, labels: list[str], value: float | None) -> None:
    """One sample, absent where the value is."""
    if value is not None:
        family.add_metric(labels, value)


def portal_families(portals: list[Any], get: Get) -> Iterator[GaugeMetricFamily]:
    """What belongs to a portal."""
    now = time.time()
    info = gauge("portal_info", "The portal.", [*PORTAL, "portal_name", "hostname"])
    servers = gauge("portal_servers", "Servers by auth type.", [*PORTAL, "auth_type"])
    errors = gauge("portal_servers_with_error", "Servers in error.", PORTAL)
    retryable = gauge("portal_servers_retryable_upstream_failure", "Servers to retry.", PORTAL)
    stale = gauge("portal_sync_staleness_seconds", "Oldest sync.", PORTAL)
    mode = gauge("portal_code_mode", "Code mode.", [*PORTAL, "code_mode"])
    allowed = gauge("portal_code_mode_allowed", "Whether code mode is allowed.", PORTAL)
    gateway = gauge("portal_secure_web_gateway", "Whether it uses the gateway.", PORTAL)
    created = gauge("portal_created_timestamp_seconds", "Creation.", PORTAL)
    modified = gauge("portal_modified_timestamp_seconds", "Modification.", PORTAL)
    for portal in portals:
        labels = [ACCOUNT_ID, get(portal, "id")]
        members = get(portal, "servers") or []
        info.add_metric([*labels, get(portal, "name"), get(portal, "hostname")], 1)
        tally = Tally(auth_type(server, get) for server in members)
        for each in (*AUTH_TYPES, "other"):
            servers.add_metric([*labels, each], tally[each])
        errors.add_metric(labels, sum(in_error(server, get) for server in members))
        retryable.add_metric(labels, sum(is_retryable(server, get) for server in members))
        ages = [age for s in members if (age := staleness(s, get, now)) is not None]
        add(stale, labels, max(ages, default=None))
        code_mode = get(portal, "code_mode")
        add_states(mode, labels, CODE_MODES, code_mode)
        add(allowed, labels, code_mode != "off" if code_mode else get(portal, "allow_code_mode"))
        add(gateway, labels, get(portal, "secure_web_gateway"))
        add(created, labels, timestamp(get(portal, "created_at")))
        add(modified, labels, timestamp(get(portal, "modified_at")))
    yield from (info, servers, errors, retryable, stale, mode, allowed, gateway, created, modified)


def server_families(portals: list[Any], get: Get) -> Iterator[GaugeMetricFamily]:
    """What belongs to a server, once for each."""
    now = time.time()
    distinct: dict[str, Any] = {}
    attached: Tally[str] = Tally()
    for portal in portals:
        for server in get(portal, "servers") or []:
            distinct[get(server, "id")] = server
            attached[get(server, "id")] += 1
    types = gauge("servers", "Servers by auth type.", [*ACCOUNT, "auth_type"])
    tally = Tally(auth_type(server, get) for server in distinct.values())
    for each in (*AUTH_TYPES, "other"):
        types.add_metric([ACCOUNT_ID, each], tally[each])
    yield types
    info = gauge("server_info", "The server.", [*SERVER, "server_name", "hostname", "auth_type"])
    status = gauge("server_status", "Status.", [*SERVER, "status"])
    authentication = gauge(
        "server_authentication_status", "Authentication.", [*SERVER, "authentication_status"]
    )
    error = gauge("server_error", "Whether it is in error.", SERVER)
    details = gauge(
        "server_error_info",
        "The error's kind.",
        [*SERVER, "is_upstream", "retryable", "status_code", "mcp_code"],
    )
    retryable = gauge("server_retryable_upstream_failure", "Whether to retry.", SERVER)
    synced = gauge("server_last_sync_timestamp_seconds", "Last sync.", SERVER)
    succeeded = gauge("server_last_successful_sync_timestamp_seconds", "Last success.", SERVER)
    stale = gauge("server_sync_staleness_seconds", "Age of the last success.", SERVER)
    tools = gauge("server_tools", "Tools.", SERVER)
    prompts = gauge("server_prompts", "Prompts.", SERVER)
    in_portals = gauge("server_portals", "Portals it is in.", SERVER)
    gateway = gauge("server_secure_web_gateway", "Whether it uses the gateway.", SERVER)
    callback = gauge("server_shared_oauth_callback", "Whether the callback is shared.", SERVER)
    created = gauge("server_created_timestamp_seconds", "Creation.", SERVER)
    modified = gauge("server_modified_timestamp_seconds", "Modification.", SERVER)
    for identity, server in distinct.items():
        labels = [ACCOUNT_ID, identity]
        kind = auth_type(server, get)
        info.add_metric([*labels, get(server, "name"), get(server, "hostname"), kind], 1)
        add_states(status, labels, STATUSES, get(server, "status"))
        add_states(
            authentication, labels, AUTHENTICATION_STATUSES, authentication_status(server, get)
        )
        failed = in_error(server, get)
        error.add_metric(labels, failed)
        if failed and get(server, "error_details") is not None:
            details.add_metric([*labels, *error_labels(get(server, "error_details"), get)], 1)
        retryable.add_metric(labels, is_retryable(server, get))
        add(synced, labels, timestamp(get(server, "last_synced")))
        add(succeeded, labels, timestamp(get(server, "last_successful_sync")))
        add(stale, labels, staleness(server, get, now))
        for family, what in ((tools, "tools"), (prompts, "prompts")):
            offered = get(server, what)
            add(family, labels, None if offered is None else len(offered))
        in_portals.add_metric(labels, attached[identity])
        add(gateway, labels, get(server, "secure_web_gateway"))
        add(callback, labels, get(server, "is_shared_oauth_callback_enabled"))
        add(created, labels, timestamp(get(server, "created_at")))
        add(modified, labels, timestamp(get(server, "modified_at")))
    yield from (info, status, authentication, error, details, retryable, synced, succeeded)
    yield from (stale, tools, prompts, in_portals, gateway, callback, created, modified)


def authentication_status(server: Any, get: Get) -> str | None:
    """The status; manual where the OAuth client was set up by hand."""
    summary = get(server, "auth_config_summary")
    if summary is not None and get(summary, "auth_mode") == "manual":
        return "manual"
    status: str | None = get(server, "authentication_status")
    return status


def error_labels(details: Any, get: Get) -> list[str]:
    """The four labels of an error."""
    words = {True: "true", False: "false", None: "unknown"}
    codes = [get(details, name) for name in ("status_code", "mcp_code")]
    return [
        words[get(details, "is_upstream")],
        words[get(details, "retryable")],
        *("" if code is None else str(int(code)) for code in codes),
    ]


def attachment_families(portals: list[Any], get: Get) -> Iterator[GaugeMetricFamily]:
    """What belongs to a server in a portal."""
    info = gauge("portal_server_info", "The server is in the portal.", ATTACHMENT)
    disabled = gauge("portal_server_default_disabled", "Whether all is hidden.", ATTACHMENT)
    on_behalf = gauge("portal_server_on_behalf", "Whose credentials.", ATTACHMENT)
    tools = gauge("portal_server_exposed_tools", "Tools shown.", ATTACHMENT)
    prompts = gauge("portal_server_exposed_prompts", "Prompts shown.", ATTACHMENT)
    orphans = gauge("portal_server_orphaned_overrides", "Orphans.", [*ATTACHMENT, "kind"])
    for portal in portals:
        for server in get(portal, "servers") or []:
            labels = [ACCOUNT_ID, get(portal, "id"), get(server, "id")]
            hidden = get(server, "default_disabled")
            info.add_metric(labels, 1)
            add(disabled, labels, hidden)
            add(on_behalf, labels, get(server, "on_behalf"))
            for family, kind in ((tools, "tool"), (prompts, "prompt")):
                offered = get(server, f"{kind}s")
                if offered is None:
                    continue
                overrides = get(server, f"updated_{kind}s") or []
                said = {get(each, "name"): get(each, "enabled") for each in overrides}
                names = [each.get("name") for each in offered]
                shown = sum(is_shown(said.get(name), hidden) for name in names)
                family.add_metric(labels, shown)
                orphans.add_metric([*labels, kind], len(said.keys() - set(names)))
    yield from (info, disabled, on_behalf, tools, prompts, orphans)


def is_shown(enabled: bool | None, hidden: bool | None) -> bool:
    """Whether a portal shows a tool of which its override says this."""
    return enabled is True if hidden else enabled is not False
