"""Some seconds of the soak; `make soak` runs minutes of it."""

from __future__ import annotations

from pathlib import Path

from realparts import require
from soak.run import soak


def test_nothing_that_is_shown_under_random_faults_is_untrue(tmp_path: Path) -> None:
    result = soak(tmp_path, 15.0, seed=20_251, prometheus=require("prometheus"))
    assert result.problems == [], str(result)
    assert result.expositions.total() > 50, str(result)
    assert len(result.faults) > 15, str(result)
