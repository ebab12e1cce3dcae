"""What people see of a dashboard: its panels, through Grafana's own code, as values and as text."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from mixin.dashboards.expressions import filled
from nodepackages import npm_packages
from processes import Prometheus
from realparts import require

HERE = Path(__file__).parent
LINES = ("11", "12", "13")
"""Lines of Grafana; ``tests/grafana`` has the newest version of each."""
STEP = 10


class Moment(msgspec.Struct, frozen=True):
    """What is chosen at the top of a dashboard: a time range in Unix seconds, and variables."""

    began: float
    now: float
    variables: Mapping[str, str]

    @property
    def choice(self) -> dict[str, str]:
        """What Grafana puts into queries."""
        span = {"__range": f"{int(self.now - self.began)}s", "__rate_interval": "1m"}
        return {**span, "__interval": f"{STEP}s", **self.variables}


Panel = Mapping[str, Any]


class Answered(msgspec.Struct, frozen=True):
    """A panel, what was chosen, and what Prometheus says to each of its queries."""

    panel: Panel
    moment: Moment
    answers: list[Any]


def answered(prometheus: Prometheus, panel: Panel, moment: Moment) -> Answered:
    """The panel with answers of a Prometheus."""
    return Answered(
        panel, moment, [_asked(prometheus, target, moment) for target in panel["targets"]]
    )


def _asked(prometheus: Prometheus, target: Mapping[str, Any], moment: Moment) -> Any:
    text = filled(target["expr"], moment.choice)
    if target["instant"]:
        return prometheus.api("query", query=text, time=f"{moment.now}")
    span = {"start": f"{moment.began}", "end": f"{moment.now}", "step": f"{STEP}"}
    return prometheus.api("query_range", query=text, **span)


def seen(line: str, every: Sequence[Answered]) -> list[dict[str, Any]]:
    """What is seen of each panel in a line of Grafana; all at the same moment."""
    ((began, now),) = {(each.moment.began, each.moment.now) for each in every}
    request = {
        "now": int(now * 1000),
        "range": {"from": int(began * 1000), "to": int(now * 1000)},
        "step": STEP,
        "panels": [
            {"panel": each.panel, "variables": each.moment.variables, "answers": each.answers}
            for each in every
        ],
    }
    done = subprocess.run(
        [require("node"), HERE / "grafana" / "seen.cjs", npm_packages(f"grafana/{line}")],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


# --- as text -----------------------------------------------------------------------------------


def text(found: Iterable[Mapping[str, Any]], began: float) -> str:
    """All of it, for people to read and to compare."""
    return "\n".join(
        "".join(f"{line}\n" for line in (f"## {each['title']}", *_TEXTS[each["type"]](each, began)))
        for each in found
    )


def cell(value: Mapping[str, Any]) -> str:
    """A text with its color."""
    return f"{value['text']} [{value['color']}]" if value["color"] else str(value["text"])


def _stat(panel: Panel, _: float) -> Iterator[str]:
    for value in panel["values"]:
        named = f"{value['title']}: " if len(panel["values"]) > 1 else ""
        yield f"{named}{cell(value)}"


def _table(panel: Panel, _: float) -> Iterator[str]:
    if not panel["rows"]:
        yield str(panel["empty"])
        return
    yield " | ".join(panel["columns"])
    for row in panel["rows"]:
        yield " | ".join(cell(value) for value in row)
        for value in row:
            yield from (f"    {link['title']}: {unquote(link['href'])}" for link in value["links"])


def _timeline(panel: Panel, began: float) -> Iterator[str]:
    if not panel["bands"]:
        yield str(panel["empty"])
    for band in sorted(panel["bands"], key=lambda band: str(band["name"])):
        yield str(band["name"])
        for span in band["spans"]:
            since, until = (round(span[end] / 1000 - began) for end in ("from", "to"))
            yield f"    {since:3} to {until:3} s: {cell(span)}"


def _graph(panel: Panel, _: float) -> Iterator[str]:
    if not panel["legend"]:
        yield str(panel["empty"])
    yield from sorted(f"{line['name']}: {cell(line)}" for line in panel["legend"])


_TEXTS = {"timeseries": _graph, "stat": _stat, "table": _table, "state-timeline": _timeline}
