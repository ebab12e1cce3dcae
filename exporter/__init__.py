"""Prometheus exporter for Cloudflare MCP portals and the MCP servers behind them."""

__version__ = "0.1.0"
