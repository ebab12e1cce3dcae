"""What is compared: how each is started, and what belongs to it on the disk."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import HOST, ROOT, Program, free_port
from exporter.web.compression import LEVEL

PER_PAGE = 20
"""Portals a page for all of them: the exporter's default."""

OURS = "ours"
REQUESTS_JSON = "requests_json"
SDK = "sdk"
FLOOR = "floor"
FLOOR_LINES = "floor_lines"
JSON_EXPORTER = "json_exporter"


@dataclass(frozen=True)
class Candidate:
    """One program of the comparison.

    Attributes:
        name: as the table has it.
        command: from the port, with what follows the interpreter.
        health: a path that is answered without listing.
        module: what is imported at its start.
        distributions: what has to be installed for it, dependencies not named.
        environment: what it needs besides.
        path: what is scraped; ``{url}`` and ``{account}`` are filled in.
    """

    name: str
    command: Callable[[int], list[str]]
    health: str
    module: str
    distributions: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    path: str = "/metrics"

    def start(self, environment: Mapping[str, str]) -> Program:
        """A process that has answered once."""
        port = free_port()
        own = {"PORT": str(port), "PER_PAGE": str(PER_PAGE), **self.environment}
        return Program(self.command(port), {**environment, **own}, self.health, port)

    def scrape_path(self, environment: Mapping[str, str]) -> str:
        """The path to scrape, given the environment of the API."""
        return self.path.format(
            url=environment["CLOUDFLARE_BASE_URL"], account=environment["CLOUDFLARE_ACCOUNT_ID"]
        )


def _module(name: str) -> Callable[[int], list[str]]:
    return lambda _port: [sys.executable, "-m", name]


def ours(*flags: str) -> Candidate:
    """The exporter, with these flags besides those that a benchmark needs."""
    return Candidate(
        name=OURS,
        command=lambda port: [
            *(sys.executable, "-m", "exporter", f"--web.listen-address={HOST}:{port}"),
            *("--scrape.timeout=120", f"--api.per-page={PER_PAGE}", "--log.level=error"),
            *flags,
        ],
        health="/-/healthy",
        module="exporter.cli",
        distributions=("cloudflare-mcp-exporter",),
    )


def floor(text: Path, pages: int, *, lines: bool = False) -> Candidate:
    """The floor, which sends this text after so many pages."""
    return Candidate(
        name=FLOOR_LINES if lines else FLOOR,
        command=_module("benchmarks.peers.floor"),
        health="/",
        module="requests",
        environment={
            "FLOOR_TEXT": str(text),
            "FLOOR_PAGES": str(pages),
            "FLOOR_WRITES": "lines" if lines else "ready",
            "FLOOR_GZIP_LEVEL": str(LEVEL),
        },
    )


# The path is the one that prometheus_client's server answers with nothing.
PEERS = (
    Candidate(
        name=REQUESTS_JSON,
        command=_module("benchmarks.peers.requests_json"),
        health="/favicon.ico",
        module="benchmarks.peers.requests_json",
        distributions=("requests", "prometheus-client"),
    ),
    Candidate(
        name=SDK,
        command=_module("benchmarks.peers.sdk"),
        health="/favicon.ico",
        module="benchmarks.peers.sdk",
        distributions=("cloudflare", "prometheus-client"),
    ),
)


def json_exporter(program: Path) -> Candidate:
    """A json_exporter, which knows no paging: it gets the first page alone, the largest there is.

    What it exposes is what its configuration can say, and is not compared.
    """
    file = Path(__file__).parent / "peers" / "json_exporter.yml"
    target = "{url}/accounts/{account}/access/ai-controls/mcp/portals?per_page=100"
    return Candidate(
        name=JSON_EXPORTER,
        command=lambda port: [
            *(str(program), f"--config.file={file}", f"--web.listen-address={HOST}:{port}"),
        ],
        health="/metrics",  # of itself
        module="",
        path=f"/probe?module=portals&target={target}",
    )


def installed_bytes(distributions: tuple[str, ...]) -> int:
    """What these and all that they need take of the disk, compiled modules included."""
    closure: set[str] = set()
    waiting = [_normal(name) for name in distributions]
    while waiting:
        name = waiting.pop()
        if name not in closure:
            closure.add(name)
            waiting += _needs(name)
    return sum(_size(name) for name in closure)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _needs(name: str) -> list[str]:
    needs = importlib.metadata.requires(name) or []
    # A marker is an extra's, or of an older Python or another system: neither is installed here.
    plain = [need for need in needs if ";" not in need]
    return [_normal(re.match(r"[\w.-]+", need)[0]) for need in plain]  # type: ignore[index]


def _size(name: str) -> int:
    if name == "cloudflare-mcp-exporter":  # installed in place, so it has no list of files
        return sum(file.stat().st_size for file in (ROOT / "exporter").rglob("*") if file.is_file())
    files = importlib.metadata.files(name) or []
    paths = [Path(str(file.locate())) for file in files]
    return sum(path.stat().st_size for path in paths if path.is_file())
