"""Alerts on security posture: information, in a file of its own, so that loading it is a choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixin.alerts import promql, text
from mixin.alerts.model import Alert, Recording
from mixin.alerts.promql import ATTACHMENT, PORTAL, named, of_portal, of_server
from mixin.alerts.recording import aggregated, held
from mixin.thresholds import SERVER_UID

if TYPE_CHECKING:
    from mixin.thresholds import Thresholds


def rules(thresholds: Thresholds) -> list[Recording | Alert]:
    """The recording rules that only posture needs, then the alerts."""
    return [*_recordings(thresholds.selector), *_alerts(thresholds)]


def _recordings(selector: str) -> list[Recording]:
    code_mode = f"cloudflare_mcp_portal_code_mode{{{selector}}}"
    orphaned = f"cloudflare_mcp_portal_server_orphaned_overrides{{{selector}}}"
    return [
        aggregated(promql.PORTAL_CODE_MODE, "max", f"{PORTAL}, code_mode", code_mode),
        held(
            promql.ORPHANED_OVERRIDES,
            f"sum by ({ATTACHMENT}) (\n  max by ({ATTACHMENT}, kind) ({orphaned})\n)",
        ),
    ]


def _alerts(t: Thresholds) -> list[Alert]:
    unauthenticated = (
        "max by (account_id, server_id) (\n"
        f'  {promql.SERVER_INFO}{{auth_type="unauthenticated"}}\n)'
    )
    enforced = f'max by ({PORTAL}) ({promql.PORTAL_CODE_MODE}{{code_mode="enforced"}}) == 1'
    return [
        Alert(
            name="UnauthenticatedServer",
            expr=of_server(unauthenticated),
            after=t.posture_for,
            severity="info",
            summary="An MCP server without authentication is attached to a portal.",
            description=text.lines(
                f"{text.SERVER} asks for no authentication.",
                text.PORTALS,
            ),
            dashboard=text.SERVER_DASHBOARD,
        ),
        Alert(
            name="CodeModeEnforced",
            expr=of_portal(enforced),
            after=t.posture_for,
            severity="info",
            summary="An MCP portal enforces code mode.",
            description=text.lines(
                f"{text.PORTAL} enforces code mode: its users' clients reach tools only by "
                "running code.",
            ),
            dashboard=text.PORTAL_DASHBOARD,
        ),
        Alert(
            name="OrphanedOverrides",
            expr=named(
                f"{promql.ORPHANED_OVERRIDES} > 0",
                ATTACHMENT,
                "portal_name, server_name",
                promql.PORTAL_SERVER_INFO,
            ),
            after=t.posture_for,
            severity="info",
            summary="A portal's overrides name tools or prompts that the server has lost.",
            description=text.lines(
                "{{ $value }} overrides of "
                f"{text.PORTAL} name something that MCP server {{{{ $labels.server_name }}}} "
                "({{ $labels.server_id }}) does not offer any more.",
            ),
            dashboard=text.dashboard(
                SERVER_UID, account="account_id", portal="portal_id", server="server_id"
            ),
        ),
    ]
