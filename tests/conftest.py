"""Fixtures that more than one test file uses."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

import loopback
from processes import Child, Prometheus, bare_environment, eventually, get
from realparts import require


@pytest.fixture(scope="session", autouse=True)
def undisturbed() -> None:
    """No network beyond loopback, and nothing in the environment that steers what is tested."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("CLOUDFLARE_", "SSL_CERT")):
            del os.environ[name]
    loopback.guard()


class RunningExporter(Child):
    """``python -m exporter`` on a port of its own choice; ``url`` is its root."""

    url: str

    def __init__(self, home: Path, *flags: str, env: Mapping[str, str]) -> None:
        super().__init__(
            [sys.executable, "-m", "exporter", "--web.listen-address=127.0.0.1:0", *flags],
            home / "exporter.log",
            {**bare_environment(home), **env},
        )

    def await_ready(self) -> None:
        """Wait until it serves; ``url`` is known from then on."""
        self.url = self.logged(r'\burl"?[=:] ?"?(http://127\.0\.0\.1:[1-9]\d*)')[1]
        eventually(lambda: get(f"{self.url}/-/ready").ok, "ready exporter")


@pytest.fixture
def run_exporter(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., RunningExporter]]:
    """Start exporters: ``run_exporter(*flags, env={...})``; each must end with 0 on SIGTERM."""
    running: list[RunningExporter] = []
    with ExitStack() as cleanup:

        def run(*flags: str, env: Mapping[str, str] | None = None) -> RunningExporter:
            home = tmp_path_factory.mktemp("exporter")
            exporter = RunningExporter(home, *flags, env=env or {})
            cleanup.callback(exporter.kill)
            exporter.await_ready()
            running.append(exporter)
            return exporter

        yield run
        assert [exporter.stop() for exporter in running] == [0] * len(running)


@pytest.fixture
def run_prometheus(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], Prometheus]]:
    """Start Prometheus servers: ``run_prometheus(text of the configuration file)``."""
    program = require("prometheus")
    with ExitStack() as cleanup:

        def run(config: str) -> Prometheus:
            prometheus = Prometheus(program, tmp_path_factory.mktemp("prometheus"), config)
            cleanup.callback(prometheus.kill)
            prometheus.await_ready()
            return prometheus

        yield run
