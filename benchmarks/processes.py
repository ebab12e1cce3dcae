"""A program under measurement: started, scraped, read through /proc, ended. Linux only."""

from __future__ import annotations

import gzip
import http.client
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parent.parent
HOST = "127.0.0.1"
MIB = 1 << 20
PATIENCE = 60.0
"""Seconds until a program that does not answer is given up."""

PROMETHEUS = {
    "User-Agent": "Prometheus/2.42.0",
    "Accept": (
        "application/openmetrics-text;version=1.0.0,"
        "application/openmetrics-text;version=0.0.1;q=0.75,"
        "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    ),
    "Accept-Encoding": "gzip",
    "X-Prometheus-Scrape-Timeout-Seconds": "120",
}
"""What a Prometheus of this version sends, recorded, with a longer timeout."""

PLAIN = {**PROMETHEUS, "Accept-Encoding": "identity"}
TEXT = {**PLAIN, "Accept": "text/plain;version=0.0.4"}


@dataclass(frozen=True)
class Scraped:
    """One scrape: its body as sent, and its cost in seconds."""

    body: bytes
    wall: float
    cpu: float

    def text(self) -> bytes:
        """The body, decompressed."""
        return gzip.decompress(self.body) if self.body[:2] == b"\x1f\x8b" else self.body


class Program:
    """A child process that listens on a port of loopback; a context manager.

    Attributes:
        started: seconds from its start to its first answer.
        started_cpu: the CPU seconds of that.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], health: str, port: int
    ) -> None:
        self.port = port
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        begin = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            env={"PATH": os.environ["PATH"], **environment},
            cwd=ROOT,
        )
        self._proc = Path(f"/proc/{self._process.pid}")
        self._await(health, " ".join(command))
        self.started = time.perf_counter() - begin
        self.started_cpu = self.cpu()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def scrape(self, headers: Mapping[str, str] = PROMETHEUS, path: str = "/metrics") -> Scraped:
        """One GET of its own connection."""
        cpu, begin = self.cpu(), time.perf_counter()
        status, body = self.get(path, headers)
        wall = time.perf_counter() - begin
        # What follows the last byte (closing, letting go of memory) belongs to the scrape too.
        self._settle()
        if status != 200:  # noqa: PLR2004 - the status of success
            raise RuntimeError(f"{path} answered {status}: {body[:200]!r}")
        return Scraped(body, wall, self.cpu() - cpu)

    def get(self, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and body."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=PATIENCE * 5)
        try:
            connection.request("GET", path, headers=dict(headers))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def cpu(self) -> float:
        """User and system seconds of all its threads, ended ones too, to the nanosecond."""
        # The CPU clock of another process, as clock_getcpuclockid(3) makes it.
        return time.clock_gettime(~self._process.pid << 3 | 2)

    def memory(self) -> float:
        """Resident MiB now."""
        return self._status("VmRSS") / 1024

    def peak(self) -> float:
        """Most MiB that were ever resident, since `forget_peak` if that was called."""
        return self._status("VmHWM") / 1024

    def forget_peak(self) -> None:
        """Let `peak` begin anew."""
        (self._proc / "clear_refs").write_text("5")

    def threads(self) -> int:
        """How many there are now."""
        return self._status("Threads")

    def files(self) -> int:
        """Open file descriptors now."""
        return len(list((self._proc / "fd").iterdir()))

    def _status(self, name: str) -> int:
        lines = (self._proc / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))

    def _await(self, health: str, command: str) -> None:
        deadline = time.perf_counter() + PATIENCE
        while time.perf_counter() < deadline:
            with suppress(OSError):
                if self.get(health, {})[0] == 200:  # noqa: PLR2004 - the status of success
                    return
            if self._process.poll() is not None:
                self._errors.seek(0)
                raise RuntimeError(f"{command}:\n{self._errors.read().decode()}")
            time.sleep(0.001)
        raise RuntimeError(f"{command}: does not answer")

    def _settle(self) -> None:
        """Wait until it has used no CPU for a moment."""
        before = self.cpu()
        for _ in range(50):
            time.sleep(0.02)
            now = self.cpu()
            if now - before < 0.0005:  # noqa: PLR2004 - seconds, of 20 ms
                return
            before = now


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
