"""Prometheus exporter for Cloudflare MCP portals and the MCP servers behind them."""

from pathlib import Path

__version__ = "0.1.0"


def revision() -> str:
    """The commit that this was built from: written beside the code by whoever builds an image."""
    recorded = Path(__file__).with_name("REVISION")
    return recorded.read_text().strip() if recorded.is_file() else "unknown"
