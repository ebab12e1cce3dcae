"""The HTTP side: routes, access control, TLS and the server."""
