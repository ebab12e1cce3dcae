"""The dashboards as they are committed, held against the rules of a good one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from exporter.errors import Reason
from exporter.metrics import catalog as c
from mixin import alerts, dashboards
from mixin.dashboards import states
from mixin.dashboards.exporter_listing import REASON_COLORS
from mixin.dashboards.expressions import Expression, expressions, filled, open_panels, panels
from mixin.thresholds import EXPORTER_UID, OVERVIEW_UID, SERVER_UID, ThresholdError, load
from promqltree import Selector, groupings, selectors

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "dashboards"
DASHBOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))
}
PANELS = [(name, panel) for name, dashboard in DASHBOARDS.items() for panel in panels(dashboard)]
EXPRESSIONS = [found for dashboard in DASHBOARDS.values() for found in expressions(dashboard)]
ANY = {
    **dict.fromkeys(("job", "instance", "account", "server"), ".+"),
    "portal": ".*",
    "__range": "1h",
    "__rate_interval": "1m",
    "__interval": "1m",
}

METRICS = {metric.name: metric for metric in c.ALL}
SERIES = {
    f"{metric.name}{suffix}": metric
    for metric in c.ALL
    for suffix in (("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",))
}
PROMETHEUS = {"up", "scrape_duration_seconds", "scrape_timeout_seconds"}
"""What Prometheus itself records of a target."""
PROCESS = {
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_start_time_seconds",
}
"""What prometheus_client says of the process."""
ALERTS = {"ALERTS", "ALERTS_FOR_STATE"}
"""What Prometheus records of alerts."""

# Every exception from a rule, with its reason.
WITHOUT_TARGET = {
    "ALERTS": "an alert is about an object, not about the target that reported it",
    "ALERTS_FOR_STATE": "an alert is about an object, not about the target that reported it",
    "variable job": "it offers the jobs to choose from",
    "variable instance": "it offers the instances to choose from",
}
FOREIGN_MATCHERS = {
    ("cloudflare_mcp_server_info", "portal_id"): (
        "it has no such label: only the choice of all portals matches that, and then servers that "
        "are in no portal belong to the picture"
    ),
}
SINGLE = {
    (SERVER_UID, "server"): "the page is about one server; several can be chosen, all cannot",
}

MADE = {"alert": "label_replace puts the name of the alert there"}
"""Labels that no metric has and an expression makes, with how."""

FIRST_SCREEN = 24
"""Lines of Grafana's grid, each 38 pixels high, that a screen of 1080 shows below its bars."""
TARGETS = 17
LONGEST = 2800

TYPES = {"row", "stat", "state-timeline", "table", "timeseries"}
"""All are part of Grafana 11 to 13, none needs Angular."""


def by_dashboard() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)


def by_panel() -> pytest.MarkDecorator:
    ids = [f"{name}-{panel['title']}" for name, panel in PANELS]
    return pytest.mark.parametrize("panel", [panel for _, panel in PANELS], ids=ids)


def by_expression() -> pytest.MarkDecorator:
    ids = [expression.where for expression in EXPRESSIONS]
    return pytest.mark.parametrize("expression", EXPRESSIONS, ids=ids)


def selected(expression: Expression) -> list[Selector]:
    return list(selectors(filled(expression.text, ANY)))


