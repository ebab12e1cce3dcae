"""A request as handlers see it."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from exporter.web.responses import Receive, Scope

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,3})?")


class Request:
    """A parsed ASGI scope."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope = scope
        self._receive = receive
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.scheme: str = scope.get("scheme", "http")

    def header(self, name: str) -> str:
        """All values of the header joined; empty if there is none."""
        wanted = name.lower().encode()
        return ", ".join(
            value.decode("latin-1") for key, value in self._scope["headers"] if key == wanted
        )

    @property
    def client(self) -> str:
        """The peer's address without port; empty if it has none, as on a unix socket."""
        peer = self._scope.get("client")
        return str(peer[0]) if peer else ""

    def values(self, name: str) -> list[str]:
        """All values of a query parameter, in order, including empty ones."""
        query = self._scope["query_string"].decode("latin-1")
        return parse_qs(query, keep_blank_values=True).get(name, [])

    def query(self, name: str) -> frozenset[str]:
        """The distinct values of a query parameter that are not empty."""
        return frozenset(parse_qs(self._scope["query_string"].decode("latin-1")).get(name, ()))

    @property
    def scrape_timeout(self) -> float | None:
        """Prometheus' scrape timeout in seconds; None if it is absent or invalid."""
        text = self.header("X-Prometheus-Scrape-Timeout-Seconds").strip()
        seconds = float(text) if _SECONDS.fullmatch(text) else 0.0
        return seconds if math.isfinite(seconds) and seconds > 0 else None

    async def abandoned(self) -> None:
        """Returns when the client has disconnected; reads and drops a body."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
