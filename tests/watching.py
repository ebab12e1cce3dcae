"""The exporter's parts in this process, for tests that need no child process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future

from prometheus_client.parser import text_string_to_metric_families

from exporter.assembly import assemble
from exporter.metrics.formats import Format
from exporter.service import Scrapes, Service
from exporter.settings import load

ACCOUNT_ID = "0123456789abcdef0123456789abcdef"
TOKEN = "t0kenThatMustNeverBeSeenAnywhere_12345678"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def service_for(base_url: str, *flags: str, environ: Mapping[str, str] | None = None) -> Service:
    """The service that the command would serve with these flags."""
    settings = load(
        flags,
        {
            "CLOUDFLARE_API_TOKEN": TOKEN,
            "CLOUDFLARE_ACCOUNT_ID": ACCOUNT_ID,
            "CLOUDFLARE_BASE_URL": base_url,
            **(environ or {}),
        },
    )
    return assemble(settings)


def listing_threads() -> list[str]:
    """The threads that list an account right now."""
    names = (thread.name for thread in threading.enumerate())
    return [name for name in names if name.startswith(("listing", "page-"))]


def scrape(service: Service, timeout: float | None = None) -> str:
    """One exposition in the text format, as Prometheus would get it."""
    return exposed(service, service.begin(timeout))


def exposed(service: Service, future: Future[Scrapes]) -> str:
    return b"".join(service.expose(future.result(30), Format.TEXT, frozenset())).decode()


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
    """The one sample of ``name`` that has at least these labels; None where there is none."""
    matching = [
        number
        for (sample, has), number in samples(text).items()
        if sample == name and labels.items() <= dict(has).items()
    ]
    assert len(matching) <= 1, f"{name}{labels} stands for {len(matching)} series"
    return matching[0] if matching else None


def failures(text: str) -> dict[str, float]:
    """Failed listings by reason, without those that never happened."""
    return {
        dict(labels)["reason"]: number
        for (name, labels), number in samples(text).items()
        if name == "cloudflare_mcp_collection_failures_total" and number
    }
