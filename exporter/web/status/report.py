"""What is known of all accounts, as plain values: the page shows them, and scripts read the JSON.

Pure. The names of the fields are those of the JSON; ``docs/reference/status.md`` describes them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from exporter import __version__, revision
from exporter.history import KEPT_FOR, Gone, Held, History
from exporter.model import Attachment, ErrorClass, Inventory, PortalServers, Server
from exporter.scrape_result import AccountState
from exporter.web.status.states import LEVELS, PORTAL_STATES, SERVER_STATES, UNAVAILABLE, State

QUIET_AFTER = 600.0
"""Seconds without a listing after which Prometheus seems to have stopped scraping."""

MINUTE = 60.0

_THREE = {"true": True, "false": False}


class Error(msgspec.Struct, frozen=True):
    """What the API says of the kind of an error; null where it does not say."""

    is_upstream: bool | None
    retryable: bool | None
    status_code: int | None
    mcp_code: int | None


class Probed(Protocol):
    """The last live probe of a server or a portal."""

    @property
    def success(self) -> bool:
        """Whether it answered as it should."""

    @property
    def outcome(self) -> str:
        """The value of the label ``outcome``."""

    @property
    def seconds(self) -> float:
        """That the probe took."""

    @property
    def ended(self) -> float:
        """Unix time."""


class ProbeStatus(msgspec.Struct, frozen=True):
    """The last live probe of a server or a portal."""

    success: bool
    outcome: str
    seconds: float
    ended: datetime | None


class ServerStatus(msgspec.Struct, frozen=True):
    """A server, as of its account's last whole listing."""

    account_id: str
    account: str
    id: str
    name: str
    hostname: str
    state: str
    level: str
    error: Error | None
    error_text_withheld: bool
    seen_since: datetime | None
    last_successful_sync: datetime | None
    last_sync: datetime | None
    created: datetime | None
    synced_in_background: bool
    status: str | None
    authentication_status: str | None
    auth_type: str
    tools: int | None
    prompts: int | None
    portals: tuple[str, ...]
    runbook: str
    probe: ProbeStatus | None = None

    @property
    def kind(self) -> State:
        """Its state with all words."""
        return SERVER_STATES[self.state]

    @property
    def unavailable(self) -> bool:
        """Whether users have none of its tools."""
        return self.state in UNAVAILABLE

    @property
    def needs_attention(self) -> bool:
        """Whether somebody should act."""
        return self.level in {"bad", "warn"}

    @property
    def synced(self) -> datetime | None:
        """The last successful sync, or the creation where there never was one."""
        return self.last_successful_sync or self.created


class Tools(msgspec.Struct, frozen=True):
    """Tools of a portal: ``offered`` by its servers = ``shown`` + ``lost`` + ``hidden``.

    ``lost`` are those that the portal would show of servers that do not work, ``hidden`` those
    that its own settings hide.
    """

    offered: int
    shown: int
    lost: int
    hidden: int


class PortalStatus(msgspec.Struct, frozen=True):
    """A portal, as its users feel it."""

    account_id: str
    account: str
    id: str
    name: str
    hostname: str
    state: str
    level: str
    worst_server_state: str | None
    seen_since: datetime | None
    modified: datetime | None
    tools: Tools | None
    servers: int
    servers_lost: int
    servers_need_attention: int
    servers_removed: int
    code_mode: str | None
    runbook: str
    probe: ProbeStatus | None = None

    @property
    def kind(self) -> State:
        """Its state with all words."""
        return PORTAL_STATES[self.state]

    @property
    def needs_attention(self) -> bool:
        """Whether somebody should act."""
        return self.level in {"bad", "warn"}


class AccountStatus(msgspec.Struct, frozen=True):
    """An account with the outcome of its last listing."""

    id: str
    name: str
    level: str
    listed: bool
    overdue: bool
    reason: str | None
    error: str | None
    hint: str | None
    last_listing: datetime | None
    last_listing_seconds: float | None
    shown_as_of: datetime | None
    observed_since: datetime | None
    portals: int | None
    servers: int | None
    skipped_records: int
    api_quota_remaining: float | None
    runbook: str

    @property
    def outdated(self) -> bool:
        """Whether its portals and servers are older than the page says of itself."""
        return (self.overdue or not self.listed) and self.shown_as_of is not None


class DisappearedStatus(msgspec.Struct, frozen=True):
    """What an account had in the last day and has no more."""

    account_id: str
    account: str
    kind: str
    portal_id: str
    portal_name: str
    server_id: str
    server_name: str
    last_seen: datetime | None
    noticed: datetime | None
    servers: int | None
    tools: int | None
    portals: tuple[str, ...]
    may_be_unreadable: bool


