"""Rules and dashboards of the chart are those of the command line, whatever the thresholds are."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python import Chart, HelmRenderError

from charts import CHART, Values, documents, of_kind, rendered
from mixin import __main__ as mixin
from mixin import chart as chart_files
from mixin.alerts import render as render_rules
from mixin.chart import FIRST, SECOND, Segment, UnmarkableError
from mixin.thresholds import ThresholdError, Thresholds, load, seconds
from processes import ROOT
from promtool import alert_names
from realparts import require

DEFAULTS = load()
ONE, ANOTHER, *_, LAST = alert_names()
MAPPINGS: Values = {
    "severities": {ONE: "info"},
    "every_alert": {"labels": {"team": "mcp", "a": "{{ $labels.job }}"}, "annotations": {"b": "c"}},
    "alerts": {
        ONE: {"labels": {"team": "operations", "severity": "page"}},
        ANOTHER: {"enabled": False, "labels": {"a": "b"}},
        LAST: {"annotations": {"summary": "\"Mine\" <is> & 'so' #1"}},
    },
}


@pytest.fixture(scope="module")
def chart() -> Iterator[Chart]:
    with Chart.load(CHART) as loaded:
        yield loaded
    documents.cache_clear()


def others(name: str, value: object) -> list[Any]:
    """What a threshold may be beside its default."""
    if name in MAPPINGS:
        return [MAPPINGS[name]]
    if isinstance(value, list):
        return [["cluster"], ["cluster", "region", "tenant"]]
    if isinstance(value, int):
        return [value + 1, value * 2]
    assert isinstance(value, str)
    return other_texts(name, value)


def other_texts(name: str, value: str) -> list[Any]:
    if name == "selector":
        return ['job=~"mcp-.+", cluster!="test \\\\ <&>"']
    if name.endswith("_url"):
        return [f"{value}/another/", f"{value}?a=b&c=<d>"]
    try:
        length = seconds(value)
    except ThresholdError:
        return ["prod-"]
    return [f"{length * 3 // 4:.0f}s", f"{length * 5 // 4:.0f}s", "1h2m3s4ms", "1d", "500ms", "0s"]


def possible(values: Values, tmp_path: Path) -> Thresholds | None:
    """The thresholds as the command line has them; None where it refuses them."""
    file = tmp_path / "thresholds.yml"
    file.write_text(yaml.safe_dump(values))
    try:
        return load(file)
    except ThresholdError:
        return None


def of_chart(
    chart: Chart, values: Values, *, dashboards: bool = True
) -> tuple[Any, dict[str, str]]:
    """The rule groups and the dashboards of a release."""
    rules = {"enabled": True, "posture": True}
    given = {"demo": True, "prometheusRule": rules, "dashboards": {"enabled": dashboards}}
    found = rendered(chart, {**given, "thresholds": values})
    maps = [one["data"] for one in found if one["kind"] == "ConfigMap"]
    shown = {name: text for data in maps for name, text in data.items()}
    return of_kind(found, "PrometheusRule")["spec"]["groups"], shown


def of_command_line(thresholds: Thresholds) -> tuple[Any, dict[str, str]]:
    """The same, as it is rendered for everybody else."""
    files = mixin.rendered(thresholds)
    groups = [
        group
        for path, text in files.items()
        if path.parts[0] == "alerts"
        for group in yaml.load(text, yaml.CSafeLoader)["groups"]
    ]
    return groups, {path.name: text for path, text in files.items() if path.suffix == ".json"}


def without_prefix(shown: dict[str, str], thresholds: Thresholds) -> dict[str, str]:
    """Two releases have different files in one folder of a sidecar."""
    prefix = getattr(thresholds, "dashboard_uid_prefix", "")
    assert all(name.startswith(prefix) for name in shown)
    return {name.removeprefix(prefix): text for name, text in shown.items()}


@pytest.mark.timeout(300)
def test_each_threshold_has_the_same_effect_in_the_chart_and_on_the_command_line(
    chart: Chart, tmp_path: Path
) -> None:
    tried = {}
    for name in ("", *Thresholds.__struct_fields__):
        values = [{}] if not name else [{name: v} for v in others(name, getattr(DEFAULTS, name))]
        for one in values:
            thresholds = possible(one, tmp_path)
            if thresholds is None or name in tried:
                continue
            groups, shown = of_chart(chart, one)
            wanted = of_command_line(thresholds)
            assert (groups, without_prefix(shown, thresholds)) == wanted, one
            tried[name] = wanted
    assert tried.keys() == {"", *Thresholds.__struct_fields__}
    unchanged = [name for name in tried if name and tried[name] == tried[""]]
    assert unchanged == [], "these thresholds do nothing"


@pytest.mark.timeout(300)
def test_thresholds_have_the_same_effect_together(
    chart: Chart, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(15)
    tried = refused = 0
    while tried < 40:
        names = chance.sample(Thresholds.__struct_fields__, chance.choice([2, 2, 2, 5, 12]))
        values = {name: chance.choice(others(name, getattr(DEFAULTS, name))) for name in names}
        thresholds = possible(values, tmp_path)
        if thresholds is None:
            refused += 1
            assert refused < 3000
            continue
        tried += 1
        groups, _ = of_chart(chart, values, dashboards=False)
        files = render_rules(thresholds).values()
        wanted = [g for text in files for g in yaml.load(text, yaml.CSafeLoader)["groups"]]
        assert groups == wanted, values
    record_property("counted", f"thresholds: {tried} combinations, the chart as the command line")


def test_a_file_of_thresholds_is_the_chart_s_value_and_set_says_the_same(
    chart: Chart, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yml"
    values = {"sync_stale_seconds": 28800, **MAPPINGS}
    file.write_text(yaml.safe_dump(values))
    summary = MAPPINGS["alerts"][LAST]["annotations"]["summary"]
    settings = [
        "sync_stale_seconds=28800",
        f"severities.{ONE}=info",
        "every_alert.labels.team=mcp",
        "every_alert.labels.a={{ $labels.job }}",
        "every_alert.annotations.b=c",
        f"alerts.{ONE}.labels.team=operations",
        f"alerts.{ONE}.labels.severity=page",
        f"alerts.{ANOTHER}.enabled=false",
        f"alerts.{ANOTHER}.labels.a=b",
        f"alerts.{LAST}.annotations.summary={summary}",
    ]
    ways = [["--thresholds", str(file)], [part for one in settings for part in ("--set", one)]]
    groups, _ = of_chart(chart, values, dashboards=False)
    for number, way in enumerate(ways):
        output = tmp_path / str(number)
        command = [sys.executable, "-m", "mixin", "render", "--only", "alerts", *way]
        subprocess.run([*command, "--output", output], cwd=ROOT, check=True, capture_output=True)
        files = [
            output / "alerts" / f"cloudflare-mcp{more}.rules.yml"
            for more in ("", "-probes", "-posture")
        ]
        assert groups == [g for f in files for g in yaml.safe_load(f.read_text())["groups"]]
    rules = {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}
    assert ANOTHER not in rules
    down = rules[ONE]["labels"]
    assert down == {"severity": "page", "team": "operations", "a": "{{ $labels.job }}"}


def test_promtool_takes_the_chart_s_rules(chart: Chart, tmp_path: Path) -> None:
    values = {"selector": others("selector", "")[0], "every_alert": MAPPINGS["every_alert"]}
    groups, _ = of_chart(chart, values, dashboards=False)
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": groups}))
    done = subprocess.run(
        [require("promtool"), "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_look_for_the_job_that_monitors_name(chart: Chart) -> None:
    given = {"demo": True, "jobName": "portals", "prometheusRule": {"enabled": True}}
    text = json.dumps(of_kind(rendered(chart, given), "PrometheusRule"))
    assert 'job=\\"portals\\"' in text
    assert 'job=\\"cloudflare-mcp\\"' not in text


def test_the_links_to_runbooks_that_the_exporter_serves_follow_its_external_url(
    chart: Chart,
) -> None:
    outside = "https://mcp.test/portals"
    given = {"demo": True, "externalUrl": f"{outside}/", "prometheusRule": {"enabled": True}}
    groups = of_kind(rendered(chart, given), "PrometheusRule")["spec"]["groups"]
    (rule,) = [one for group in groups for one in group["rules"] if one.get("alert") == ONE]
    default = DEFAULTS.runbook_base_url
    base = f"{outside}/runbooks" if default.startswith("http") else default
    assert rule["annotations"]["runbook_url"].startswith(f"{base}/{ONE}")


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"sync_stale": 1}, "thresholds.sync_stale: unknown"),
        ({"sync_stale_seconds": "1h"}, "sync_stale_seconds: must be a whole number above 0"),
        ({"sync_stale_seconds": 0}, "sync_stale_seconds: must be a whole number above 0"),
        ({"exporter_down_for": 300}, "exporter_down_for: must be a text"),
        ({"exporter_down_for": "5 m"}, "exporter_down_for: must be a duration"),
        ({"exporter_down_for": ""}, "exporter_down_for: must be a duration"),
        ({"dashboard_base_url": "a b"}, "dashboard_base_url: must be without spaces"),
        ({"selector": "job=`x`"}, "selector: must be without % and `"),
        ({"severities": {"Nothing": "info"}}, "severities: there is no alert Nothing"),
        ({"alerts": {"Nothing": {}}}, "alerts: there is no alert Nothing"),
        ({"alerts": []}, "alerts: must be a mapping"),
    ],
)
def test_thresholds_that_make_no_rule_are_refused_by_name(
    chart: Chart, values: Values, complaint: str
) -> None:
    with pytest.raises(HelmRenderError) as refusal:
        of_chart(chart, values)
    assert complaint in str(refusal.value)


# --- how the chart's files are made ------------------------------------------------------------


def test_the_chart_s_files_are_what_is_rendered_with_marks() -> None:
    for name, text in chart_files.files(mixin.rendered).items():
        assert (CHART / "files" / name).read_text() == text, "run `make dashboards`"


def kept(thresholds: Thresholds, text: str) -> dict[Path, str]:
    """A rendering that uses labels: `text` with those at each #, and a list at each *."""
    labels = list(getattr(thresholds, "keep_labels", ()))
    each = "".join(f"{label}, " for label in labels)
    filled = text.replace("#", each).replace("*", ", ".join(labels))
    return {Path("a.yml"): json.dumps({"a": filled})}


