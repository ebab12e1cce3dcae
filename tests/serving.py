"""Serves the exporter over HTTP in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from exporter.accounts import Accounts, ScrapeResult
from exporter.collector import AccountCollector
from exporter.deadline import Deadline
from exporter.metrics.api_metrics import ApiMetrics
from exporter.metrics.formats import Format
from exporter.model import Inventory
from exporter.redaction import KnownSecrets
from exporter.scrape_result import AccountState
from exporter.settings import Account, Credentials, ListenAddress, Secret
from exporter.web.routes import App, Source
from exporter.web.server import Server, bind
from watching import ACCOUNT_ID, TOKEN, submit


def accounts_at(base_url: str, now: float, *, collect_servers: bool = False) -> Accounts:
    """The account of the API at ``base_url``, at the fixed time ``now``."""
    account = Account(
        name=ACCOUNT_ID,
        account_id=ACCOUNT_ID,
        credentials=Credentials(token=Secret(text=TOKEN)),
        base_url=base_url,
        collect_servers=collect_servers,
    )
    return Accounts([account], KnownSecrets([TOKEN]), wall_clock=lambda: now)


class Listed:
    """A source whose accounts are listed by these functions instead of the API."""

    def __init__(
        self,
        *functions: Callable[[Deadline], Awaitable[Inventory]],
        wall_clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._shared = Accounts([], KnownSecrets(), wall_clock=wall_clock)
        self.names = tuple(f"{number}{ACCOUNT_ID[1:]}" for number in range(len(functions)))
        self._collectors = [
            AccountCollector(name, name, function, ApiMetrics(name), wall_clock=wall_clock)
            for name, function in zip(self.names, functions, strict=True)
        ]
        self.expose = self._shared.expose

    def observed(self) -> tuple[AccountState, ...]:
        return tuple(one.observed for one in self._collectors)

    async def scrape(self, announced: float | None, name: str | None = None) -> ScrapeResult:
        outcomes = await asyncio.gather(*(one.scrape(announced) for one in self._collectors))
        telemetry = tuple(one.telemetry.registry for one in self._collectors)
        return ScrapeResult(tuple(outcomes), telemetry, self._shared.own, configured={})

    def stop(self, grace: float) -> None:
        for collector in self._collectors:
            collector.stop(grace)


class Unlisted:
    """A source with known states, which must not be scraped."""

    names: tuple[str, ...] = ()

    def __init__(self, observed: Callable[[], Sequence[AccountState]]) -> None:
        self.observed = observed

    async def scrape(self, announced: float | None, name: str | None = None) -> None:
        raise AssertionError("a listing was begun")

    def expose(self, scrapes: None, form: Format, names: frozenset[str]) -> Sequence[bytes]:
        raise AssertionError("a listing was exposed")


@contextmanager
def serving(source: Source, on_stop: Callable[[], None] = lambda: None) -> Iterator[str]:
    """Serve it on a free loopback port; yields the root URL."""
    with serving_app(App(source), on_stop) as url:
        yield url


@contextmanager
def serving_app(app: App, on_stop: Callable[[], None] = lambda: None) -> Iterator[str]:
    """Serve an existing application; yields the root URL."""
    server = Server(app, [bind(ListenAddress("127.0.0.1", 0))], on_stop=on_stop, grace=2)
    ended = submit(server.serve())
    try:
        yield server.url
    finally:
        server.stop()
        ended.result(10)


ACCEPT = {Format.TEXT: "text/plain;version=0.0.4", Format.OPENMETRICS: Format.OPENMETRICS.value}
"""The Accept header for each format."""
