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
    "textFormat": "{{server_name}} {{portal_name}}",
    "tagKeys": "severity",
    "useValueForTime": False,
}


class Row(msgspec.Struct, frozen=True):
    """Panels under a heading, laid out from left to right in lines of 24 columns."""

    title: str
    panels: tuple[Builder[Panel], ...]


class Document(msgspec.Struct, frozen=True):
    """A dashboard as its module declares it."""

    uid: str
    title: str
    description: str
    variables: tuple[Builder[VariableModel], ...]
    rows: tuple[Row, ...]


def rendered(document: Document, thresholds: Thresholds) -> str:
    """The dashboard as JSON text, the same bytes each time, with a newline at its end."""
    built = (
        dashboard.Dashboard(document.title)
        .uid(document.uid)
        .description(document.description)
        .tags([TAG])
        .readonly()
        .refresh("1m")
        .time("now-24h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .variables(list(document.variables))
        .annotations([_alerts()])
        .links(_links(thresholds))
    )
    for row in document.rows:
        built = built.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            built = built.with_panel(panel)
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
        .tags([TAG])
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


def _finished(content: dict[str, Any]) -> dict[str, Any]:
    """What the library leaves out or cannot leave out."""
    for number, panel in enumerate(content["panels"], start=1):
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
