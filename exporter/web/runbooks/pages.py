"""The pages under ``/runbooks/``: made at the first request for each, and kept."""

from __future__ import annotations

import asyncio
from functools import cached_property, partial
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING

from exporter import __version__
from exporter.threads import in_thread
from exporter.web.html import load_template, page_headers
from exporter.web.request import Request
from exporter.web.responses import Response
from exporter.web.runbooks.markdown import INDEX, render

if TYPE_CHECKING:
    import jinja2

_PACKAGE = resources.files("exporter.web.runbooks")
_TEMPLATES = _PACKAGE / "templates"
_STATUS_STYLE = resources.files("exporter.web.status") / "templates" / "status.css"

MAX_AGE = ("Cache-Control", "max-age=3600")
"""They change with the version alone."""


def sources() -> Traversable:
    """The folder of the runbooks: packed into a wheel, or that of the checkout."""
    packed = _PACKAGE / "pages"
    return packed if packed.is_dir() else Path(__file__).parents[3] / "docs" / "runbooks"


class RunbookPages:
    """A page for each runbook, and one that lists them.

    Attributes:
        names: of the pages below the folder; the empty one is the list.
    """

    def __init__(self) -> None:
        files = (file.name for file in sources().iterdir() if file.name.endswith(".md"))
        self._runbooks = frozenset(file.removesuffix(".md") for file in files) - {INDEX}
        self.names = self._runbooks | {""}
        self._made: dict[str, Response] = {}
        self._maker = asyncio.Lock()

    async def answer(self, request: Request) -> Response:
        """The page that the last part of the path names, which must be one of `names`."""
        name = request.path.rpartition("/")[2]
        async with self._maker:  # one at a time: anybody may ask for them
            if name not in self._made:
                self._made[name] = await in_thread(partial(self._make, name))
        return self._made[name]

    def _make(self, name: str) -> Response:
        text = (sources() / f"{name or INDEX}.md").read_text("utf-8")
        page = render(text, self._runbooks)
        body = self._template.render(
            title=page.title,
            content=page.html,
            is_index=not name,
            version=__version__,
            style=self._style,
        )
        headers = (MAX_AGE, *page_headers(self._style))
        return Response(200, body.encode(), "text/html; charset=utf-8", headers)

    @cached_property
    def _template(self) -> jinja2.Template:
        return load_template(_TEMPLATES, "runbook.html")

    @cached_property
    def _style(self) -> str:
        """The status page's, and what a text needs besides."""
        return _STATUS_STYLE.read_text("utf-8") + (_TEMPLATES / "runbook.css").read_text("utf-8")
