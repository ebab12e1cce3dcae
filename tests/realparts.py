"""The real programs that tests run: found, or missed loudly; their versions are printed."""

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
"""Where ``make parts`` puts them; see ``scripts/parts``."""

REPORTED = ("prometheus", "promtool", "prometheus-alertmanager", "amtool", "node", "chromium")
"""The programs whose versions can decide how a test ends."""


def _folders() -> Iterator[str]:
    """Where programs are looked for, first come first served."""
    if os.environ.get("REAL_PROGRAMS") == "newest":
        yield str(UNPACKED / "newest" / "launchers")
    yield str(Path(sys.executable).parent)  # Node.js comes as a Python package
    yield os.environ.get("PATH", os.defpath)
    yield str(UNPACKED / "default" / "launchers")


def find(program: str) -> str | None:
    """Path of a real program, if there is one."""
    return shutil.which(program, path=os.pathsep.join(_folders()))


def require(program: str) -> str:
    """Path of a real program; where it is missing the test skips, and under CI it fails."""
    path = find(program)
    if path is not None:
        return path
    message = f"{program} is not installed: `make parts` fetches it on Debian and Ubuntu"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@cache
def version(program: str) -> str:
    """The number in what a program says of its version, or a word for why there is none."""
    path = find(program)
    if path is None:
        return "missing"
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    number = re.search(r"\d+\.\d+[\w.+~-]*", said.stdout + said.stderr)
    return number[0] if number else "silent"


def pytest_report_header() -> str:
    """A line at the start of a run."""
    return "real programs: " + ", ".join(f"{one} {version(one)}" for one in REPORTED)
