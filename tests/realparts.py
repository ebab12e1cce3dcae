"""The real programs that tests run: found, or missed loudly."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

UNPACKED = Path(__file__).parent.parent / ".venv" / "parts" / "usr" / "bin"
"""Where ``make parts`` puts what it does not install."""


def require(program: str) -> str:
    """Path of a real program; where it is missing the test skips, and under CI it fails."""
    path = shutil.which(program) or shutil.which(program, path=str(UNPACKED))
    if path is not None:
        return path
    message = f"{program} is not installed: `make parts` fetches it on Debian and Ubuntu"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
