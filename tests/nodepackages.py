"""npm packages for tests, cached between runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

from realparts import require

HERE = Path(__file__).parent
FLAGS = ("--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund")


def npm_packages(folder: str) -> Path:
    """A directory with the packages of ``tests/<folder>/package.json`` in ``node_modules``.

    If they cannot be fetched the test is skipped, or fails under CI.
    """
    npm = require("npm")
    wanted = (HERE / folder / "package.json").read_text()
    cache = HERE.parent / ".pytest_cache" / "npm" / folder
    installed = cache / "node_modules" / ".package.json"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / ".lock"):
        if not (installed.is_file() and installed.read_text() == wanted):
            (cache / "package.json").write_text(wanted)
            _install(npm, cache)
            installed.write_text(wanted)
    return cache


def _install(npm: str, directory: Path) -> None:
    try:
        done = subprocess.run(
            [npm, "install", *FLAGS],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        message = f"npm install ended with {done.returncode}: {done.stderr[-500:]}"
    except subprocess.TimeoutExpired:
        message = "npm install took too long"
    else:
        if done.returncode == 0:
            return
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
