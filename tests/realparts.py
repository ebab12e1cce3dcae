"""Finds the real programs that tests run, and prints their versions."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

UNPACKED = Path(__file__).parent.parent / ".venv" / "parts"
"""Directory of ``make parts``; see ``scripts/parts``."""

REPORTED = ("prometheus", "promtool", "prometheus-alertmanager", "amtool", "node", "chromium")
"""Programs whose versions can affect test results."""


def _folders() -> Iterator[str]:
    """Directories to search, in order."""
    if os.environ.get("REAL_PROGRAMS") == "newest":
        yield str(UNPACKED / "newest" / "launchers")
    yield str(Path(sys.executable).parent)  # Node.js comes as a Python package
    yield os.environ.get("PATH", os.defpath)
    yield str(UNPACKED / "default" / "launchers")


def find(program: str) -> str | None:
    """Path of a real program, if found."""
    return shutil.which(program, path=os.pathsep.join(_folders()))


def require(program: str) -> str:
    """Path of a real program; if it is missing the test is skipped, or fails under CI."""
    path = find(program)
    if path is not None:
        return path
    message = f"{program} is not installed: `make parts` fetches it on Debian and Ubuntu"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@cache
def version(program: str) -> str:
    """The version number that a program prints, or why there is none."""
    path = find(program)
    if path is None:
        return "missing"
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    number = re.search(r"\d+\.\d+[\w.+~-]*", said.stdout + said.stderr)
    return number[0] if number else "silent"


def pytest_report_header() -> str:
    """Lines at the start of a run."""
    return "real programs: " + ", ".join(f"{one} {version(one)}" for one in REPORTED)
