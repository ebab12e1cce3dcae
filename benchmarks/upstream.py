"""The simulated API as a process of its own, and the handle by which the benchmark steers it.

The process reads one JSON object a line: ``compress`` and ``latency`` change how it answers,
and each line is answered with the requests and bytes since the line before.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, Self

from benchmarks.processes import ROOT
from exporter.simulator.api import Api
from exporter.simulator.messages import Request, Response
from exporter.simulator.server import Simulator
from exporter.simulator.uniform_account import uniform_account


@dataclass(frozen=True)
class Size:
    """Portals, servers a portal and tools a server; so many accounts of it."""

    portals: int
    servers: int
    tools: int
    accounts: int = 1

    def __str__(self) -> str:
        text = f"{self.portals}x{self.servers}x{self.tools}"
        return text if self.accounts == 1 else f"{self.accounts} of {text}"

    @classmethod
    def parse(cls, text: str) -> Size:
        """From such as ``5x40x20``."""
        portals, servers, tools = map(int, text.split("x"))
        return cls(portals, servers, tools)

    def account_ids(self) -> list[str]:
        """As the process has them."""
        return [f"{number:032x}" for number in range(1, self.accounts + 1)]


@dataclass(frozen=True)
class Traffic:
    """What was asked of the API, and what it sent."""

    requests: int
    bytes: int


class Upstream:
    """The process; a context manager."""

    def __init__(self, size: Size) -> None:
        command = [sys.executable, "-m", "benchmarks.upstream", json.dumps(vars(size))]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        self.environment: dict[str, str] = self._read()

    def set(self, *, compress: bool, latency: float = 0.0) -> None:
        """From now on; forgets the traffic so far."""
        self._tell(compress=compress, latency=latency)

    def traffic(self) -> Traffic:
        """Since this or `set` was called last."""
        return Traffic(**self._tell())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def _tell(self, **command: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


class _Counting:
    """Stands in front of the API: counts, and withholds compression where asked to."""

    def __init__(self, api: Api) -> None:
        self.compress = True
        self._api = api
        self._lock = threading.Lock()
        self._requests = self._bytes = 0

    def __call__(self, request: Request) -> Response:
        headers = dict(request.headers)
        if not self.compress:
            headers.pop("accept-encoding", None)
        asked = Request(request.method, request.path, request.query, headers)
        response = self._api.answer(asked, time.time())
        with self._lock:
            self._requests += 1
            self._bytes += len(response.body)
        return response

    def take(self) -> dict[str, int]:
        with self._lock:
            taken = {"requests": self._requests, "bytes": self._bytes}
            self._requests = self._bytes = 0
        return taken


def main(size: Size) -> None:
    """Serve until standard input ends."""
    synced_at = time.time() - 3600
    accounts = {
        identity: uniform_account(
            portals=size.portals,
            servers=size.servers,
            tools=size.tools,
            seed=seed,
            synced_at=synced_at,
        )
        for seed, identity in enumerate(size.account_ids())
    }
    hook = _Counting(Api(accounts, quota=None))
    with Simulator(accounts, quota=None, hook=hook) as simulator:
        _say(simulator.environment())
        for line in sys.stdin:
            command = json.loads(line)
            hook.compress = command.get("compress", hook.compress)
            simulator.latency = command.get("latency", simulator.latency)
            _say(hook.take())


def _say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("size", type=json.loads)
    main(Size(**parser.parse_args().size))
