"""The API of Cloudflare, as far as listing MCP portals and servers goes."""
