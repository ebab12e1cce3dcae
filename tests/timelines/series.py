"""What Prometheus would store of a timeline, as the series of a promtool test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from timelines.truth import Condition, Server, Truth
from timelines.weather import Target, Timeline

Labels = tuple[tuple[str, str], ...]
Key = tuple[str, Labels]
Sample = tuple[Key, float]

JOB = "cloudflare-mcp"
EPOCH = 1_700_000_000
"""Of times that the rules compare with each other alone."""

STALE = "stale"

STATUSES = ("ready", "waiting", "stale", "error")
AUTHENTICATION = ("connected", "stale", "manual")

CLASSES: dict[Condition, tuple[str, str, str]] = {
    Condition.DENIED: ("true", "false", "401"),
    Condition.UNREACHABLE: ("false", "unknown", ""),
    Condition.RETRYABLE: ("true", "true", "503"),
}
"""is_upstream, retryable and status_code of a server's error."""


def input_series(timeline: Timeline) -> list[dict[str, str]]:
    """All series of a timeline, with a sample a minute."""
    stored: dict[Key, dict[int, float | str]] = {}
    for target in timeline.weather.targets:
        for minute, key, value in _scrapes(timeline, target):
            stored.setdefault(key, {})[minute] = value
    return [
        {"series": _text(key), "values": _values(samples, timeline.minutes)}
        for key, samples in stored.items()
    ]


def _scrapes(timeline: Timeline, target: Target) -> Iterator[tuple[int, Key, float | str]]:
    """The samples and staleness markers that the scrapes of a target leave."""
    own = {"job": JOB, "instance": target.instance, **dict(timeline.labels)}
    if target.kind == "probe":
        own["account"] = target.accounts[0]
    labels = tuple(own.items())
    up: Key = ("up", labels)
    there: set[Key] = set()
    for minute in range(timeline.minutes + 1):
        if target.last is not None and minute == target.last + 1:
            yield from ((minute, key, STALE) for key in (*there, up))
            return
        works = target.scraped(minute)
        if works is None:
            continue
        yield minute, up, float(works)
        told = dict(_exposition(timeline, target, minute)) if works else {}
        now = {(name, more + labels): value for (name, more), value in told.items()}
        yield from ((minute, key, value) for key, value in now.items())
        yield from ((minute, key, STALE) for key in there - now.keys())
        there = set(now)


def _exposition(timeline: Timeline, target: Target, minute: int) -> Iterator[Sample]:
    """What a target answers."""
    written: int | None = minute
    if target.kind == "textfile":
        written = timeline.weather.written(minute)
        if written is None:
            return
    assert written is not None
    truth = timeline.truth
    accounts = [one for one in target.accounts if truth.account(one).configured(written)]
    if target.kind != "probe":
        loaded = EPOCH + 60 * configuration_loaded(timeline, target, written)
        name = "cloudflare_mcp_exporter_account_configured_timestamp_seconds"
        yield from (((name, (("account_id", one),)), loaded) for one in accounts)
        yield ("cloudflare_mcp_exporter_config_last_reload_successful", ()), 1
    if target.kind != "own":
        for account in accounts:
            yield from _account(timeline, target, account, written)


def configuration_loaded(timeline: Timeline, target: Target, minute: int) -> int:
    """When the exporter behind a target loaded the configuration that it has."""
    if target.kind == "textfile":
        return minute
    removals = [one.removed for one in timeline.truth.accounts if one.removed is not None]
    return max([target.started, *(moment for moment in removals if moment <= minute)])


def _account(timeline: Timeline, target: Target, account: str, minute: int) -> Iterator[Sample]:
    own: Labels = (("account_id", account),)
    reason = timeline.weather.reason(account, minute)
    yield ("cloudflare_mcp_up", own), float(reason is None)
    yield ("cloudflare_mcp_account_info", (*own, ("account_name", f"{account} Ltd"))), 1
    for one in timeline.weather.reasons(account):
        yield ("cloudflare_mcp_collection_failed", (*own, ("reason", one))), float(one == reason)
    # A process knows of its own listings alone; one that writes a textfile has only one.
    first = minute if target.kind == "textfile" else target.started
    success = next(
        (m for m in range(minute, first - 1, -1) if not timeline.weather.reason(account, m)), None
    )
    if success is not None:
        yield ("cloudflare_mcp_last_success_timestamp_seconds", own), 60 * success
    if reason is None:
        yield from _portals(timeline.truth, account, minute)
        for server in timeline.truth.servers:
            if server.account == account:
                yield from _server(timeline.truth, server, minute)


