"""Runs the soak test and reports the result."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from processes import Prometheus, RunningExporter
from soak.api import LATENCY, Api
from soak.checks import Scraped, violations
from soak.people import Operator, leaver, scraper
from soak.truth import ACCOUNTS, WITHOUT_FAULTS

SCRAPERS, LEAVERS = 8, 2
MAX_THREADS, MAX_FILES, MAX_GROWTH = 40, 120, 80
"""Limits: threads, file descriptors, and MiB above the memory at the start."""

PATIENT, HASTY = "4s", "1s"
"""Intervals and timeouts of the two Prometheus servers: one can wait for every listing."""


@dataclass
class Held:
    """The exporter's peak resource use."""

    threads: int = 0
    files: int = 0
    memory: int = 0

    def look(self, pid: int) -> None:
        """Current use; memory in MiB."""
        status = Path(f"/proc/{pid}/status").read_text()
        number = dict(re.findall(r"^(Threads|VmRSS):\s+(\d+)", status, re.MULTILINE))
        self.threads = max(self.threads, int(number["Threads"]))
        self.memory = max(self.memory, int(number["VmRSS"]) // 1024)
        self.files = max(self.files, len(list(Path(f"/proc/{pid}/fd").iterdir())))


@dataclass
class Result:
    """Result of a soak test."""

    seed: int
    seconds: float
    expositions: Counter[str] = field(default_factory=Counter)
    held: Held = field(default_factory=Held)
    faults: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    operator: str = ""
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        rate = sum(self.requests.values()) / self.seconds
        verdict = f"{len(self.problems)} violations" if self.problems else "clean"
        up = ", ".join(f"{name} {count}" for name, count in sorted(self.expositions.items()))
        return (
            f"soak of {self.seconds:.0f} s, seed {self.seed}: {verdict}. "
            f"Expositions compared: {up}. {self.operator}. "
            f"Faults: {sum(self.faults.values())} of {len(self.faults)} kinds. "
            f"Most threads {self.held.threads}, descriptors {self.held.files}, "
            f"memory {self.held.memory} MiB; {rate:.1f} requests a second to the API."
        )


def soak(home: Path, seconds: float, seed: int, prometheus: str | None) -> Result:
    """Run for this many seconds.

    Args:
        home: a working directory.
        seconds: of load, without start and end.
        seed: of faults, clients and the operator.
        prometheus: the program; two servers scrape as well. None for none.
    """
    result = Result(seed, seconds)
    lock = threading.Lock()
    with Api(seed) as api, ExitStack() as cleanup:
        operator = Operator(home, api, seed)

        def tell(scraped: Scraped) -> None:
            found = list(violations(scraped, api, operator.configurations))
            with lock:
                result.expositions["of one account" if scraped.account else "of all"] += 1
                result.problems += found

        exporter = RunningExporter(
            home, f"--config.file={operator.file}", "--web.enable-lifecycle", env={}
        )
        cleanup.callback(exporter.kill)
        exporter.await_ready()
        servers = list(_servers(home, exporter, prometheus, cleanup))
        before = Held()
        before.look(exporter.process.pid)
        over = threading.Event()
        with ThreadPoolExecutor(SCRAPERS + LEAVERS + 1) as pool:
            made = [random.Random(seed + number) for number in range(SCRAPERS + LEAVERS)]
            running: list[Future[None]] = [
                *(pool.submit(scraper, exporter.url, one, over, tell) for one in made[:SCRAPERS]),
                *(pool.submit(leaver, exporter.url, one, over) for one in made[SCRAPERS:]),
                pool.submit(operator.work, exporter, over),
            ]
            end = time.monotonic() + seconds
            while time.monotonic() < end and not any(one.done() for one in running):
                result.held.look(exporter.process.pid)
                time.sleep(0.1)
            over.set()
        result.problems += [repr(one.exception()) for one in running if one.exception()]
        result.problems += api.complaints
        result.problems += [problem for one in servers[:1] for problem in _stored(one)]
        for server in servers:
            server.stop()
        status = exporter.stop()
        result.problems += [f"ended with {status}"] if status else []
        result.problems += _bounds(result.held, before, api, seconds)
        result.problems += _log(exporter.log)
        result.requests, result.operator = api.requests, operator.summary
        for faults in api.faults.values():
            result.faults.update(one.name for one in faults)
    return result


def _servers(
    home: Path, exporter: RunningExporter, program: str | None, cleanup: ExitStack
) -> Iterator[Prometheus]:
    for interval in (PATIENT, HASTY) if program else ():
        folder = home / interval
        folder.mkdir()
        target = exporter.url.removeprefix("http://")
        job = f"scrape_interval: {interval}, scrape_timeout: {interval}"
        server = Prometheus(
            str(program),
            folder,
            "scrape_configs:\n"
            f"  - {{job_name: soak, {job}, static_configs: [{{targets: ['{target}']}}]}}\n",
        )
        cleanup.callback(server.kill)
        server.await_ready()
        yield server


def _stored(server: Prometheus) -> Iterator[str]:
    """What a Prometheus has stored about the account that never fails."""
    for steady in WITHOUT_FAULTS:
        always = f'min_over_time(cloudflare_mcp_up{{account_id="{steady.account_id}"}}[1h])'
        found = [value for _, value in server.query(always)]
        if found != [1.0]:
            yield f"a Prometheus saw {found} of {steady.name}"
    scraped = [value for _, value in server.query("min_over_time(up[1h])")]
    if scraped != [1.0]:
        yield f"a Prometheus could not scrape: {scraped}"


def _bounds(held: Held, before: Held, api: Api, seconds: float) -> Iterator[str]:
    if held.threads > MAX_THREADS:
        yield f"{held.threads} threads"
    if held.files > MAX_FILES:
        yield f"{held.files} descriptors"
    if held.memory > before.memory + MAX_GROWTH:
        yield f"{held.memory} MiB of memory, {before.memory} MiB after the start"
    for account in WITHOUT_FAULTS:
        if api.most_at_once[account.name] > 1:
            yield f"{account.name} was listed {api.most_at_once[account.name]} times at once"
        if api.requests[account.name] > seconds / LATENCY + 1:
            yield f"{account.name} was asked {api.requests[account.name]} times"


def _log(log: str) -> Iterator[str]:
    for line in log.splitlines():
        named = re.search(r"level=error msg=\"listing failed\" account=(\w+)", line)
        if named and ACCOUNTS[named[1]].faults:
            continue
        if "level=error" in line and "reload" not in line:
            yield f"logged: {line}"
        if not line.startswith("time="):
            yield f"logged: {line}"
