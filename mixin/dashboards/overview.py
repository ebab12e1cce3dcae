"""The fleet at a glance: what fails, for whom, since when, and what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixin.dashboards import (
    overview_attention,
    overview_catalog,
    overview_now,
    overview_portals,
    overview_posture,
    overview_time,
)
from mixin.dashboards import variables as v
from mixin.dashboards.document import Document
from mixin.thresholds import OVERVIEW_UID

if TYPE_CHECKING:
    from mixin.thresholds import Thresholds


def document(thresholds: Thresholds) -> Document:
    """The dashboard."""
    return Document(
        name=OVERVIEW_UID,
        title="Cloudflare MCP / Overview",
        description="MCP portals and the servers in them: what fails, for whom and since when.",
        variables=(*v.target(), v.account(), v.portal(), v.servers()),
        rows=(
            overview_now.row(thresholds),
            overview_attention.row(thresholds),
            overview_portals.row(thresholds),
            *overview_time.rows(thresholds),
            overview_posture.row(thresholds),
            overview_catalog.row(thresholds),
        ),
    )
