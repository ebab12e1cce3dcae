"""Merges the pages of an account's listings: every object once, independent of the order of pages.

Pure. A server appears in one record per portal, and a list that changes between two pages repeats
a portal; which record wins must not depend on the order of pages.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from exporter.cloudflare.convert import ParsedServer
from exporter.cloudflare.decode import Page, ParsedPortal
from exporter.model import (
    AccountServer,
    Attachment,
    Inventory,
    Portal,
    PortalServers,
    Server,
    Skipped,
)


def build(pages: Iterable[Page]) -> Inventory:
    """The account that these pages describe; all tuples sorted by id."""
    merging = _Merging()
    for page in pages:
        merging.add(page)
    return merging.inventory()


class _Merging:
    """The objects so far, by id."""

    def __init__(self) -> None:
        self._portals: dict[str, Portal] = {}
        self._servers: dict[str, Server] = {}
        self._attached: dict[tuple[str, str], ParsedServer] = {}
        self._portal_count: defaultdict[str, int] = defaultdict(int)
        self._skipped: list[Skipped] = []
        self._notes: set[str] = set()

    def add(self, page: Page) -> None:
        self._skipped.extend(page.skipped)
        self._notes |= page.notes
        for read in page.servers:
            self._know(read.server)
        for portal in page.portals:
            self._add_portal(portal)

    def _add_portal(self, read: ParsedPortal) -> None:
        if read.portal is None:
            # The portal has no usable id, but its servers do: each is in one more portal.
            for identity in {server.server.id for server in read.servers}:
                self._portal_count[identity] += 1
        else:
            known = self._portals.get(read.portal.id, read.portal)
            self._portals[known.id] = max(known, read.portal, key=_portal_rank)
        for server in read.servers:
            self._know(server.server)
            if read.portal is not None:
                self._attach(read.portal.id, server)

    def _know(self, server: Server) -> None:
        known = self._servers.get(server.id)
        if known is None or (known != server and _server_rank(server) > _server_rank(known)):
            self._servers[server.id] = server

    def _attach(self, portal_id: str, read: ParsedServer) -> None:
        place = (portal_id, read.server.id)
        known = self._attached.get(place)
        if known is None:
            self._portal_count[read.server.id] += 1
        if known is None or (known != read and _read_rank(read) > _read_rank(known)):
            self._attached[place] = read

    def inventory(self) -> Inventory:
        places = sorted(self._attached)
        members: defaultdict[str, list[Server]] = defaultdict(list)
        for portal_id, server_id in places:
            members[portal_id].append(self._servers[server_id])
        return Inventory(
            portals=tuple(
                PortalServers(self._portals[identity], tuple(members[identity]))
                for identity in sorted(self._portals)
            ),
            servers=tuple(
                AccountServer(self._servers[identity], self._portal_count[identity])
                for identity in sorted(self._servers)
            ),
            attachments=tuple(_attachment(place, self._attached[place]) for place in places),
            skipped=tuple(self._skipped),
            notes=frozenset(self._notes),
        )


def _attachment(place: tuple[str, str], read: ParsedServer) -> Attachment:
    portal_id, server_id = place
    return Attachment(
        portal_id=portal_id,
        server_id=server_id,
        default_disabled=read.default_disabled,
        on_behalf=read.on_behalf,
        tools=read.tools,
        prompts=read.prompts,
    )


# --- which of two records of one object wins ---------------------------------------------------

NEVER = float("-inf")


def _time(moment: float | None) -> float:
    return NEVER if moment is None else moment


def _server_rank(server: Server) -> tuple[float, float, float, bytes]:
    """The latest sync attempt first, then the other times; ties are broken by any fixed order."""
    return (
        _time(server.last_sync),
        _time(server.last_successful_sync),
        _time(server.modified),
        msgspec.json.encode(server),
    )


def _read_rank(read: ParsedServer) -> tuple[float, float, float, bytes]:
    return (*_server_rank(read.server)[:3], msgspec.json.encode(read))


def _portal_rank(portal: Portal) -> tuple[float, bytes]:
    return (_time(portal.modified), msgspec.json.encode(portal))
