"""What earlier listings of an account have shown: what is gone since, and since when a state holds.

It is the memory of this process, bounded, and not a part of any metric. Pure: each whole listing
makes a new value out of the last one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Literal

import msgspec

from exporter.model import Exposure, Inventory, PortalServers, Server

KEPT_FOR = 86_400.0
"""Seconds for which something is remembered after it has gone."""

MAX_GONE = 500
"""Entries of an account at most; the newest are kept."""

MAX_NAMES = 10
"""Portals named in the entry of a server."""

Kind = Literal["portal", "server", "attachment"]
Identity = tuple[Kind, str, str]


class Gone(msgspec.Struct, frozen=True, gc=False):
    """Something that one listing had and the next one did not.

    Attributes:
        kind: ``attachment`` is a server that is not in a portal any more, where both still exist.
        portal_id: empty for a server.
        portal_name: the same.
        server_id: empty for a portal.
        server_name: the same.
        last_seen: Unix time of the last listing that had it.
        noticed: Unix time of the first listing without it.
        servers: that the portal had; None for the other kinds.
        tools: that a portal or an attachment showed, or that a server offered; None if not known.
        portals: names of portals that the server was in, `MAX_NAMES` at most.
        unread: the listing without it had records that could not be read, perhaps this one.
    """

    kind: Kind
    portal_id: str
    portal_name: str
    server_id: str
    server_name: str
    last_seen: float
    noticed: float
    servers: int | None = None
    tools: int | None = None
    portals: tuple[str, ...] = ()
    unread: bool = False

    @property
    def identity(self) -> Identity:
        """What it is, whenever it was seen."""
        return (self.kind, self.portal_id, self.server_id)


class Held(msgspec.Struct, frozen=True, gc=False):
    """A server's condition, and the Unix time of the first listing that showed it so."""

    condition: str
    since: float


class History(msgspec.Struct, frozen=True):
    """What is remembered of an account.

    Attributes:
        began: Unix time of the first whole listing; None before it.
        held: by server id, for every server of the last whole listing that does not work.
        gone: the newest first; entries older than `KEPT_FOR` may still be among them.
        forgotten: Unix time at which the newest of the entries was noticed that had to make room.
        last: the last whole listing.
        last_ended: Unix time of its end.
    """

    began: float | None = None
    held: Mapping[str, Held] = {}
    gone: tuple[Gone, ...] = ()
    forgotten: float | None = None
    last: Inventory | None = None
    last_ended: float = 0.0

    def recent(self, now: float) -> tuple[Gone, ...]:
        """What has gone in the last `KEPT_FOR` seconds."""
        return tuple(entry for entry in self.gone if now - entry.noticed <= KEPT_FOR)

    def restarted(self) -> History:
        """The same, for a next listing that cannot be compared with the last."""
        return msgspec.structs.replace(self, last=None)


def remember(history: History, inventory: Inventory, ended: float) -> History:
    """The history after another whole listing, which ended at this Unix time."""
    gone, forgotten = history.gone, history.forgotten
    if history.last is not None:
        present = _Present(inventory)
        news = list(islice(_news(history, history.last, inventory, present, ended), MAX_GONE + 1))
        known = [entry for entry in history.recent(ended) if entry.identity not in present]
        everything = (*news, *known)
        gone = everything[:MAX_GONE]
        if len(everything) > MAX_GONE:
            forgotten = everything[MAX_GONE].noticed
    return History(
        began=ended if history.began is None else history.began,
        held=_held(history.held, inventory, ended),
        gone=gone,
        forgotten=forgotten,
        last=inventory,
        last_ended=ended,
    )


def _held(before: Mapping[str, Held], inventory: Inventory, now: float) -> dict[str, Held]:
    held: dict[str, Held] = {}
    for item in inventory.servers:
        condition = item.server.condition
        if condition == "working":
            continue
        known = before.get(item.server.id)
        same = known is not None and known.condition == condition
        held[item.server.id] = known if known is not None and same else Held(condition, now)
    return held


class _Present:
    """The identities of everything in a listing."""

    def __init__(self, inventory: Inventory) -> None:
        self.portals = {item.portal.id for item in inventory.portals}
        self.servers = {item.server.id for item in inventory.servers}
        self.attached = {
            (item.portal.id, server.id) for item in inventory.portals for server in item.servers
        }

    def __contains__(self, identity: Identity) -> bool:
        kind, portal_id, server_id = identity
        if kind == "portal":
            return portal_id in self.portals
        if kind == "server":
            return server_id in self.servers
        return (portal_id, server_id) in self.attached


def _news(
    history: History, before: Inventory, after: Inventory, present: _Present, now: float
) -> Iterator[Gone]:
    """What the listing before had and this one has not."""
    seen, unread = history.last_ended, bool(after.skipped)
    portals = [item for item in before.portals if item.portal.id not in present.portals]
    servers = [one.server for one in before.servers if one.server.id not in present.servers]
    detached = list(_detached(before, present))
    if not (portals or servers or detached):
        return
    shown = {(one.portal_id, one.server_id): one.tools for one in before.attachments}
    homes = _homes(before)
    for item in portals:
        tools = [shown.get((item.portal.id, server.id)) for server in item.servers]
        yield Gone(
            "portal", item.portal.id, item.portal.name, "", "", seen, now,
            servers=len(item.servers), tools=_sum(tools), unread=unread,
        )  # fmt: skip
    for server in servers:
        yield Gone(
            "server", "", "", server.id, server.name, seen, now,
            tools=server.tools, portals=tuple(homes[server.id][:MAX_NAMES]), unread=unread,
        )  # fmt: skip
    for item, server in detached:
        yield Gone(
            "attachment", item.portal.id, item.portal.name, server.id, server.name, seen, now,
            tools=_sum([shown.get((item.portal.id, server.id))]), unread=unread,
        )  # fmt: skip


def _detached(before: Inventory, present: _Present) -> Iterator[tuple[PortalServers, Server]]:
    """Servers that have left a portal, where both still exist."""
    for item in before.portals:
        if item.portal.id not in present.portals:
            continue
        for server in item.servers:
            place = (item.portal.id, server.id)
            if server.id in present.servers and place not in present.attached:
                yield item, server


def _homes(inventory: Inventory) -> defaultdict[str, list[str]]:
    """The names of the portals that each server is in, by the server's id."""
    homes: defaultdict[str, list[str]] = defaultdict(list)
    for item in inventory.portals:
        for server in item.servers:
            homes[server.id].append(item.portal.name)
    return homes


def _sum(shown: Iterable[Exposure | None]) -> int | None:
    """Tools that are shown, of those places where that is known."""
    known = [one.shown for one in shown if one is not None]
    return sum(known) if known else None
