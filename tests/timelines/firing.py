"""Which alerts fire in timelines: the rules evaluated by promtool, many timelines in one run."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import yaml

from mixin import alerts
from mixin.thresholds import load
from realparts import require
from timelines.series import input_series
from timelines.weather import Timeline

Alert = dict[str, str]
"""The labels of an alert."""

EVERY = 5
"""Minutes between two looks at the alerts."""

WORLD = "world"
CLUSTER = "cluster"
KEPT = (WORLD, CLUSTER)
"""Labels that keep timelines of one run apart, and clusters of one timeline."""

LOOK = re.compile(r"time: (?P<time>[\dhms]+),\s+exp:[^\n]*\n\s+got:(?P<got>[^\n]*)")
SERIES = re.compile(r'\{__name__="ALERTS", ([^}]*)\}')
LABEL = re.compile(r'(\w+)="([^"]*)"')
UNITS = {"h": 60, "m": 1, "s": 0}


def rules(*kept: str) -> dict[str, str]:
    """The text of the rule file that keeps these labels."""
    rendered = alerts.render(load(overrides={"keep_labels": ",".join(kept)}))
    return {alerts.RULES: rendered[alerts.RULES]}


def _bare(text: str) -> str:
    """A rule file without the annotations: templates cost most of the time, and play no part."""
    document = yaml.safe_load(text)
    for group in document["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations", None)
    return json.dumps(document)


def firing(
    worlds: Sequence[Sequence[Timeline]], files: dict[str, str], directory: Path
) -> list[dict[int, list[Alert]]]:
    """The alerts that fire in each world, minute by minute.

    Args:
        worlds: timelines that are seen by one Prometheus each; all by the same one if there is
            only one.
        files: the text of the rule files; with several worlds they have to keep `KEPT`.
        directory: for the files of promtool.
    """
    for name, text in files.items():
        (directory / name).write_text(_bare(text), encoding="utf-8")
    apart = len(worlds) > 1
    series = [
        one
        for number, world in enumerate(worlds)
        for timeline in world
        for one in input_series(_of_world(timeline, number) if apart else timeline)
    ]
    minutes = max(timeline.minutes for world in worlds for timeline in world)
    found = _evaluated(series, minutes, list(files), directory)
    result: list[dict[int, list[Alert]]] = []
    for number, world in enumerate(worlds):
        times = range(0, world[0].minutes + 1, EVERY)
        own = {
            minute: [
                alert
                for alert in found.get(minute, [])
                if not apart or alert.get(WORLD) in (str(number), None)
            ]
            for minute in times
        }
        result.append(own)
    return result


def _of_world(timeline: Timeline, number: int) -> Timeline:
    labels = ((WORLD, str(number)), *timeline.labels)
    return Timeline(timeline.minutes, timeline.truth, timeline.weather, labels)


def _evaluated(
    series: list[dict[str, str]], minutes: int, files: list[str], directory: Path
) -> dict[int, list[Alert]]:
    looks = [
        {"expr": 'ALERTS{alertstate="firing"}', "eval_time": f"{minute}m"}
        for minute in range(0, minutes + 1, EVERY)
    ]
    # Where an alert should fire and none does, promtool would say nothing: nothing is there.
    document = {
        "rule_files": files,
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": looks}],
    }
    (directory / "timelines.yml").write_text(json.dumps(document), encoding="utf-8")
    run = subprocess.run(
        [require("promtool"), "test", "rules", "timelines.yml"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode and not LOOK.search(run.stderr + run.stdout):
        raise RuntimeError(f"promtool: {run.stderr or run.stdout}"[:2000])
    return {
        _minutes(look["time"]): [dict(LABEL.findall(one)) for one in SERIES.findall(look["got"])]
        for look in LOOK.finditer(run.stderr + run.stdout)
    }


def _minutes(text: str) -> int:
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([hms])", text))