def overrides(panel: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for override in panel["fieldConfig"]["overrides"]:
        yield from override["properties"]


# --- the files ---------------------------------------------------------------------------------


def test_the_committed_files_are_what_is_rendered() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert dashboards.render(load()) == committed


def test_rendering_twice_gives_the_same_text_with_a_newline_at_its_end() -> None:
    texts = dashboards.render(load())
    assert dashboards.render(load()) == texts
    assert all(text.endswith("}\n") for text in texts.values())


def test_every_dashboard_links_to_the_runbooks_where_they_are() -> None:
    base = "https://wiki.example.com/mcp"
    texts = dashboards.render(load(overrides={"runbook_base_url": base}))
    for text in texts.values():
        links = [link for link in json.loads(text)["links"] if link["type"] == "link"]
        assert f"{base}/" in {link["url"] for link in links}


def test_why_something_needs_attention_is_a_link_to_its_runbook() -> None:
    texts = dashboards.render(load(overrides={"runbook_base_url": "https://wiki.example.com/mcp/"}))
    links = {
        panel["title"]: link["url"].replace('${__data.fields["alert"]}', "NAME")
        for text in texts.values()
        for panel in panels(json.loads(text))
        for each in overrides(panel)
        for link in (each["value"] if each["id"] == "links" else [])
        if link["title"] == "What to do"
    }
    assert links == {
        "Servers that need attention": "https://wiki.example.com/mcp/CloudflareMCPNAME",
        "Portals that need attention": "https://wiki.example.com/mcp/CloudflareMCPNAME",
        "Portals gone": "https://wiki.example.com/mcp/CloudflareMCPPortalDisappeared",
    }


def test_every_state_that_needs_attention_has_an_alert_with_a_runbook() -> None:
    runbooks = {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")}
    unwell = (*states.HEALTH[1:], *states.PORTAL_TROUBLE)
    assert {f"CloudflareMCP{state.alert}" for state in unwell} <= runbooks


def test_a_prefix_changes_every_uid_and_every_link_between_dashboards_and_nothing_else() -> None:
    prefix = "prod-"
    thresholds = load(overrides={"dashboard_uid_prefix": prefix})
    texts = {**dashboards.render(thresholds), **alerts.render(thresholds)}
    for uid in (OVERVIEW_UID, SERVER_UID, EXPORTER_UID):
        dashboard = json.loads(texts[f"{uid}.json"])
        assert dashboard["uid"] == prefix + uid
        # The list of links to the other dashboards goes by their tag.
        assert dashboard["tags"] == dashboard["links"][0]["tags"] == [prefix + "cloudflare-mcp"]
    text = "".join(texts.values())
    addresses = re.findall(r"/d/([\w-]+)", text)
    assert {found.removeprefix(prefix) for found in addresses} == {
        OVERVIEW_UID,
        SERVER_UID,
        EXPORTER_UID,
    }
    assert all(found.startswith(prefix) for found in addresses)
    plain = {**dashboards.render(load()), **alerts.render(load())}
    assert {name: text.replace(prefix, "") for name, text in texts.items()} == plain


@pytest.mark.parametrize("prefix", ["two words", "x" * 18, "a/b"])
def test_a_prefix_that_makes_no_uid_is_refused(prefix: str) -> None:
    with pytest.raises(ThresholdError, match="dashboard_uid_prefix"):
        load(overrides={"dashboard_uid_prefix": prefix})


@pytest.mark.parametrize(
    ("name", "other"),
    [("sync_stale_seconds", "12345"), ("quota_remaining", "77"), ("flapping_changes", "55")],
)
def test_a_threshold_of_the_alerts_is_drawn_and_follows_them(name: str, other: str) -> None:
    def drawn(text: str) -> set[float]:
        dashboard = json.loads(text)
        found = [
            steps["steps"]
            for panel in panels(dashboard)
            for steps in [
                panel["fieldConfig"]["defaults"]["thresholds"],
                *(each["value"] for each in overrides(panel) if each["id"] == "thresholds"),
            ]
        ]
        return {step["value"] for steps in found for step in steps if step["value"] is not None}

    before = float(getattr(load(), name))
    was = [drawn(text) for text in dashboards.render(load()).values()]
    now = [drawn(text) for text in dashboards.render(load(overrides={name: other})).values()]
    assert [values - {before} | {float(other)} for values in was if before in values] == [
        values for values in now if float(other) in values
    ]
    assert any(before in values for values in was)
    assert not any(before in values for values in now)


# --- the whole dashboard -----------------------------------------------------------------------


@by_dashboard()
def test_it_can_be_provisioned_into_any_grafana(dashboard: dict[str, Any]) -> None:
    assert dashboard["uid"] in {OVERVIEW_UID, SERVER_UID, EXPORTER_UID}
    assert dashboard["id"] is None
    assert dashboard["editable"] is False
    assert dashboard["schemaVersion"] >= 39
    assert dashboard["tags"] == ["cloudflare-mcp"]
    assert not dashboard.keys() & {"__inputs", "__requires", "__elements"}
    assert "${DS_" not in json.dumps(dashboard)
    assert {panel["type"] for panel in [*dashboard["panels"], *panels(dashboard)]} <= TYPES


@by_dashboard()
def test_it_links_to_the_others_and_to_the_documentation(dashboard: dict[str, Any]) -> None:
    others, *pages = dashboard["links"]
    assert others["type"] == "dashboards"
    assert others["tags"] == ["cloudflare-mcp"]
    assert others["includeVars"]
    assert others["keepTime"]
    assert pages[0]["url"].startswith("https://developers.cloudflare.com/")
    assert {urlsplit(page["url"]).scheme for page in pages} <= {"http", "https"}


@by_dashboard()
def test_its_alerts_are_marked_in_the_graphs(dashboard: dict[str, Any]) -> None:
    (annotation,) = dashboard["annotations"]["list"]
    assert annotation["enable"]
    assert annotation["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert 'alertname=~"CloudflareMCP.*"' in annotation["expr"]


@by_dashboard()
def test_its_first_screen_is_open_and_whatever_is_below_asks_nothing(
    dashboard: dict[str, Any],
) -> None:
    rows = [panel for panel in dashboard["panels"] if panel["type"] == "row"]
    collapsed = [row["collapsed"] for row in rows]
    assert collapsed == sorted(collapsed)
    assert True in collapsed
    assert all(bool(row["panels"]) == row["collapsed"] for row in rows)
    # While a row is collapsed, the next one is right below it.
    tops = [row["gridPos"]["y"] for row in rows if row["collapsed"]]
    assert tops == list(range(tops[0], tops[0] + len(tops)))
    seen = list(open_panels(dashboard))
    assert max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in seen) <= FIRST_SCREEN
    assert sum(len(panel["targets"]) for panel in seen) <= TARGETS


@by_dashboard()
def test_its_panels_lie_side_by_side_and_have_ids_and_titles_of_their_own(
    dashboard: dict[str, Any],
) -> None:
    _lie_side_by_side(dashboard["panels"])
    for row in dashboard["panels"]:
        if row["type"] == "row":
            _lie_side_by_side(row["panels"])
    titles = [panel["title"] for panel in panels(dashboard)]
    rows = [panel for panel in dashboard["panels"] if panel["type"] == "row"]
    ids = [panel["id"] for panel in [*rows, *panels(dashboard)]]
    assert len(set(titles)) == len(titles)
    assert len(set(ids)) == len(ids)


def _lie_side_by_side(those: list[dict[str, Any]]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in those:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


# --- variables ---------------------------------------------------------------------------------


@by_dashboard()
def test_its_first_variable_is_the_data_source(dashboard: dict[str, Any]) -> None:
    first = dashboard["templating"]["list"][0]
    assert (first["name"], first["label"]) == ("datasource", "Data source")
    assert (first["type"], first["query"]) == ("datasource", "prometheus")


@by_dashboard()
def test_its_other_variables_are_queries_that_follow_the_time_range(
    dashboard: dict[str, Any],
) -> None:
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert names[:4] == ["datasource", "job", "instance", "account"]
    for variable in dashboard["templating"]["list"][1:]:
        assert variable["type"] == "query"
        assert variable["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert variable["label"] == variable["name"].title()
        assert variable["refresh"] == 2
        assert variable["multi"]
        if (dashboard["uid"], variable["name"]) not in SINGLE:
            assert variable["includeAll"]
            assert variable["allValue"] == (".*" if variable["name"] == "portal" else ".+")


@by_dashboard()
def test_objects_are_shown_by_name_and_chosen_by_id(dashboard: dict[str, Any]) -> None:
    for variable in dashboard["templating"]["list"][3:]:
        kind = variable["name"]
        line = f'{{{kind}_id="0a1", {kind}_name="The first"}} 1 1790000000000'
        # JavaScript's regular expression, in Python's spelling of a named group.
        pattern = variable["regex"].removeprefix("/").removesuffix("/g").replace("(?<", "(?P<")
        found = [match.groupdict() for match in re.finditer(pattern, line)]
        assert {match["value"] for match in found} - {None} == {"0a1"}
        assert {match["text"] for match in found} - {None} == {"The first"}


# --- panels ------------------------------------------------------------------------------------


@by_panel()
def test_the_panel_says_what_it_shows_and_what_to_do(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert len(panel["description"]) > 60
    assert panel["description"].endswith(".")
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["noValue"]
    assert defaults.get("unit") or defaults.get("mappings")
    assert defaults["thresholds"]["mode"] == "absolute"
    assert defaults["thresholds"]["steps"][0]["value"] is None


@by_panel()
def test_the_panel_asks_the_chosen_data_source(panel: dict[str, Any]) -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert panel["datasource"] == chosen
    assert panel["targets"]
    assert all(target["datasource"] == chosen for target in panel["targets"])
    references = [target["refId"] for target in panel["targets"]]
    assert len(set(references)) == len(references)


def state_mappings() -> Iterator[tuple[str, str, str]]:
    for _, panel in PANELS:
        found = list(panel["fieldConfig"]["defaults"].get("mappings", []))
        for each in overrides(panel):
            found += each["value"] if each["id"] == "mappings" else []
        for mapping in found:
            for code, result in mapping["options"].items():
                yield code, result["text"], result["color"]


def test_the_same_state_has_the_same_color_everywhere() -> None:
    colors: dict[str, set[str]] = {}
    for _, text, color in state_mappings():
        colors.setdefault(text, set()).add(color)

    assert {text: found for text, found in colors.items() if len(found) > 1} == {}


def test_the_same_number_means_the_same_state_in_every_state_timeline() -> None:
    texts: dict[str, set[str]] = {}
    for code, text, _ in state_mappings():
        if int(code) >= 10:
            texts.setdefault(code, set()).add(text)
    assert len(texts) >= 15
    assert all(len(found) == 1 for found in texts.values()), texts


def test_every_reason_of_a_failed_listing_has_a_color() -> None:
    assert set(REASON_COLORS) == {reason.value for reason in Reason}
    assert len(set(REASON_COLORS.values())) == len(REASON_COLORS)


# --- links -------------------------------------------------------------------------------------


def data_links() -> Iterator[tuple[dict[str, Any], str]]:
    for _, panel in PANELS:
        for each in overrides(panel):
            if each["id"] == "links":
                yield from ((panel, link["url"]) for link in each["value"])


def variables_of(uid: str) -> set[str]:
    return {variable["name"] for variable in DASHBOARDS[uid]["templating"]["list"]}


def test_links_of_tables_lead_to_dashboards_with_fields_that_the_table_has() -> None:
    found = list(data_links())
    assert len(found) >= 5
    for panel, url in found:
        columns = panel["transformations"][-1]["options"]["renameByName"].values()
        assert set(re.findall(r'__data\.fields\["([^"]+)"\]', url)) <= set(columns)
        if url.startswith(load().runbook_base_url):
            continue
        address = re.fullmatch(r"/d/([a-z-]+)\?(.*)", url)
        assert address, url
        assert "${datasource:queryparam}&" in url
        assert "${__url_time_range}" in url
        assert set(re.findall(r"&var-(\w+)=", url)) <= variables_of(address[1])


def test_links_of_alerts_lead_to_dashboards_with_the_variables_that_they_set() -> None:
    rules = [
        rule
        for path in sorted((ROOT / "alerts").glob("*.rules.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    assert rules
    for rule in rules:
        url = rule["annotations"]["dashboard_url"]
        address = re.search(r"/d/([a-z-]+)(?:\?(.*))?$", url)
        assert address, url
        assert set(re.findall(r"var-(\w+)=", address[2] or "")) <= variables_of(address[1])


# --- expressions -------------------------------------------------------------------------------


@by_expression()
def test_the_expression_parses_and_names_metrics_that_there_are(expression: Expression) -> None:
    found = selected(expression)
    assert found
    assert {one.metric for one in found} <= {*SERIES, *PROMETHEUS, *PROCESS, *ALERTS}


@by_expression()
def test_a_person_can_read_the_expression(expression: Expression) -> None:
    assert len(expression.text) <= LONGEST


@by_expression()
def test_the_expression_selects_job_and_instance(expression: Expression) -> None:
    if any(expression.where.endswith(excepted) for excepted in WITHOUT_TARGET):
        return
    for one in selected(expression):
        if one.metric not in WITHOUT_TARGET:
            assert {"job", "instance"} <= one.matchers, one


@by_expression()
def test_the_expression_uses_labels_that_the_metrics_have(expression: Expression) -> None:
    text = filled(expression.text, ANY)
    for one in selectors(text):
        if one.metric in SERIES:
            foreign = one.matchers - {*SERIES[one.metric].labels, "job", "instance"}
            assert {(one.metric, label) for label in foreign} <= set(FOREIGN_MATCHERS)
    for labels, metrics in groupings(text):
        known = {label for name in metrics & SERIES.keys() for label in SERIES[name].labels}
        if metrics <= SERIES.keys():
            assert labels <= {*known, *MADE, "job", "instance", "le"}, (labels, metrics)


@by_expression()
def test_counters_are_asked_for_rates_over_the_interval_that_grafana_picks(
    expression: Expression,
) -> None:
    for one in selected(expression):
        name = one.metric
        counter = (name in SERIES and SERIES[name].kind != "gauge") or name.endswith("_total")
        assert counter == (one.place.function in {"rate", "increase"}), one
    intervals = re.findall(r"\b(?:rate|increase)\([^\[]*\[([^\]]*)\]", expression.text)
    assert set(intervals) <= {"$__rate_interval"}


@by_expression()
def test_an_object_that_two_exporters_list_counts_once(expression: Expression) -> None:
    for one in selected(expression):
        metric = SERIES.get(one.metric)
        if metric is None or metric.kind != "gauge" or "account_id" not in metric.labels:
            continue
        # A filter keeps or drops series of the other side, however often it says so; topk and
        # bottomk pick the one exporter whose names are shown.
        reduced = one.place.aggregation in {"max", "min", "topk", "bottomk"}
        assert one.place.filters or reduced, one
