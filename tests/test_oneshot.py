"""``--once`` and ``--check``, as a person or a timer runs them: output, files, exit status."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.simulator.server import Simulator
from rawserver import RawServer, answer, refusal, sends
from realparts import require
from watching import ACCOUNT_ID, TOKEN, failures, value


def run(*flags: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exporter", *flags],
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def environment(base_url: str) -> dict[str, str]:
    return {
        "CLOUDFLARE_API_TOKEN": TOKEN,
        "CLOUDFLARE_ACCOUNT_ID": ACCOUNT_ID,
        "CLOUDFLARE_BASE_URL": base_url,
    }


def test_once_prints_one_exposition_and_nothing_else(simulator: Simulator) -> None:
    ended = run("--once", env=simulator.environment())
    assert ended.returncode == 0, ended.stderr
    assert value(ended.stdout, "cloudflare_mcp_up") == 1
    checked = subprocess.run(
        [require("promtool"), "check", "metrics"],
        input=ended.stdout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_once_with_a_failing_account_prints_why_and_exits_1() -> None:
    with RawServer(sends(answer(refusal(10000), "403 Forbidden"))) as api:
        ended = run("--once", env=environment(api.base_url))
    assert ended.returncode == 1
    assert value(ended.stdout, "cloudflare_mcp_up") == 0
    assert failures(ended.stdout) == {"auth": 1}


def test_a_textfile_is_written_whole_readable_by_others_and_alone(
    simulator: Simulator, tmp_path: Path
) -> None:
    target = tmp_path / "mcp.prom"
    target.write_text("old\n")
    ended = run("--once", f"--textfile={target}", env=simulator.environment())
    assert (ended.returncode, ended.stdout) == (0, "")
    text = target.read_text()
    assert value(text, "cloudflare_mcp_up") == 1
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [target], "nothing temporary is left"


def test_a_textfile_leaves_out_what_the_node_exporter_has_itself(
    simulator: Simulator, tmp_path: Path
) -> None:
    target = tmp_path / "mcp.prom"
    run("--once", f"--textfile={target}", env=simulator.environment())
    names = {line.split("{")[0].split(" ")[0] for line in target.read_text().splitlines()}
    assert not [name for name in names if name.startswith(("process_", "python_"))]
    assert "cloudflare_mcp_api_request_duration_seconds_bucket" in names


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("mcp.txt", "must end in .prom"),
        ("nowhere/mcp.prom", "does not exist; create it"),
    ],
)
def test_a_textfile_that_would_not_be_read_is_refused_before_the_api_is_asked(
    simulator: Simulator, tmp_path: Path, name: str, complaint: str
) -> None:
    ended = run("--once", f"--textfile={tmp_path / name}", env=simulator.environment())
    assert ended.returncode == 2
    assert complaint in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not simulator.requests


def test_check_says_what_works(simulator: Simulator) -> None:
    ended = run("--check", env=simulator.environment())
    assert ended.returncode == 0
    assert ended.stdout.startswith(f"OK      {simulator.account_id}\n")
    assert "  found   6 portals and 25 servers (3 in error) in " in ended.stdout
    assert ended.stderr == ""


CAUSES = {
    "10000": (refusal(10000), "403 Forbidden", "MCP Portals Read"),
    "1000": (refusal(1000), "401 Unauthorized", "copy it again"),
    "6003": (refusal(6003), "400 Bad Request", "cannot parse the credentials"),
    "9103": (refusal(9103), "400 Bad Request", "email address and key"),
    "9106": (refusal(9106), "400 Bad Request", "removes headers"),
    "9109": (refusal(9109), "403 Forbidden", "account resources"),
    "7003": (refusal(7003), "404 Not Found", "check the account ID"),
}


@pytest.mark.parametrize(("body", "status", "fix"), CAUSES.values(), ids=CAUSES.keys())
def test_check_says_for_what_does_not_work_the_cause_and_the_fix(
    body: bytes, status: str, fix: str
) -> None:
    with RawServer(sends(answer(body, status))) as api:
        ended = run("--check", env=environment(api.base_url))
    assert ended.returncode == 1
    assert ended.stdout.startswith(f"FAILED  {ACCOUNT_ID}\n  error   the API answered HTTP ")
    assert fix in ended.stdout
    assert ended.stderr == "", "each result once on a terminal"


def test_check_for_programs_is_json() -> None:
    echo = refusal(9999, f"the token {TOKEN} is odd")
    with RawServer(sends(answer(echo, "400 Bad Request"))) as api:
        ended = run("--check", "--format=json", env=environment(api.base_url))
    report = json.loads(ended.stdout)
    assert ended.returncode == 1
    assert report["ok"] is False
    [account] = report["accounts"]
    assert account["reason"] == "upstream_4xx"
    assert account["error"] == "the API answered HTTP 400: the token *** is odd (code 9999)"
    assert TOKEN not in ended.stdout + ended.stderr
