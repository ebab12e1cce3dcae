"""Accounts, portals and servers in words, a row each. Pure."""

from __future__ import annotations

import msgspec

from exporter.model import Portal
from exporter.scrape_result import AccountState, ListingResult
from exporter.web.status import words
from exporter.web.status.entries import PortalEntry, ServerEntry
from exporter.web.status.tables import Column
from exporter.web.status.words import Moment

MAX_PORTALS = 3
"""Portals named in a server's row."""


class AccountRow(msgspec.Struct, frozen=True):
    """An account with the outcome of its last listing.

    ``whole`` is when the listing ended that the page shows, where that is not the last one.
    """

    name: str
    id: str
    tone: str
    result: str
    reason: str = ""
    error: str = ""
    hint: str = ""
    ended: Moment | None = None
    took: str = ""
    whole: Moment | None = None
    portals: int | None = None
    servers: int | None = None
    left_out: int = 0
    quota: str = ""


class PortalRow(msgspec.Struct, frozen=True):
    """A portal with the state of its servers together; ``as_of`` where that is not the last."""

    account: str
    id: str
    name: str
    hostname: str
    tone: str
    state: str
    servers: int
    troubled: int
    staleness: str
    code_mode: str
    as_of: Moment | None


class ServerRow(msgspec.Struct, frozen=True):
    """A server; counts are empty where the API does not say."""

    account: str
    id: str
    name: str
    hostname: str
    tone: str
    state: str
    error: tuple[str, ...]
    staleness: str
    synced: Moment | None
    never_synced: bool
    tools: str
    prompts: str
    portals: tuple[Portal, ...]
    more_portals: int
    auth_type: str
    authentication: str
    as_of: Moment | None


SERVER_COLUMNS: tuple[Column[ServerEntry], ...] = (
    Column("state", "State", lambda e: e.badness, descending=True),
    Column("name", "Server", lambda e: e.server.name.casefold()),
    Column("error", "Error", lambda e: _error_text(e) or None),
    Column("sync", "Last good sync", lambda e: e.staleness, descending=True),
    Column("tools", "Tools", lambda e: e.server.tools, descending=True, number=True),
    Column("prompts", "Prompts", lambda e: e.server.prompts, descending=True, number=True),
    Column("portals", "Portals", lambda e: len(e.portals), descending=True),
    Column("auth", "Authentication", lambda e: e.server.auth_type),
)
PORTAL_COLUMNS: tuple[Column[PortalEntry], ...] = (
    Column("state", "State", lambda e: e.badness, descending=True),
    Column("name", "Portal", lambda e: e.portal.name.casefold()),
    Column("servers", "Servers", lambda e: len(e.servers), descending=True, number=True),
    Column("trouble", "Need attention", lambda e: e.troubled, descending=True, number=True),
    Column("sync", "Longest without sync", lambda e: e.staleness, descending=True),
    Column("code", "Code mode", lambda e: e.portal.code_mode),
)


def account_row(account: AccountState, now: float) -> AccountRow:
    """The account's row, as of now."""
    latest = account.latest
    if latest is None:
        return AccountRow(account.account_name, account.account_id, "idle", "Not listed yet")
    row = _outcome(account, latest)
    whole = account.whole
    inventory = None if whole is None else whole.inventory
    return msgspec.structs.replace(
        row,
        ended=words.moment(latest.ended, now),
        took=f"{latest.duration:.2f} s",
        whole=_as_of(account, now),
        portals=None if inventory is None else len(inventory.portals),
        servers=None if inventory is None else len(inventory.servers),
        left_out=0 if inventory is None else len(inventory.skipped),
        quota="" if latest.ratelimit_remaining is None else f"{latest.ratelimit_remaining:,.0f}",
    )


def _as_of(account: AccountState, now: float) -> Moment | None:
    """When the listing ended that is shown, where the last one failed."""
    whole = account.whole
    return None if whole is None or whole is account.latest else words.moment(whole.ended, now)


def _outcome(account: AccountState, latest: ListingResult) -> AccountRow:
    name, identity = account.account_name, account.account_id
    failure = latest.failure
    if failure is None:
        skipped = latest.inventory is not None and latest.inventory.skipped
        return AccountRow(name, identity, "warn" if skipped else "good", "Listed")
    return AccountRow(
        name,
        identity,
        "bad",
        words.REASONS[failure.reason],
        reason=failure.reason.value,
        error=str(failure),
        hint=failure.hint,
    )


def portal_row(entry: PortalEntry, now: float) -> PortalRow:
    """The portal's row, as of now."""
    portal = entry.portal
    return PortalRow(
        account=entry.account.account_name,
        id=portal.id,
        name=portal.name,
        hostname=portal.hostname,
        tone=entry.tone,
        state=_portal_state(entry),
        servers=len(entry.servers),
        troubled=entry.troubled,
        staleness="" if entry.staleness is None else words.duration(entry.staleness),
        code_mode=words.CODE_MODES.get(portal.code_mode or "", ""),
        as_of=_as_of(entry.account, now),
    )


def _portal_state(entry: PortalEntry) -> str:
    if not entry.servers:
        return "No servers"
    if entry.unavailable:
        return "No server works"
    states = {
        "bad": "Some servers fail",
        "warn": "Some servers need attention",
        "idle": "State not known",
    }
    return states.get(entry.tone, "Working")


def server_row(entry: ServerEntry, now: float) -> ServerRow:
    """The server's row, as of now."""
    server = entry.server
    synced = server.last_successful_sync
    return ServerRow(
        account=entry.account.account_name,
        id=server.id,
        name=server.name,
        hostname=server.hostname,
        tone=entry.health.tone,
        state=entry.health.words,
        error=_error(entry),
        staleness="" if entry.staleness is None else words.duration(entry.staleness),
        synced=None if synced is None else words.moment(synced, now),
        never_synced=synced is None,
        tools="" if server.tools is None else f"{server.tools:,}",
        prompts="" if server.prompts is None else f"{server.prompts:,}",
        portals=entry.portals[:MAX_PORTALS],
        more_portals=max(0, len(entry.portals) - MAX_PORTALS),
        auth_type=words.AUTH_TYPES.get(server.auth_type, ""),
        authentication=words.AUTHENTICATION_STATUSES.get(server.authentication_status or "", ""),
        as_of=_as_of(entry.account, now),
    )


def _error(entry: ServerEntry) -> tuple[str, ...]:
    return words.error_class(entry.server.error_class) if entry.server.in_error else ()


def _error_text(entry: ServerEntry) -> str:
    return " ".join(_error(entry))
