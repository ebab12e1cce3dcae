"""The two text formats in which metrics are exposed."""

from __future__ import annotations

from enum import Enum


class Format(Enum):
    """A text format; the value is its content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    @property
    def content_type(self) -> str:
        """As it stands in the header ``Content-Type``."""
        return self.value
