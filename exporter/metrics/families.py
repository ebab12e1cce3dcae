"""Converts listing results to metric families. Pure; reads no clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from exporter.errors import Reason
from exporter.metrics import catalog as c
from exporter.metrics.samples import (
    Family,
    LabeledObject,
    Row,
    label,
    labeled,
    listed,
    plain,
    split,
    state_set,
)
from exporter.model import (
    AUTH_TYPES,
    AUTHENTICATION_STATUSES,
    CODE_MODES,
    STATUSES,
    AccountServer,
    Attachment,
    PortalServers,
    Server,
)
from exporter.scrape_result import ListingResult


class _Objects(msgspec.Struct, frozen=True):
    """All objects of all accounts that were listed."""

    portals: list[LabeledObject[PortalServers]]
    servers: list[LabeledObject[AccountServer]]
    attachments: list[LabeledObject[Attachment]]


def families(scrapes: Sequence[ListingResult], now: float) -> Iterator[Family]:
    """The families of all accounts, in the order of the catalog.

    Args:
        scrapes: one per account.
        now: Unix time for staleness.
    """
    objects = _objects(scrapes)
    yield from _account_families(scrapes)
    yield from _portal_families(objects.portals, now)
    yield from _server_families(objects.servers, now)
    yield from _attachment_families(objects.attachments)


def _objects(scrapes: Sequence[ListingResult]) -> _Objects:
    found = _Objects([], [], [])
    for scrape in scrapes:
        if scrape.inventory is None:
            continue
        account = label("account_id", scrape.account_id)
        for portal in scrape.inventory.portals:
            found.portals.append(
                labeled(account, label("portal_id", portal.portal.id), portal),
            )
        for server in scrape.inventory.servers:
            found.servers.append(
                labeled(account, label("server_id", server.server.id), server),
            )
        for item in scrape.inventory.attachments:
            own = f"{label('portal_id', item.portal_id)},{label('server_id', item.server_id)}"
            found.attachments.append(labeled(account, own, item))
    return found


# --- the families ------------------------------------------------------------------------------


def _account_families(scrapes: Sequence[ListingResult]) -> Iterator[Family]:
    accounts = [LabeledObject("", "", label("account_id", s.account_id), s) for s in scrapes]
    whole = [(a, a.value.inventory) for a in accounts if a.value.inventory is not None]
    yield plain(c.UP, accounts, lambda s: float(s.inventory is not None))
    yield listed(
        c.ACCOUNT_INFO,
        [(f"{a.both},{label('account_name', a.value.account_name)}", 1) for a in accounts],
    )
    yield listed(c.PORTALS, [(a.both, len(inv.portals)) for a, inv in whole])
    yield listed(
        c.SERVERS,
        [
            (f'{a.both},auth_type="{auth_type}"', count)
            for a, inv in whole
            for auth_type, count in _by_auth_type(s.server for s in inv.servers)
        ],
    )
    yield plain(c.COLLECTION_DURATION, accounts, lambda s: s.duration)
    yield listed(
        c.COLLECTION_FAILED,
        [
            (f'{a.both},reason="{reason}"', _failed_for(a.value, reason))
            for a in accounts
            for reason in Reason
        ],
    )
    yield plain(c.LAST_SUCCESS, accounts, lambda s: s.last_success)
    yield listed(
        c.SKIPPED_RECORDS,
        [
            (f'{a.both},kind="{kind}"', sum(skipped.kind == kind for skipped in inv.skipped))
            for a, inv in whole
            for kind in ("portal", "server")
        ],
    )
    yield plain(c.API_RATELIMIT_REMAINING, accounts, lambda s: s.ratelimit_remaining)


def _failed_for(result: ListingResult, reason: Reason) -> float:
    return float(result.failure is not None and result.failure.reason is reason)


def _portal_families(portals: list[LabeledObject[PortalServers]], now: float) -> Iterator[Family]:
    yield listed(
        c.PORTAL_INFO,
        [
            (
                ",".join(
                    (
                        p.account,
                        label("hostname", p.value.portal.hostname),
                        p.own,
                        label("portal_name", p.value.portal.name),
                    )
                ),
                1,
            )
            for p in portals
        ],
    )
    yield split(c.PORTAL_SERVERS, [(p, _by_auth_type(p.value.servers)) for p in portals])
    yield plain(c.PORTAL_SERVERS_WITH_ERROR, portals, lambda p: sum(s.in_error for s in p.servers))
    yield plain(
        c.PORTAL_SERVERS_RETRYABLE,
        portals,
        lambda p: sum(s.retryable_upstream_failure for s in p.servers),
    )
    yield plain(c.PORTAL_STALENESS, portals, lambda p: _worst_staleness(p.servers, now))
    yield state_set(c.PORTAL_CODE_MODE, CODE_MODES, portals, lambda p: p.portal.code_mode)
    yield plain(c.PORTAL_CODE_MODE_ALLOWED, portals, lambda p: p.portal.code_mode_allowed)
    yield plain(c.PORTAL_GATEWAY, portals, lambda p: p.portal.secure_web_gateway)
    yield plain(c.PORTAL_CREATED, portals, lambda p: p.portal.created)
    yield plain(c.PORTAL_MODIFIED, portals, lambda p: p.portal.modified)


def _worst_staleness(servers: Iterable[Server], now: float) -> float | None:
    known = (server.staleness(now) for server in servers)
    return max((seconds for seconds in known if seconds is not None), default=None)


def _server_families(servers: list[LabeledObject[AccountServer]], now: float) -> Iterator[Family]:
    yield listed(
        c.SERVER_INFO,
        [
            (
                ",".join(
                    (
                        s.account,
                        label("auth_type", s.value.server.auth_type),
                        label("hostname", s.value.server.hostname),
                        s.own,
                        label("server_name", s.value.server.name),
                    )
                ),
                1,
            )
            for s in servers
        ],
    )
    yield state_set(c.SERVER_STATUS, STATUSES, servers, lambda s: s.server.status)
    yield state_set(
        c.SERVER_AUTHENTICATION_STATUS,
        AUTHENTICATION_STATUSES,
        servers,
        lambda s: s.server.authentication_status,
    )
    yield plain(c.SERVER_ERROR, servers, lambda s: s.server.in_error)
    yield listed(c.SERVER_ERROR_INFO, _error_rows(servers))
    yield plain(c.SERVER_RETRYABLE, servers, lambda s: s.server.retryable_upstream_failure)
    yield plain(c.SERVER_LAST_SYNC, servers, lambda s: s.server.last_sync)
    yield plain(c.SERVER_LAST_SUCCESSFUL_SYNC, servers, lambda s: s.server.last_successful_sync)
    yield plain(c.SERVER_STALENESS, servers, lambda s: s.server.staleness(now))
    yield plain(c.SERVER_TOOLS, servers, lambda s: s.server.tools)
    yield plain(c.SERVER_PROMPTS, servers, lambda s: s.server.prompts)
    yield plain(c.SERVER_PORTALS, servers, lambda s: s.portals)
    yield plain(c.SERVER_GATEWAY, servers, lambda s: s.server.secure_web_gateway)
    yield plain(c.SERVER_SHARED_CALLBACK, servers, lambda s: s.server.shared_oauth_callback)
    yield plain(c.SERVER_CREATED, servers, lambda s: s.server.created)
    yield plain(c.SERVER_MODIFIED, servers, lambda s: s.server.modified)


def _error_rows(servers: Iterable[LabeledObject[AccountServer]]) -> Iterator[Row]:
    for item in servers:
        kind = item.value.server.error_class
        if kind is not None:
            labels = (
                f'{item.account},is_upstream="{kind.is_upstream}",mcp_code="{kind.mcp_code}",'
                f'retryable="{kind.retryable}",{item.own},status_code="{kind.status_code}"'
            )
            yield labels, 1


def _attachment_families(attachments: list[LabeledObject[Attachment]]) -> Iterator[Family]:
    yield plain(c.PORTAL_SERVER_INFO, attachments, lambda _: 1)
    yield plain(c.PORTAL_SERVER_DEFAULT_DISABLED, attachments, lambda a: a.default_disabled)
    yield plain(c.PORTAL_SERVER_ON_BEHALF, attachments, lambda a: a.on_behalf)
    yield plain(
        c.PORTAL_SERVER_EXPOSED_TOOLS, attachments, lambda a: a.tools.shown if a.tools else None
    )
    yield plain(
        c.PORTAL_SERVER_EXPOSED_PROMPTS,
        attachments,
        lambda a: a.prompts.shown if a.prompts else None,
    )
    yield split(c.PORTAL_SERVER_ORPHANED, [(item, _orphans(item.value)) for item in attachments])


def _orphans(attachment: Attachment) -> list[tuple[str, float]]:
    kinds = (("tool", attachment.tools), ("prompt", attachment.prompts))
    return [(kind, exposure.orphaned) for kind, exposure in kinds if exposure is not None]


def _by_auth_type(servers: Iterable[Server]) -> list[tuple[str, float]]:
    types = [server.auth_type for server in servers]
    return [(auth_type, types.count(auth_type)) for auth_type in AUTH_TYPES]
