"""The image's parts: its build file, its locked dependencies, its health check.

That the image works is seen by `make image-check`, which needs root and Debian.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from packaging.requirements import Requirement

from processes import ROOT, RunningExporter, bare_environment

IMAGE = ROOT / "deploy" / "image"
SHELL_SCRIPTS = [
    path
    for path in sorted([*(ROOT / "scripts").iterdir(), *IMAGE.iterdir(), ROOT / ".ci" / "run"])
    if path.is_file() and re.match(rb"#!/bin/(ba)?sh\n", path.read_bytes())
]
LISTEN = "CLOUDFLARE_MCP_EXPORTER_WEB_LISTEN_ADDRESS"
WEB_CONFIG = "CLOUDFLARE_MCP_EXPORTER_WEB_CONFIG_FILE"
PREFIX = "CLOUDFLARE_MCP_EXPORTER_WEB_ROUTE_PREFIX"
EXTERNAL = "CLOUDFLARE_MCP_EXPORTER_WEB_EXTERNAL_URL"


def tool(name: str, *arguments: Path | str) -> str:
    """What a checker of the development environment says; nothing where all is well."""
    program = Path(sys.executable).parent / name
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    return done.stdout + done.stderr


def locked(name: str) -> dict[str, tuple[str, int]]:
    """Version and number of hashes of each package in a lock file."""
    text = (IMAGE / name).read_text()
    entries = re.findall(
        r"^([a-z0-9-]+)==([^ ;]+)(?: ;[^\\\n]*)? \\\n((?:    --hash=.*\n)+)", text, re.MULTILINE
    )
    return {name: (version, hashes.count("sha256:")) for name, version, hashes in entries}


def test_the_dockerfile_has_no_fault_that_hadolint_knows() -> None:
    assert tool("hadolint", "Dockerfile") == ""


@pytest.mark.parametrize("script", SHELL_SCRIPTS, ids=lambda path: path.name)
def test_a_shell_script_has_no_fault_that_shellcheck_knows(script: Path) -> None:
    assert tool("shellcheck", script) == ""


@pytest.mark.parametrize(
    ("lock", "table", "key"),
    [
        pytest.param("requirements.txt", "project", "dependencies", id="what the exporter needs"),
        pytest.param("build-requirements.txt", "build-system", "requires", id="what builds it"),
    ],
)
def test_the_image_installs_what_is_asked_for_locked_by_hash(
    lock: str, table: str, key: str
) -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())[table][key]
    versions = locked(lock)
    for requirement in map(Requirement, wanted):
        version, hashes = versions[requirement.name]
        assert requirement.specifier.contains(version), f"`make image-requirements`: {requirement}"
        assert hashes


@pytest.mark.parametrize("lock", sorted(IMAGE.glob("*.txt")), ids=lambda path: path.name)
def test_a_lock_names_no_index_and_nothing_without_a_hash(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert len(re.findall(r"^[a-z0-9-]+==", text, re.MULTILINE)) == len(locked(lock.name)) > 0


def test_the_build_sees_nothing_but_what_the_image_is_made_of() -> None:
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    copied = set()
    for line in re.findall(
        r"^COPY (?!--from)(.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    ):
        copied |= {source.split("/image/")[0] for source in line.split()[:-1]}
    allowed = {rule[1:].removesuffix("/image") for rule in rules if rule.startswith("!")}
    assert next(rule for rule in rules if not rule.startswith("#")) == "*"
    assert allowed == copied


def test_the_image_s_wheel_has_all_that_the_build_copies(tmp_path: Path) -> None:
    stage = (ROOT / "Dockerfile").read_text().partition("WORKDIR /src\n")[2].partition("FROM")[0]
    for line in re.findall(r"^COPY (?!deploy/)(.*)$", stage, re.MULTILINE):
        *sources, target = line.split()
        for source in map(ROOT.joinpath, sources):
            if source.is_dir():
                shutil.copytree(source, tmp_path / target)
            else:
                shutil.copy(source, tmp_path / target)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=tmp_path,
        env=bare_environment(tmp_path),
        capture_output=True,
        timeout=60,
        check=True,
    )
    (wheel,) = tmp_path.glob("dist/*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "exporter/__main__.py" in names
    runbooks = {path.name for path in (ROOT / "docs" / "runbooks").glob("*.md")}
    assert {Path(name).name for name in names if "/runbooks/pages/" in name} == runbooks


def health(environ: dict[str, str], home: Path) -> tuple[int, str]:
    """Status and words of the health check."""
    done = subprocess.run(
        [sys.executable, IMAGE / "healthcheck.py"],
        env={**bare_environment(home), **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningExporter]:
    """An exporter on a port, under a prefix, and on a socket."""
    home = tmp_path_factory.mktemp("running")
    flags = (f"--web.listen-address=unix:{home}/socket", "--web.route-prefix=/mcp", "--demo")
    exporter = RunningExporter(home, *flags, env={})
    try:
        exporter.logged("msg=listening")
        exporter.url = exporter.logged(r"(http://127\.0\.0\.1:\d+)/")[1]
        yield exporter
    finally:
        exporter.kill()


@pytest.mark.parametrize(
    ("address", "variables", "expected"),
    [
        pytest.param("127.0.0.1:{port}", {PREFIX: "/mcp"}, 0, id="address"),
        pytest.param(":{port}", {PREFIX: "/mcp"}, 0, id="all interfaces"),
        pytest.param("127.0.0.1:{port},[::1]:1", {PREFIX: "/mcp"}, 0, id="first of several"),
        pytest.param("unix:{home}/socket", {PREFIX: "/mcp"}, 0, id="socket"),
        pytest.param(":{port}", {EXTERNAL: "https://a.test/mcp/"}, 0, id="path of external URL"),
        pytest.param(":{port}", {PREFIX: "/other"}, 1, id="not found"),
        pytest.param(":1", {}, 1, id="nobody there"),
        pytest.param("unix:{home}/other", {}, 1, id="no socket"),
    ],
)
def test_the_health_check_says_well_for_200_alone(
    running: RunningExporter,
    tmp_path: Path,
    address: str,
    variables: dict[str, str],
    expected: int,
) -> None:
    port, home = running.url.rpartition(":")[2], running.log_path.parent
    environ = {LISTEN: address.format(port=port, home=home), **variables}
    status, words = health(environ, tmp_path)
    assert (status, words.count("\n")) == (expected, 1), words


def test_the_health_check_asks_by_tls_where_the_exporter_speaks_it(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("exporter.test")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "pem")
    config = tmp_path / "web.yml"
    config.write_text(
        f"tls_server_config:\n  cert_file: {tmp_path}/pem\n  key_file: {tmp_path}/pem\n"
    )
    exporter = RunningExporter(tmp_path, "--demo", f"--web.config.file={config}", env={})
    try:
        port = exporter.logged(r"https://127\.0\.0\.1:(\d+)")[1]
        environ = {LISTEN: f"127.0.0.1:{port}"}
        assert health({**environ, WEB_CONFIG: str(config)}, tmp_path)[0] == 0
        assert health(environ, tmp_path)[0] == 1
    finally:
        exporter.kill()


def test_a_flag_of_process_1_beats_its_variable(tmp_path: Path) -> None:
    code = (
        "import healthcheck as h; v = h.told("
        "['/opt/x', '--', '/opt/exporter', '--web.listen-address', ':7', '--demo',"
        " '--web.listen-address=:8'],"
        f"{{'{LISTEN}': ':9', '{PREFIX}': '/p'}}); print(v['listen_addresses'], v['route_prefix'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(IMAGE)},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        cwd=tmp_path,
    )
    assert done.stdout == ":7 /p\n"
