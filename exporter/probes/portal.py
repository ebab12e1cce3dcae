"""Probes a portal the way its users reach it.

Without a service token only the home page can be asked: that proves DNS, TLS and Cloudflare's edge.
With one, the portal's tools are listed as for a user, which shows which servers its users see. That
listing may be one that the portal has stored: it does not prove that the servers behind it answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

import msgspec

from exporter.deadline import Deadline
from exporter.probes.exchange import Exchange, Route
from exporter.probes.mcp import Challenge, Era, McpClient, timed
from exporter.probes.result import Outcome, Phase, ProbeError, ProbeResult

OWN_TOOLS = "portal_"
CODE_MODE_TOOLS = "portal_codemode_"

REFUSED = (Outcome.BLOCKED, Outcome.REDIRECTED)
"""How Access rejects a service token: 403, or a redirect to the team's login."""


class ServiceToken(msgspec.Struct, frozen=True):
    """An Access service token; hidden from ``repr``."""

    client_id: str
    client_secret: str

    def __repr__(self) -> str:
        return "ServiceToken(...)"

    def headers(self) -> dict[str, str]:
        """For requests to the portal's own hostname."""
        return {
            "CF-Access-Client-Id": self.client_id,
            "CF-Access-Client-Secret": self.client_secret,
        }


class PortalTarget(msgspec.Struct, frozen=True):
    """A portal as the account's listing shows it.

    Attributes:
        portal_id: of the portal.
        hostname: of the portal, perhaps with a port and a path.
        expected: ids of the servers whose tools its users should see.
        scheme: ``https``, unless its hostname says otherwise.
    """

    portal_id: str
    hostname: str
    expected: frozenset[str] = frozenset()
    scheme: str = "https"


class PortalProbe:
    """One probe of a portal, run in a thread; see `exporter.probes.server.ServerProbe`.

    Args:
        target: what to probe.
        route: how to reach it.
        deadline: of the probe.
        token: of a service; None for the home page alone.
        era: of the protocol that it spoke last time; None if unknown.
    """

    ttl = 0.0

    def __init__(
        self,
        target: PortalTarget,
        route: Route,
        deadline: Deadline,
        token: ServiceToken | None,
        era: Era | None,
    ) -> None:
        self._target = target
        self._token = token
        self._era = era
        self._exchange = Exchange(route, deadline)
        # Ignored where code mode is enforced.
        url = f"{target.scheme}://{target.hostname}/mcp?codemode=off"
        self._client = McpClient(self._exchange, url, token.headers() if token else {})
        self._visible: dict[str, int] | None = None
        self._tools: int | None = None
        self._status: int | None = None

    @property
    def era(self) -> Era | None:
        """Of the protocol that it spoke; None if it did not answer as an MCP server."""
        return self._client.era

    def interrupt(self) -> None:
        """End the probe, from another thread; a session that it may have created can linger."""
        self._exchange.interrupt()

    def abort(self) -> None:
        """End the probe in any case, from another thread."""
        self._exchange.abort()

    def timed_out(self) -> ProbeResult:
        """The result so far of a probe that has not ended in time."""
        watch = self._exchange.watch
        return ProbeResult(
            Outcome.TIMEOUT,
            success=False,
            problem="no answer in time",
            phases=dict(watch.phases),
            certificate_expiry=watch.certificate_expiry,
        )

    def run(self) -> ProbeResult:
        """Probe; never raises for what the portal does."""
        outcome, problem, retry_after = Outcome.OK, "", 0.0
        try:
            if self._token is None:
                self._home_page()
            else:
                self._list()
        except Challenge:
            outcome = Outcome.CREDENTIALS_REFUSED
            problem = "it rejects the service token (HTTP 401)"
        except ProbeError as error:
            outcome, problem, retry_after = error.outcome, str(error), error.retry_after
            if self._token is not None and outcome in REFUSED:
                outcome, problem = Outcome.CREDENTIALS_REFUSED, "Access rejects the service token"
        finally:
            self._exchange.close()
        watch = self._exchange.watch
        return ProbeResult(
            outcome=outcome,
            success=outcome is Outcome.OK,
            problem=problem,
            phases=dict(watch.phases),
            http_status=self._client.status if self._status is None else self._status,
            protocol_version=self._client.version,
            certificate_expiry=watch.certificate_expiry,
            tools=self._tools,
            visible_tools=self._visible,
            retry_after=retry_after,
        )

    def _home_page(self) -> None:
        url = f"{self._target.scheme}://{self._target.hostname}/"
        with timed(self._exchange, Phase.DISCOVER):
            try:
                reply = self._exchange.send("GET", url, {"Accept": "text/html, */*;q=0.5"})
            finally:
                self._status = self._exchange.status
        if reply.status == HTTPStatus.FORBIDDEN:
            raise ProbeError(Outcome.BLOCKED, "its home page is blocked (HTTP 403)")
        if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise ProbeError(Outcome.THROTTLED, "it answers 429, too many requests")
        if reply.status == HTTPStatus.NOT_FOUND:
            raise ProbeError(Outcome.NOT_FOUND, "it has no home page (HTTP 404)")
        if reply.status != HTTPStatus.OK:
            raise ProbeError(Outcome.HTTP_ERROR, f"its home page answers HTTP {reply.status}")

    def _list(self) -> None:
        try:
            with timed(self._exchange, Phase.DISCOVER):
                self._client.open(self._era)
            if self._client.era is Era.SSE:
                raise ProbeError(Outcome.PROTOCOL_ERROR, "it speaks an old version of MCP only")
            with timed(self._exchange, Phase.LIST):
                names = self._client.list_tools()
        finally:
            self._client.close()
        if any(name.startswith(CODE_MODE_TOOLS) for name in names) and not any(
            not name.startswith(OWN_TOOLS) for name in names
        ):
            return  # code mode is enforced: its tools hide those of the servers
        self._visible = visible_tools(names, self._target.expected)
        self._tools = sum(not name.startswith(OWN_TOOLS) for name in names)


def visible_tools(names: Iterable[str], expected: Iterable[str]) -> dict[str, int]:
    """How many tools each expected server shows.

    A portal names a tool ``SERVER_TOOL``. Ids may contain underscores, so a name belongs to the
    expected server with the longest id that fits, rather than to what precedes the first one.
    """
    counts = dict.fromkeys(expected, 0)
    by_length = sorted(counts, key=len, reverse=True)
    for name in names:
        if name.startswith(OWN_TOOLS):
            continue
        owner = next((one for one in by_length if name.startswith(f"{one}_")), None)
        if owner is not None:
            counts[owner] += 1
    return counts
