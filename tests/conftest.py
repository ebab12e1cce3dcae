"""Fixtures of more than one test file."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

import loopback
from exporter.simulator.server import Simulator
from processes import Prometheus, RunningExporter
from realparts import pytest_report_header, require  # noqa: F401  # a hook

REAL_PROGRAMS = {
    *("browser", "large", "past", "received", "run_exporter", "run_prometheus", "running"),
    "watched",
}
"""Fixtures of the slowest tests, which mostly wait."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Three workers per core, since tests mostly wait; none if tests are selected by name."""
    picked = config.option.keyword or any(not Path(argument).is_dir() for argument in config.args)
    return 0 if picked else min(3 * (os.cpu_count() or 1), 9)


def pytest_configure(config: pytest.Config) -> None:
    """Set the time zone and one seed for all workers, before anything imports them."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    # CI uses the same examples each time, unless a seed is given.
    given = config.option.hypothesis_seed is not None
    unwatched = bool(os.environ.get("CI"))
    if not given and not unwatched:
        config.option.hypothesis_seed = str(random.randrange(1 << 32))
    settings.register_profile(
        "suite",
        deadline=None,
        derandomize=unwatched and not given,
        # Shrinking an example can take minutes.
        phases=set(Phase) - ({Phase.shrink, Phase.explain} if unwatched else set()),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    settings.load_profile("suite")


@pytest.hookimpl(specname="pytest_report_header")
def pytest_report_seed(config: pytest.Config) -> str:
    seed = config.option.hypothesis_seed
    return f"hypothesis seed: {'fixed' if seed is None else f'--hypothesis-seed={seed}'}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests counted: ``record_property("counted", text)``."""
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties:
            if name == "counted":
                terminalreporter.write_line(str(text))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slowest files first, so that no worker starts one when the others have finished."""
    slow = {item.path for item in items if _is_slow(item)}
    items.sort(key=lambda item: item.path not in slow)


def _is_slow(item: pytest.Item) -> bool:
    generates = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    # Those of the chart render it a thousand times.
    slow = REAL_PROGRAMS | {"chart"}
    return generates or bool(slow & set(getattr(item, "fixturenames", ())))


@pytest.fixture(scope="session", autouse=True)
def undisturbed() -> None:
    """Loopback only, and no environment variables that affect the tests."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("CLOUDFLARE_", "SSL_CERT")):
            del os.environ[name]
    loopback.guard()


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """The simulated API with the demo's account."""
    with Simulator() as serving:
        yield serving


@pytest.fixture
def run_exporter(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., RunningExporter]]:
    """Start exporters: ``run_exporter(*flags, env={...})``; each must exit with 0 on SIGTERM."""
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
