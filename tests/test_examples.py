"""The examples of the documentation print what the pages show, whenever the demo is asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from processes import ROOT
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
