"""One server: its state and history, its errors, its portals, its catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixin.dashboards import server_history, server_now, server_portals
from mixin.dashboards import variables as v
from mixin.dashboards.document import Document
from mixin.thresholds import SERVER_UID

if TYPE_CHECKING:
    from mixin.thresholds import Thresholds


def document(thresholds: Thresholds) -> Document:
    """The dashboard."""
    return Document(
        name=SERVER_UID,
        title="Cloudflare MCP / Server",
        description="One MCP server: its state, its errors, its portals and what it offers.",
        variables=(*v.target(), v.account(), v.portal(), v.server()),
        rows=(
            server_now.row(thresholds),
            *server_history.rows(thresholds),
            server_portals.row(thresholds),
        ),
    )
