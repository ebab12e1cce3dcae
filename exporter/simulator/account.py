"""An account that follows a scenario: the contents of its lists at a given time.

Pure: no I/O, and the time is a parameter. The same seed, start and time give the same records.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Protocol

from exporter.simulator.api_records import (
    Record,
    attached_server,
    invalid_server,
    listed_server,
    portal_record,
    server_record,
)
from exporter.simulator.replay import OutsideUse, PortalState, Replay, State
from exporter.simulator.scenario import Catalog, Live, Scenario, ServerSpec
from exporter.simulator.tool_catalog import make_prompts, make_tools


class Account(Protocol):
    """What the simulated API needs of an account; ``now`` is Unix time."""

    def portals(self, now: float) -> list[dict[str, Any]]:
        """All portals with their servers, by id."""

    def servers(self, now: float) -> list[dict[str, Any]]:
        """All servers, attached or not, by id."""

    def revision(self, now: float) -> Hashable:
        """Equal revisions mean equal lists."""

    def outside_use(self, now: float) -> OutsideUse:
        """How much of the user's request quota others have used."""


class SimulatedAccount:
    """The account of a scenario that began at ``start`` (Unix seconds).

    Attributes:
        live_url: where its servers and portals answer live probes, without a slash at the end;
            empty to list them with the hostnames of the scenario.
    """

    def __init__(self, scenario: Scenario, start: float, seed: int = 0) -> None:
        self.live_url = ""
        self._story = Replay(scenario, start)
        self._tools = {
            spec.id: make_tools(_most(scenario, spec, "tools"), spec.nouns, f"{seed}/{spec.id}")
            for spec in scenario.servers
        }
        self._prompts = {
            spec.id: make_prompts(_most(scenario, spec, "prompts"), spec.nouns, f"{seed}/{spec.id}")
            for spec in scenario.servers
        }

    def portals(self, now: float) -> list[dict[str, Any]]:
        """All portals that exist, with their servers, by id."""
        state = self._story.at(now)
        records = self._records(state)
        present = (portal for portal in state.portals.values() if portal.present)
        return sorted((self._portal(portal, records) for portal in present), key=_id)

    def servers(self, now: float) -> list[dict[str, Any]]:
        """All servers, attached to a portal or not, by id."""
        specs = {spec.id: spec for spec in self._story.scenario.servers}
        records = self._records(self._story.at(now))
        return sorted((listed_server(rec, specs[key]) for key, rec in records.items()), key=_id)

    def revision(self, now: float) -> Hashable:
        """Equal revisions mean equal lists."""
        return self._story.revision(now)

    def outside_use(self, now: float) -> OutsideUse:
        """How much of the user's request quota others have used."""
        return self._story.outside_use(now)

    def state(self, now: float) -> State:
        """The state of everything at ``now``."""
        return self._story.at(now)

    def tool_names(self, server: str) -> list[str]:
        """All tools that the server may offer; it offers the first ones."""
        return [str(tool["name"]) for tool in self._tools[server]]

    def _records(self, state: State) -> dict[str, Record]:
        return {
            key: server_record(server, self._tools[key], self._prompts[key], self._story.start)
            | self._live_hostname(f"servers/{key}/mcp")
            for key, server in state.servers.items()
        }

    def _live_hostname(self, path: str) -> Record:
        return {"hostname": f"{self.live_url}/{path}"} if self.live_url else {}

    def _portal(self, portal: PortalState, records: dict[str, Record]) -> Record:
        specs = {spec.id: spec for spec in self._story.scenario.servers}
        servers = [
            attached_server(records[key], specs[key], attachment)
            for key, attachment in portal.attachments.items()
        ]
        if portal.has_invalid_record:
            servers.append(invalid_server())
        hostname = self._live_hostname(f"portals/{portal.spec.id}")
        return portal_record(portal, servers, self._story.start) | hostname


def _id(record: Record) -> str:
    return str(record["id"])


def _most(scenario: Scenario, spec: ServerSpec, kind: str) -> int:
    """Maximum tools or prompts of the server over the scenario."""
    events = [e for e in scenario.events if isinstance(e, Catalog) and e.server == spec.id]
    extra = [e.extra_tools for e in scenario.events if isinstance(e, Live) and e.server == spec.id]
    return max(getattr(source, kind) or 0 for source in (spec, *events)) + max(extra, default=0)
