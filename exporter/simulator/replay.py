"""Replays a scenario up to a given time. Pure: the same time gives the same state."""

from __future__ import annotations

import math
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from exporter.simulator.scenario import (
    AddInvalidRecord,
    Attach,
    Attachment,
    Catalog,
    Condition,
    Detach,
    Edit,
    Event,
    Hide,
    Live,
    PortalSpec,
    Remove,
    RemoveInvalidRecord,
    Restore,
    Scenario,
    ServerSpec,
    Show,
    Sync,
)

DAY = 86400.0
HOUR = 3600.0


class OutsideUse(NamedTuple):
    """The ratio of the user's request quota that others use, and for how many seconds."""

    share: float
    lasts: float


NO_OUTSIDE_USE = OutsideUse(0.0, 0.0)


@dataclass
class ServerState:
    """State of a server; times are Unix seconds."""

    spec: ServerSpec
    condition: Condition
    tools: int | None
    prompts: int | None
    last_synced: float | None
    """The last sync attempt, or ``None``."""
    last_success: float | None
    live: Live = field(default_factory=lambda: Live(at=0.0, server=""))
    """What a live probe finds."""


@dataclass
class PortalState:
    """State of a portal; times are Unix seconds."""

    spec: PortalSpec
    attachments: dict[str, Attachment]
    modified: float
    present: bool = True
    edits: dict[str, Any] = field(default_factory=dict)
    has_invalid_record: bool = False
    """Whether it lists a record without an id."""
    hidden: set[str] = field(default_factory=set)
    """Servers that its users do not see."""


@dataclass
class State:
    """State of an account, by id, in the scenario's order."""

    servers: dict[str, ServerState]
    portals: dict[str, PortalState]


