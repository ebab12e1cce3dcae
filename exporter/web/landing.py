"""The page at ``/``: where to go from here."""

from __future__ import annotations

from html import escape

from exporter import __version__
from exporter.web.responses import Response

# The page has no script, style, image or form, and must not get one from elsewhere.
_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body>
<h1>{title}</h1>
<p>Prometheus exporter for Cloudflare MCP portals and servers, version {version}.</p>
<ul>
{links}
</ul>
</body>
</html>
"""


def landing_page(paths: dict[str, str]) -> Response:
    """The page with a link to each path, by what it is called.

    Links are relative, so that they hold behind a proxy that serves the exporter under a prefix.
    """
    links = "\n".join(
        f'<li><a href="{escape("./" + path.lstrip("/"))}">{escape(text)}</a></li>'
        for text, path in paths.items()
    )
    page = _PAGE.format(title="Cloudflare MCP exporter", version=escape(__version__), links=links)
    return Response(
        200,
        page.encode(),
        "text/html; charset=utf-8",
        (("Content-Security-Policy", _POLICY), ("Referrer-Policy", "no-referrer")),
    )
