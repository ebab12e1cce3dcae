"""What people see on the dashboards: rows, columns, links, texts and colors.

Grafana's own code, of each line that must load the dashboards, is applied to what a Prometheus
answers that holds the demo's story until its worst moment. The story is written into it with
fixed times, so that every run sees the same.

``UPDATE_GOLDEN=1 python -m pytest tests/test_dashboard_view.py`` writes what is seen anew; the
difference is then yours to read.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from backfill import INSTANCES, Sample, backfilled, lines, scrapes, told
from exporter.simulator.server import Simulator
from grafanaview import LINES, Answered, Moment, answered, cell, seen, text
from mixin import dashboards
from mixin.dashboards import states
from mixin.dashboards.expressions import panels
from mixin.thresholds import EXPORTER_UID, OVERVIEW_UID, SERVER_UID, load
from processes import Prometheus
from simulated import START, Clock, listed

GOLDEN = Path(__file__).parent / "golden" / "dashboards"
WORST = 400
"""Seconds into the story."""
OUTAGE = 310
"""When nothing in one of the portals works."""
EVERY = 10
QUOTA = 1_000_000
"""So large that the exporter never has to wait in real time."""

RUNBOOKS = "https://runbooks.example.com"
DASHBOARDS: dict[str, dict[str, Any]] = {
    name.removesuffix(".json"): json.loads(content)
    for name, content in dashboards.render(load(overrides={"runbook_base_url": RUNBOOKS})).items()
}
BROKEN = "object-store"
ATTENTION = "Servers that need attention"
ALL = {
    "datasource": "metrics",
    **dict.fromkeys(("job", "instance", "account", "server"), ".+"),
    "portal": ".*",
}
CHOSEN = {OVERVIEW_UID: ALL, SERVER_UID: {**ALL, "server": BROKEN}, EXPORTER_UID: ALL}

EMPTY = {
    "Servers gone": "the account is listed with the servers that are in no portal",
    "Time of a request": "it differs from run to run",
}
"""Panels that have nothing to show here, each with its reason."""

Seen = Mapping[str, dict[str, Any]]


class Past:
    """A Prometheus with the story in it.

    Attributes:
        account: the id of the account.
        portals: what its API says at the worst moment.
    """

    def __init__(self, prometheus: Prometheus, account: str, portals: list[dict[str, Any]]) -> None:
        self.prometheus = prometheus
        self.account = account
        self.portals = portals

    @cached_property
    def answered(self) -> list[Answered]:
        """Every panel with what this Prometheus says to it."""
        return [answered(self.prometheus, panel, moment) for panel, moment in everything()]

    @cache  # noqa: B019 - it lives as long as the tests of this file
    def _seen(self, line: str) -> list[dict[str, Any]]:
        return seen(line, self.answered)

    def view(self, uid: str, line: str) -> Seen:
        """What is seen of each panel of a dashboard in a line of Grafana, by title."""
        return of_dashboard(uid, self._seen(line))


def everything() -> Iterator[tuple[dict[str, Any], Moment]]:
    """The panels of all dashboards, each with what is chosen there."""
    for uid, dashboard in DASHBOARDS.items():
        moment = Moment(START, START + WORST, CHOSEN[uid])
        yield from ((panel, moment) for panel in panels(dashboard))


def of_dashboard(uid: str, found: list[dict[str, Any]]) -> Seen:
    """The part of `found` that belongs to one of the dashboards, by title."""
    owners = [name for name, dashboard in DASHBOARDS.items() for _ in panels(dashboard)]
    return {each["title"]: each for owner, each in zip(owners, found, strict=True) if owner == uid}


def _alert(account: str, since: float) -> Sample:
    """What Prometheus would have recorded of the alert on the broken server."""
    name = f"CloudflareMCP{states.CANNOT_BE_REACHED.alert}"
    labels = {"alertname": name, "account_id": account, "server_id": BROKEN}
    return "ALERTS_FOR_STATE", labels, since


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    clock = Clock()
    moments = [START + second for second in range(0, WORST + 1, EVERY)]
    written: list[str] = []
    with Simulator(clock=clock, quota=QUOTA) as simulator:
        account = simulator.account_id
        for moment, samples in zip(moments, told(simulator, clock, moments), strict=True):
            samples.append(_alert(account, START + 60))
            written += lines(scrapes(samples, INSTANCES), moment)
        portals = listed(simulator)
    # Shorter than the time between two scrapes, and there is one at each step that is asked for.
    prometheus = backfilled(tmp_path_factory.mktemp("past"), written, lookback="5s")
    try:
        yield Past(prometheus, account, portals)
    finally:
        prometheus.kill()


def by_line() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("line", LINES)


def rows(found: Seen, title: str) -> list[dict[str, dict[str, Any]]]:
    """A table's cells by the headings of their columns."""
    table = found[title]
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


