"""Every expression of every dashboard, asked of a Prometheus that watched a story of failures.

Two exporters list the same simulated account, so that whatever counts an object twice shows. The
story is played fast; single values are asked for the moment at which most is broken.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from exporter.metrics import catalog as c
from exporter.simulator.server import Simulator
from mixin import alerts
from mixin.dashboards import states
from mixin.dashboards.expressions import Expression, expressions, filled
from mixin.thresholds import Thresholds, load
from processes import Prometheus, RunningExporter, eventually
from realparts import require

DASHBOARDS = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parent.parent / "dashboards").glob("*.json"))
}
EXPRESSIONS = [found for dashboard in DASHBOARDS.values() for found in expressions(dashboard)]

SPEED = 60.0
"""Seconds of the story in one second."""
WORST = 400.0
"""Seconds into the story at which it is held for a moment: just before the API refuses requests."""
AFTER_REFUSAL = 461.0
"""Where it goes on: a pause that the API asks for is meant in real seconds."""
END = 900.0
SETTLED = """
    count(
      count_over_time(cloudflare_mcp_up[4s]) >= 3
      and min_over_time(cloudflare_mcp_up[4s]) == 1
      and on (instance) min_over_time(up[4s]) == 1
    ) == 2
    and on () count_over_time(account_id:cloudflare_mcp_up:max[4s]) >= 3
"""
"""Both exporters were listed for some scrapes on end, and the rules have seen these."""
LATE = 1.5
"""Seconds after which a moment does not change any more: what was scraped then is stored."""

# Prometheus announces a timeout of one second here; nearly all of it is for the listing.
FLAGS = ("--collector.servers", "--scrape.timeout-offset=0.1")
CHOICE = {
    "datasource": "x",
    "job": ".+",
    "instance": ".+",
    "account": ".+",
    "portal": ".*",
    "server": ".+",
    "__rate_interval": "4s",
    "__interval": "1s",
}

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: cloudflare-mcp
    static_configs: [{{targets: ["{first}", "{second}"]}}]
"""

EMPTY = {
    "Cloudflare MCP / Exporter: Listing against its budget: C": (
        "the scrape timeout is recorded by a Prometheus with the feature extra-scrape-metrics alone"
    ),
    "Cloudflare MCP / Overview: Servers gone: A": (
        "the account is listed with the servers that are in no portal"
    ),
}
"""Expressions that give nothing here, each with its reason."""


class Replay:
    """A clock that plays the simulated story fast: to its worst moment, and on when it is told."""

    def __init__(self) -> None:
        self.origin = time.time() - END
        self.played: tuple[float, float, float] = (0.0, 0.0, time.time())

    def play(self, begin: float, end: float) -> None:
        """Go from one second of the story to another, beginning now."""
        self.played = (begin, end, time.time())
        eventually(lambda: self.seconds() >= end, f"second {end:g} of the story", within=60)

    def seconds(self) -> float:
        """How far the story has come."""
        begin, end, since = self.played
        return min(end, begin + SPEED * (time.time() - since))

    def __call__(self) -> float:
        """Unix seconds of the simulated account, never in the future."""
        return self.origin + self.seconds()


def settled(prometheus: Prometheus) -> float:
    """A moment of which all is known, in which nothing has changed for some scrapes."""
    begin = time.time() + 4

    def look() -> float | None:
        moment = time.time() - LATE
        if moment < begin:
            return None
        found = prometheus.api("query", query=SETTLED, time=f"{moment}")["result"]
        return moment if found else None

    return eventually(look, "whole scrapes and evaluations on end", within=60, every=0.5)


class Watched:
    """A Prometheus with the whole story in it.

    Attributes:
        began, worst, ended: Unix seconds.
        choice: what is chosen on the dashboards; the range leads from the beginning to the worst.
    """

    def __init__(self, prometheus: Prometheus, began: float, worst: float) -> None:
        self.prometheus = prometheus
        self.began = began
        self.worst = worst
        self.ended = time.time()
        self.choice = {**CHOICE, "__range": f"{int(worst - began)}s"}

    def ask(self, expression: Expression) -> list[Any]:
        """The series that it gives: over the story, or at its worst moment."""
        text = filled(expression.text, self.choice)
        over = {"start": f"{self.began}", "end": f"{self.ended}"}
        if expression.kind == "label_values":
            return list(self.prometheus.api("series", **{"match[]": text}, **over))
        if expression.kind == "range":
            answer = self.prometheus.api("query_range", query=text, step="1", **over)
        else:
            answer = self.prometheus.api("query", query=text, time=f"{self.worst}")
        return list(answer["result"])

    def at_worst(self, text: str) -> list[tuple[dict[str, str], float]]:
        """Labels and values of an expression at the worst moment."""
        found = self.ask(Expression("", text, "instant"))
        return [(series["metric"], float(series["value"][1])) for series in found]


