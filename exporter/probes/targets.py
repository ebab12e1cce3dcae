"""What may be probed: the servers and portals of an account's last listing only. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import msgspec

from exporter.model import Inventory, Portal, Server
from exporter.probes.portal import PortalTarget
from exporter.probes.server import ServerTarget


class Selection(msgspec.Struct, frozen=True):
    """Which servers or portals of an account may be probed, by id and hostname.

    Attributes:
        allow: patterns such as ``prod-*`` or ``*.example.com``; empty for all.
        deny: patterns of those that are left out, whatever ``allow`` says.
        private: whether servers behind the Gateway are probed directly, too.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    private: bool = False

    def admits(self, identity: str, hostname: str) -> bool:
        """Whether one of this id at this host (a name or a URL) may be probed."""
        names = (identity.lower(), _host(hostname))
        if _matches(names, self.deny):
            return False
        return not self.allow or _matches(names, self.allow)


def servers(
    inventory: Inventory, selection: Selection, identity: str | None = None
) -> Iterator[Server]:
    """The servers that may be probed directly, or the one of this id.

    Those behind the Gateway may have a private hostname, which is somebody else's on this network.
    """
    for member in inventory.servers:
        server = member.server
        if identity is not None and server.id != identity:
            continue
        if server.secure_web_gateway and not selection.private:
            continue
        if server.hostname and selection.admits(server.id, server.hostname):
            yield server


def portals(
    inventory: Inventory, selection: Selection, identity: str | None = None
) -> Iterator[Portal]:
    """The portals that may be probed, or the one of this id."""
    for member in inventory.portals:
        if identity is not None and member.portal.id != identity:
            continue
        if member.portal.hostname and selection.admits(member.portal.id, member.portal.hostname):
            yield member.portal


def server_target(server: Server) -> ServerTarget:
    """What a probe needs to know of the server."""
    stored = None
    if server.tool_hashes is not None:
        stored = frozenset(array("q", server.tool_hashes))
    url = server.hostname if "://" in server.hostname else f"https://{server.hostname}"
    return ServerTarget(server.id, url, server.auth_type, stored)


def portal_target(inventory: Inventory, portal: Portal) -> PortalTarget:
    """What a probe needs to know of the portal.

    Its users should see the tools of each attached server that exposes some, unless the server acts
    on behalf of its user: then a service token does not see it.
    """
    known = {member.server.id: member.server for member in inventory.servers}
    expected = frozenset(
        one.server_id
        for one in inventory.attachments
        if one.portal_id == portal.id
        and one.on_behalf is False
        and one.tools is not None
        and one.tools.shown > 0
        and one.server_id in known
    )
    scheme, _, host = portal.hostname.rpartition("://")
    return PortalTarget(portal.id, host, expected, scheme or "https")


def _host(hostname: str) -> str:
    parts = urlsplit(hostname if "://" in hostname else f"//{hostname}")
    return (parts.hostname or "").lower()


def _matches(names: Iterable[str], patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern.lower()) for name in names for pattern in patterns)