def texts(found: Seen, title: str, *columns: str) -> list[tuple[str, ...]]:
    return [tuple(cell(row[column]) for column in columns) for row in rows(found, title)]


def address(link: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Path and query of a link."""
    parts = urlsplit(link["href"])
    query = parse_qs(parts.query, strict_parsing=True)
    assert all(len(values) == 1 for values in query.values())
    return parts.path, {name: values[0] for name, values in query.items()}


# --- everything --------------------------------------------------------------------------------


@by_line()
@pytest.mark.parametrize("uid", DASHBOARDS)
def test_people_see_what_they_saw_before(past: Past, uid: str, line: str) -> None:
    found = text(past.view(uid, line).values(), START)
    file = GOLDEN / f"{uid}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(found, encoding="utf-8")
    assert found == file.read_text(encoding="utf-8")


@by_line()
@pytest.mark.parametrize("uid", DASHBOARDS)
def test_every_panel_shows_something_and_no_column_that_is_for_links_alone(
    past: Past, uid: str, line: str
) -> None:
    found = past.view(uid, line)
    assert set(found) == {panel["title"] for panel in panels(DASHBOARDS[uid])}
    for title, panel in found.items():
        seen_something = any(panel.get(part) for part in ("values", "rows", "bands", "legend"))
        assert seen_something == (title not in EMPTY), title
        # A legend that names a label which the series lack leaves its place empty.
        for line_of_graph in panel.get("legend", []):
            assert re.fullmatch(r"\S.*[^:\s]", line_of_graph["name"]), title
            assert "()" not in line_of_graph["name"]
        for heading in panel.get("columns", []):
            assert heading[0].isupper(), (title, heading)


@by_line()
def test_every_link_opens_a_dashboard_with_what_it_is_about_chosen(past: Past, line: str) -> None:
    targets: set[str] = set()
    for uid in DASHBOARDS:
        for title, panel in past.view(uid, line).items():
            for row in panel.get("rows", []):
                for link in (link for each in row for link in each["links"]):
                    if link["href"].startswith(RUNBOOKS):
                        continue
                    path, query = address(link)
                    targets.add(path)
                    assert query["var-account"] == past.account, title
                    assert query["var-datasource"] == "metrics"
                    assert (query["from"], query["to"]) == (
                        f"{int(START * 1000)}",
                        f"{int((START + WORST) * 1000)}",
                    )
                    known = variables_of(path.removeprefix("/d/"))
                    assert {name for name in query if name.startswith("var-")} <= known
                    assert all(query.values()), link
    assert targets == {f"/d/{OVERVIEW_UID}", f"/d/{SERVER_UID}"}


def variables_of(uid: str) -> set[str]:
    return {f"var-{variable['name']}" for variable in DASHBOARDS[uid]["templating"]["list"]}


@by_line()
def test_where_there_is_nothing_it_says_so(line: str) -> None:
    every = [
        Answered(panel, moment, [{"result": []} for _ in panel["targets"]])
        for panel, moment in everything()
    ]
    for (panel, _), found in zip(everything(), seen(line, every), strict=True):
        says = panel["fieldConfig"]["defaults"]["noValue"]
        if panel["type"] == "stat":
            assert [value["text"] for value in found["values"]] == [says]
        else:
            assert found["empty"] == says


# --- the overview ------------------------------------------------------------------------------


@by_line()
def test_a_server_that_cannot_be_reached_is_a_dark_red_row_with_two_links(
    past: Past, line: str
) -> None:
    found = past.view(OVERVIEW_UID, line)
    (row,) = [row for row in rows(found, ATTENTION) if row["Server ID"]["text"] == BROKEN]
    assert cell(row["Why"]) == "Unreachable [dark-red]"
    assert row["Server"]["text"] == "Object store"
    assert row["Portals that lose it"]["text"] == "Data and analytics"
    assert row["Alert since"]["text"] == "6 minutes ago"
    (runbook,) = row["Why"]["links"]
    assert runbook["href"] == f"{RUNBOOKS}/CloudflareMCPServerUnreachable"
    (detail,) = row["Server"]["links"]
    path, query = address(detail)
    assert path == f"/d/{SERVER_UID}"
    assert query["var-server"] == BROKEN


@by_line()
def test_the_servers_that_need_attention_are_those_of_which_the_api_says_so(
    past: Past, line: str
) -> None:
    attached = {server["id"]: server for portal in past.portals for server in portal["servers"]}
    failing = {name for name, server in attached.items() if server["status"] != "ready"}
    found = past.view(OVERVIEW_UID, line)
    shown_ids = [row["Server ID"]["text"] for row in rows(found, ATTENTION)]
    assert len(set(shown_ids)) == len(shown_ids)
    assert failing == set(shown_ids) - {"notebooks"}
    assert found["Failing"]["values"][0]["text"] == str(
        sum(server["status"] in {"error", "stale"} for server in attached.values())
    )
    assert found["Failing"]["values"][0]["color"] == "red"


@by_line()
def test_a_server_in_three_portals_is_one_row_and_a_portal_of_broken_servers_is_red(
    past: Past, line: str
) -> None:
    titles = (ATTENTION, "Portals that need attention")
    moment = Moment(START, START + OUTAGE, ALL)
    asked = [
        answered(past.prometheus, panel, moment)
        for panel in panels(DASHBOARDS[OVERVIEW_UID])
        if panel["title"] in titles
    ]
    found = {each["title"]: each for each in seen(line, asked)}
    (wiki,) = [row for row in rows(found, ATTENTION) if row["Server ID"]["text"] == "wiki"]
    assert cell(wiki["Why"]) == "Unreachable [dark-red]"
    assert wiki["Last successful sync"]["text"] == "8 minutes ago"
    assert sorted(wiki["Portals that lose it"]["text"].split(", ")) == [
        "Customer support",
        "Engineering",
        "Partners",
    ]
    assert texts(found, titles[1], "Why", "Portal") == [
        ("No server works [red]", "Customer support"),
        ("Shows no tools [orange]", "Finance"),
    ]


@by_line()
def test_without_the_rules_the_rows_are_the_same_and_have_no_alert(past: Past, line: str) -> None:
    (known,) = [each for each in past.answered if each.panel["title"] == ATTENTION]
    servers, _, synced = known.answers
    unruled = msgspec.structs.replace(known, answers=[servers, {"result": []}, synced])
    (table,) = seen(line, [unruled])
    with_rules = rows(past.view(OVERVIEW_UID, line), ATTENTION)
    without = rows({ATTENTION: table}, ATTENTION)
    assert {row["Alert since"]["text"] for row in without} == {"no alert"}
    for row in (*with_rules, *without):
        del row["Alert since"]
    assert without == with_rules


@by_line()
def test_the_most_urgent_come_first(past: Past, line: str) -> None:
    shown_now = [why for (why,) in texts(past.view(OVERVIEW_UID, line), ATTENTION, "Why")]
    urgent = [f"{state.text} [{state.color}]" for state in reversed(states.HEALTH)]
    assert shown_now == sorted(shown_now, key=urgent.index)
    assert len(set(shown_now)) == len(states.HEALTH) - 1


@by_line()
def test_portals_without_tools_and_portals_that_are_gone_are_named(past: Past, line: str) -> None:
    found = past.view(OVERVIEW_UID, line)
    (finance,) = rows(found, "Portals that need attention")
    assert cell(finance["Why"]) == "Shows no tools [orange]"
    assert finance["Portal"]["text"] == "Finance"
    (runbook,) = finance["Why"]["links"]
    assert runbook["href"] == f"{RUNBOOKS}/CloudflareMCPPortalExposesNoTools"
    (only,) = finance["Portal"]["links"]
    assert address(only)[1]["var-portal"] == "finance"
    assert texts(found, "Portals gone", "Portal", "Last seen") == [("Sandbox", "a minute ago")]
    (gone,) = rows(found, "Portals gone")
    (runbook,) = gone["Portal"]["links"]
    assert runbook["href"] == f"{RUNBOOKS}/CloudflareMCPPortalDisappeared"


@by_line()
def test_a_server_that_is_gone_with_its_portal_has_a_link_to_its_history(
    tmp_path: Path, line: str
) -> None:
    before, after = 350, 370
    clock = Clock()
    written: list[str] = []
    with Simulator(clock=clock, quota=QUOTA) as simulator:
        moments = [START + before, START + after]
        # The servers of the portals alone: what is in none is not listed.
        scraped = told(simulator, clock, moments, collect_servers=False)
        for moment, samples in zip(moments, scraped, strict=True):
            written += lines(scrapes(samples, INSTANCES), moment)
    # Prometheus 3 leaves the first moment of a range out.
    chosen = Moment(START + before - EVERY, START + after, ALL)
    gone = [panel for panel in panels(DASHBOARDS[OVERVIEW_UID]) if panel["title"].endswith("gone")]
    prometheus = backfilled(tmp_path, written, lookback="5s")
    try:
        asked = [answered(prometheus, panel, chosen) for panel in gone]
        found = {each["title"]: each for each in seen(line, asked)}
    finally:
        prometheus.kill()
    assert texts(found, "Portals gone", "Portal", "Last seen", "Account") == [
        ("Sandbox", "a few seconds ago", "Production")
    ]
    (playground,) = rows(found, "Servers gone")
    assert playground["Server"]["text"] == "Playground"
    (link,) = playground["Server"]["links"]
    path, query = address(link)
    assert path == f"/d/{SERVER_UID}"
    assert query["var-server"] == "playground"


@by_line()
def test_a_server_that_comes_and_goes_has_a_band_with_gaps(past: Past, line: str) -> None:
    bands = {
        band["name"]: band["spans"]
        for band in past.view(OVERVIEW_UID, line)["Servers that failed"]["bands"]
    }
    flapping = bands["Metrics and traces (observability)"]
    assert {cell(span) for span in flapping} == {"Retryable upstream failure [yellow]"}
    assert len(flapping) == 6
    (whole,) = bands["Object store (object-store)"]
    assert cell(whole) == "Unreachable [dark-red]"
    assert (whole["from"], whole["to"]) == (START * 1000, (START + WORST) * 1000)
    assert not {"Archive (archive)", "Ledger (ledger)"} & set(bands)


# --- a server ----------------------------------------------------------------------------------


@by_line()
def test_the_page_of_a_server_says_what_is_wrong_and_who_loses_it(past: Past, line: str) -> None:
    found = past.view(SERVER_UID, line)
    states_now = {
        title: cell(found[title]["values"][0])
        for title in ("Health", "Status", "Authentication", "Error class")
    }
    assert states_now == {
        "Health": "Unreachable [dark-red]",
        "Status": "error [red]",
        "Authentication": "connected [green]",
        "Error class": "not reached [dark-red]",
    }
    (portal,) = rows(found, "Portals of this server")
    (link,) = portal["Portal"]["links"]
    path, query = address(link)
    assert path == f"/d/{OVERVIEW_UID}"
    assert query["var-portal"] == portal["Portal ID"]["text"] == "data"
