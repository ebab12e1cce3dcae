"""What people install is whole, and holds nothing that is ours alone."""

from __future__ import annotations

import email
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from importlib import metadata
from pathlib import Path

import pytest

import exporter
from processes import ROOT, bare_environment

NAME = "cloudflare-mcp-exporter"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fresh wheel and a fresh source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder, "-t", "wheel", "-t", "sdist"],
        cwd=ROOT,
        env=bare_environment(folder),
        stdin=subprocess.DEVNULL,
        check=True,
        capture_output=True,
        timeout=60,
    )
    return folder


@pytest.fixture(scope="session")
def wheel(built: Path) -> zipfile.ZipFile:
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_package_whole_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    ours = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "exporter").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    # The exporter serves them.
    runbooks = (ROOT / "docs" / "runbooks").glob("*.md")
    ours |= {f"exporter/web/runbooks/pages/{path.name}" for path in runbooks}
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert {"exporter/py.typed", "exporter/simulator/scenario.yaml"} <= packed
    assert packed == ours


def test_the_wheel_says_its_name_version_license_and_where_to_start(
    wheel: zipfile.ZipFile,
) -> None:
    info = f"{NAME.replace('-', '_')}-{exporter.__version__}.dist-info"
    said = email.message_from_bytes(wheel.read(f"{info}/METADATA"))
    assert (said["Name"], said["Version"]) == (NAME, exporter.__version__)
    assert said["License-Expression"] == "Apache-2.0"
    assert wheel.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    scripts = ConfigParser()
    scripts.read_string(wheel.read(f"{info}/entry_points.txt").decode())
    assert dict(scripts["console_scripts"]) == {NAME: "exporter.__main__:entry_point"}


def test_the_source_distribution_can_be_tested_and_holds_no_leftovers(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md", "Makefile", "CHANGELOG.md"} <= names
    assert {"tests/test_packaging.py", "scripts/venv", "exporter/py.typed"} <= names
    assert not {name for name in names if name.startswith(".venv") or name.endswith(".pyc")}


def test_the_command_says_the_version_that_the_package_has(tmp_path: Path) -> None:
    command = Path(sys.executable).parent / NAME
    said = subprocess.run(
        [command, "--version"],
        env=bare_environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert exporter.__version__ in said.stdout


def test_the_installed_distribution_is_this_checkout() -> None:
    assert metadata.version(NAME) == exporter.__version__
    assert Path(exporter.__file__).parent == ROOT / "exporter"
