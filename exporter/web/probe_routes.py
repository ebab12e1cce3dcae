"""Endpoints of live probes: discovery of targets, and the probe of one target."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

from exporter.metrics.formats import Format, choose_format
from exporter.web.discovery import probe_targets
from exporter.web.public_address import PublicAddress
from exporter.web.request import Request
from exporter.web.responses import Response, plain

DISCOVERY = {"servers": "/sd/servers", "portals": "/sd/portals"}
PROBE = {"servers": "/probe/server", "portals": "/probe/portal"}
PARAMETER = {"servers": "server", "portals": "portal"}


class ProbeSource(Protocol):
    """Interface of `exporter.account_probes.AccountProbes`."""

    def is_enabled(self, kind: str) -> bool:
        """Whether any account allows probes of this kind."""

    async def targets(self, kind: str, announced: float | None) -> Any:
        """All targets of this kind."""

    async def probe(self, kind: str, name: str, identity: str, announced: float | None) -> Any:
        """Probes one target; returns what renders its metrics."""


class ProbeRoutes:
    """The handlers of ``/sd/*`` and ``/probe/*`` of servers and portals.

    Args:
        source: of targets and probes.
        address: the exporter's public address.
        status_of: the HTTP status of an error of the source; None if it is unexpected.
    """

    def __init__(
        self,
        source: ProbeSource,
        address: PublicAddress,
        status_of: Callable[[Exception], int | None],
    ) -> None:
        self._source = source
        self._address = address
        self._status_of = status_of

    def handlers(self) -> dict[str, Callable[[Request], Any]]:
        """Handlers by path."""
        return {
            **{path: partial(self._discover, kind) for kind, path in DISCOVERY.items()},
            **{path: partial(self._probe, kind) for kind, path in PROBE.items()},
        }

    async def _discover(self, kind: str, request: Request) -> Response:
        if not self._source.is_enabled(kind):
            return _off(kind)
        reached = self._address.address(request.scheme, request.header("Host"))
        if reached is None:
            return plain(400, "missing or invalid Host header; see --web.external-url")
        try:
            found = await self._source.targets(kind, request.scrape_timeout)
        except Exception as error:  # noqa: BLE001 - raised again if it is unexpected
            return self._refusal(error)
        path = self._address.link_prefix + PROBE[kind]
        document = probe_targets(found, PARAMETER[kind], *reached, path)
        return Response(200, document, "application/json; charset=utf-8")

    async def _probe(self, kind: str, request: Request) -> Response:
        if not self._source.is_enabled(kind):
            return _off(kind)
        name = PARAMETER[kind]
        accounts, ids = request.values("account"), request.values(name)
        if len(accounts) != 1 or len(ids) != 1 or not accounts[0] or not ids[0]:
            usage = f"{PROBE[kind]}?account=NAME&{name}=ID"
            return plain(400, f"exactly one account and one {name} are required: {usage}")
        try:
            expose = await self._source.probe(kind, accounts[0], ids[0], request.scrape_timeout)
        except Exception as error:  # noqa: BLE001 - raised again if it is unexpected
            return self._refusal(error)
        form = choose_format(request.header("Accept"))
        return _exposition(expose, form)

    def _refusal(self, error: Exception) -> Response:
        status = self._status_of(error)
        if status is None:
            raise error
        return plain(status, str(error) or "too many probes are in progress, try again later")


def _exposition(expose: Callable[[Format], Iterable[bytes]], form: Format) -> Response:
    return Response(200, b"".join(expose(form)), form.content_type, (("Vary", "Accept"),))


def _off(kind: str) -> Response:
    return plain(404, f"probes of {kind} are not enabled; see --probe.{kind}")
