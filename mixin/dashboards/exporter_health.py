"""The watching itself: which exporters answer, and whether they can list their accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixin.dashboards import exporter_api, exporter_listing, exporter_process
from mixin.dashboards import variables as v
from mixin.dashboards.document import Document
from mixin.thresholds import EXPORTER_UID

if TYPE_CHECKING:
    from mixin.thresholds import Thresholds


def document(thresholds: Thresholds) -> Document:
    """The dashboard."""
    return Document(
        name=EXPORTER_UID,
        title="Cloudflare MCP / Exporter",
        description="The exporters: whether they answer, list their accounts, and at what cost.",
        variables=(*v.target(), v.account()),
        rows=(
            exporter_listing.now(thresholds),
            exporter_listing.over_time(),
            exporter_api.row(thresholds),
            exporter_process.row(),
        ),
    )
