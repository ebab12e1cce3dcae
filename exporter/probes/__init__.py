"""Live probes of MCP servers and portals: asked for by Prometheus, one target at a time."""
