"""The GitHub workflows: two linters, and the project's own rules."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from processes import ROOT, bare_environment

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
EACH = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
BIN = Path(sys.executable).parent


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


def run(home: Path, *command: Path | str) -> tuple[int, str]:
    """Status of a linter, and what it said."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=bare_environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@EACH
def test_actionlint_finds_no_fault(path: Path, tmp_path: Path) -> None:
    checked = run(tmp_path, BIN / "actionlint", "-shellcheck", BIN / "shellcheck", path)
    assert checked == (0, "")


def test_zizmor_finds_no_weakness(tmp_path: Path) -> None:
    status, said = run(
        tmp_path, BIN / "zizmor", "--offline", "--no-progress", "--min-severity=medium", ".github"
    )
    assert status == 0, said


def test_every_action_is_pinned_by_commit_with_its_version_beside_it() -> None:
    used = [
        line.strip()
        for path in WORKFLOWS
        for line in path.read_text().splitlines()
        if re.match(r"\s*(- )?uses: (?!\./)", line)
    ]
    assert used
    pinned = re.compile(r"(?:- )?uses: ([\w.-]+/[\w.-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)")
    found = {line: pinned.fullmatch(line) for line in used}
    assert [line for line, match in found.items() if match is None] == []
    commits = {match.groups() for match in found.values() if match}
    assert len({action for action, _, _ in commits}) == len(commits), "one version of each"


@EACH
def test_a_workflow_may_do_nothing_but_what_each_job_asks_for(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert set(job["permissions"]) <= {"contents", "packages", "id-token"}
        assert "write-all" not in str(job["permissions"])
        # A called workflow has limits of its own.
        assert "uses" in job or "timeout-minutes" in job


def test_writing_is_for_releases_alone() -> None:
    writers = {
        (path.name, name, scope)
        for path in WORKFLOWS
        for name, job in load(path)["jobs"].items()
        for scope, access in job["permissions"].items()
        if access == "write"
    }
    assert writers == {
        ("release.yml", "image", "packages"),
        ("release.yml", "chart", "packages"),
        ("release.yml", "pypi", "id-token"),
        ("release.yml", "release", "contents"),
    }


def reached(path: Path) -> set[Path]:
    """A workflow and all that it calls."""
    called = {
        ROOT / job["uses"]
        for job in load(path)["jobs"].values()
        if job.get("uses", "").startswith("./")
    }
    return {path, *(one for each in called for one in reached(each))}


def test_no_job_of_a_pull_request_may_write() -> None:
    for_all = [
        path for path in WORKFLOWS if re.search(r"^  pull_request", path.read_text(), re.MULTILINE)
    ]
    assert [path.name for path in for_all] == ["ci.yml"]
    jobs = [job for each in for_all for path in reached(each) for job in load(path)["jobs"].items()]
    assert {"image", "build", "test"} <= {name for name, _ in jobs}
    for name, job in jobs:
        assert set(job["permissions"].values()) == {"read"}, name


def test_every_base_image_is_pinned_by_digest_where_dependabot_looks() -> None:
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    stack = load(ROOT / "deploy" / "compose" / "compose.yaml")["services"].values()
    images = [one["image"] for one in stack if "build" not in one]
    pinned = re.compile(r"[a-z/]+:v?[\w.-]+@sha256:[0-9a-f]{64}")
    for image in [*(base for base in bases if base != "scratch"), *images]:
        assert pinned.fullmatch(image), image
    updates = load(ROOT / ".github" / "dependabot.yml")["updates"]
    looks = {(one["package-ecosystem"], one.get("directory")) for one in updates}
    assert {("docker", "/"), ("docker-compose", "/deploy/compose")} <= looks


def test_no_secret_is_kept_for_the_workflows_and_no_checkout_keeps_its_token() -> None:
    for path in WORKFLOWS:
        text = path.read_text()
        assert "secrets." not in text
        assert text.count("actions/checkout@") == text.count("persist-credentials: false")


def test_the_tests_run_on_every_python_that_the_package_names() -> None:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(classifiers))
    jobs = load(ROOT / ".github/workflows/ci.yml")["jobs"]
    assert jobs["test"]["strategy"]["matrix"]["python"] == named


def test_the_released_image_has_both_platforms_an_sbom_and_its_provenance() -> None:
    steps = load(ROOT / ".github/workflows/release.yml")["jobs"]["image"]["steps"]
    (build,) = [
        step["with"]
        for step in steps
        if "platforms" in step.get("with", {}) and "push" in step["with"]
    ]
    assert build["platforms"] == "linux/amd64,linux/arm64"
    assert (build["provenance"], build["sbom"]) == ("mode=max", True)


def test_dependabot_looks_only_where_there_is_something() -> None:
    updates = load(ROOT / ".github" / "dependabot.yml")["updates"]
    found = {(one["package-ecosystem"]) for one in updates}
    assert found == {"github-actions", "pip", "docker", "docker-compose", "npm"}
    for one in updates:
        for directory in one.get("directories", [one.get("directory")]):
            assert list(ROOT.glob(directory.strip("/") or "*")), directory
