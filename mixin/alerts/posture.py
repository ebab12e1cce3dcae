"""Alerts on security posture: information, in a file of its own, so that loading it is a choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixin.alerts.model import Alert, Recording
from mixin.alerts.promql import Scope
from mixin.alerts.text import PORTAL_DASHBOARD, SERVER_DASHBOARD, Text, dashboard, lines
from mixin.thresholds import SERVER_UID

if TYPE_CHECKING:
    from mixin.thresholds import Thresholds


def rules(thresholds: Thresholds) -> list[Recording | Alert]:
    """Every alert of this kind."""
    scope = Scope(thresholds)
    text = Text(scope, thresholds)
    open_to_all = scope.last("cloudflare_mcp_server_info", 'auth_type="unauthenticated"')
    enforced = scope.last("cloudflare_mcp_portal_code_mode", 'code_mode="enforced"')
    orphaned = scope.last("cloudflare_mcp_portal_server_orphaned_overrides")
    return [
        Alert(
            name="UnauthenticatedServer",
            expr=scope.of_server(f"max by ({scope.server}) ({open_to_all})"),
            after=thresholds.posture_for,
            severity="info",
            summary="An MCP server without authentication is attached to a portal.",
            description=lines(
                f"{text.server} asks for no authentication.",
                text.portals,
            ),
            dashboard=SERVER_DASHBOARD,
        ),
        Alert(
            name="CodeModeEnforced",
            expr=f"max by ({scope.portal}) ({enforced}) == 1",
            after=thresholds.posture_for,
            severity="info",
            summary="An MCP portal enforces code mode.",
            description=lines(
                f"{text.portal} enforces code mode: its users' clients reach tools only by "
                "running code.",
            ),
            dashboard=PORTAL_DASHBOARD,
        ),
        Alert(
            name="OrphanedOverrides",
            expr=(
                f"sum by ({scope.attachment}) (\n"
                f"  max by ({scope.attachment}, kind) ({orphaned})\n) > 0"
            ),
            after=thresholds.posture_for,
            severity="info",
            summary="A portal's overrides name tools or prompts that the server has lost.",
            description=lines(
                "{{ $value }} overrides of "
                f"{text.portal} name something that MCP server {text.server_name} "
                "({{ $labels.server_id }}) does not offer any more.",
            ),
            dashboard=dashboard(
                SERVER_UID, account="account_id", portal="portal_id", server="server_id"
            ),
        ),
    ]