class Totals(msgspec.Struct, frozen=True):
    """Numbers of all accounts, whatever the filter."""

    accounts: int
    accounts_failing: int
    portals: int
    portals_needing_attention: int
    servers: int
    servers_needing_attention: int
    tools_offered: int
    tools_shown: int
    tools_lost: int


class Thresholds(msgspec.Struct, frozen=True):
    """What counts as too much."""

    stale_after_seconds: float


class Status(msgspec.Struct, frozen=True):
    """The state of all accounts.

    ``as_of`` is the end of the newest listing; ages count up to it. Lists have the worst first.
    """

    level: str
    as_of: datetime | None
    version: str
    revision: str
    thresholds: Thresholds
    totals: Totals
    accounts: tuple[AccountStatus, ...]
    portals: tuple[PortalStatus, ...]
    servers: tuple[ServerStatus, ...]
    disappeared: tuple[DisappearedStatus, ...]
    disappeared_incomplete: bool


def moment(seconds: float | None) -> datetime | None:
    """The time, to the second; None where it is not known, or where no calendar has it."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (OverflowError, ValueError, OSError):
        return None


def time_of(accounts: Iterable[AccountState], now: float) -> float:
    """Up to when ages count: the end of the newest listing.

    So nothing changes from one listing to the next. Where there is none for long, it is the
    current minute.
    """
    newest = max((one.latest.ended for one in accounts if one.latest is not None), default=now)
    return newest if now - newest <= QUIET_AFTER else now // MINUTE * MINUTE


def is_quiet(ended: float, now: float) -> bool:
    """Whether a listing that ended then is so old that another should have followed.

    ``now`` is of `time_of`, which may be the begin of a minute.
    """
    return now - ended > QUIET_AFTER - MINUTE


def report(accounts: Sequence[AccountState], now: float, stale_after: float) -> Status:
    """The state of these accounts.

    Args:
        accounts: what is known of each.
        now: up to when ages count, Unix time.
        stale_after: seconds without a successful sync after which a server is stale.
    """
    listed = tuple(sorted((_account(one, now) for one in accounts), key=_account_order))
    portals: list[PortalStatus] = []
    servers: list[ServerStatus] = []
    gone: list[DisappearedStatus] = []
    for one in accounts:
        inventory = one.whole.inventory if one.whole is not None else None
        if inventory is None:
            continue
        known = _servers(one, inventory, now, stale_after)
        servers += known.values()
        portals += _portals(one, inventory, known, now)
        gone += (_gone(one, entry) for entry in one.history.recent(now))
    servers.sort(key=_server_order)
    portals.sort(key=_portal_order)
    gone.sort(key=lambda entry: entry.noticed or datetime.max.replace(tzinfo=UTC), reverse=True)
    newest = [one.latest.ended for one in accounts if one.latest is not None]
    return Status(
        level=_worst([*listed, *portals, *servers]),
        as_of=moment(max(newest, default=None)),
        version=__version__,
        revision=revision(),
        thresholds=Thresholds(stale_after),
        totals=_totals(listed, portals, servers),
        accounts=listed,
        portals=tuple(portals),
        servers=tuple(servers),
        disappeared=tuple(gone),
        disappeared_incomplete=any(_incomplete(one.history, now) for one in accounts),
    )


def with_probes(status: Status, latest: Callable[[str, str, str], Probed | None]) -> Status:
    """The report with the last live probe of each portal and server.

    Args:
        status: the report.
        latest: the last probe of one of the ``servers`` or ``portals``, of an account's id, by id.
    """

    def probe(kind: str, row: PortalStatus | ServerStatus) -> ProbeStatus | None:
        found = latest(kind, row.account_id, row.id)
        if found is None:
            return None
        return ProbeStatus(
            found.success, found.outcome, round(found.seconds, 3), moment(found.ended)
        )

    replace = msgspec.structs.replace
    return replace(
        status,
        portals=tuple(replace(one, probe=probe("portals", one)) for one in status.portals),
        servers=tuple(replace(one, probe=probe("servers", one)) for one in status.servers),
    )


def _worst(items: Sequence[AccountStatus | PortalStatus | ServerStatus]) -> str:
    return min((item.level for item in items), key=LEVELS.index, default="info")


def _totals(
    accounts: Sequence[AccountStatus],
    portals: Sequence[PortalStatus],
    servers: Sequence[ServerStatus],
) -> Totals:
    tools = [portal.tools for portal in portals if portal.tools is not None]
    return Totals(
        accounts=len(accounts),
        accounts_failing=sum(one.reason is not None for one in accounts),
        portals=len(portals),
        portals_needing_attention=sum(portal.needs_attention for portal in portals),
        servers=len(servers),
        servers_needing_attention=sum(server.needs_attention for server in servers),
        tools_offered=sum(one.offered for one in tools),
        tools_shown=sum(one.shown for one in tools),
        tools_lost=sum(one.lost for one in tools),
    )


# --- accounts ----------------------------------------------------------------------------------

_ACCOUNT_RUNBOOKS = {
    "auth": "CloudflareMCPAccountAccessDenied",
    "not_found": "CloudflareMCPAccountAccessDenied",
    "rate_limited": "CloudflareMCPAccountRateLimited",
}


def _account(account: AccountState, now: float) -> AccountStatus:
    latest, whole = account.latest, account.whole
    inventory = None if whole is None else whole.inventory
    failure = None if latest is None else latest.failure
    skipped = 0 if inventory is None else len(inventory.skipped)
    overdue = latest is not None and is_quiet(latest.ended, now)
    runbook = "CloudflareMCPAccountRecordsSkipped" if skipped else ""
    if overdue:
        runbook = "CloudflareMCPAccountNotObserved"
    if failure is not None:
        runbook = _ACCOUNT_RUNBOOKS.get(failure.reason, "CloudflareMCPAccountListingFailing")
    level = "warn" if overdue or skipped else "info" if latest is None else "good"
    return AccountStatus(
        id=account.account_id,
        name=account.account_name,
        level=level if failure is None else "bad",
        listed=latest is not None and failure is None,
        overdue=overdue,
        reason=None if failure is None else failure.reason.value,
        error=None if failure is None else str(failure),
        hint=None if failure is None else failure.hint,
        last_listing=None if latest is None else moment(latest.ended),
        last_listing_seconds=None if latest is None else round(latest.duration, 3),
        shown_as_of=None if whole is None else moment(whole.ended),
        observed_since=moment(account.history.began),
        portals=None if inventory is None else len(inventory.portals),
        servers=None if inventory is None else len(inventory.servers),
        skipped_records=skipped,
        api_quota_remaining=None if latest is None else latest.ratelimit_remaining,
        runbook=runbook,
    )


def _account_order(account: AccountStatus) -> tuple[int, str, str]:
    return (LEVELS.index(account.level), account.name.casefold(), account.id)


# --- servers -----------------------------------------------------------------------------------


def _servers(
    account: AccountState, inventory: Inventory, now: float, stale_after: float
) -> dict[str, ServerStatus]:
    homes: defaultdict[str, list[str]] = defaultdict(list)
    for item in inventory.portals:
        for server in item.servers:
            homes[server.id].append(item.portal.id)
    return {
        item.server.id: _server(
            account, item.server, tuple(homes.get(item.server.id, ())), now, stale_after
        )
        for item in inventory.servers
    }


def _server(
    account: AccountState, server: Server, portals: tuple[str, ...], now: float, stale_after: float
) -> ServerStatus:
    # What a person logged in to by hand is captured once, and never synced again.
    background = server.authentication_status != "manual"
    state = server.condition
    staleness = server.staleness(now) if background else None
    became_stale = None
    if state in {"unknown", "working"} and staleness is not None and staleness > stale_after:
        state, became_stale = "stale", now - staleness + stale_after
    kind = SERVER_STATES[state]
    return ServerStatus(
        account_id=account.account_id,
        account=account.account_name,
        id=server.id,
        name=server.name,
        hostname=server.hostname,
        state=state,
        # What breaks in no portal hurts nobody: the alerts leave it out, too.
        level=kind.level if portals or not kind.needs_attention else "info",
        error=_error(server.error_class) if server.in_error else None,
        error_text_withheld=server.in_error,
        seen_since=moment(_since(account.history, server.id, became_stale)),
        last_successful_sync=moment(server.last_successful_sync),
        last_sync=moment(server.last_sync),
        created=moment(server.created),
        synced_in_background=background,
        status=server.status,
        authentication_status=server.authentication_status,
        auth_type=server.auth_type,
        tools=server.tools,
        prompts=server.prompts,
        portals=portals,
        runbook=kind.runbook if portals else "",
    )


def _since(history: History, identity: str, became_stale: float | None) -> float | None:
    """Unix time at which this process first saw the server in its state; None where it works."""
    if became_stale is not None:
        return None if history.began is None else max(history.began, became_stale)
    held: Held | None = history.held.get(identity)
    return None if held is None else held.since


def _error(kind: ErrorClass | None) -> Error | None:
    if kind is None:
        return None
    return Error(
        is_upstream=_THREE.get(kind.is_upstream),
        retryable=_THREE.get(kind.retryable),
        status_code=int(kind.status_code) if kind.status_code else None,
        mcp_code=int(kind.mcp_code) if kind.mcp_code else None,
    )


def _server_order(server: ServerStatus) -> tuple[int, int, float, str, str, str]:
    """The worst first, then the longest without a sync."""
    age = server.synced.timestamp() if server.synced is not None else float("inf")
    level = LEVELS.index(server.level)
    return (level, server.kind.rank, age, server.name.casefold(), server.id, server.account_id)


# --- portals -----------------------------------------------------------------------------------


def _portals(
    account: AccountState, inventory: Inventory, known: Mapping[str, ServerStatus], now: float
) -> Iterator[PortalStatus]:
    attached: defaultdict[str, list[Attachment]] = defaultdict(list)
    for attachment in inventory.attachments:
        attached[attachment.portal_id].append(attachment)
    removed: defaultdict[str, list[Gone]] = defaultdict(list)
    for entry in account.history.recent(now):
        if entry.kind == "attachment":
            removed[entry.portal_id].append(entry)
    for item in inventory.portals:
        servers = [known[server.id] for server in item.servers]
        tools = _tools(attached[item.portal.id], known)
        yield _portal(account, item, servers, tools, removed[item.portal.id])


def _tools(attached: Sequence[Attachment], known: Mapping[str, ServerStatus]) -> Tools | None:
    """None where no server says what it offers."""
    offered = shown = lost = 0
    any_known = False
    for attachment in attached:
        server = known[attachment.server_id]
        if server.tools is None or attachment.tools is None:
            continue
        any_known = True
        # The portal's record of the server may be newer than the one that counts.
        offered += max(server.tools, attachment.tools.shown)
        if server.unavailable:
            lost += attachment.tools.shown
        else:
            shown += attachment.tools.shown
    return Tools(offered, shown, lost, offered - shown - lost) if any_known else None


def _portal(
    account: AccountState,
    item: PortalServers,
    servers: Sequence[ServerStatus],
    tools: Tools | None,
    removed: Sequence[Gone],
) -> PortalStatus:
    portal = item.portal
    worst = min(servers, key=lambda server: server.kind.rank, default=None)
    state = PORTAL_STATES[_portal_state(servers, tools, removed)]
    return PortalStatus(
        account_id=account.account_id,
        account=account.account_name,
        id=portal.id,
        name=portal.name,
        hostname=portal.hostname,
        state=state.key,
        level=state.level,
        worst_server_state=None if worst is None else worst.state,
        seen_since=_portal_since(state, servers, removed),
        modified=moment(portal.modified),
        tools=tools,
        servers=len(servers),
        servers_lost=sum(server.unavailable for server in servers),
        servers_need_attention=sum(server.needs_attention for server in servers),
        servers_removed=len(removed),
        code_mode=portal.code_mode,
        runbook=state.runbook,
    )


def _portal_state(
    servers: Sequence[ServerStatus], tools: Tools | None, removed: Sequence[Gone]
) -> str:
    if not servers:
        return "lost_all_servers" if removed else "empty"
    if all(server.unavailable for server in servers):
        return "no_working_server"
    if tools is not None and tools.offered and not tools.shown:
        return "no_tools_left" if tools.lost else "no_tools"
    levels = {server.level for server in servers}
    states = {
        "bad": "servers_failing",
        "warn": "servers_need_attention",
        "good": "working",
        "info": "unknown",
    }
    return next(state for level, state in states.items() if level in levels)


def _portal_since(
    state: State, servers: Sequence[ServerStatus], removed: Sequence[Gone]
) -> datetime | None:
    """When this process first saw what makes the portal's state."""
    if state.key == "lost_all_servers":
        return moment(max(entry.noticed for entry in removed))
    since = [one.seen_since for one in servers if one.needs_attention and one.seen_since]
    if state.key == "no_working_server":  # since the last of them broke
        return max(since, default=None)
    return min(since, default=None) if state.key != "no_tools" else None


def _portal_order(portal: PortalStatus) -> tuple[int, float, str, str, str]:
    """The worst first, then the one that has lost the largest part."""
    lost = -portal.servers_need_attention / (portal.servers or 1)
    return (portal.kind.rank, lost, portal.name.casefold(), portal.id, portal.account_id)


# --- what is gone ------------------------------------------------------------------------------


def _gone(account: AccountState, entry: Gone) -> DisappearedStatus:
    return DisappearedStatus(
        account_id=account.account_id,
        account=account.account_name,
        kind=entry.kind,
        portal_id=entry.portal_id,
        portal_name=entry.portal_name,
        server_id=entry.server_id,
        server_name=entry.server_name,
        last_seen=moment(entry.last_seen),
        noticed=moment(entry.noticed),
        servers=entry.servers,
        tools=entry.tools,
        portals=entry.portals,
        may_be_unreadable=entry.unread,
    )


def _incomplete(history: History, now: float) -> bool:
    """Whether more has gone in the last day than is remembered."""
    return history.forgotten is not None and now - history.forgotten <= KEPT_FOR
