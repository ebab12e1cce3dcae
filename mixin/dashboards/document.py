"""A whole dashboard: variables, annotations, links, rows of panels; and its text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DashboardLinkType

from mixin.dashboards import states
from mixin.dashboards.variables import PROMETHEUS

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Panel, VariableModel

    from mixin.thresholds import Thresholds

TAG = "cloudflare-mcp"
DOCUMENTATION = (
    "https://developers.cloudflare.com/cloudflare-one/access-controls/ai-controls/mcp-portals/"
)


# The library's annotations lack what belongs to Prometheus alone.
ANNOTATION = {
    "step": "60s",
    "titleFormat": "{{alertname}}",
    "textFormat": "{{server_id}} {{portal_id}}",
    "tagKeys": "severity",
    "useValueForTime": False,
}


class Row(msgspec.Struct, frozen=True):
    """Panels under a heading, laid out from left to right in lines of 24 columns.

    Attributes:
        collapsed: only the heading is shown, and nothing is asked, until somebody opens it.
    """

    title: str
    panels: tuple[Builder[Panel], ...]
    collapsed: bool = True

    def added_to(self, built: dashboard.Dashboard) -> dashboard.Dashboard:
        """The dashboard with this row at its end."""
        heading = dashboard.Row(self.title)
        if self.collapsed:
            for panel in self.panels:
                heading = heading.with_panel(panel)
            return built.with_row(heading)
        built = built.with_row(heading)
        for panel in self.panels:
            built = built.with_panel(panel)
        return built


class Document(msgspec.Struct, frozen=True):
    """A dashboard as its module declares it.

    Attributes:
        name: its file's name, and its uid but for the prefix.
    """

    name: str
    title: str
    description: str
    variables: tuple[Builder[VariableModel], ...]
    rows: tuple[Row, ...]


def rendered(document: Document, thresholds: Thresholds) -> str:
    """The dashboard as JSON text, the same bytes each time, with a newline at its end."""
    built = (
        dashboard.Dashboard(document.title)
        .uid(thresholds.dashboard_uid(document.name))
        .description(document.description)
        .tags([thresholds.dashboard_uid(TAG)])
        .readonly()
        .refresh("1m")
        .time("now-24h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .variables(list(document.variables))
        .annotations([_alerts()])
        .links(_links(thresholds))
    )
    for row in document.rows:
        built = row.added_to(built)
    content = json.loads(JSONEncoder().encode(built.build()))
    return json.dumps(_finished(content), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _alerts() -> dashboard.AnnotationQuery:
    # An alert that belongs to no account has no such label: the last, empty choice.
    chosen = 'alertname=~"CloudflareMCP.*", alertstate="firing", account_id=~"$account|"'
    return (
        dashboard.AnnotationQuery()
        .name("Alerts")
        .datasource(PROMETHEUS)
        .enable(True)
        .icon_color(states.BAD)
        .expr(f"ALERTS{{{chosen}}}")
    )


def _links(thresholds: Thresholds) -> list[Builder[Any]]:
    others = (
        dashboard.DashboardLink("MCP dashboards")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([thresholds.dashboard_uid(TAG)])
        .include_vars(True)
        .keep_time(True)
        .tooltip("The other dashboards, with these variables and this time")
    )
    return [
        others,
        _page("Product documentation", DOCUMENTATION, "What portals and servers are"),
        _page(
            "Runbooks", f"{thresholds.runbook_base_url.rstrip('/')}/", "What to do on each alert"
        ),
    ]


def _page(title: str, url: str, tooltip: str) -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink(title)
        .type(DashboardLinkType.LINK)
        .icon("doc")
        .url(url)
        .tooltip(tooltip)
        .target_blank(True)
    )


def _closed(panels: list[dict[str, Any]]) -> None:
    """Move rows up to where they are while those above them are collapsed."""
    hidden = 0
    for panel in panels:
        inside = panel.get("panels", [])
        for each in (panel, *inside):
            each["gridPos"]["y"] -= hidden
        bottom = max((each["gridPos"]["y"] + each["gridPos"]["h"] for each in inside), default=0)
        hidden += max(0, bottom - panel["gridPos"]["y"] - 1)


def _finished(content: dict[str, Any]) -> dict[str, Any]:
    """What the library leaves out or cannot leave out."""
    _closed(content["panels"])
    every = [each for panel in content["panels"] for each in (panel, *panel.get("panels", ()))]
    for number, panel in enumerate(every, start=1):
        panel["id"] = number
        panel.pop("repeatDirection", None)
        # Tables of Grafana 12.2 and later have their footer with the column.
        panel.get("options", {}).pop("footer", None)
    for annotation in content["annotations"]["list"]:
        annotation.pop("builtIn", None)
        annotation.update(ANNOTATION)
    for variable in content["templating"]["list"]:
        # These belong to a variable of type interval.
        for name in ("auto", "auto_count", "auto_min"):
            variable.pop(name, None)
    return {**content, "id": None, "version": 1}
