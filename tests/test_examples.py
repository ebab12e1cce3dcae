"""The examples of the documentation print what the pages show, whenever the demo is asked."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from processes import ROOT, bare_environment
from realparts import require

TRIED = [ROOT / "README.md", ROOT / "docs" / "getting-started.md"]
MOMENTS = (0, 37, 200, 600)
"""Seconds since the story of the demo began; at none of them the API refuses requests."""


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_examples_print_what_the_pages_show(moment: int) -> None:
    curl = require("curl")
    jq = require("jq")
    path = [os.environ["PATH"], str(Path(curl).parent), str(Path(jq).parent)]
    ended = subprocess.run(
        [sys.executable, ROOT / "scripts" / "examples.py", "--check", f"--at={moment}"],
        env={**os.environ, "PATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("page", TRIED, ids=lambda page: page.stem)
def test_every_output_of_a_page_for_newcomers_is_an_example(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("```console") == text.count("<!-- example: ") > 0


def startup_error(folder: Path, *flags: str, **variables: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "exporter", *flags],
        env={**bare_environment(folder), **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 2
    return ended.stderr


def test_the_startup_errors_that_troubleshooting_quotes_are_printed(tmp_path: Path) -> None:
    account = {"CLOUDFLARE_API_TOKEN": "t" * 40, "CLOUDFLARE_ACCOUNT_ID": "0" * 32}
    config = tmp_path / "config.yml"
    config.write_text(f"accounts: [{{account_id: {'a' * 32}, api_token: {'t' * 40}, per_pge: 5}}]")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"--web.listen-address=127.0.0.1:{taken.getsockname()[1]}"
        errors = (
            startup_error(tmp_path, CLOUDFLARE_ACCOUNT_ID="0" * 32)
            + startup_error(tmp_path, **{**account, "CLOUDFLARE_API_TOKEN": "${TOKEN}"})
            + startup_error(tmp_path, f"--config.file={config}")
            + startup_error(tmp_path, address, **account)
            + startup_error(tmp_path, **{**account, "CLOUDFLARE_ACCOUNT_ID": "xyz"})
        )
    page = (ROOT / "docs" / "operating" / "troubleshooting.md").read_text(encoding="utf-8")
    section = page.partition("| The error says | Fix |")[2].partition("\n## ")[0]
    quoted = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
    assert [quote for quote in quoted if quote not in errors] == []
    assert len(quoted) == 5
