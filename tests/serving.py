"""The exporter over HTTP in this process: its web application in front of a service."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from exporter.background import Alarms, Crew
from exporter.budget import Budget
from exporter.cloudflare.client import PORTALS, SERVERS, Client, Endpoint
from exporter.cloudflare.credentials import token_headers
from exporter.cloudflare.pause import Pause
from exporter.collector import AccountCollector, ListAccount, Threads
from exporter.inventory import build
from exporter.metrics.formats import Format
from exporter.metrics.own import OwnMetrics
from exporter.metrics.telemetry import Telemetry
from exporter.model import Inventory
from exporter.service import Service
from exporter.settings import ListenAddress
from exporter.web.app import App
from exporter.web.server import Server, bind
from watching import ACCOUNT_ID, TOKEN


def threads() -> Threads:
    """What collectors work on."""
    return Threads(Crew(8, "listing"), Alarms())


def collector_of(
    list_account: ListAccount, *, wall_clock: Callable[[], float] = lambda: 0.0
) -> AccountCollector:
    """A collector whose account is listed by the function given."""
    telemetry = Telemetry(ACCOUNT_ID)
    return AccountCollector(
        ACCOUNT_ID, ACCOUNT_ID, list_account, telemetry, threads(), wall_clock=wall_clock
    )


def service_of(
    collector: AccountCollector,
    *,
    timeout: float = 9.0,
    wall_clock: Callable[[], float] = lambda: 0.0,
) -> Service:
    """A service of one account."""
    return Service(
        {ACCOUNT_ID: collector},
        OwnMetrics(loaded=0.0),
        timeout=timeout,
        offset=0.5,
        wall_clock=wall_clock,
    )


def service_at(base_url: str, now: float, *, collect_servers: bool = False) -> Service:
    """The service that lists the API at ``base_url``, for which it is always ``now``."""
    telemetry = Telemetry(ACCOUNT_ID)
    endpoint = Endpoint(
        base_url=base_url,
        account_id=ACCOUNT_ID,
        per_page=20,
        side_by_side=4,
        max_bytes=1 << 24,
    )
    client = Client(endpoint, token_headers(lambda: TOKEN), Pause(), telemetry)
    lists = (PORTALS, SERVERS) if collect_servers else (PORTALS,)

    def list_account(budget: Budget) -> Inventory:
        return build(page for what in lists for page in client.list_pages(what, budget))

    collector = AccountCollector(
        ACCOUNT_ID, ACCOUNT_ID, list_account, telemetry, threads(), wall_clock=lambda: now
    )
    return service_of(collector, wall_clock=lambda: now)


@contextmanager
def serving(service: Service) -> Iterator[str]:
    """Serve it on a free port of loopback; gives the URL of the root."""
    app = App(service, accounts=service.observed)
    with serving_app(app, on_stop=lambda: service.stop(0.5)) as url:
        yield url


@contextmanager
def serving_app(app: App[Any], on_stop: Callable[[], None] = lambda: None) -> Iterator[str]:
    """Serve an application that is made by hand; gives the URL of the root."""
    server = Server(app, [bind(ListenAddress("127.0.0.1", 0))], on_stop=on_stop, grace=2)
    thread = threading.Thread(target=server.run, name="web", daemon=True)
    thread.start()
    try:
        yield server.url
    finally:
        server.stop()
        thread.join(10)
        app.close()
    assert not thread.is_alive(), "the server did not stop"


ACCEPT = {Format.TEXT: "text/plain;version=0.0.4", Format.OPENMETRICS: Format.OPENMETRICS.value}
"""What a client says to get each format."""
