"""The recording and alert rules as code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixin.alerts import exporter, portals, posture, recording, servers
from mixin.alerts.model import Group, to_yaml

if TYPE_CHECKING:
    from mixin.thresholds import Thresholds

RULES = "cloudflare-mcp.rules.yml"
POSTURE_RULES = "cloudflare-mcp-posture.rules.yml"


def rule_files(thresholds: Thresholds) -> dict[str, list[Group]]:
    """The rule groups by the name of the file they belong to."""
    return {
        RULES: [
            Group("cloudflare-mcp-recording", recording.rules(thresholds)),
            Group("cloudflare-mcp-exporter", exporter.rules(thresholds)),
            Group("cloudflare-mcp-servers", servers.rules(thresholds)),
            Group("cloudflare-mcp-portals", portals.rules(thresholds)),
        ],
        POSTURE_RULES: [Group("cloudflare-mcp-posture", posture.rules(thresholds))],
    }


def render(thresholds: Thresholds) -> dict[str, str]:
    """The text of every rule file by its name.

    Raises:
        ThresholdError: `thresholds.severities` names an alert that does not exist.
    """
    return {name: to_yaml(groups, thresholds) for name, groups in rule_files(thresholds).items()}
