"""The runbooks as pages: what an alert's notification links to."""

from exporter.web.runbooks.pages import RunbookPages

__all__ = ["RunbookPages"]
