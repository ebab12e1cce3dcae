"""Probes an MCP server directly: does it answer as a server of its auth type should.

Without credentials: what is probed is whether a client could begin to use the server, and never
more than one list of its tools. No tool is called.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import msgspec

from exporter.deadline import Deadline
from exporter.probes.exchange import Exchange, Route
from exporter.probes.login import login_possible
from exporter.probes.mcp import Challenge, Era, McpClient, timed
from exporter.probes.result import Drift, Outcome, Phase, ProbeError, ProbeResult

LOGIN_TYPES = ("oauth", "bearer")


class ServerTarget(msgspec.Struct, frozen=True):
    """A server as the account's listing shows it.

    Attributes:
        server_id: of the server.
        url: of its MCP endpoint.
        auth_type: of the server.
        stored_tools: hashes of the names that Cloudflare has stored; None if it has none.
    """

    server_id: str
    url: str
    auth_type: str
    stored_tools: frozenset[int] | None = None


class ServerProbe:
    """One probe of a server, run in a thread.

    Args:
        target: what to probe.
        route: how to reach it.
        deadline: of the probe.
        era: of the protocol that it spoke last time; None if unknown.
    """

    def __init__(
        self, target: ServerTarget, route: Route, deadline: Deadline, era: Era | None
    ) -> None:
        self._target = target
        self._exchange = Exchange(route, deadline)
        self._client = McpClient(self._exchange, target.url, {})
        self._era = era
        self._found: dict[str, object] = {}

    @property
    def era(self) -> Era | None:
        """Of the protocol that it spoke; None if it did not answer as an MCP server."""
        return self._client.era

    @property
    def ttl(self) -> float:
        """Seconds for which the server asks not to be asked again; 0 for none."""
        return self._client.ttl

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
        """Probe; never raises for what the server does."""
        outcome, problem, retry_after = Outcome.OK, "", 0.0
        try:
            try:
                self._probe()
            finally:
                self._client.close()
        except Challenge as challenge:
            outcome = Outcome.AUTHORIZATION_REQUIRED
            problem = self._examine(challenge)
        except ProbeError as error:
            outcome, problem, retry_after = error.outcome, str(error), error.retry_after
        finally:
            self._exchange.close()
        wants_login = self._target.auth_type in LOGIN_TYPES
        watch = self._exchange.watch
        return ProbeResult(
            outcome=outcome,
            success=outcome is Outcome.OK
            or (outcome is Outcome.AUTHORIZATION_REQUIRED and wants_login),
            problem=problem,
            phases=dict(watch.phases),
            http_status=self._client.status,
            protocol_version=self._client.version,
            certificate_expiry=watch.certificate_expiry,
            retry_after=retry_after,
            **self._found,  # type: ignore[arg-type]  # set below with their types
        )

    def _probe(self) -> None:
        with timed(self._exchange, Phase.DISCOVER):
            self._client.open(self._era)
        if self._client.era is Era.SSE:
            return  # its responses come on another connection: that it answers is enough
        # A server may list its tools for everybody or for nobody: neither is a failure.
        with timed(self._exchange, Phase.LIST), suppress(Challenge, ProbeError):
            self._compare(self._client.list_tools())

    def _compare(self, names: Iterable[str]) -> None:
        listed = frozenset(map(hash, names))
        self._found["tools"] = len(listed)
        stored = self._target.stored_tools
        if stored is not None:
            self._found["drift"] = Drift(len(listed - stored), len(stored - listed))

    def _examine(self, challenge: Challenge) -> str:
        """What is wrong with a challenge, for people; empty where a login is possible."""
        if not challenge.header:
            problem = "it answers 401 without a challenge, so that clients cannot find the login"
        else:
            problem = ""
        if self._target.auth_type == "oauth" and not self._exchange.is_over:
            possible = login_possible(self._exchange, self._target.url, challenge.header)
            self._found["login_possible"] = possible
            if not possible:
                problem = "it requires a login, but the metadata for it do not answer"
        return problem
