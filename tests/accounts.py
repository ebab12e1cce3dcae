"""Account states for tests of the status page: failing, hostile, large."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from exporter.errors import ListingError
from exporter.history import remember
from exporter.model import (
    AccountServer,
    Attachment,
    ErrorClass,
    Exposure,
    Inventory,
    Portal,
    PortalServers,
    Server,
)
from exporter.scrape_result import AccountState, ListingResult

NOW = float(int(time.time()))
"""Start of the tests: servers over HTTP use the real clock."""
ID = "0123456789abcdef0123456789abcdef"

HOSTILE = (
    "<script>document.title='owned';alert(1)</script>",
    '"><img src=x onerror="alert(2)"><a href=\'javascript:alert(3)\'>x</a>',
    "{{ 7 * 7 }}{% raw %}</style></title></table><style>body{display:none}</style>",
    "a" * 350,
    "\u202eright-to-left override \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f3f4\u200d\u2620\ufe0f" * 12,
    "half a pair \ud83d, NUL \x00, bell \x07, new\nline, \u0301\u0301\u0301 combining",
    "' onmouseover='alert(4)' x='&lt;b&gt;&amp;",
    "\u6f22\u5b57" * 150,
)
"""Names with markup, or that could break the layout or the encoding."""


def server(identity: str, **fields: object) -> Server:
    """A working server, with these fields changed."""
    given = {
        "name": identity.title(),
        "hostname": f"https://{identity}.mcp.example.com/mcp",
        "auth_type": "oauth",
        "status": "ready",
        "authentication_status": "connected",
        "last_successful_sync": NOW - 600,
        "tools": 12,
        "prompts": 3,
        **fields,
    }
    return Server(id=identity, **given)  # type: ignore[arg-type] # the tests use existing fields


def portal(identity: str, *servers: Server, **fields: object) -> PortalServers:
    """A portal with these servers."""
    given = {
        "name": identity.title(),
        "hostname": f"{identity}.portal.example.com",
        "code_mode": "opt_in",
        **fields,
    }
    return PortalServers(Portal(id=identity, **given), servers)  # type: ignore[arg-type] # as above


def inventory(
    *portals: PortalServers,
    alone: tuple[Server, ...] = (),
    shown: Mapping[tuple[str, str], int] = MappingProxyType({}),
) -> Inventory:
    """An account with these portals, and servers in no portal.

    A portal shows all tools of its servers, or so many as ``shown`` says for the ids of both.
    """
    attached = [one for item in portals for one in item.servers]
    servers = {one.id: one for one in (*attached, *alone)}
    homes = Counter(one.id for one in attached)
    return Inventory(
        portals=portals,
        servers=tuple(
            AccountServer(servers[identity], homes[identity]) for identity in sorted(servers)
        ),
        attachments=tuple(
            Attachment(
                item.portal.id,
                one.id,
                tools=None
                if one.tools is None
                else Exposure(shown.get((item.portal.id, one.id), one.tools), 0),
            )
            for item in portals
            for one in item.servers
        ),
    )


def listed(
    found: Inventory, name: str = "Main", account_id: str = ID, *, ended: float = NOW - 12
) -> AccountState:
    """An account whose listing succeeded."""
    return relisted(AccountState(account_id, name), found, ended=ended)


def relisted(before: AccountState, found: Inventory, *, ended: float = NOW - 12) -> AccountState:
    """The account, after another successful listing."""
    scrape = ListingResult(
        account_id=before.account_id,
        account_name=before.account_name,
        duration=0.42,
        ended=ended,
        inventory=found,
        last_success=ended,
        ratelimit_remaining=1180.0,
    )
    history = remember(before.history, found, ended)
    return AccountState(before.account_id, before.account_name, scrape, scrape, history)


def failing(failure: ListingError, before: AccountState, *, ended: float = NOW - 5) -> AccountState:
    """The account after a failed listing."""
    scrape = ListingResult(
        account_id=before.account_id,
        account_name=before.account_name,
        duration=1.5,
        ended=ended,
        failure=failure,
    )
    return msgspec.structs.replace(before, latest=scrape)


UNREACHABLE = ErrorClass("false", "true", "", "")
REFUSED = ErrorClass("true", "false", "401", "-32001")
PASSING = ErrorClass("true", "true", "503", "")


def hostile_account() -> AccountState:
    """An account with only hostile texts."""
    servers = [
        server(
            f"server-{number}",
            name=text,
            hostname=f"https://{text}/mcp",
            in_error=number % 2 == 0,
            error_class=(REFUSED, UNREACHABLE, None)[number % 3],
            last_successful_sync=None if number % 4 == 0 else NOW - 1e5 * number,
        )
        for number, text in enumerate(HOSTILE)
    ]
    portals = [
        portal(f"portal-{number}", *servers, name=text, hostname=text)
        for number, text in enumerate(HOSTILE)
    ]
    return listed(inventory(*portals), name=HOSTILE[1])


def large_account(count: int, name: str = "Large", account_id: str = ID) -> AccountState:
    """An account with this many servers, 1 % of them unreachable, 50 per portal."""
    servers = [
        server(
            f"server-{number:05}",
            in_error=number % 100 == 0,
            error_class=UNREACHABLE if number % 100 == 0 else None,
        )
        for number in range(count)
    ]
    portals = [
        portal(f"portal-{start // 50:04}", *servers[start : start + 50])
        for start in range(0, count, 50)
    ]
    return listed(inventory(*portals), name, account_id)