def _short() -> Thresholds:
    """Thresholds under which an alert fires as soon as its condition holds."""
    names = load().__struct_fields__
    windows = {name: "1m" for name in names if name.endswith("_window")}
    # What a server was before does not count here: the dashboards show what it is now.
    brief = {"gap_window": "4s", "failure_window": "3s", "retryable_for": "2s"}
    # These cannot be 0s.
    brief |= {"access_denied_for": "1s", "rate_limited_for": "1s", "keep_firing_for": "1s"}
    times = {name: "0s" for name in names if name.endswith("_for")}
    return load(overrides=times | windows | brief)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    program = require("prometheus")
    home = tmp_path_factory.mktemp("story")
    for name, text in alerts.render(_short()).items():
        (home / name).write_text(text)
    with ExitStack() as cleanup:
        story = Replay()
        simulator = cleanup.enter_context(Simulator(clock=story))
        exporters = []
        for name in ("first", "second"):
            (home / name).mkdir()
            exporter = RunningExporter(home / name, *FLAGS, env=simulator.environment())
            cleanup.callback(exporter.kill)
            exporter.await_ready()
            exporters.append(exporter.url.removeprefix("http://"))
        first, second = exporters
        config = CONFIG.format(rules=home / "*.yml", first=first, second=second)
        (home / "prometheus").mkdir()
        prometheus = Prometheus(program, home / "prometheus", config)
        cleanup.callback(prometheus.kill)
        prometheus.await_ready()
        eventually(
            lambda: prometheus.query("count(cloudflare_mcp_up == 1) == 2"),
            "listing by both exporters",
        )
        began = time.time()
        story.play(0, WORST)
        worst = settled(prometheus)
        story.play(AFTER_REFUSAL, END)
        yield Watched(prometheus, began, worst)


def test_the_expressions_have_names_of_their_own() -> None:
    assert len({expression.where for expression in EXPRESSIONS}) == len(EXPRESSIONS) > 80


def test_every_expression_gives_data_but_for_those_with_a_reason(watched: Watched) -> None:
    empty = {found.where for found in EXPRESSIONS if not watched.ask(found)}
    assert empty == set(EMPTY)


@pytest.mark.parametrize("state", states.HEALTH[1:], ids=lambda state: state.text)
def test_a_server_is_in_a_state_exactly_while_the_alert_of_that_state_is_about_it(
    watched: Watched, state: states.State
) -> None:
    codes = watched.at_worst(on_overview("Servers that need attention"))
    shown = {labels["server_id"] for labels, code in codes if code == state.code}
    alert = f'ALERTS{{alertname="CloudflareMCP{state.alert}", alertstate="firing"}}'
    alerted = {labels["server_id"] for labels, _ in watched.at_worst(alert)}
    assert shown == alerted != set()
    assert {labels["alert"] for labels, code in codes if code == state.code} == {state.alert}


def on_overview(panel: str) -> str:
    """The expression of a panel of the overview."""
    (found,) = [
        each.text for each in EXPRESSIONS if each.where == f"Cloudflare MCP / Overview: {panel}: A"
    ]
    return found


@pytest.mark.parametrize(
    ("panel", "metric"), [("Servers", c.SERVER_INFO), ("Portals", c.PORTAL_INFO)]
)
def test_what_two_exporters_list_is_counted_once(
    watched: Watched, panel: str, metric: c.Metric
) -> None:
    ((_, series),) = watched.at_worst(f"count({metric.name})")
    ((_, counted),) = watched.at_worst(on_overview(panel))
    assert counted == series / 2 > 0


def test_a_portal_narrows_the_servers_and_no_portal_keeps_those_in_none(watched: Watched) -> None:

    def count(portal: str) -> float:
        text = filled(on_overview("Servers"), {**watched.choice, "portal": portal})
        ((_, value),) = watched.at_worst(text)
        return value

    assert count("finance") == 2
    assert count("(finance|data)") > 2
    ((_, unattached),) = watched.at_worst(
        f"count(max by (account_id, server_id) ({c.SERVER_PORTALS.name}) == 0)"
    )
    assert count(".*") == count(".+") + unattached


def test_each_server_that_needs_attention_names_all_portals_that_lose_it(
    watched: Watched,
) -> None:
    rows = {
        (labels["server_id"], labels.get("portal_id", "")): labels
        for labels, _ in watched.at_worst(on_overview("Servers that need attention"))
    }
    assert ("object-store", "data") in rows
    assert rows["object-store", "data"]["portal_name"] == "Data and analytics"
    assert rows["object-store", "data"]["server_name"] == "Object store"
    assert rows["object-store", "data"]["account_name"]
    assert "old-search" not in {server for server, _ in rows}


def test_a_server_that_lost_tools_is_among_the_changes(watched: Watched) -> None:
    changes = {
        labels["server_id"]: value
        for labels, value in watched.at_worst(on_overview("Tools gained and lost"))
    }
    assert changes["code-host"] == -3
    assert "issues" not in changes
