"""Administration endpoints: reload the configuration, and show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from exporter.web.responses import Response, plain

if TYPE_CHECKING:
    from exporter.web.public_address import PublicAddress
    from exporter.web.request import Request


class Control(Protocol):
    """Owner of the configuration."""

    async def reload(self) -> str | None:
        """Reload the configuration; None on success, else one line with the error."""

    async def effective_config(self) -> str:
        """The configuration in use as YAML, without its secrets."""


class ControlRoutes:
    """The handlers of ``/config`` and ``/-/reload``.

    Args:
        control: owner of the configuration.
        site: the exporter's public address.
        lifecycle: whether clients may reload the configuration.
    """

    def __init__(self, control: Control, site: PublicAddress, lifecycle: bool) -> None:
        self._control = control
        self._site = site
        self._lifecycle = lifecycle

    async def config(self, _request: Request) -> Response:
        """The effective configuration."""
        text = await self._control.effective_config()
        return Response(200, text.encode("utf-8", "replace"), "text/yaml; charset=utf-8")

    async def reload(self, request: Request) -> Response:
        """Reload the configuration."""
        if not self._lifecycle:
            return plain(403, "reloads are disabled; enable them with --web.enable-lifecycle")
        if self._is_foreign(request):
            return plain(403, "cross-origin reload rejected")
        problem = await self._control.reload()
        if problem is not None:
            return plain(500, problem)
        return plain(200, "configuration reloaded")

    def _is_foreign(self, request: Request) -> bool:
        """Whether it is a browser's cross-origin request."""
        site, origin = request.header("Sec-Fetch-Site"), request.header("Origin")
        if site:
            return site not in {"same-origin", "none"}
        return bool(origin) and not self._site.is_own(origin, request.header("Host"))
