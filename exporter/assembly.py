"""Puts the parts together: the one place that knows them all."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable

import msgspec

from exporter.background import Alarms, Crew
from exporter.budget import Budget
from exporter.cloudflare.client import PORTALS, SERVERS, Client, Endpoint
from exporter.cloudflare.credentials import Headers, key_headers, token_headers
from exporter.cloudflare.pause import Pause, SharedLimits
from exporter.cloudflare.transport import Route
from exporter.collector import AccountCollector, ListAccount, Threads
from exporter.inventory import build
from exporter.metrics.own import OwnMetrics
from exporter.metrics.telemetry import Telemetry
from exporter.model import Inventory
from exporter.service import Service
from exporter.settings import Account, Credentials, Secret, SecretReader, Settings

MOST_LISTINGS = 256
"""Accounts listed at the same time; each waits for the network nearly all of its time."""

Learn = Callable[[str], object]
"""Is told of each secret that a file turns out to hold, before anybody else sees it."""


def assemble(settings: Settings) -> Service:
    """The service that these settings describe; starts nothing and calls nothing."""
    return Parts(settings).service


class Parts:
    """The exporter without its web.

    Args:
        settings: of the start.
        learn: is told of secrets in files.

    Attributes:
        service: the accounts as one.
        own: the exporter's metrics about itself.
    """

    def __init__(self, settings: Settings, learn: Learn = lambda _: None) -> None:
        self._common = _Common(
            threads=Threads(Crew(MOST_LISTINGS, "listing"), Alarms()),
            limits=SharedLimits(),
            learn=learn,
        )
        self._members: dict[str, _Member] = {}
        self.own = OwnMetrics(loaded=time.time())
        # Each account has a time-out of its own.
        offset = settings.scrape_timeout_offset
        self.service = Service({}, self.own, timeout=math.inf, offset=offset)
        self.replace_accounts(settings.accounts)

    def replace_accounts(self, accounts: Iterable[Account]) -> Changes:
        """Serve these accounts from the next scrape on; not for threads that overlap.

        An account whose configuration is the same goes on as it is. One that changed keeps what is
        counted about it, and the API's demand to be left alone.
        """
        old = self._members
        new = {account.account_id: self._member(account) for account in accounts}
        self._members = new
        self.service.replace({one.account.name: one.collector for one in new.values()})
        for identity, member in old.items():
            if new.get(identity) is not member:
                member.client.close()
        kept = old.keys() & new.keys()
        return Changes(
            added=len(new) - len(kept),
            removed=len(old) - len(kept),
            changed=sum(new[identity] is not old[identity] for identity in kept),
        )

    def _member(self, account: Account) -> _Member:
        old = self._members.get(account.account_id)
        if old is not None and old.account == account:
            return old
        return _member(account, old, self._common)


class Changes(msgspec.Struct, frozen=True):
    """How many accounts are not what they were."""

    added: int
    removed: int
    changed: int


class _Common(msgspec.Struct, frozen=True, eq=False):
    """What all accounts share."""

    threads: Threads
    limits: SharedLimits
    learn: Learn


class _Member(msgspec.Struct, frozen=True, eq=False):
    """An account in use, with the parts that outlive a change of it or must be closed."""

    account: Account
    collector: AccountCollector
    client: Client
    pause: Pause


def _member(account: Account, old: _Member | None, common: _Common) -> _Member:
    telemetry = Telemetry(account.account_id) if old is None else old.collector.telemetry
    pause = Pause(common.limits) if old is None else old.pause
    client = Client(
        _endpoint(account), _headers(account.credentials, common.learn), pause, telemetry
    )
    lists = (PORTALS, SERVERS) if account.collect_servers else (PORTALS,)
    collector = AccountCollector(
        account.account_id,
        account.name,
        _lister(client, lists),
        telemetry,
        common.threads,
        timeout=account.timeout,
        cache_ttl=account.cache_ttl,
        before=None if old is None else old.collector.observed,
    )
    return _Member(account, collector, client, pause)


def _endpoint(account: Account) -> Endpoint:
    return Endpoint(
        base_url=account.base_url,
        account_id=account.account_id,
        per_page=account.per_page,
        side_by_side=account.parallel_pages,
        max_bytes=account.max_response_bytes,
        route=Route(account.proxy_url, account.ca_file),
    )


def _headers(credentials: Credentials, learn: Learn) -> Headers:
    if credentials.token is not None:
        return token_headers(SecretReader(credentials.token, "token", learn))
    key = SecretReader(credentials.key or Secret(), "key", learn)
    return key_headers(credentials.email, key)


def _lister(client: Client, lists: tuple[str, ...]) -> ListAccount:
    def list_account(budget: Budget) -> Inventory:
        return build(page for what in lists for page in client.list_pages(what, budget))

    return list_account
