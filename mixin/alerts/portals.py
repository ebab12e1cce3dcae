"""Alerts on MCP portals: what every user of one loses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixin.alerts import promql, text
from mixin.alerts.model import Alert, Recording
from mixin.alerts.promql import PORTAL, indented, last_seen, of_portal, unless

if TYPE_CHECKING:
    from mixin.thresholds import Thresholds


def rules(thresholds: Thresholds) -> list[Recording | Alert]:
    """Every alert of this kind."""
    return [*_servers(thresholds), *_presence(thresholds)]


def _servers(t: Thresholds) -> list[Alert]:
    none_healthy = (
        f"{promql.PORTAL_FAILING} > 0\n"
        f"and on ({PORTAL})\n"
        f"  {promql.PORTAL_UNAVAILABLE} == count by ({PORTAL}) ({promql.PORTAL_SERVER_INFO})"
    )
    no_tools = f"{promql.PORTAL_EXPOSED_TOOLS} == 0\nand on ({PORTAL})\n  {promql.PORTAL_TOOLS} > 0"
    return [
        Alert(
            name="PortalNoHealthyServer",
            expr=of_portal(none_healthy),
            after=t.portal_no_healthy_server_for,
            severity="critical",
            summary="No server of an MCP portal works.",
            description=text.lines(
                f"{text.PORTAL} has no working server left: {{{{ $value }}}} fail, "
                "and any other still waits for its first login.",
                text.FAILING_SERVERS,
            ),
            dashboard=text.PORTAL_DASHBOARD,
        ),
        Alert(
            name="PortalExposesNoTools",
            expr=of_portal(no_tools),
            after=t.portal_exposes_no_tools_for,
            severity="warning",
            summary="An MCP portal shows its users no tool although its servers offer some.",
            description=text.lines(
                f"{text.PORTAL} hides every tool of its servers by its own settings.",
                f"Tools that its servers offer: {text.PORTAL_TOOLS}.",
            ),
            dashboard=text.PORTAL_DASHBOARD,
        ),
    ]


def _presence(t: Thresholds) -> list[Alert]:
    emptied = (
        f"max_over_time({promql.PORTAL_SERVERS}[{t.lost_window}]) > 0\n"
        f"and on ({PORTAL})\n  {promql.PORTAL_SERVERS} == 0"
    )
    seen = last_seen(PORTAL, "portal_name", promql.PORTAL_INFO, f"{t.lost_window}:")
    # Only an account that is listed, or was until a moment ago, can tell that a portal is gone.
    listed = f"({promql.UP} == 1 or {promql.GAP} == 1)"
    return [
        Alert(
            name="PortalLostServers",
            expr=of_portal(emptied),
            after=t.portal_lost_servers_for,
            severity="warning",
            summary="An MCP portal has lost all of its servers.",
            description=text.lines(
                f"{text.PORTAL} has no server attached now; "
                f"within the last {t.lost_window} it had {{{{ $value }}}}.",
            ),
            dashboard=text.PORTAL_DASHBOARD,
        ),
        Alert(
            name="PortalDisappeared",
            expr=(
                f"{unless(seen, PORTAL, promql.PORTAL_INFO)}\n"
                f"and on (account_id)\n{indented(listed)}"
            ),
            after=t.portal_disappeared_for,
            severity="warning",
            summary="An MCP portal is not listed any more.",
            description=text.lines(
                f"{text.PORTAL} was there within the last {t.lost_window} and is gone, "
                "while the account is listed.",
            ),
            dashboard=text.PORTAL_DASHBOARD,
        ),
    ]
