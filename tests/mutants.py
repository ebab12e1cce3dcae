"""Mutation testing: makes small changes to the code and reports those that no test notices.

Usage: python -m mutants [MODULE...], by a part of its path; without one, every module.

tests/mutants.toml lists the modules, the tests of each and the mutants that are known to survive.
The exit status is 1 if another one survives, or if a module cannot be tested.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".venv" / "mutants"

COPIED = ("exporter", "tests")
LINKED = ("docs", "README.md", "CHANGELOG.md")

# A process that has run tests is not a good one to fork: its threads are gone in the child, and a
# test that waits for one of them hangs. So each mutant is forked from one that only imported them.
SETTINGS: dict[str, Any] = {
    "source_paths": ["exporter"],
    "also_copy": [*COPIED, *LINKED],
    "process_isolation": "forkserver",
    "timeout_constant": 2.0,
    "timeout_multiplier": 10.0,
    "use_git_change_detection": False,
}
PYTEST = ["-n0", "-p", "no:cacheprovider", "--hypothesis-seed=1"]


def main(wanted: list[str]) -> int:
    """Test the modules that are wanted; the exit status."""
    table = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text())
    known = {mutant for group in table["survivors"] for mutant in group["mutants"]}
    failed = False
    for module, tests in table["modules"].items():
        if not wanted or any(part in module for part in wanted):
            folder = prepared(module, tests, table["deselected"])
            failed |= not is_as_known(module, folder, known)
    return int(failed)


def prepared(module: str, tests: list[str], deselected: str) -> Path:
    """A copy of the code in which mutmut changes this module alone."""
    folder = WORK / module.removesuffix(".py").replace("/", ".")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    settings = SETTINGS | {
        "only_mutate": [module],
        "pytest_add_cli_args": [*PYTEST, "-k", f"not ({deselected})"],
        "pytest_add_cli_args_test_selection": [f"tests/{one}" for one in tests],
    }
    # TOML writes these values as JSON does.
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    text = (ROOT / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(f"{text}\n[tool.mutmut]\n{lines}")
    return folder


def is_as_known(module: str, folder: Path, known: set[str]) -> bool:
    """Whether no mutant of the module survives but the known ones; prints the result."""
    with (folder / "mutmut.log").open("w") as log:
        children = f"--max-children={os.cpu_count() or 1}"
        ended = subprocess.run(
            [*MUTMUT, "run", children], cwd=folder, env=ENVIRONMENT, stdout=log, check=False
        )
    if ended.returncode:
        say(f"{module}: cannot be tested, see {folder / 'mutmut.log'}")
        return False
    mutmut(folder, "export-cicd-stats")
    stats = json.loads((folder / "mutants" / "mutmut-cicd-stats.json").read_text())
    killed = stats["killed"] + stats["timeout"]
    total = stats["total"]
    score = f"{100 * killed / max(1, total):.1f} %"
    say(f"{module}: {total} mutants, {score} killed, {stats['timeout']} by a time limit")
    left = survivors(folder)
    for mutant in left:
        say(f"  {'known' if mutant in known else 'NEW'}: {mutant}")
    return killed + len(left) == total and known.issuperset(left)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def survivors(folder: Path) -> list[str]:
    """The surviving mutants, each as its function and the line before and after the change."""
    listed = (line.strip().rpartition(": ") for line in mutmut(folder, "results").splitlines())
    return [described(folder, name) for name, _, status in listed if name and status != "timeout"]


def described(folder: Path, name: str) -> str:
    """One mutant: its number changes with every edit of the function, its lines do not."""
    diff = mutmut(folder, "show", name).splitlines()
    before, after = (
        " ".join(line[1:].strip() for line in diff if line.startswith((f"{sign} ", f"{sign}\t")))
        for sign in "-+"
    )
    function = name.rpartition(".")[2].rpartition("__mutmut_")[0]
    method = function.removeprefix("xǁ").replace("ǁ", ".")
    return f"{method.removeprefix('x_')}: {before} => {after}"


MUTMUT = (sys.executable, "-m", "mutmut")
ENVIRONMENT = {**os.environ, "CI": "true"}
"""Hypothesis looks for no smaller example then, see tests/conftest.py."""


def mutmut(folder: Path, *arguments: str) -> str:
    """What mutmut prints."""
    return subprocess.run(
        [*MUTMUT, *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
