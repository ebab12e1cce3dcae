"""Real programs as child processes on loopback, which end with the test."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import requests

T = TypeVar("T")

ROOT = Path(__file__).parent.parent


def eventually(
    look: Callable[[], T | None], what: str, *, within: float = 60.0, every: float = 0.05
) -> T:
    """The first true result of ``look``; fails if there is none in time."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(every)
    raise AssertionError(f"no {what} within {within:g} s")


def get(url: str, timeout: float = 10.0, **options: Any) -> requests.Response:
    """One GET on a new connection, ignoring proxies and netrc."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, timeout=timeout, **options)


class Child:
    """A program that logs to a file; its address is read from the log."""

    def __init__(self, command: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        self.log_path = log
        with log.open("wb") as output:
            # A process group of its own, so that Ctrl-C reaches only the test.
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=log.parent,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        """Everything that it has written so far."""
        return self.log_path.read_text(errors="replace")

    def logged(self, pattern: str, *, within: float = 60.0) -> re.Match[str]:
        """The first match in the log; fails early if the program ends."""

        def look() -> re.Match[str] | None:
            ended = self.process.poll() is not None
            found = re.search(pattern, self.log, re.MULTILINE)
            if ended and not found:
                raise AssertionError(f"ended with {self.process.returncode}:\n{self.log}")
            return found

        return eventually(look, f"{pattern!r} in {self.log_path}", within=within)

    def logged_url(self) -> str:
        """The URL that a Prometheus program (version 2 or 3) logs."""
        # Port 0 is logged first, then the actual port.
        address = r'msg="Listening on"(?: component=\w+)? address=(127\.0\.0\.1:[1-9]\d*)'
        return f"http://{self.logged(address)[1]}"

    def stop(self, by: signal.Signals = signal.SIGTERM, *, within: float = 30.0) -> int:
        """End it by a signal; returns the exit status (negative: the signal that killed it)."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            message = f"did not end within {within:g} s of {by.name}:\n{self.log}"
            raise AssertionError(message) from None

    def kill(self) -> None:
        """Kill it; for a test that has already failed."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def bare_environment(home: Path) -> dict[str, str]:
    """A minimal environment for a child process: no secrets, no proxies."""
    kept = ("PATH", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV", "COVERAGE_PROCESS_START")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"HOME": str(home)}


class RunningExporter(Child):
    """``python -m exporter`` on a free port; ``url`` is its root."""

    url: str

    def __init__(self, home: Path, *flags: str, env: Mapping[str, str]) -> None:
        super().__init__(
            [sys.executable, "-m", "exporter", "--web.listen-address=127.0.0.1:0", *flags],
            home / "exporter.log",
            {**bare_environment(home), **env},
        )

    def await_ready(self) -> None:
        """Wait until it is ready; sets ``url``."""
        self.url = self.logged(r'\burl"?[=:] ?"?(http://127\.0\.0\.1:[1-9]\d*)')[1]
        eventually(lambda: get(f"{self.url}/-/ready").ok, "ready exporter")


class Prometheus(Child):
    """A Prometheus with its data in ``home``; ``config`` is the text of its configuration file."""

    url: str

    def __init__(self, program: str, home: Path, config: str, *flags: str) -> None:
        file = home / "prometheus.yml"
        file.write_text(config)
        super().__init__(
            [
                program,
                f"--config.file={file}",
                f"--storage.tsdb.path={home / 'data'}",
                "--web.listen-address=127.0.0.1:0",
                "--log.level=info",
                *flags,
            ],
            home / "prometheus.log",
            bare_environment(home),
        )

    def await_ready(self) -> None:
        """Wait until it is ready; sets ``url``."""
        self.url = self.logged_url()
        eventually(lambda: get(f"{self.url}/-/ready").ok, "ready Prometheus")

    def api(self, path: str, **parameters: str) -> Any:
        """``data`` of a response of the HTTP API."""
        answer = get(f"{self.url}/api/v1/{path}", params=parameters)
        body = answer.json()
        assert body["status"] == "success", body
        return body["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The series of an instant query: labels (with ``__name__``) and value."""
        result = self.api("query", query=expression)["result"]
        return [(series["metric"], float(series["value"][1])) for series in result]


class Alertmanager(Child):
    """An Alertmanager with its data in ``home``; ``url`` is its root."""

    url: str

    def __init__(self, program: str, home: Path, config: Path) -> None:
        super().__init__(
            [
                program,
                f"--config.file={config}",
                f"--storage.path={home / 'data'}",
                "--web.listen-address=127.0.0.1:0",
                "--cluster.listen-address=",
            ],
            home / "alertmanager.log",
            bare_environment(home),
        )

    def await_ready(self) -> None:
        """Wait until it is ready; sets ``url``."""
        self.url = self.logged_url()
        eventually(lambda: get(f"{self.url}/-/ready").ok, "ready Alertmanager")
