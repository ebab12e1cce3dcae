"""Renders the page."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib import resources
from typing import TYPE_CHECKING

from exporter import __version__
from exporter.metrics.exporter_metrics import revision
from exporter.scrape_result import AccountState
from exporter.web.html import load_template, page_headers
from exporter.web.request import Request
from exporter.web.responses import Response
from exporter.web.status.query import read_query
from exporter.web.status.view import page_view

if TYPE_CHECKING:
    import jinja2

REFRESH = 30
"""Seconds after which the page loads itself again."""

_TEMPLATES = resources.files("exporter.web.status") / "templates"
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")


class StatusPage:
    """The page at ``/``.

    Args:
        accounts: what is known of each account; must return at once.
        links: what else is served, path by name; a path begins with a slash.
        metrics_path: where Prometheus scrapes.
        prefix: what clients put before every path, such as ``/exporter``. Without one links are
            relative, so that they hold behind a proxy that adds a prefix of its own.
        clock: Unix seconds.
    """

    def __init__(
        self,
        accounts: Callable[[], Sequence[AccountState]],
        links: Mapping[str, str],
        *,
        metrics_path: str = "/metrics",
        prefix: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._accounts = accounts
        self._links = {name: (prefix or ".") + path for name, path in links.items()}
        self._metrics_path = prefix + metrics_path
        self._clock = clock

    def answer(self, request: Request) -> Response:
        """The page; takes its time, so that it belongs into a thread."""
        query = read_query(lambda name: min(request.query(name), default=""))
        host = request.header("Host")
        text = self._template.render(
            view=page_view(self._accounts(), query, self._clock()),
            version=__version__,
            revision=revision(),
            links=self._links,
            metrics_path=self._metrics_path,
            target=host if _HOST.fullmatch(host) else "localhost:10180",
            refresh=REFRESH,
            style=self._style,
        )
        # A name may hold half a surrogate pair, which no encoding has.
        body = text.encode("utf-8", "replace")
        return Response(200, body, "text/html; charset=utf-8", self._headers(query.refreshes))

    def _headers(self, refreshes: bool) -> tuple[tuple[str, str], ...]:
        # As a header, since nothing in the document then keeps a reader from pausing it.
        refresh = (("Refresh", str(REFRESH)),) if refreshes else ()
        return (*page_headers(self._style), *refresh)

    @cached_property
    def _template(self) -> jinja2.Template:
        return load_template(_TEMPLATES, "status.html")

    @cached_property
    def _style(self) -> str:
        return (_TEMPLATES / "status.css").read_text("utf-8")