def _portals(truth: Truth, account: str, minute: int) -> Iterator[Sample]:
    for portal in truth.portals:
        if portal.account != account or not portal.exists(minute):
            continue
        own: Labels = (("account_id", account), ("portal_id", portal.id))
        name = f"{portal.id} {sum(moment <= minute for moment in portal.renamed)}"
        info = (*own, ("portal_name", name), ("hostname", "https://portal.test"))
        yield ("cloudflare_mcp_portal_info", info), 1
        count = len(truth.members(portal, minute))
        yield ("cloudflare_mcp_portal_servers", (*own, ("auth_type", "oauth"))), count


def _server(truth: Truth, server: Server, minute: int) -> Iterator[Sample]:
    homes = truth.homes(server, minute)
    if not homes:
        return
    own: Labels = (("account_id", server.account), ("server_id", server.id))
    condition = server.condition(minute)
    name = f"{server.id} {sum(moment <= minute for moment in server.renamed)}"
    info = (("server_name", name), ("hostname", "https://mcp.test"), ("auth_type", "oauth"))
    yield ("cloudflare_mcp_server_info", own + info), 1
    yield ("cloudflare_mcp_server_error", own), float(condition.broken)
    retryable = float(condition is Condition.RETRYABLE)
    yield ("cloudflare_mcp_server_retryable_upstream_failure", own), retryable
    if condition in CLASSES:
        labels = zip(("is_upstream", "retryable", "status_code"), CLASSES[condition], strict=True)
        yield ("cloudflare_mcp_server_error_info", (*own, *labels, ("mcp_code", ""))), 1
    yield from _states(server, condition, own)
    age = 60 * (minute - server.synced(minute))
    yield ("cloudflare_mcp_server_sync_staleness_seconds", own), age
    for portal in homes:
        inside: Labels = (("account_id", server.account), ("portal_id", portal), own[1])
        yield ("cloudflare_mcp_portal_server_info", inside), 1


def _states(server: Server, condition: Condition, own: Labels) -> Iterator[Sample]:
    lapsed = condition is Condition.LAPSED
    status = "stale" if lapsed else "error" if condition.broken else "ready"
    authentication = "stale" if lapsed else "manual" if server.manual else "connected"
    for one in STATUSES:
        labels = (*own, ("status", one))
        yield ("cloudflare_mcp_server_status", labels), float(one == status)
    for one in AUTHENTICATION:
        labels = (*own, ("authentication_status", one))
        metric = "cloudflare_mcp_server_authentication_status"
        yield (metric, labels), float(one == authentication)


def _text(key: Key) -> str:
    name, labels = key
    inner = ",".join(f'{label}="{value}"' for label, value in labels)
    return f"{name}{{{inner}}}"


def _values(samples: dict[int, float | str], minutes: int) -> str:
    """Samples in promtool's notation."""
    return " ".join(_joined(_tokens(samples, minutes)))


def _tokens(samples: dict[int, float | str], minutes: int) -> Iterator[str]:
    for minute in range(minutes + 1):
        value = samples.get(minute, "_")
        yield value if isinstance(value, str) else f"{value:.15g}"


def _joined(tokens: Iterable[str]) -> Iterator[str]:
    """Runs of equal samples as one."""
    last, length = "", 0
    for token in (*tokens, ""):
        if token == last and token != STALE:
            length += 1
            continue
        if length:
            more = last in ("_", STALE)
            yield last if length == 1 else f"_x{length}" if more else f"{last}+0x{length - 1}"
        last, length = token, 1
