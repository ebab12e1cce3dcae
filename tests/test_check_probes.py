"""``--check --probe``: what people read about the targets, and the exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.probes.hints import hint
from exporter.probes.result import Outcome
from exporter.simulator.account import SimulatedAccount
from exporter.simulator.scenario import demo_scenario
from exporter.simulator.server import Simulator
from simulated import START, Clock, probing_configuration


def run(*flags: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exporter", "--check", *flags],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@contextmanager
def story(tmp_path: Path, second: float) -> Iterator[str]:
    """The configuration file for the demo's account at a second of its story."""
    clock = Clock()
    clock.now += second
    account = SimulatedAccount(demo_scenario(), START)
    with Simulator(account, clock=clock, live=True, quota=None) as simulator:
        file = tmp_path / "config.yml"
        file.write_text(probing_configuration(simulator))
        yield f"--config.file={file}"


def test_all_that_answers_is_a_line_each(tmp_path: Path) -> None:
    with story(tmp_path, 0) as flag:
        ended = run("--probe", flag)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("OK      demo (")
    assert any(line.startswith("  probe server translate: ok, in ") for line in lines)
    assert any(
        line.startswith("  probe server stock: authorization_required, in ") for line in lines
    )
    assert any(line.startswith("  probe portal partners: ok, in ") for line in lines)


def test_what_is_wrong_is_said_with_what_to_do(tmp_path: Path) -> None:
    with story(tmp_path, 410) as flag:
        ended = run("--probe", flag)
        found = run("--probe", "--format=json", flag)
    assert (ended.returncode, found.returncode) == (1, 1)
    assert ended.stdout.startswith("FAILED  demo (")
    assert (
        "  probe server translate: it answers HTTP 503\n"
        "    check the server and the proxy or tunnel in front of it\n"
    ) in ended.stdout
    assert (
        "  probe portal partners: its users do not see: stock\n"
        "    add the service token to a policy of each server's Access application\n"
    ) in ended.stdout
    (account,) = json.loads(found.stdout)["accounts"]
    assert account["ok"] is False
    probes = {(one["kind"], one["id"]): one for one in account["probes"]}
    assert probes["server", "translate"]["outcome"] == "http_error"
    assert probes["server", "docs-search"]["ok"] is True


def test_without_the_flag_nothing_is_probed(tmp_path: Path) -> None:
    with story(tmp_path, 410) as flag:
        ended = run(flag)
    assert ended.returncode == 0
    assert "probe" not in ended.stdout


def test_probes_that_are_not_enabled_are_a_mistake() -> None:
    with Simulator() as simulator:
        ended = run("--probe", **simulator.environment())
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "--probe: no probes are enabled; add --probe.servers or --probe.portals" in ended.stderr


@pytest.mark.parametrize("outcome", [one for one in Outcome if one is not Outcome.OK])
def test_every_failure_has_something_to_do(outcome: Outcome) -> None:
    assert hint(outcome)