class Replay:
    """A scenario that began at ``start`` (Unix seconds).

    Before ``start`` the account is in the scenario's initial state.
    """

    def __init__(self, scenario: Scenario, start: float) -> None:
        self.scenario = scenario
        self.start = start
        self._events = sorted(scenario.events, key=lambda event: event.at)
        self._offsets = [event.at for event in self._events]

    def at(self, now: float) -> State:
        """The state at ``now``."""
        state = self._opening()
        done = self.start
        for moment, event in self._past(now):
            self._background_syncs(state, done, moment)
            _APPLY[type(event)](self.scenario, state, event, moment)
            done = moment
        self._background_syncs(state, done, now)
        return state

    def revision(self, now: float) -> tuple[int, ...]:
        """Changes whenever the state does."""
        cycle, second = self._cycle(now)
        ticks = (
            int((now - self._phase(spec)) // self.scenario.sync_every) for spec in self._synced
        )
        return (cycle, bisect_right(self._offsets, second), sum(ticks))

    def outside_use(self, now: float) -> OutsideUse:
        """The quota that others have used."""
        _, second = self._cycle(now)
        for load in self.scenario.outside_load:
            if load.begins <= second < load.ends:
                share = (second - load.begins) / (load.exhausted - load.begins)
                return OutsideUse(min(1.0, share), load.ends - second)
        return NO_OUTSIDE_USE

    @property
    def _synced(self) -> Iterator[ServerSpec]:
        return (spec for spec in self.scenario.servers if spec.background_sync)

    def _cycle(self, now: float) -> tuple[int, float]:
        elapsed = max(now - self.start, -1.0)
        if self.scenario.repeat_after is None or elapsed < 0:
            return 0, elapsed
        cycle, second = divmod(elapsed, self.scenario.repeat_after)
        return int(cycle), second

    def _past(self, now: float) -> Iterator[tuple[float, Event]]:
        """The events up to now with their times: of this repetition and the previous one."""
        cycle, second = self._cycle(now)
        if cycle:
            yield from self._told(cycle - 1, math.inf)
        yield from self._told(cycle, second)

    def _told(self, cycle: int, second: float) -> Iterator[tuple[float, Event]]:
        """The events of one repetition up to this many seconds."""
        begin = self.start + cycle * (self.scenario.repeat_after or 0.0)
        for event in self._events[: bisect_right(self._offsets, second)]:
            yield begin + event.at, event

    def _opening(self) -> State:
        return State(
            servers={spec.id: self._server(spec) for spec in self.scenario.servers},
            portals={spec.id: self._portal(spec) for spec in self.scenario.portals},
        )

    def _portal(self, spec: PortalSpec) -> PortalState:
        return PortalState(
            spec=spec,
            attachments={attachment.id: attachment for attachment in spec.servers},
            modified=self.start - spec.modified_days_ago * DAY,
        )

    def _server(self, spec: ServerSpec) -> ServerState:
        condition = self.scenario.conditions[spec.condition]
        hours = spec.last_success_hours_ago
        success = None if hours is None else self.start - hours * HOUR
        state = ServerState(spec, condition, spec.tools, spec.prompts, success, success)
        if spec.background_sync:
            _attempt(state, condition, self._last_tick(spec, self.start))
        return state

    def _background_syncs(self, state: State, since: float, until: float) -> None:
        """Every background sync after ``since``, up to ``until``."""
        for spec in self._synced:
            tick = self._last_tick(spec, until)
            if tick > since:
                server = state.servers[spec.id]
                _attempt(server, server.condition, tick)

    def _last_tick(self, spec: ServerSpec, now: float) -> float:
        every, phase = self.scenario.sync_every, self._phase(spec)
        return phase + (now - phase) // every * every

    def _phase(self, spec: ServerSpec) -> float:
        """Spreads the servers over the interval, deterministically."""
        return zlib.crc32(spec.id.encode()) % int(self.scenario.sync_every * 1000) / 1000


def _sync(scenario: Scenario, state: State, event: Sync, moment: float) -> None:
    _attempt(state.servers[event.server], scenario.conditions[event.condition], moment)


def _catalog(_scenario: Scenario, state: State, event: Catalog, moment: float) -> None:
    server = state.servers[event.server]
    server.tools = server.tools if event.tools is None else event.tools
    server.prompts = server.prompts if event.prompts is None else event.prompts
    _attempt(server, server.condition, moment)


def _detach(_scenario: Scenario, state: State, event: Detach, moment: float) -> None:
    portal = state.portals[event.portal]
    for server_id in [event.server] if event.server else list(portal.attachments):
        del portal.attachments[server_id]
    portal.modified = moment


def _attach(_scenario: Scenario, state: State, event: Attach, moment: float) -> None:
    portal = state.portals[event.portal]
    for attachment in portal.spec.servers:
        if event.server in {None, attachment.id}:
            portal.attachments[attachment.id] = attachment
    portal.modified = moment


def _remove(_scenario: Scenario, state: State, event: Remove, _moment: float) -> None:
    state.portals[event.portal].present = False


def _restore(_scenario: Scenario, state: State, event: Restore, moment: float) -> None:
    portal = state.portals[event.portal]
    portal.present, portal.modified = True, moment


def _edit(_scenario: Scenario, state: State, event: Edit, moment: float) -> None:
    portal = state.portals[event.portal]
    portal.edits |= event.fields
    portal.modified = moment


def _add_invalid_record(
    _scenario: Scenario, state: State, event: AddInvalidRecord, _moment: float
) -> None:
    state.portals[event.portal].has_invalid_record = True


def _remove_invalid_record(
    _scenario: Scenario, state: State, event: RemoveInvalidRecord, _moment: float
) -> None:
    state.portals[event.portal].has_invalid_record = False


def _live(_scenario: Scenario, state: State, event: Live, _moment: float) -> None:
    state.servers[event.server].live = event


def _hide(_scenario: Scenario, state: State, event: Hide, _moment: float) -> None:
    state.portals[event.portal].hidden.add(event.server)


def _show(_scenario: Scenario, state: State, event: Show, _moment: float) -> None:
    state.portals[event.portal].hidden.discard(event.server)


_APPLY: dict[type[Event], Callable[..., None]] = {
    Sync: _sync,
    Catalog: _catalog,
    Detach: _detach,
    Attach: _attach,
    Remove: _remove,
    Restore: _restore,
    Edit: _edit,
    AddInvalidRecord: _add_invalid_record,
    RemoveInvalidRecord: _remove_invalid_record,
    Live: _live,
    Hide: _hide,
    Show: _show,
}


def _attempt(server: ServerState, condition: Condition, moment: float) -> None:
    """An attempt moves ``last_synced`` always, ``last_success`` only when it succeeds."""
    server.condition = condition
    server.last_synced = moment
    if condition.succeeds:
        server.last_success = moment
