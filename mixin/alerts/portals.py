"""Alerts on MCP portals: what every user of one loses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixin.alerts import promql
from mixin.alerts.model import Alert, Recording
from mixin.alerts.promql import Scope, aggregated, both, either, unless
from mixin.alerts.text import PORTAL_DASHBOARD, Text, lines

if TYPE_CHECKING:
    from mixin.thresholds import Thresholds


def rules(thresholds: Thresholds) -> list[Recording | Alert]:
    """Every alert of this kind."""
    scope = Scope(thresholds)
    text = Text(scope, thresholds)
    return [*_servers(thresholds, scope, text), *_presence(thresholds, scope, text)]


def _servers(t: Thresholds, scope: Scope, text: Text) -> list[Alert]:
    waiting = scope.last("cloudflare_mcp_server_status", 'status="waiting"')
    unavailable = aggregated("max", scope.server, either(promql.SERVER_FAILING, waiting))
    none_healthy = both(
        f"{scope.sum_by_portal(promql.SERVER_FAILING)} > 0",
        scope.portal,
        f"{aggregated('min', scope.portal, scope.in_portals(unavailable))} == 1",
    )
    shown = scope.last("cloudflare_mcp_portal_server_exposed_tools")
    exposed = f"sum by ({scope.portal}) (\n  max by ({scope.attachment}) ({shown})\n)"
    no_tools = both(f"{exposed} == 0", scope.portal, f"{text.tools_of_servers} > 0")
    return [
        Alert(
            name="PortalNoHealthyServer",
            expr=none_healthy,
            after=t.portal_no_healthy_server_for,
            severity="critical",
            summary="No server of an MCP portal works.",
            description=lines(
                f"{text.portal} has no working server left: {{{{ $value }}}} fail, "
                "and any other still waits for its first login.",
                text.failing_servers,
            ),
            dashboard=PORTAL_DASHBOARD,
        ),
        Alert(
            name="PortalExposesNoTools",
            expr=no_tools,
            after=t.portal_exposes_no_tools_for,
            severity="warning",
            summary="An MCP portal shows its users no tool although its servers offer some.",
            description=lines(
                f"{text.portal} hides every tool of its servers by its own settings.",
            ),
            dashboard=PORTAL_DASHBOARD,
        ),
    ]


def _presence(t: Thresholds, scope: Scope, text: Text) -> list[Alert]:
    emptied = both(
        f"max_over_time({promql.PORTAL_SERVERS}[{t.lost_window}]) > 0",
        scope.portal,
        f"{promql.PORTAL_SERVERS} == 0",
    )
    seen = f"group by ({scope.portal}) (last_over_time({promql.PORTAL_INFO}[{t.lost_window}]))"
    gone = unless(seen, scope.portal, promql.PORTAL_INFO)
    return [
        Alert(
            name="PortalLostServers",
            expr=emptied,
            after=t.portal_lost_servers_for,
            severity="warning",
            summary="An MCP portal has lost all of its servers.",
            description=lines(
                f"{text.portal} has no server attached now; "
                f"within the last {t.lost_window} it had {{{{ $value }}}}.",
            ),
            dashboard=PORTAL_DASHBOARD,
        ),
        Alert(
            name="PortalDisappeared",
            # Only an account that is listed can tell that a portal is gone.
            expr=scope.of_listed_account(gone),
            after=t.portal_disappeared_for,
            severity="warning",
            summary="An MCP portal is not listed any more.",
            description=lines(
                f"{text.lost_portal} was there within the last {t.lost_window} and is gone, "
                "while the account is listed.",
            ),
            dashboard=PORTAL_DASHBOARD,
        ),
    ]
