"""The rule files as they are committed, rendered with other thresholds, and refused."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import promql_parser
import pytest

from exporter.metrics import catalog
from exporter.metrics.probe_catalog import PROBES
from mixin import alerts
from mixin.__main__ import main
from mixin.thresholds import ThresholdError, load
from processes import ROOT
from promtool import RULE_FILES, RULES, alert_names, rules
from realparts import require

METRIC = re.compile(r"(?:[a-z_]+:)?\bcloudflare_mcp_\w+(?::\w+)?")

SHORT = {
    **{name: "1s" for name in load().__struct_fields__ if name.endswith("_for")},
    **{name: "20s" for name in load().__struct_fields__ if name.endswith("_window")},
    "sync_stale_seconds": "5",
    "selector": 'job=~"mcp|other", cluster="x"',
}


def known_metrics() -> set[str]:
    """What a rule may name: the catalog's metrics and what the rules record."""
    return {metric.name for metric in (*catalog.ALL, *PROBES)} | {
        r["record"] for r in rules() if "record" in r
    }


def promtool_check(*files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [require("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_committed_rules_are_what_is_rendered() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in RULE_FILES}
    assert alerts.render(load()) == committed


def test_no_rule_file_is_left_over() -> None:
    assert {path.name for path in RULES.glob("*.rules.yml")} == {path.name for path in RULE_FILES}


def test_promtool_finds_nothing_to_complain_about() -> None:
    check = promtool_check(*RULE_FILES)
    assert (check.returncode, check.stderr) == (0, "")


def test_rules_with_every_time_shortened_are_valid(tmp_path: Path) -> None:
    changes = [f"--set={name}={value}" for name, value in SHORT.items()]
    command = [sys.executable, "-m", "mixin", "render", "--only=alerts", f"--output={tmp_path}"]
    subprocess.run([*command, *changes], cwd=ROOT, check=True, capture_output=True, timeout=60)
    files = sorted((tmp_path / "alerts").glob("*.yml"))
    check = promtool_check(*files)
    assert (len(files), check.returncode, check.stderr) == (3, 0, "")
    assert 'job="cloudflare-mcp"' not in "".join(path.read_text() for path in files)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_every_expression_parses(rule: dict[str, str]) -> None:
    promql_parser.parse(rule["expr"])


def test_every_metric_named_in_a_rule_exists() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in RULE_FILES)
    assert set(METRIC.findall(text)) - known_metrics() == set()


def test_every_recorded_series_is_used_by_a_rule() -> None:
    texts = [str({k: v for k, v in rule.items() if k != "record"}) for rule in rules()]
    own = {
        rule["record"]: sum(rule["record"] in text for text in texts)
        - (rule["record"] in rule["expr"])
        for rule in rules()
        if "record" in rule
    }
    assert [record for record, uses in own.items() if uses < 1] == []


@pytest.mark.parametrize(
    "rule",
    [rule for rule in rules() if "alert" in rule],
    ids=lambda rule: str(rule["alert"]),
)
def test_an_alert_says_all_that_the_style_asks_for(rule: dict[str, object]) -> None:
    name, annotations, labels = rule["alert"], rule["annotations"], rule["labels"]
    assert re.fullmatch(r"CloudflareMCP([A-Z][a-z]+)+", str(name))
    assert {"for", "keep_firing_for"} <= rule.keys()
    assert isinstance(labels, dict)
    assert labels["severity"] in {"critical", "warning", "info"}
    assert isinstance(annotations, dict)
    assert annotations.keys() == {"summary", "description", "runbook_url", "dashboard_url"}
    assert "{{" not in annotations["summary"]


def test_information_is_kept_apart_from_what_wakes_people() -> None:
    severities = {
        path.name: set(re.findall(r"severity: (\w+)", path.read_text())) for path in RULE_FILES
    }
    waking = {"critical", "warning"}
    assert list(severities.values()) == [waking, waking, {"info"}]


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("error_for", "3", "'3' is not a duration"),
        ("error_for", "1m30", "'1m30' is not a duration"),
        ("error_for", "", "'' is not a duration"),
        ("flapping_window", "0s", "flapping_window: must be longer than 0s"),
        ("flapping_changes", "1", "flapping_changes: must be 2 or more"),
        ("sync_stale_seconds", "6h", "sync_stale_seconds: '6h' is not a whole number"),
        ("selector", "cloudflare-mcp", "selector: 'cloudflare-mcp' is not a list of matchers"),
        ("selector", 'job="x"}', "selector: "),
        ("dashboard_base_url", "", "dashboard_base_url: must be an http or https URL"),
        ("runbook_base_url", "https://x/{{ y }}", "runbook_base_url: must be an http or https URL"),
        ("runbook_base_url", "docs/runbooks", "runbook_base_url: must be an http or https URL"),
        ("severities.CloudflareMCPServerError", "page", "Invalid enum value 'page'"),
        (
            "portal_disappeared_for",
            "4h",
            "portal_disappeared_for: must be shorter than lost_window",
        ),
        (
            "certificate_warning_seconds",
            "1000",
            "certificate_warning_seconds: must be 259201 or more",
        ),
        ("listing_failing_for", "11m", "must not be longer than keep_firing_for"),
        ("failure_window", "3h", "failure_window: must be longer than retryable_for"),
        ("access_denied_for", "0s", "access_denied_for: must be longer than 0s"),
        ("keep_labels", "cluster, no-label", "keep_labels: 'no-label' is not a label name"),
        ("keep_labels", "job", "keep_labels: job is a label of the rules themselves"),
        ("eror_for", "1m", "unknown field `eror_for`"),
    ],
)
def test_a_threshold_that_cannot_work_is_refused(name: str, value: str, complaint: str) -> None:
    with pytest.raises(ThresholdError, match=re.escape(complaint)):
        load(overrides={name: value})


def test_a_file_overrides_defaults_and_a_single_value_overrides_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("error_for: 6m\nunreachable_for: 6m\n")
    mine = load(file, {"unreachable_for": "7m"})
    assert (mine.error_for, mine.unreachable_for) == ("6m", "7m")
    assert mine.waiting_for == load().waiting_for


def test_a_severity_can_be_changed_by_name() -> None:
    changed = alerts.render(load(overrides={"severities.CloudflareMCPServerError": "critical"}))
    before = alerts.render(load())
    name = "cloudflare-mcp.rules.yml"
    lines = zip(changed[name].splitlines(), before[name].splitlines(), strict=True)
    assert [new.strip() for new, old in lines if new != old] == ["severity: critical"]


def test_a_severity_for_an_alert_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ThresholdError, match="there is no alert CloudflareMCPServerErro"):
        alerts.render(load(overrides={"severities.CloudflareMCPServerErro": "critical"}))


def test_check_tells_when_files_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--only=alerts", f"--output={tmp_path}"]
    assert main(["check", *where]) == 1
    assert main(["render", *where]) == 0
    assert main(["check", *where]) == 0
    assert main(["check", *where, "--set", "error_for=6m"]) == 1
    assert main(["check", *where, "--set", "error_for=soon"]) == 2
    complaints = capsys.readouterr().err
    assert "cloudflare-mcp.rules.yml differs" in complaints
    assert complaints.endswith("error_for: 'soon' is not a duration such as 30s, 10m or 1h30m\n")


def test_alert_names_are_unique() -> None:
    assert len(alert_names()) == len(set(alert_names())) >= 24
