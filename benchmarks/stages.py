"""Where the CPU time of a scrape goes: its stages one after the other, alone in one thread.

The exporter itself overlaps them; what they cost together is a little more here or there, since
threads wait for each other and the garbage collector runs when it will.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from benchmarks.candidates import PER_PAGE
from benchmarks.processes import ROOT
from benchmarks.scrapes import pages
from benchmarks.upstream import Size, Upstream
from exporter.cloudflare.client import PORTALS, Endpoint
from exporter.cloudflare.credentials import HeaderAuth
from exporter.cloudflare.decode import decode_portals
from exporter.cloudflare.fetch import Fetcher, Route
from exporter.cloudflare.merge import build
from exporter.cloudflare.schema import PortalPage
from exporter.deadline import Deadline
from exporter.malloc import return_large_blocks
from exporter.metrics.exposition import render
from exporter.metrics.families import families
from exporter.metrics.formats import Format
from exporter.scrape_result import ListingResult
from exporter.web.compression import LEVEL

RECEIVE, DECODE, READ, MERGE, RENDER, COMPRESS = STAGES = (
    *("receive the pages", "decode JSON", "read records", "merge", "render", "compress"),
)


class _Nobody:
    def request_done(
        self, code: str, seconds: float, size: int, headers: Mapping[str, str]
    ) -> None:
        """Not wanted here."""


class _Watch:
    """CPU seconds by stage."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        begin = time.process_time()
        yield
        self.seconds[stage] += time.process_time() - begin


def measure(size: Size, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds by stage, medians, for a plain and a compressed answer of the API."""
    found = {}
    with Upstream(size) as upstream:
        for name, compress in (("API plain", False), ("API gzip", True)):
            upstream.set(compress=compress)
            command = [sys.executable, "-m", "benchmarks.stages", str(pages(size)), str(rounds)]
            done = subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, **upstream.environment},
                check=True,
                stdout=subprocess.PIPE,
            )
            found[name] = json.loads(done.stdout)
    return found


def _scrape(fetcher: Fetcher, auth: HeaderAuth, url: str, count: int) -> dict[str, float]:
    watch = _Watch()
    read = []
    for number in range(1, count + 1):
        with watch(RECEIVE):
            params = {"page": number, "per_page": PER_PAGE}
            body = fetcher.get(url, params, Deadline(60.0), auth).body
        with watch(DECODE):
            msgspec.json.decode(body, type=PortalPage)
        with watch(READ):
            read.append(decode_portals(body))
    watch.seconds[READ] -= watch.seconds[DECODE]
    with watch(MERGE):
        scrape = ListingResult("0" * 32, "example", 1.0, time.time(), inventory=build(read))
    packer = zlib.compressobj(LEVEL, wbits=31)
    with watch(RENDER):
        made = render(families([scrape], time.time()), (), Format.TEXT)
        pieces = list(made)
    with watch(COMPRESS):
        for piece in pieces:
            packer.compress(piece)
        packer.flush()
    return watch.seconds


def _main(count: int, rounds: int) -> None:
    account, base = os.environ["CLOUDFLARE_ACCOUNT_ID"], os.environ["CLOUDFLARE_BASE_URL"]
    endpoint = Endpoint(base, account, PER_PAGE, 1, 1 << 30)
    auth = HeaderAuth({"Authorization": f"Bearer {os.environ['CLOUDFLARE_API_TOKEN']}"})
    return_large_blocks()
    fetcher = Fetcher(1 << 30, _Nobody(), Route(), str)
    taken: list[dict[str, float]] = []
    for _ in range(rounds + 1):
        taken.append(_scrape(fetcher, auth, endpoint.url(PORTALS), count))
        gc.collect()
    found: dict[str, Any] = {
        stage: statistics.median(each[stage] for each in taken[1:]) * 1000 for stage in STAGES
    }
    usage = resource.getrusage(resource.RUSAGE_SELF)
    found["of which in the kernel, %"] = 100 * usage.ru_stime / (usage.ru_stime + usage.ru_utime)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]))
