"""The recording and alert rules as code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixin.alerts import exporter, portals, posture, recording, servers
from mixin.alerts.model import Alert, Group, to_yaml
from mixin.thresholds import ThresholdError, Thresholds

if TYPE_CHECKING:
    from collections.abc import Iterable

RULES = "cloudflare-mcp.rules.yml"
POSTURE_RULES = "cloudflare-mcp-posture.rules.yml"


def rule_files(thresholds: Thresholds) -> dict[str, list[Group]]:
    """The rule groups by the name of the file they belong to."""
    return {
        # One group: its rules are evaluated in this order, at the same instant.
        RULES: [
            Group(
                "cloudflare-mcp",
                [
                    rule
                    for part in (recording, exporter, servers, portals)
                    for rule in part.rules(thresholds)
                ],
            )
        ],
        POSTURE_RULES: [Group("cloudflare-mcp-posture", posture.rules(thresholds))],
    }


def render(thresholds: Thresholds) -> dict[str, str]:
    """The text of every rule file by its name.

    Raises:
        ThresholdError: `severities` or `alerts` names an alert that does not exist.
    """
    files = rule_files(thresholds)
    _refuse_unknown_alerts(thresholds, files.values())
    return {name: to_yaml(groups, thresholds) for name, groups in files.items()}


def _refuse_unknown_alerts(thresholds: Thresholds, files: Iterable[list[Group]]) -> None:
    rules = [rule for groups in files for group in groups for rule in group.rules]
    known = {rule.full_name for rule in rules if isinstance(rule, Alert)}
    for field in ("severities", "alerts"):
        for name in getattr(thresholds, field):
            if name not in known:
                raise ThresholdError(f"{field}: there is no alert {name}")
