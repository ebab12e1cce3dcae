"""Rules as values, and their way into a Prometheus rule file."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from mixin.thresholds import AlertSettings, Severity, Thresholds

PREFIX = "CloudflareMCP"

HEADER = """\
# Rendered from mixin/alerts and mixin/thresholds.yaml: do not edit, render again.
#     python -m mixin render
"""


class Recording(msgspec.Struct, frozen=True):
    """A recording rule."""

    record: str
    expr: str


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert rule.

    Attributes:
        name: without the common prefix.
        expr: PromQL.
        after: how long `expr` must hold, a Prometheus duration.
        severity: unless the thresholds say otherwise.
        summary: one static sentence.
        description: a template of Prometheus, one sentence a line.
        dashboard: uid and query of the dashboard to look at, a template too.
        labels: further static labels.
    """

    name: str
    expr: str
    after: str
    severity: Severity
    summary: str
    description: str
    dashboard: str

    @property
    def full_name(self) -> str:
        """The name that Prometheus and the runbook carry."""
        return PREFIX + self.name


class Group(msgspec.Struct, frozen=True):
    """Rules that are evaluated one after the other, at the same instant."""

    name: str
    rules: list[Recording | Alert]


def _entry(rule: Recording | Alert, thresholds: Thresholds) -> dict[str, Any]:
    if isinstance(rule, Recording):
        return {"record": rule.record, "expr": rule.expr}
    name = rule.full_name
    own, every = thresholds.alerts.get(name, AlertSettings()), thresholds.every_alert
    dashboards = f"{thresholds.dashboard_base_url.rstrip('/')}/d/{thresholds.dashboard_uid_prefix}"
    return {
        "alert": name,
        "expr": rule.expr,
        "for": rule.after,
        "keep_firing_for": thresholds.keep_firing_for,
        "labels": {
            "severity": thresholds.severities.get(name, rule.severity),
            **every.labels,
            **own.labels,
        },
        "annotations": {
            "summary": rule.summary,
            "description": rule.description,
            "runbook_url": thresholds.runbook_url(name),
            "dashboard_url": f"{dashboards}{rule.dashboard}",
            **every.annotations,
            **own.annotations,
        },
    }


class _Dumper(yaml.SafeDumper):
    """Block style with indented lists, and literal blocks for texts of several lines."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _enabled(rule: Recording | Alert, thresholds: Thresholds) -> bool:
    if isinstance(rule, Recording):
        return True
    return thresholds.alerts.get(rule.full_name, AlertSettings()).enabled


def to_yaml(groups: list[Group], thresholds: Thresholds) -> str:
    """The text of a rule file."""
    document = {
        "groups": [
            {
                "name": group.name,
                "rules": [_entry(r, thresholds) for r in group.rules if _enabled(r, thresholds)],
            }
            for group in groups
        ]
    }
    body = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return HEADER + body
