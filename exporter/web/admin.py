"""What people may ask of the running exporter: to reload its configuration, and to show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from exporter.web.responses import Response, plain

if TYPE_CHECKING:
    from exporter.web.base_url import Site
    from exporter.web.request import Request


class Control(Protocol):
    """Has the configuration."""

    async def reload(self) -> str | None:
        """Load the configuration again; one line that says why not, None where it worked."""

    async def effective_config(self) -> str:
        """The configuration in use as YAML, without its secrets."""


class ControlRoutes:
    """The handlers of ``/config`` and ``/-/reload``.

    Args:
        control: has the configuration.
        site: where the exporter is reached.
        lifecycle: whether clients may reload it.
    """

    def __init__(self, control: Control, site: Site, lifecycle: bool) -> None:
        self._control = control
        self._site = site
        self._lifecycle = lifecycle

    async def config(self, _request: Request) -> Response:
        """The effective configuration."""
        text = await self._control.effective_config()
        return Response(200, text.encode("utf-8", "replace"), "text/yaml; charset=utf-8")

    async def reload(self, request: Request) -> Response:
        """Load the configuration again."""
        if not self._lifecycle:
            return plain(403, "reloading is not enabled: start with --web.enable-lifecycle")
        if self._is_foreign(request):
            return plain(403, "a page of another origin may not reload the configuration")
        problem = await self._control.reload()
        if problem is not None:
            return plain(500, problem)
        return plain(200, "the configuration is loaded")

    def _is_foreign(self, request: Request) -> bool:
        """Whether a browser sends it on behalf of a page that is not the exporter's own."""
        site, origin = request.header("Sec-Fetch-Site"), request.header("Origin")
        if site:
            return site not in {"same-origin", "none"}
        return bool(origin) and not self._site.is_own(origin, request.header("Host"))
