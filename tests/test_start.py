"""What the command does by itself when it starts: lists each account once, and says what is odd."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.simulator.server import Simulator
from processes import RunningExporter, bare_environment, eventually, get
from rawserver import RawServer, answer, listing, portal, refusal, sends
from watching import ACCOUNT_ID, TOKEN, value

Start = Callable[..., RunningExporter]


def environment(base_url: str) -> dict[str, str]:
    return {
        "CLOUDFLARE_API_TOKEN": TOKEN,
        "CLOUDFLARE_ACCOUNT_ID": ACCOUNT_ID,
        "CLOUDFLARE_BASE_URL": base_url,
    }


def test_a_wrong_token_is_logged_without_a_scrape_and_the_first_scrape_backs_off(
    run_exporter: Start,
) -> None:
    with RawServer(sends(answer(refusal(10000), "403 Forbidden"))) as api:
        exporter = run_exporter(env=environment(api.base_url))
        line = exporter.logged(r'msg="listing failed".* reason=auth .*$')[0]
        assert "MCP Portals Read" in line
        text = get(f"{exporter.url}/metrics").text
        assert len(api.heads) == 1, "the scrape was within the back-off"
    assert value(text, "cloudflare_mcp_up") == 0
    assert value(text, "cloudflare_mcp_collection_failures_total", reason="auth") == 2


def test_each_account_is_listed_once_at_start_one_after_the_other(
    run_exporter: Start, tmp_path: Path
) -> None:
    ids = [f"{number:032x}" for number in range(5)]
    config = tmp_path / "config.yml"
    with RawServer(sends(answer(listing([portal("a")])))) as api:
        config.write_text(
            f"base_url: {api.base_url}\naccounts:\n"
            + "".join(f"- {{account_id: '{one}', api_token: {TOKEN}}}\n" for one in ids)
        )
        exporter = run_exporter(f"--config.file={config}")
        eventually(
            lambda: exporter.log.count('msg="listing succeeded"') == len(ids), "listing of each"
        )
        assert [re.findall("/accounts/([0-9a-f]+)/", one)[0] for one in api.heads] == ids


def test_the_listings_at_start_leave_half_of_the_quota(run_exporter: Start, tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    quota = 'Ratelimit: "default";r=599;t=60\r\nRatelimit-Policy: "default";q=1200;w=300\r\n'
    with RawServer(sends(answer(listing([portal("a")]), headers=quota))) as api:
        config.write_text(
            f"base_url: {api.base_url}\naccounts:\n"
            + "".join(f"- {{account_id: '{one:032x}', api_token: {TOKEN}}}\n" for one in range(3))
        )
        exporter = run_exporter(f"--config.file={config}")
        exporter.logged('msg="listing succeeded"')
        for path in ("/-/ready", "/", "/sd"):  # time in which a second one would begin
            assert get(f"{exporter.url}{path}").ok
        assert len(api.heads) == 1


def test_a_slow_first_listing_delays_neither_readiness_nor_the_end(run_exporter: Start) -> None:
    def never(_peer: socket.socket, _head: str) -> None:
        slow.closed.wait(30)

    slow = RawServer(never)
    with slow:
        exporter = run_exporter("--scrape.timeout=30", env=environment(slow.base_url))
        eventually(lambda: slow.heads, "first request")
        assert get(f"{exporter.url}/-/ready").ok
        assert exporter.stop(within=15) == 0
    assert "Traceback" not in exporter.log


def run(home: Path, *flags: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exporter", *flags],
        env={**bare_environment(home), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_once_lists_once(tmp_path: Path) -> None:
    with RawServer(sends(answer(listing([portal("a")])))) as api:
        ended = run(tmp_path, "--once", **environment(api.base_url))
        assert len(api.heads) == 1
    assert value(ended.stdout, "cloudflare_mcp_up") == 1


MISSPELLED = {"CLOUDFLARE_MCP_EXPORTER_LOG_LEVLE": "debug"}
MEANT = "LOG_LEVLE is not a known environment variable; did you mean CLOUDFLARE_MCP_EXPORTER_LOG_"


@pytest.mark.parametrize("flag", ["--once", "--check", "--config.check"])
def test_a_misspelled_variable_is_named_by_each_command(
    tmp_path: Path, simulator: Simulator, flag: str
) -> None:
    ended = run(tmp_path, flag, **simulator.environment(), **MISSPELLED)
    assert ended.returncode == 0
    assert MEANT in ended.stderr


def test_a_misspelled_variable_is_named_at_start(run_exporter: Start, simulator: Simulator) -> None:
    exporter = run_exporter(env={**simulator.environment(), **MISSPELLED})
    assert f'level=warn msg="CLOUDFLARE_MCP_EXPORTER_{MEANT}' in exporter.log


def test_an_error_at_start_follows_the_format_that_was_asked_for(tmp_path: Path) -> None:
    busy = "--web.listen-address=127.0.0.1:0"
    environ = {"CLOUDFLARE_API_TOKEN": "changeme", "CLOUDFLARE_ACCOUNT_ID": "xyz"}
    plain = run(tmp_path, busy, **environ).stderr.splitlines()
    assert [line.split(": ")[:3] for line in plain] == [
        ["cloudflare-mcp-exporter", "error", "CLOUDFLARE_API_TOKEN"],
        ["cloudflare-mcp-exporter", "error", "CLOUDFLARE_ACCOUNT_ID"],
    ]
    for flags, variables in (
        (["--log.format=json"], {}),
        (["--log.format", "JSON"], {}),
        ([], {"CLOUDFLARE_MCP_EXPORTER_LOG_FORMAT": "json"}),
    ):
        ended = run(tmp_path, busy, *flags, **environ, **variables)
        lines = [json.loads(line) for line in ended.stderr.splitlines()]
        assert [line["msg"] for line in lines] == ["cannot start"] * 2
        assert lines[1]["error"].startswith("CLOUDFLARE_ACCOUNT_ID: has 3 characters; ")
        assert ended.returncode == 2


def test_what_goes_wrong_after_the_settings_follows_the_format_too(
    tmp_path: Path, simulator: Simulator
) -> None:
    where = f"--web.listen-address=unix:{tmp_path}/none/socket"
    ended = run(tmp_path, where, "--log.format=json", **simulator.environment())
    (line,) = [json.loads(line) for line in ended.stderr.splitlines()]
    assert (line["level"], line["msg"]) == ("error", "cannot start")
    assert line["error"].endswith("cannot listen: no such file or directory")