class WithLabels(Thresholds, frozen=True):
    """As the thresholds that have a list of labels."""

    keep_labels: list[str] = []  # noqa: RUF012 - msgspec copies it


@pytest.mark.parametrize(
    "text", ["by (#a, b)", "on (*)", "on (*) * on (#a) # # x", "(*)\n  unless on (*) y"]
)
def test_labels_of_a_list_are_marked_wherever_they_are(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "keep_labels" not in Thresholds.__struct_fields__:
        fields = {name: getattr(DEFAULTS, name) for name in Thresholds.__struct_fields__}
        monkeypatch.setattr(chart_files, "load", lambda: WithLabels(**fields))
    files = chart_files.files(lambda thresholds: kept(thresholds, text))
    marked = json.loads(files["a.json"])["a"]
    segments = [Segment(**one) for one in json.loads(files["thresholds.json"])["segments"]]
    for labels in ([], ["x"], ["x", "y", "z"]):
        found = marked
        for number, segment in enumerate(segments):
            found = found.replace(f"@@list.{number}@@", segment.filled(*labels))
        each = "".join(f"{label}, " for label in labels)
        assert found == text.replace("#", each).replace("*", ", ".join(labels))


def test_a_threshold_that_the_chart_could_not_set_is_not_lost() -> None:
    def hidden(thresholds: Thresholds) -> dict[Path, str]:
        return {Path("a.yml"): json.dumps({"a": thresholds.sync_stale_seconds / 60})}

    with pytest.raises(UnmarkableError):
        chart_files.files(hidden)


def test_no_text_has_the_names_of_the_labels_that_stand_for_others() -> None:
    for text in mixin.rendered(DEFAULTS).values():
        assert FIRST not in text
        assert SECOND not in text
