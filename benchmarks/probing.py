"""Live probes: what 500 of them cost, whether anything grows, and what listing pays for them.

The servers are a process of their own, which speaks TLS with a certificate of its own authority,
so that a probe costs what it costs against real servers: a connection and a handshake each.
"""

from __future__ import annotations

import http.client
import json
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import perf_counter
from typing import Any

import trustme

from benchmarks import candidates as c
from benchmarks.processes import HOST, ROOT, Program
from exporter.simulator.server import Simulator
from exporter.simulator.uniform_account import UniformAccount

PORTALS, SERVERS, TOOLS = 10, 50, 20
TARGETS = PORTALS * SERVERS
ACCOUNT = "0" * 31 + "1"
LISTINGS = 5


@dataclass(frozen=True)
class Probing:
    """Figures of live probes; seconds of CPU and of time, MiB.

    Attributes:
        cpu: of one probe.
        wall: of one probe.
        share: of a core that 500 probes a minute take.
        succeeded: of the targets, in the last round.
        memory: after each round of 500 probes.
        files: open at the end of each round.
        listing_ratio: CPU of a listing with probes enabled by that without, medians.
    """

    cpu: float
    wall: float
    share: float
    succeeded: int
    memory: list[float]
    files: list[int]
    listing_ratio: float


def measure(rounds: int) -> Probing:
    """Probe every target once a round, one after the other, as if spread over a minute."""
    with tempfile.TemporaryDirectory() as folder, _servers(Path(folder)) as upstream:
        probing = _configuration(Path(folder) / "on.yml", upstream, servers=True)
        plain = _configuration(Path(folder) / "off.yml", upstream, servers=False)
        with c.ours(f"--config.file={probing}").start({}) as program:
            program.scrape()
            _round(program)
            memory, files, cpus, walls, succeeded = [], [], [], [], 0
            for _ in range(rounds):
                cpu, wall, succeeded = _round(program)
                cpus.append(cpu)
                walls.append(wall)
                memory.append(program.memory())
                files.append(program.files())
            with c.ours(f"--config.file={plain}").start({}) as other:
                ratio = _listing_ratio(program, other)
    cpu = statistics.median(cpus)
    return Probing(
        cpu=cpu / TARGETS,
        wall=statistics.median(walls) / TARGETS,
        share=cpu / 60,
        succeeded=succeeded,
        memory=memory,
        files=files,
        listing_ratio=ratio,
    )


def _round(program: Program) -> tuple[float, float, int]:
    """CPU and time of one probe of every target, and how many succeeded."""
    cpu, begin, succeeded = program.cpu(), perf_counter(), 0
    # One connection for all of them, as Prometheus has it for a job.
    connection = http.client.HTTPConnection(HOST, program.port, timeout=60)
    for number in range(TARGETS):
        connection.request("GET", f"/probe/server?account=main&server=server-{number:06}")
        response = connection.getresponse()
        status, body = response.status, response.read()
        succeeded += status == 200 and b"probe_success" in body and b"} 1.0" in body  # noqa: PLR2004
    connection.close()
    return program.cpu() - cpu, perf_counter() - begin, succeeded


def _listing_ratio(probing: Program, plain: Program) -> float:
    plain.scrape()
    pairs = [(probing.scrape().cpu, plain.scrape().cpu) for _ in range(LISTINGS)]
    return statistics.median(on for on, _ in pairs) / statistics.median(off for _, off in pairs)


def _configuration(file: Path, upstream: dict[str, str], *, servers: bool) -> Path:
    document = {
        "base_url": upstream["base_url"],
        "ca_file": upstream["authority"],
        "probes": {
            "servers": servers,
            "allow_networks": ["127.0.0.0/8", "::1"],
            "min_interval": 0.001,
        },
        "accounts": [{"name": "main", "account_id": ACCOUNT, "api_token": upstream["token"]}],
    }
    file.write_text(json.dumps(document))  # JSON is YAML
    return file


# --- the servers, in a process of their own ----------------------------------------------------


@contextmanager
def _servers(folder: Path) -> Iterator[dict[str, str]]:
    """Start them; what the exporter needs to know."""
    command = [sys.executable, "-m", "benchmarks.probing", str(folder)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.communicate()


class _Handler(BaseHTTPRequestHandler):
    """Every MCP server of the account."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet, or each answer takes 40 ms
    names: list[str]

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        result: dict[str, Any] = {"tools": [{"name": name} for name in self.names]}
        if message["method"] == "server/discover":
            result = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


class _Account(UniformAccount):
    """One whose servers are all at this address, and ask for no login."""

    def __init__(self, port: int) -> None:
        super().__init__(PORTALS, SERVERS, TOOLS, 0, 1.8e9)
        for portal in self.portals(0):
            for number, server in enumerate(portal["servers"]):
                server["auth_type"] = "unauthenticated"
                server["hostname"] = f"https://localhost:{port}/mcp/{portal['id']}/{number}"


def _serve(folder: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server = ThreadingHTTPServer((HOST, 0), _Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    account = _Account(server.server_address[1])
    _Handler.names = [tool["name"] for tool in account.portals(0)[0]["servers"][0]["tools"]]
    with Simulator({ACCOUNT: account}, quota=None) as simulator:
        known = {
            "base_url": simulator.base_url,
            "token": simulator.token,
            "authority": str(folder / "authority.pem"),
        }
        sys.stdout.write(json.dumps(known) + "\n")
        sys.stdout.flush()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
