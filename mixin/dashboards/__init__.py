"""The dashboards as code: `render` gives what is committed in ``dashboards/``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixin.dashboards import exporter_health, overview, server_detail
from mixin.dashboards.document import rendered

if TYPE_CHECKING:
    from mixin.thresholds import Thresholds


def render(thresholds: Thresholds) -> dict[str, str]:
    """Text of each dashboard by file name."""
    modules = (overview, server_detail, exporter_health)
    documents = [module.document(thresholds) for module in modules]
    return {f"{document.name}.json": rendered(document, thresholds) for document in documents}
