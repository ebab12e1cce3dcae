"""Runs the exporter in this process, for tests without child processes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Mapping
from concurrent.futures import Future
from functools import cache
from typing import Any, Protocol, TypeVar

from prometheus_client.parser import text_string_to_metric_families

from exporter.accounts import Accounts, ScrapeResult
from exporter.metrics.formats import Format
from exporter.redaction import KnownSecrets
from exporter.settings import Settings, load

ACCOUNT_ID = "0123456789abcdef0123456789abcdef"
TOKEN = "t0kenThatMustNeverBeSeenAnywhere_12345678"

T = TypeVar("T")

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


_ONE_AT_A_TIME = threading.Lock()


@cache
def _event_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="event loop", daemon=True).start()
    return loop


def event_loop() -> asyncio.AbstractEventLoop:
    """An event loop in a thread, shared by the tests of a process."""
    with _ONE_AT_A_TIME:
        return _event_loop()


def submit(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Run it on the event loop."""
    return asyncio.run_coroutine_threadsafe(work, event_loop())


def accounts_of(settings: Settings, known: KnownSecrets | None = None) -> Accounts:
    """The accounts that the command would create from these settings."""
    secrets = known or KnownSecrets(settings.secrets)
    return Accounts(settings.accounts, secrets, offset=settings.scrape_timeout_offset)


def accounts_for(base_url: str, *flags: str, environ: Mapping[str, str] | None = None) -> Accounts:
    """The accounts that the command would create from these flags."""
    settings = load(
        flags,
        {
            "CLOUDFLARE_API_TOKEN": TOKEN,
            "CLOUDFLARE_ACCOUNT_ID": ACCOUNT_ID,
            "CLOUDFLARE_BASE_URL": base_url,
            **(environ or {}),
        },
    )
    return accounts_of(settings)


def request_threads() -> list[str]:
    """The threads that are currently sending requests to the API."""
    names = (thread.name for thread in threading.enumerate())
    return [name for name in names if name == "request"]


class Scraped(Protocol):
    """What can be scraped: `Accounts`, or what stands in for their API."""

    async def scrape(self, announced: float | None, name: str | None = None) -> ScrapeResult: ...

    def expose(
        self, scrapes: ScrapeResult, form: Format, names: frozenset[str]
    ) -> Iterable[bytes]: ...

    def stop(self, grace: float) -> None: ...


def stop(source: Scraped, grace: float) -> None:
    """Stop, as the server does."""

    async def in_the_loop() -> None:
        source.stop(grace)

    submit(in_the_loop()).result(5)


def begin(
    accounts: Scraped, timeout: float | None = None, name: str | None = None
) -> Future[ScrapeResult]:
    """A scrape in progress."""
    return submit(accounts.scrape(timeout, name))


def scrape(accounts: Scraped, timeout: float | None = None) -> str:
    """One exposition in the text format."""
    return exposed(accounts, begin(accounts, timeout))


def exposed(accounts: Scraped, future: Future[ScrapeResult]) -> str:
    return b"".join(accounts.expose(future.result(30), Format.TEXT, frozenset())).decode()


def samples(text: str) -> Samples:
    """Every sample, by name and labels; a duplicate series is an error."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"duplicate series {key}"
            found[key] = sample.value
    return found


def value(text: str, name: str, **labels: str) -> float | None:
    """The only sample of ``name`` with at least these labels; None if there is none."""
    matching = [
        number
        for (sample, has), number in samples(text).items()
        if sample == name and labels.items() <= dict(has).items()
    ]
    assert len(matching) <= 1, f"{name}{labels} stands for {len(matching)} series"
    return matching[0] if matching else None


def failures(text: str) -> dict[str, float]:
    """Failed listings by reason, without zeros."""
    return {
        dict(labels)["reason"]: number
        for (name, labels), number in samples(text).items()
        if name == "cloudflare_mcp_collection_failures_total" and number
    }
