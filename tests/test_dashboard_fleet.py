"""The dashboards of an account with 500 servers: how many lines a graph gets, and which."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from backfill import Sample, backfilled, lines, scrapes, told
from exporter.metrics import catalog as c
from exporter.simulator.server import Simulator
from exporter.simulator.uniform_account import uniform_account
from grafanaview import STEP, Moment, answered
from mixin.dashboards.expressions import panels
from mixin.dashboards.panels import LINES
from processes import Prometheus
from simulated import START, Clock

DASHBOARDS = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parent.parent / "dashboards").glob("*.json"))
}
OVERVIEW = "cloudflare-mcp-overview"
SERVERS = 500
PORTALS = 50
EVERY, LENGTH = 60, 300
MOMENTS = [START + second for second in range(0, LENGTH + 1, EVERY)]
ONE = {"one:10180": START - 1000}
ALL = {
    "datasource": "metrics",
    **dict.fromkeys(("job", "instance", "account", "server"), ".+"),
    "portal": ".*",
}


def broken(samples: list[Sample], portals: range) -> Iterator[Sample]:
    """The samples, with every server of these portals in error, and all others well."""
    portal_of = {
        labels["server_id"]: labels["portal_id"]
        for name, labels, _ in samples
        if name == c.PORTAL_SERVER_INFO.name
    }
    bad = set(sorted(set(portal_of.values()))[portals.start : portals.stop])
    for name, labels, value in samples:
        if name in {c.SERVER_ERROR_INFO.name, c.SERVER_RETRYABLE.name}:
            continue
        if name == c.SERVER_ERROR.name:
            yield name, labels, float(portal_of[labels["server_id"]] in bad)
        elif name == c.SERVER_STATUS.name:
            yield name, labels, float(labels["status"] == "ready")
        else:
            yield name, labels, 600.0 if name == c.SERVER_STALENESS.name else value


class Fleet:
    """Prometheus servers by which portals have nothing but broken servers, and when."""

    def __init__(self, home: Path, samples: list[Sample], cleanup: ExitStack) -> None:
        self.home = home
        self.samples = samples
        self.cleanup = cleanup
        self.prometheus: dict[tuple[range, ...], Prometheus] = {}

    def with_broken(self, number: int) -> Prometheus:
        """A Prometheus that saw so many portals broken all the time."""
        return self.with_broken_by_turns(*[range(number)] * len(MOMENTS))

    def with_broken_by_turns(self, *portals: range) -> Prometheus:
        """A Prometheus that saw these portals broken at each of its scrapes."""
        if portals not in self.prometheus:
            written: list[str] = []
            for moment, those in zip(MOMENTS, portals, strict=True):
                written += lines(scrapes(list(broken(self.samples, those)), ONE), moment)
            home = self.home / str(len(self.prometheus))
            home.mkdir()
            self.prometheus[portals] = backfilled(home, written, lookback=f"{EVERY}s")
            self.cleanup.callback(self.prometheus[portals].kill)
        return self.prometheus[portals]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    clock = Clock()
    account = uniform_account(
        portals=PORTALS, servers=SERVERS // PORTALS, tools=1, synced_at=START - 600
    )
    with ExitStack() as cleanup:
        with Simulator(account, clock=clock, quota=None) as simulator:
            (samples,) = told(simulator, clock, [START])
        yield Fleet(tmp_path_factory.mktemp("fleet"), samples, cleanup)


def answers_by_query(prometheus: Prometheus, panel: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The series of each query of a panel."""
    moment = Moment(START, START + LENGTH, ALL)
    return [each["result"] for each in answered(prometheus, panel, moment).answers]


def answers(prometheus: Prometheus, panel: dict[str, Any]) -> list[dict[str, Any]]:
    """All series of all queries of a panel."""
    return [series for found in answers_by_query(prometheus, panel) for series in found]


def panel_of_overview(title: str) -> dict[str, Any]:
    (found,) = [panel for panel in panels(DASHBOARDS[OVERVIEW]) if panel["title"] == title]
    return found


GRAPHS = [
    panel
    for panel in panels(DASHBOARDS[OVERVIEW])
    if panel["type"] in {"state-timeline", "timeseries"}
]


@pytest.mark.parametrize("panel", GRAPHS, ids=lambda panel: panel["title"])
def test_no_graph_has_more_lines_than_people_can_tell_apart(
    large: Fleet, panel: dict[str, Any]
) -> None:
    for portals in (1, PORTALS):
        for lines_of_query in answers_by_query(large.with_broken(portals), panel):
            assert len(lines_of_query) <= LINES


@pytest.mark.parametrize(
    ("portals", "drawn"), [(0, 0), (1, SERVERS // PORTALS), (4, LINES), (PORTALS, LINES)]
)
def test_a_timeline_has_the_broken_servers_alone_the_same_all_the_time(
    large: Fleet, portals: int, drawn: int
) -> None:
    prometheus = large.with_broken(portals)
    found = answers(prometheus, panel_of_overview("Servers that failed"))
    assert len(found) == drawn
    # None begins or ends where another took its place.
    assert {len(series["values"]) for series in found} <= {LENGTH // STEP + 1}
    failing = {
        labels["server_id"] for labels, _ in at_end(prometheus, "cloudflare_mcp_server_error == 1")
    }
    assert {series["metric"]["server_id"] for series in found} <= failing


def at_end(prometheus: Prometheus, expression: str) -> list[tuple[dict[str, str], float]]:
    """Labels and values at the end of the time range."""
    found = prometheus.api("query", query=expression, time=f"{START + LENGTH}")["result"]
    return [(series["metric"], float(series["value"][1])) for series in found]


def test_a_timeline_has_the_servers_that_failed_for_the_longest(large: Fleet) -> None:
    # 50 servers fail in the first two minutes, then 50 others in the four minutes after.
    prometheus = large.with_broken_by_turns(*[range(5)] * 2, *[range(5, 10)] * 4)
    found = answers(prometheus, panel_of_overview("Servers that failed"))
    assert len(found) == LINES
    assert {series["values"][0][0] for series in found} == {START + 2 * EVERY}


@pytest.mark.parametrize("portals", [0, 1, PORTALS])
def test_the_table_has_every_broken_server_however_many(large: Fleet, portals: int) -> None:
    prometheus = large.with_broken(portals)
    panel = panel_of_overview("Servers that need attention")
    first = {**panel, "targets": panel["targets"][:1]}
    found = answers(prometheus, first)
    assert len(found) == portals * SERVERS // PORTALS
