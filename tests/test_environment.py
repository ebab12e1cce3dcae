"""Environment variables, locale, pipes and signals of the process: none breaks it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exporter.simulator.server import Simulator
from processes import ROOT, RunningExporter, bare_environment, eventually, get
from watching import value


def run(home: Path, *flags: str, env: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "exporter", *flags],
        env={**bare_environment(home), **env},
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"])
@pytest.mark.parametrize("exists", [True, False], ids=["exists", "missing"])
def test_a_directory_for_several_processes_is_not_used(
    name: str, exists: bool, tmp_path: Path, simulator: Simulator
) -> None:
    shared = tmp_path / "shared"
    if exists:
        shared.mkdir()
    for _ in range(2):
        ended = run(tmp_path, "--once", env={**simulator.environment(), name: str(shared)})
        assert (ended.returncode, ended.stderr.count(b"Traceback")) == (0, 0)
        text = ended.stdout.decode()
        assert value(text, "cloudflare_mcp_api_requests_total", code="200") == 1, (
            "nothing survives a process"
        )
    assert not exists or not list(shared.iterdir())


@pytest.mark.parametrize("mode", ["--once", "--check", "--check --format=json", "--config.check"])
@pytest.mark.parametrize(
    "locale",
    [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}],
    ids=["C", "ascii", "latin-1"],
)
def test_what_is_printed_is_utf_8_whatever_the_locale(
    mode: str, locale: dict[str, str], tmp_path: Path, simulator: Simulator
) -> None:
    config = tmp_path / "config.yml"
    config.write_text(
        f"base_url: {simulator.base_url}\naccounts:\n  - {{account_id: {simulator.account_id}, "
        f"name: 'Zürich €', api_token: {simulator.token}}}\n"
    )
    ended = run(tmp_path, f"--config.file={config}", *mode.split(), env=locale)
    assert (ended.returncode, ended.stderr.count(b"Traceback")) == (0, 0), ended.stderr
    text = ended.stdout.decode("utf-8")
    if "json" in mode:
        assert json.loads(text)["accounts"][0]["name"] == "Zürich €"
    elif mode != "--config.check":  # which names the file alone
        assert "Zürich €" in text


@pytest.mark.parametrize("mode", ["--once", "--check"])
def test_a_reader_that_leaves_early_is_no_error(
    mode: str, tmp_path: Path, simulator: Simulator
) -> None:
    read, written = os.pipe()
    os.close(read)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "exporter", mode],
            env={**bare_environment(tmp_path), **simulator.environment()},
            cwd=ROOT,
            stdout=written,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(written)
    assert (ended.returncode, ended.stderr.count(b"Traceback")) == (0, 0), ended.stderr
    assert b"Broken" not in ended.stderr


def test_a_python_without_ctypes_is_enough(tmp_path: Path, simulator: Simulator) -> None:
    program = (
        "import sys; sys.modules['_ctypes'] = None\n"
        "from exporter.__main__ import entry_point\n"
        "entry_point()\n"
    )
    for flag in ("--version", "--once"):
        ended = subprocess.run(
            [sys.executable, "-c", program, flag],
            env={**bare_environment(tmp_path), **simulator.environment()},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert (ended.returncode, ended.stderr.count(b"Traceback")) == (0, 0), ended.stderr


def test_the_demo_needs_nothing_of_the_environment(tmp_path: Path) -> None:
    odd = {
        "HTTP_PROXY": "http://user:pa[ss@127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "SSL_CERT_FILE": str(tmp_path / "missing"),
        "REQUESTS_CA_BUNDLE": str(tmp_path),
    }
    ended = run(tmp_path, "--demo", "--once", env=odd)
    assert (ended.returncode, ended.stderr.count(b"Traceback")) == (0, 0), ended.stderr
    assert value(ended.stdout.decode(), "cloudflare_mcp_up") == 1


def blocks_hangup(pid: int) -> bool:
    """Whether the process lets SIGHUP wait."""
    found = re.search(
        r"^SigBlk:\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE
    )
    return bool(found and int(found[1], 16) & 1 << (signal.SIGHUP - 1))


def test_a_hangup_during_the_start_is_a_reload_and_not_the_end(
    tmp_path: Path, simulator: Simulator
) -> None:
    exporter = RunningExporter(tmp_path, env=simulator.environment())
    try:
        eventually(lambda: blocks_hangup(exporter.process.pid), "the program's first line")
        while "listening" not in exporter.log:
            exporter.process.send_signal(signal.SIGHUP)
            time.sleep(0.005)
        exporter.await_ready()
        exporter.logged("configuration reloaded")
        assert get(f"{exporter.url}/metrics").ok
        assert exporter.stop() == 0
    finally:
        exporter.kill()
