"""What people may ask of the running exporter: to load its configuration anew, and to show it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from exporter.web.responses import Response, plain

if TYPE_CHECKING:
    from exporter.web.request import Request


class Control(Protocol):
    """Has the configuration. Both methods may take their time; they are called in a thread."""

    def reload(self) -> str | None:
        """Load the configuration anew; one line that says why not, None where it worked."""

    def effective_config(self) -> str:
        """The configuration in use as YAML, without its secrets."""


class ControlRoutes:
    """The handlers of ``/config`` and ``/-/reload``.

    Args:
        control: has the configuration.
        lifecycle: whether clients may have it loaded anew.
    """

    def __init__(self, control: Control, *, lifecycle: bool) -> None:
        self._control = control
        self._lifecycle = lifecycle
        # One thread: reloads that overlap follow each other.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="control")

    async def config(self, _request: Request) -> Response:
        """The effective configuration."""
        text = await asyncio.get_running_loop().run_in_executor(
            self._thread, self._control.effective_config
        )
        return Response(200, text.encode("utf-8", "replace"), "text/yaml; charset=utf-8")

    async def reload(self, _request: Request) -> Response:
        """Load the configuration anew."""
        if not self._lifecycle:
            return plain(403, "reloading is not enabled: start with --web.enable-lifecycle")
        problem = await asyncio.get_running_loop().run_in_executor(
            self._thread, self._control.reload
        )
        if problem is not None:
            return plain(500, problem)
        return plain(200, "the configuration is loaded")

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False, cancel_futures=True)
