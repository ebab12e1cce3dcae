"""The part of a report that is asked for. Pure."""

from __future__ import annotations

import msgspec

from exporter.web.status.query import ATTENTION, Query
from exporter.web.status.report import PortalStatus, ServerStatus, Status


def selected(status: Status, query: Query) -> Status:
    """The report with the accounts, portals, servers and losses that fit.

    A portal stays where it or one of its servers fits. Totals count everything.
    """
    if not query.filters:
        return status
    text = query.q.casefold()
    servers = tuple(server for server in status.servers if _fits(server, query, text))
    homes = {(server.account_id, portal) for server in servers for portal in server.portals}
    return msgspec.structs.replace(
        status,
        accounts=tuple(one for one in status.accounts if query.account in {"", one.name}),
        portals=tuple(one for one in status.portals if _portal_fits(one, query, text, homes)),
        servers=servers,
        disappeared=tuple(
            one
            for one in status.disappeared
            if query.account in {"", one.account}
            and query.portal in {"", one.portal_id}
            and _holds(text, one.portal_name, one.portal_id, one.server_name, one.server_id)
        ),
    )


def _fits(server: ServerStatus, query: Query, text: str) -> bool:
    state = ATTENTION if query.state == ATTENTION and server.needs_attention else server.state
    return (
        query.state in {"", state}
        and query.account in {"", server.account}
        and (not query.portal or query.portal in server.portals)
        and _holds(text, server.name, server.id, server.hostname)
    )


def _portal_fits(
    portal: PortalStatus, query: Query, text: str, homes: set[tuple[str, str]]
) -> bool:
    if query.portal not in {"", portal.id} or query.account not in {"", portal.account}:
        return False
    if not query.state and _holds(text, portal.name, portal.id, portal.hostname):
        return True
    return (portal.account_id, portal.id) in homes


def _holds(text: str, *values: str) -> bool:
    return not text or any(text in value.casefold() for value in values)
