"""The servers and portals of all accounts, judged and filtered. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from exporter.model import Portal, PortalServers, Server
from exporter.scrape_result import AccountState
from exporter.web.status.health import HEALTHS, Health, health_of
from exporter.web.status.query import ATTENTION, Query

TONES = ("bad", "warn", "idle", "good")
_UNAVAILABLE = frozenset({"reauthorize", "unreachable", "error", "retryable", "waiting"})


class ServerEntry(msgspec.Struct, frozen=True):
    """A server of an account, as of its last whole listing; staleness counts up to now."""

    account: AccountState
    server: Server
    staleness: float | None
    health: Health
    portals: tuple[Portal, ...]

    @property
    def badness(self) -> float:
        """The greater the worse."""
        return -self.health.rank

    def worst_first(self) -> tuple[int, float, str, str, str]:
        """A key that sorts the worst first, then by name."""
        age = -1.0 if self.staleness is None else self.staleness
        name = self.server.name.casefold()
        return (self.health.rank, -age, name, self.server.id, self.account.account_id)


class PortalEntry(msgspec.Struct, frozen=True):
    """A portal of an account with its servers."""

    account: AccountState
    portal: Portal
    servers: tuple[ServerEntry, ...]

    @property
    def troubled(self) -> int:
        """Servers that somebody should look at."""
        return sum(entry.health.needs_attention for entry in self.servers)

    @property
    def staleness(self) -> float | None:
        """The largest of its servers'."""
        ages = [entry.staleness for entry in self.servers if entry.staleness is not None]
        return max(ages, default=None)

    @property
    def unavailable(self) -> bool:
        """It has servers, and none of them works."""
        return bool(self.servers) and all(
            entry.health.key in _UNAVAILABLE for entry in self.servers
        )

    @property
    def tone(self) -> str:
        """Of its worst server; ``bad`` where none works, ``idle`` where there is none."""
        if self.unavailable:
            return "bad"
        return min((entry.health.tone for entry in self.servers), key=TONES.index, default="idle")

    @property
    def badness(self) -> float:
        """The greater the worse: no server works, then the worst server, then their share."""
        share = self.troubled / (len(self.servers) or 1)
        return (-TONES.index(self.tone) + self.unavailable) * 2 + share

    def worst_first(self) -> tuple[float, str, str, str]:
        """A key that sorts the worst first, then by name."""
        portal = self.portal
        return (-self.badness, portal.name.casefold(), portal.id, self.account.account_id)


class Entries(msgspec.Struct, frozen=True):
    """All of them, the worst first."""

    servers: list[ServerEntry]
    portals: list[PortalEntry]

    def of(self, query: Query) -> Entries:
        """Those that are asked for: a portal stays where it or one of its servers fits."""
        if not query.filters:
            return self
        text = query.q.casefold()
        servers = [entry for entry in self.servers if _fits(entry, query, text)]
        fitting = {(entry.account.account_id, entry.server.id) for entry in servers}
        portals = [entry for entry in self.portals if _portal_fits(entry, query, text, fitting)]
        return Entries(servers, portals)

    def by_health(self) -> dict[Health, int]:
        """Servers of each kind, the worst first; zeros included."""
        counts = dict.fromkeys(HEALTHS, 0)
        for entry in self.servers:
            counts[entry.health] += 1
        return counts


def entries(accounts: Iterable[AccountState], now: float) -> Entries:
    """What the last whole listings of these accounts hold."""
    servers: list[ServerEntry] = []
    portals: list[PortalEntry] = []
    for account in accounts:
        inventory = account.whole.inventory if account.whole is not None else None
        if inventory is None:
            continue
        homes = _homes(inventory.portals)
        known = {
            listed.server.id: _judged(account, listed.server, homes[listed.server.id], now)
            for listed in inventory.servers
        }
        servers += known.values()
        portals += _portals(account, inventory.portals, known)
    servers.sort(key=ServerEntry.worst_first)
    portals.sort(key=PortalEntry.worst_first)
    return Entries(servers, portals)


def _homes(portals: Sequence[PortalServers]) -> defaultdict[str, list[Portal]]:
    """The portals that each server is in, by the server's id."""
    homes: defaultdict[str, list[Portal]] = defaultdict(list)
    for item in portals:
        for server in item.servers:
            homes[server.id].append(item.portal)
    return homes


def _judged(account: AccountState, server: Server, homes: list[Portal], now: float) -> ServerEntry:
    staleness = server.staleness(now)
    return ServerEntry(account, server, staleness, health_of(server, staleness), tuple(homes))


def _portals(
    account: AccountState, portals: Sequence[PortalServers], known: dict[str, ServerEntry]
) -> Iterator[PortalEntry]:
    for item in portals:
        servers = tuple(known[server.id] for server in item.servers)
        yield PortalEntry(account, item.portal, servers)


# --- what is asked for -------------------------------------------------------------------------


def _fits(entry: ServerEntry, query: Query, text: str) -> bool:
    server = entry.server
    return (
        query.state in {"", entry.health.key, _attention(entry)}
        and query.account in {"", entry.account.account_name}
        and (not query.portal or any(portal.id == query.portal for portal in entry.portals))
        and _holds(text, server.name, server.id, server.hostname)
    )


def _portal_fits(
    entry: PortalEntry, query: Query, text: str, fitting: set[tuple[str, str]]
) -> bool:
    portal = entry.portal
    if query.portal not in {"", portal.id}:
        return False
    if query.account not in {"", entry.account.account_name}:
        return False
    if not query.state and _holds(text, portal.name, portal.id, portal.hostname):
        return True
    return any((entry.account.account_id, server.server.id) in fitting for server in entry.servers)


def _attention(entry: ServerEntry) -> str:
    return ATTENTION if entry.health.needs_attention else entry.health.key


def _holds(text: str, *values: str) -> bool:
    return not text or any(text in value.casefold() for value in values)
