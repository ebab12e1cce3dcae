"""Puts the parts together: the one place that knows them all."""

from __future__ import annotations

import time

from requests.auth import AuthBase

from exporter.background import Alarms, Crew
from exporter.budget import Budget
from exporter.cloudflare.client import PORTALS, SERVERS, Client, Endpoint
from exporter.cloudflare.credentials import KeyAuth, TokenAuth
from exporter.cloudflare.pause import Pause
from exporter.collector import AccountCollector, ListAccount, Threads
from exporter.inventory import build
from exporter.metrics.own import OwnMetrics
from exporter.metrics.telemetry import Telemetry
from exporter.model import Inventory
from exporter.service import Service
from exporter.settings import Account, Credentials, Settings

MOST_LISTINGS = 256
"""Accounts listed at the same time; each waits for the network nearly all of its time."""


def assemble(settings: Settings) -> Service:
    """The service that these settings describe; starts nothing and calls nothing."""
    threads = Threads(Crew(MOST_LISTINGS, "listing"), Alarms())
    return Service(
        {account.name: _collector(settings, account, threads) for account in settings.accounts},
        OwnMetrics(loaded=time.time()),
        timeout=settings.scrape_timeout,
        offset=settings.scrape_timeout_offset,
    )


def _collector(settings: Settings, account: Account, threads: Threads) -> AccountCollector:
    telemetry = Telemetry(account.account_id)
    endpoint = Endpoint(
        base_url=settings.base_url,
        account_id=account.account_id,
        per_page=settings.per_page,
        side_by_side=settings.parallel_pages,
        max_bytes=settings.max_response_bytes,
    )
    client = Client(endpoint, _auth(account.credentials), Pause(), telemetry)
    lists = (PORTALS, SERVERS) if settings.collect_servers else (PORTALS,)
    return AccountCollector(
        account.account_id, account.name, _lister(client, lists), telemetry, threads
    )


def _auth(credentials: Credentials) -> AuthBase:
    if credentials.token is not None:
        return TokenAuth(credentials.token)
    return KeyAuth(credentials.email or "", credentials.key or "")


def _lister(client: Client, lists: tuple[str, ...]) -> ListAccount:
    def list_account(budget: Budget) -> Inventory:
        return build(page for what in lists for page in client.list_pages(what, budget))

    return list_account
