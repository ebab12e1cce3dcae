"""A large static account for benchmarks and tests."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import Any

from exporter.simulator.api_records import (
    Record,
    attached_server,
    listed_server,
    portal_record,
    server_record,
)
from exporter.simulator.replay import NO_OUTSIDE_USE, OutsideUse, PortalState, ServerState
from exporter.simulator.scenario import (
    Attachment,
    AuthType,
    Condition,
    Override,
    PortalSpec,
    ServerSpec,
)
from exporter.simulator.tool_catalog import make_prompts, make_tools

NOUNS = ("record", "report", "user")
EPOCH = 1_767_225_600.0
"""Default time of the last sync: January 1, 2026."""

_AUTH_TYPES: tuple[AuthType, ...] = ("oauth", "bearer", "unauthenticated")
_READY = Condition(succeeds=True, status="ready")
_FAILED = Condition(
    succeeds=False,
    status="error",
    error="Server error: HTTP 503",
    error_details={"cause": "503", "is_upstream": True, "retryable": True, "status_code": 503},
)
_FAILING_EVERY = 10
_VARIETY = 64
# Neighbours take turns through so many tools that gzip's window holds no tool twice.
_PROMPTS = 2


def uniform_account(
    *, portals: int, servers: int, tools: int, seed: int = 0, synced_at: float = EPOCH
) -> UniformAccount:
    """An account of ``portals`` portals with ``servers`` servers each, all distinct.

    Every server has ``tools`` tools and two prompts, one in ten is in error, auth types alternate.
    Every server was last synced at ``synced_at`` (Unix seconds), those in error last successfully a
    day earlier.
    """
    return UniformAccount(portals, servers, tools, seed, synced_at)


class UniformAccount:
    """See `uniform_account`. Servers share the tool objects in memory."""

    def __init__(self, portals: int, servers: int, tools: int, seed: int, synced_at: float) -> None:
        self._size = (portals, servers, tools)
        self._seed = seed
        self._synced_at = synced_at

    def portals(self, now: float) -> list[dict[str, Any]]:  # noqa: ARG002 - part of the interface
        """All portals with their servers, by id."""
        return self._portals

    def servers(self, now: float) -> list[dict[str, Any]]:  # noqa: ARG002 - part of the interface
        """All servers, by id."""
        return [listed_server(record, spec) for spec, record in self._servers]

    def revision(self, now: float) -> Hashable:  # noqa: ARG002 - part of the interface
        """Always the same."""
        return 0

    def outside_use(self, now: float) -> OutsideUse:  # noqa: ARG002 - part of the interface
        """No other program uses the quota."""
        return NO_OUTSIDE_USE

    @cached_property
    def _portals(self) -> list[Record]:
        portals, servers, _ = self._size
        return [
            self._portal(number, self._servers[number * servers : (number + 1) * servers])
            for number in range(portals)
        ]

    @cached_property
    def _servers(self) -> list[tuple[ServerSpec, Record]]:
        portals, servers, tools = self._size
        pool = make_tools(tools + _VARIETY, NOUNS, str(self._seed))
        prompts = make_prompts(_PROMPTS, NOUNS, str(self._seed))
        return [
            self._server(number, pool[number * tools % _VARIETY :], prompts)
            for number in range(portals * servers)
        ]

    def _portal(self, number: int, servers: Sequence[tuple[ServerSpec, Record]]) -> Record:
        attached = [
            attached_server(record, spec, Attachment(id=spec.id)) for spec, record in servers
        ]
        spec = PortalSpec(
            id=f"portal-{number:04}",
            name=f"Portal {number}",
            hostname=f"portal-{number:04}.example.com",
            servers=(),
            code_mode="opt_in",
        )
        state = PortalState(spec, {}, modified=self._synced_at)
        return portal_record(state, attached, self._synced_at)

    def _server(
        self, number: int, tools: list[Record], prompts: list[Record]
    ) -> tuple[ServerSpec, Record]:
        auth_type = _AUTH_TYPES[number % len(_AUTH_TYPES)]
        amount = self._size[2]
        spec = ServerSpec(
            id=f"server-{number:06}",
            name=f"Server {number}",
            hostname=f"https://server-{number:06}.mcp.example.com/mcp",
            auth_type=auth_type,
            auth_mode="dcr" if auth_type == "oauth" else None,
            nouns=NOUNS,
            tools=amount,
            updated_tools=(Override(name=tools[0]["name"], enabled=False),) if amount else (),
        )
        failed = number % _FAILING_EVERY == _FAILING_EVERY - 1
        state = ServerState(
            spec=spec,
            condition=_FAILED if failed else _READY,
            tools=amount,
            prompts=_PROMPTS,
            last_synced=self._synced_at,
            last_success=self._synced_at - 86400.0 * failed,
        )
        return spec, server_record(state, tools, prompts, self._synced_at)
