"""The whole page as a value: from what is known of the accounts to words and rows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from exporter.scrape_result import AccountState
from exporter.web.status import words
from exporter.web.status.entries import TONES, Entries, PortalEntry, entries
from exporter.web.status.health import HEALTHS, Health
from exporter.web.status.query import ATTENTION, Query
from exporter.web.status.rows import (
    PORTAL_COLUMNS,
    SERVER_COLUMNS,
    AccountRow,
    PortalRow,
    ServerRow,
    account_row,
    portal_row,
    server_row,
)
from exporter.web.status.tables import MAX_ROWS, Table, table
from exporter.web.status.words import Moment, counted

QUIET_AFTER = 600.0
"""Seconds without a listing after which Prometheus seems to have stopped scraping."""


class Line(msgspec.Struct, frozen=True):
    """A sentence of the summary."""

    tone: str
    text: str


class Count(msgspec.Struct, frozen=True):
    """Servers in one state that fit all other filters, and the link that picks them."""

    tone: str
    words: str
    number: int
    href: str
    selected: bool


class Option(msgspec.Struct, frozen=True):
    """A choice of the filter."""

    value: str
    text: str


class View(msgspec.Struct, frozen=True):
    """What the page shows.

    Attributes:
        query: what was asked for.
        now: when the page was made.
        summary: what somebody should know first, the worst first.
        started: whether any listing is done.
        many_accounts: whether rows must say whose they are.
        accounts: their rows, the failing first; at most `MAX_ROWS`.
        more_accounts: rows left out.
        counts: servers by state.
        servers: those that fit.
        portals: those that fit.
        all_servers: how many there are, whether they fit or not.
        all_portals: the same for portals.
        states: choices of the filter.
        portal_options: choices of the filter, at most `MAX_ROWS`.
        account_options: choices of the filter, at most `MAX_ROWS`.
        legend: every state.
    """

    query: Query
    now: Moment | None
    summary: tuple[Line, ...]
    started: bool
    many_accounts: bool
    accounts: tuple[AccountRow, ...]
    more_accounts: int
    counts: tuple[Count, ...]
    servers: Table[ServerRow]
    portals: Table[PortalRow]
    all_servers: int
    all_portals: int
    states: tuple[Option, ...]
    portal_options: tuple[Option, ...]
    account_options: tuple[Option, ...]
    legend: tuple[Health, ...] = HEALTHS


def page_view(accounts: Sequence[AccountState], query: Query, now: float) -> View:
    """The page that answers this query at this Unix time."""
    everything = entries(accounts, now)
    fitting = everything.of(query)
    rows = _account_rows(accounts, query, now)
    return View(
        query=query,
        now=words.moment(now, now),
        summary=_summary(accounts, everything, now),
        started=any(account.latest is not None for account in accounts),
        many_accounts=len(accounts) > 1,
        accounts=tuple(rows[:MAX_ROWS]),
        more_accounts=max(0, len(rows) - MAX_ROWS),
        counts=_counts(everything.of(msgspec.structs.replace(query, state="")), query),
        servers=table(fitting.servers, SERVER_COLUMNS, query.sort, partial(server_row, now=now)),
        portals=table(fitting.portals, PORTAL_COLUMNS, query.psort, partial(portal_row, now=now)),
        all_servers=len(everything.servers),
        all_portals=len(everything.portals),
        states=(
            Option(ATTENTION, "Needs attention"),
            *(Option(health.key, health.words) for health in HEALTHS),
        ),
        portal_options=_portal_options(everything.portals, query),
        account_options=_account_options(accounts, query),
    )


def _account_rows(accounts: Sequence[AccountState], query: Query, now: float) -> list[AccountRow]:
    wanted = [a for a in accounts if query.account in {"", a.account_name}]
    rows = [account_row(account, now) for account in wanted]
    return sorted(rows, key=lambda row: (TONES.index(row.tone), row.name.casefold(), row.id))


# --- the summary -------------------------------------------------------------------------------


def _summary(accounts: Sequence[AccountState], everything: Entries, now: float) -> tuple[Line, ...]:
    lines = [
        *_about_listings(accounts, now),
        *([_about_servers(everything)] if any(account.whole for account in accounts) else ()),
    ]
    return tuple(sorted(lines, key=lambda line: TONES.index(line.tone)))


def _about_listings(accounts: Sequence[AccountState], now: float) -> list[Line]:
    done = [account.latest for account in accounts if account.latest is not None]
    failed = sum(scrape.failure is not None for scrape in done)
    waiting = len(accounts) - len(done)
    lines: list[Line] = []
    if failed:
        lines.append(Line("bad", f"{counted(failed, 'account', 'accounts')} cannot be listed"))
    if waiting:
        text = f"{counted(waiting, 'account is', 'accounts are')} not listed yet"
        lines.append(Line("idle", text))
    quiet = now - max((scrape.ended for scrape in done), default=now)
    if quiet > QUIET_AFTER:
        text = f"Nothing was scraped for {words.duration(quiet)}: is Prometheus still running?"
        lines.append(Line("warn", text))
    return lines


def _about_servers(everything: Entries) -> Line:
    total = len(everything.servers)
    troubled = [entry.health for entry in everything.servers if entry.health.needs_attention]
    if not total:
        return Line("idle", "There are no servers")
    if not troubled:
        return Line("good", f"No server needs attention (of {total:,})")
    tone = min((health.tone for health in troubled), key=TONES.index)
    verb = "needs" if len(troubled) == 1 else "need"
    return Line(
        tone, f"{len(troubled):,} of {counted(total, 'server', 'servers')} {verb} attention"
    )


def _counts(others: Entries, query: Query) -> tuple[Count, ...]:
    return tuple(
        Count(
            health.tone,
            health.words,
            number,
            query.link(state="" if query.state == health.key else health.key),
            query.state == health.key,
        )
        for health, number in others.by_health().items()
        if number or query.state == health.key
    )


# --- the filter --------------------------------------------------------------------------------


def _portal_options(portals: Sequence[PortalEntry], query: Query) -> tuple[Option, ...]:
    shown = [e for e in portals if query.account in {"", e.account.account_name}]
    names = {e.portal.id: f"{e.portal.name} ({e.portal.id})" for e in shown[:MAX_ROWS]}
    return _options(names, query.portal)


def _account_options(accounts: Sequence[AccountState], query: Query) -> tuple[Option, ...]:
    names = {account.account_name: account.account_name for account in accounts[:MAX_ROWS]}
    return _options(names, query.account)


def _options(texts: dict[str, str], chosen: str) -> tuple[Option, ...]:
    """In the order of their texts; what is chosen is always among them."""
    if chosen:
        texts.setdefault(chosen, chosen)
    ordered = sorted(texts.items(), key=lambda item: item[1].casefold())
    return tuple(Option(value, text) for value, text in ordered)
