"""The whole page as a value: a report, cut and grouped as a person reads it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from exporter.web.status import words
from exporter.web.status.query import ATTENTION, SERVERS, Query
from exporter.web.status.report import (
    MINUTE,
    AccountStatus,
    DisappearedStatus,
    Error,
    PortalStatus,
    ServerStatus,
    Status,
)
from exporter.web.status.selection import selected
from exporter.web.status.states import LEVELS, SERVER_STATES
from exporter.web.status.tables import PAGE_SIZE, Table, table
from exporter.web.status.words import counted

MAX_BROKEN = 500
"""Broken servers, and broken portals, on a page at most; everything else is cut at `PAGE_SIZE`."""

MAX_NAMES = 20
"""Accounts named in one line."""

MAX_HOMES = 3
"""Portals named in the row of a server."""

MAX_LINKS = 3
"""Accounts of a group that get a link of their own."""

DASHBOARD = "https://dash.cloudflare.com/{account_id}/one/access-controls/ai-controls"
"""Where Cloudflare's dashboard shows an account's MCP servers and portals."""

ONLY_TEXT = "The API reports only an error text, which is not shown here."
"""Stands where nothing else is known of an error."""

_DENIED = frozenset({401, 403})


class Line(msgspec.Struct, frozen=True):
    """A sentence of the summary."""

    level: str
    text: str


class Link(msgspec.Struct, frozen=True):
    """Where a link leads, and what it says."""

    text: str
    href: str


class Group(msgspec.Struct, frozen=True):
    """What is broken in the same state for the same cause.

    Attributes:
        level: how much it matters.
        title: the state in words.
        cause: what the API says of it; empty where it says nothing.
        notice: what users notice.
        fix: what to do.
        runbook: name of the runbook; empty for none.
        cloudflare: the dashboards of the accounts.
        portals: that are broken so; empty for a group of servers.
        servers: the same the other way round.
        total: how many there are, of which some may not be shown.
        href: lists all of its servers.
    """

    level: str
    title: str
    cause: str
    notice: str
    fix: str
    runbook: str
    cloudflare: tuple[Link, ...]
    portals: tuple[PortalStatus, ...]
    servers: tuple[ServerStatus, ...]
    total: int
    href: str

    @property
    def left_out(self) -> int:
        """How many are not shown."""
        return self.total - len(self.portals) - len(self.servers)


class Count(msgspec.Struct, frozen=True):
    """Servers in one state that fit all other filters, and the link that picks them."""

    level: str
    words: str
    number: int
    href: str
    selected: bool


class Option(msgspec.Struct, frozen=True):
    """A choice of the filter."""

    value: str
    text: str


class Filters(msgspec.Struct, frozen=True):
    """The choices of the form."""

    states: tuple[Option, ...]
    portals: tuple[Option, ...]
    accounts: tuple[Option, ...]


class View(msgspec.Struct, frozen=True):
    """What the page shows.

    Attributes:
        query: what was asked for.
        status: the part of the report that fits.
        now: up to when ages count.
        level: of everything, whatever the filter.
        title: the worst line of the summary.
        summary: what somebody should know first, the worst first.
        started: whether any listing is done.
        many_accounts: whether rows must say whose they are.
        troubled_accounts: those that need a look, at most `PAGE_SIZE`.
        fine_accounts: the others.
        portals: the ones that are shown; all that are broken are among them.
        groups: what is broken, the worst first.
        withheld: whether one of them has an error whose text is not shown.
        disappeared: what has disappeared lately, at most `PAGE_SIZE`.
        observed_since: when the last account was listed for the first time by this process.
        healthy: servers of each state that needs nothing.
        by_hand: of those that work, the servers that are not synced in the background.
        counts: servers by state.
        table: one page of servers; None on the overview.
        portal_names: by the ids of account and portal.
        filters: choices of the form; None on the overview.
    """

    query: Query
    status: Status
    now: float
    level: str
    title: str
    summary: tuple[Line, ...]
    started: bool
    many_accounts: bool
    troubled_accounts: tuple[AccountStatus, ...]
    fine_accounts: tuple[AccountStatus, ...]
    portals: tuple[PortalStatus, ...]
    groups: tuple[Group, ...]
    withheld: bool
    disappeared: tuple[DisappearedStatus, ...]
    observed_since: datetime | None
    healthy: tuple[Count, ...]
    by_hand: int
    counts: tuple[Count, ...]
    table: Table | None
    portal_names: dict[tuple[str, str], str]
    filters: Filters | None

    def homes(self, server: ServerStatus) -> tuple[str, ...]:
        """The names of the portals that a server is in, `MAX_HOMES` at most."""
        shown = server.portals[:MAX_HOMES]
        return tuple(self.portal_names[server.account_id, portal] for portal in shown)


def page_view(everything: Status, query: Query, now: float) -> View:
    """The page that answers this query.

    Args:
        everything: the report.
        query: what is asked for.
        now: up to when ages count, Unix time.
    """
    status = selected(everything, query)
    summary = _summary(everything, now)
    others = selected(everything, msgspec.structs.replace(query, state=""))
    counts = _counts(others.servers, query)
    troubled = [one for one in status.accounts if one.level in {"bad", "warn"}]
    listing = query.lists_servers
    groups = () if listing else _groups(status, query)
    return View(
        query=query,
        status=status,
        now=now,
        level=summary[0].level if summary else "info",
        title=summary[0].text if summary else "Waiting for the first scrape",
        summary=summary,
        started=any(one.last_listing is not None for one in everything.accounts),
        many_accounts=len(everything.accounts) > 1,
        troubled_accounts=tuple(troubled[:PAGE_SIZE]),
        fine_accounts=tuple(one for one in status.accounts if one.level not in {"bad", "warn"}),
        portals=_portals(status.portals),
        groups=groups,
        withheld=any(one.error_text_withheld for group in groups for one in group.servers),
        disappeared=status.disappeared[:PAGE_SIZE],
        observed_since=_observed_since(status.accounts),
        healthy=tuple(one for one in counts if one.level in {"info", "good"}),
        by_hand=sum(
            one.state == "working" and not one.synced_in_background for one in status.servers
        ),
        counts=counts,
        table=table(status.servers, query) if listing else None,
        portal_names={(one.account_id, one.id): one.name for one in everything.portals},
        filters=_filters(everything, query) if listing else None,
    )


def _portals(portals: Sequence[PortalStatus]) -> tuple[PortalStatus, ...]:
    broken = sum(portal.needs_attention for portal in portals)
    return tuple(portals[: max(PAGE_SIZE, min(broken, MAX_BROKEN))])


def _observed_since(accounts: Iterable[AccountStatus]) -> datetime | None:
    return max((one.observed_since for one in accounts if one.observed_since), default=None)


# --- the summary -------------------------------------------------------------------------------


def _summary(status: Status, now: float) -> tuple[Line, ...]:
    lines = [*_about_listings(status, now)]
    if any(one.shown_as_of for one in status.accounts):
        lines.append(_about_portals(status))
    return tuple(sorted(lines, key=lambda line: LEVELS.index(line.level)))


def _about_listings(status: Status, now: float) -> Iterable[Line]:
    failing = status.totals.accounts_failing
    waiting = sum(one.last_listing is None for one in status.accounts)
    if failing:
        yield Line("bad", f"{counted(failing, 'account', 'accounts')} cannot be listed")
    if waiting and status.as_of is not None:
        text = f"{counted(waiting, 'account is', 'accounts are')} not listed yet"
        yield Line("info", text)
    quiet = 0.0 if status.as_of is None else now - status.as_of.timestamp()
    overdue = sum(one.overdue for one in status.accounts)
    if quiet > MINUTE:  # see `time_of`
        text = f"Nothing was scraped for {words.duration(quiet)}: is Prometheus still running?"
        yield Line("warn", text)
    elif overdue:
        text = f"{counted(overdue, 'account is', 'accounts are')} not scraped any more"
        yield Line("warn", text)


def _about_portals(status: Status) -> Line:
    totals = status.totals
    broken = totals.servers_needing_attention
    levels = {*(one.level for one in status.portals), *(one.level for one in status.servers)}
    level = min(levels, key=LEVELS.index, default="info")
    if not (totals.portals or totals.servers):
        return Line("info", "There are no portals and no servers")
    if not (totals.portals_needing_attention or broken):
        what = f"{counted(totals.portals, 'portal', 'portals')} and " + counted(
            totals.servers, "server", "servers"
        )
        return Line("good" if totals.portals else "info", f"No trouble in {what}")
    portals = f"{totals.portals_needing_attention:,} of " + counted(
        totals.portals, "portal", "portals"
    )
    text = f"{portals} affected"
    if broken:
        verb = "needs" if broken == 1 else "need"
        text += f", {counted(broken, 'server', 'servers')} {verb} attention"
    if totals.tools_lost:
        text += f", {totals.tools_lost:,} of {totals.tools_offered:,} tools lost"
    return Line(level, text)


# --- what is broken ----------------------------------------------------------------------------


def _groups(status: Status, query: Query) -> tuple[Group, ...]:
    """The worst first: by level, then by rank, then the largest."""
    found = [*_portal_groups(status), *_server_groups(status, query)]
    return tuple(group for _, group in sorted(found, key=lambda pair: pair[0]))


_Order = tuple[int, int, int, str]


def _portal_groups(status: Status) -> Iterable[tuple[_Order, Group]]:
    """Portals whose state is more than the states of their servers."""
    members: dict[str, list[PortalStatus]] = {}
    for portal in status.portals:
        if portal.kind.fix:
            members.setdefault(portal.state, []).append(portal)
    for portals in members.values():
        kind = portals[0].kind
        group = Group(
            level=kind.level,
            title=f"Portal: {kind.words[0].lower()}{kind.words[1:]}",
            cause="",
            notice=kind.notice,
            fix=kind.fix,
            runbook=kind.runbook,
            cloudflare=_dashboards(portals),
            portals=tuple(portals[:PAGE_SIZE]),
            servers=(),
            total=len(portals),
            href="",
        )
        yield (LEVELS.index(kind.level), kind.rank, -len(portals), kind.key), group


def _server_groups(status: Status, query: Query) -> Iterable[tuple[_Order, Group]]:
    members: dict[tuple[object, ...], list[ServerStatus]] = {}
    for server in status.servers:
        if server.kind.needs_attention:
            cause = (server.error, server.error_text_withheld)
            key = (server.level, server.state, *cause)
            members.setdefault(key, []).append(server)
    room = MAX_BROKEN
    for servers in members.values():
        first = servers[0]
        shown = tuple(servers[:room])
        room -= len(shown)
        group = _server_group(servers, shown, query, status.thresholds.stale_after_seconds)
        place = (LEVELS.index(first.level), first.kind.rank, -len(servers), group.cause)
        yield place, group


def _server_group(
    servers: Sequence[ServerStatus], shown: tuple[ServerStatus, ...], query: Query, stale: float
) -> Group:
    first = servers[0]
    kind = first.kind
    return Group(
        level=first.level,
        title=kind.words,
        cause=_cause(first),
        notice=kind.notice.format(stale_after=words.duration(stale))
        if first.portals
        else "Nothing: the server is in no portal.",
        fix=_fix(first),
        runbook=first.runbook or kind.runbook,
        cloudflare=_dashboards(servers),
        portals=(),
        servers=shown,
        total=len(servers),
        href=query.link(state=first.state),
    )


def _cause(server: ServerStatus) -> str:
    if server.error is not None:
        return words.error(server.error)
    return ONLY_TEXT if server.error_text_withheld else ""


def _fix(server: ServerStatus) -> str:
    error: Error | None = server.error
    if server.state == "error" and error is not None and error.status_code in _DENIED:
        return (
            "The server refuses Cloudflare's credentials: update its token or authenticate it "
            "again in Cloudflare."
        )
    return server.kind.fix


def _dashboards(items: Sequence[PortalStatus | ServerStatus]) -> tuple[Link, ...]:
    accounts = dict.fromkeys((item.account_id, item.account) for item in items)
    if len(accounts) > MAX_LINKS:
        return ()
    return tuple(
        Link(name if len(accounts) > 1 else "", DASHBOARD.format(account_id=identity))
        for identity, name in accounts
    )


# --- the filter --------------------------------------------------------------------------------


def _counts(servers: Iterable[ServerStatus], query: Query) -> tuple[Count, ...]:
    numbers = Counter(server.state for server in servers)
    return tuple(
        Count(
            kind.level,
            kind.words,
            numbers[kind.key],
            query.link(state="" if query.state == kind.key else kind.key, view=SERVERS),
            query.state == kind.key,
        )
        for kind in SERVER_STATES.values()
        if numbers[kind.key] or query.state == kind.key
    )


def _filters(everything: Status, query: Query) -> Filters:
    portals = {
        one.id: f"{one.name} ({one.id})"
        for one in everything.portals
        if query.account in {"", one.account}
    }
    accounts = {one.name: one.name for one in everything.accounts}
    return Filters(
        states=(
            Option(ATTENTION, "Needs attention"),
            *(Option(kind.key, kind.words) for kind in SERVER_STATES.values()),
        ),
        portals=_options(portals, query.portal),
        accounts=_options(accounts, query.account),
    )


def _options(texts: dict[str, str], chosen: str) -> tuple[Option, ...]:
    """In the order of their texts, at most `PAGE_SIZE`; what is chosen is always among them."""
    kept = dict(list(texts.items())[:PAGE_SIZE])
    if chosen:
        kept[chosen] = texts.get(chosen, chosen)
    ordered = sorted(kept.items(), key=lambda item: item[1].casefold())
    return tuple(Option(value, text) for value, text in ordered)
