"""Every alert has a runbook that is whole, and every query in one works."""

from __future__ import annotations

import re
from pathlib import Path

import promql_parser
import pytest

from exporter.metrics import catalog
from exporter.metrics.probe_catalog import PROBES
from processes import ROOT
from promtool import alert_names, rules

RUNBOOKS = ROOT / "docs" / "runbooks"
FILES = sorted(path for path in RUNBOOKS.glob("*.md") if path.stem != "README")
ALL_FILES = [*FILES, RUNBOOKS / "README.md", ROOT / "alerts" / "README.md"]

SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Silencing"]
METRIC = re.compile(r"(?:[a-z_]+:)?\bcloudflare_mcp_\w+(?::\w+)?")
QUERY = re.compile(r"^( *)```promql\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)

per_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
per_text = pytest.mark.parametrize(
    "path", ALL_FILES, ids=lambda path: f"{path.parent.name}-{path.stem}"
)


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert [path.stem for path in FILES] == sorted(alert_names())


@per_file
def test_a_runbook_has_its_sections_in_order(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {path.stem}\n")
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    assert parts[1::2] == SECTIONS
    assert all(body.strip() for body in parts[2::2])


@per_file
def test_a_runbook_that_silences_names_its_own_alert(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"alertname=~?'?(\w+)", text):
        assert path.stem.startswith(name)


@per_file
def test_a_runbook_holds_a_query(path: Path) -> None:
    assert QUERY.search(path.read_text(encoding="utf-8"))


@per_text
def test_every_query_parses(path: Path) -> None:
    for _, query in QUERY.findall(path.read_text(encoding="utf-8")):
        promql_parser.parse(query)


@per_text
def test_every_metric_named_exists(path: Path) -> None:
    known = {metric.name for metric in (*catalog.ALL, *PROBES)}
    known |= {rule["record"] for rule in rules() if "record" in rule}
    assert set(METRIC.findall(path.read_text(encoding="utf-8"))) - known == set()


@per_text
def test_every_setting_named_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_]+_(?:for|window|seconds|remaining|changes|base_url))`", text))
    fields = (ROOT / "mixin" / "thresholds.yaml").read_text(encoding="utf-8")
    assert [name for name in named if f"\n{name}: " not in fields] == []


def test_the_index_names_every_runbook_with_its_severity() -> None:
    index = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    for rule in rules():
        if "alert" in rule:
            name, severity = rule["alert"], rule["labels"]["severity"]
            assert f"| [{name}]({name}.md) | {severity} |" in index
