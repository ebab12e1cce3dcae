"""Scenario tests: each builds input series, and one promtool run checks many of them.

One promtool run per test would be slow, and a single run for all would use one core.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from promtool import World
from realparts import require

TOGETHER = 8
"""Scenarios per run: few enough that no test waits long for its result."""

Verdicts: TypeAlias = Callable[[str], str]
"""What promtool says of the scenario that is the test of a node id; empty where all is well."""


def scenario(build: Callable[..., World]) -> Callable[..., None]:
    """A test out of a function that builds a world from the parameters of the test.

    The test asks for a fixture ``verdicts`` of type `Verdicts`; see `judged`.
    """

    @functools.wraps(build)
    def test(request: pytest.FixtureRequest, verdicts: Verdicts, **_: object) -> None:
        complaint = verdicts(request.node.nodeid)
        assert not complaint, complaint

    own = inspect.signature(test, follow_wrapped=False).parameters
    fixtures = [own["request"], own["verdicts"]]
    parameters = inspect.signature(build).parameters.values()
    vars(test)["__signature__"] = inspect.Signature([*fixtures, *parameters])
    vars(test)["build"] = build
    return test


@contextmanager
def judged(items: Iterable[pytest.Item], directory: Path) -> Iterator[Verdicts]:
    """The verdicts on all scenarios among the tests; a few runs of promtool at a time."""
    tests = (item for item in items if isinstance(item, pytest.Function))
    scenarios = iter([test for test in tests if hasattr(test.obj, "build")])
    runs: dict[str, Future[dict[str, str]]] = {}
    pool = ThreadPoolExecutor(max_workers=os.cpu_count())
    try:
        while some := list(islice(scenarios, TOGETHER)):
            run = pool.submit(_judge, some, directory / f"run{len(runs)}")
            runs |= {test.nodeid: run for test in some}
        yield lambda nodeid: runs[nodeid].result()[nodeid]
    finally:
        pool.shutdown(cancel_futures=True)


def _judge(tests: list[pytest.Function], directory: Path) -> dict[str, str]:
    """Complaints by node id."""
    directory.mkdir()
    files = {test.nodeid: directory / f"{number}.test.yml" for number, test in enumerate(tests)}
    for test in tests:
        files[test.nodeid].write_text(_document(test))
    if not _complaint(list(files.values())):
        return dict.fromkeys(files, "")
    # What is said of one file cannot be told from what is said of the next.
    return {nodeid: _complaint([file]) for nodeid, file in files.items()}


def _complaint(files: list[Path]) -> str:
    """What promtool prints, unless it says of each file that all is well."""
    run = subprocess.run(
        [require("promtool"), "test", "rules", *map(str, files)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=100,
    )
    passed = len(re.findall(r"^ *SUCCESS$", run.stdout, re.MULTILINE))
    well = run.returncode == 0 and passed == len(files)
    return "" if well else f"status {run.returncode}, {passed} passed:\n{run.stdout}"


def world_of(test: pytest.Function) -> World:
    """What a scenario builds from the parameters of its test."""
    case: dict[str, Any] = test.callspec.params if hasattr(test, "callspec") else {}
    world: World = test.obj.build(**case)
    return world


def _document(test: pytest.Function) -> str:
    # JSON is YAML, and written in a fraction of the time.
    return json.dumps(world_of(test).document(), indent=1)
