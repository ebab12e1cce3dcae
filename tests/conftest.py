"""Fixtures that more than one test file uses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

import pytest

import loopback
from exporter.simulator.server import Simulator
from processes import Prometheus, RunningExporter
from realparts import pytest_report_header, require  # noqa: F401  # a hook


@pytest.fixture(scope="session", autouse=True)
def undisturbed() -> None:
    """No network beyond loopback, and nothing in the environment that steers what is tested."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("CLOUDFLARE_", "SSL_CERT")):
            del os.environ[name]
    loopback.guard()


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """The simulated API with the demo's account, serving."""
    with Simulator() as serving:
        yield serving


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
