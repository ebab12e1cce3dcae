"""The smallest timelines that still break a promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from timelines.weather import Timeline

World = list[Timeline]


Breaking = Callable[[Sequence[World]], Iterator[bool]]
"""Which of some worlds break the promise, too; one after the other."""


def shrunk(world: World, breaking: Breaking, most: int = 40) -> World:
    """The world with everything left out that does not matter.

    Args:
        world: timelines of one Prometheus.
        breaking: judges smaller worlds.
        most: how often something is left out.
    """
    for _ in range(most):
        candidates = list(_candidates(world))
        verdicts = zip(candidates, breaking(candidates), strict=False)
        smaller = next((candidate for candidate, breaks in verdicts if breaks), None)
        if smaller is None:
            break
        world = smaller
    return world


def _candidates(world: World) -> Iterator[World]:
    """Worlds that are a little smaller, the much smaller ones first."""
    if len(world) > 1:
        yield from ([one] for one in world)
    for number, timeline in enumerate(world):
        for candidate in (*_shorter(timeline), *_simpler(timeline)):
            yield [*world[:number], candidate, *world[number + 1 :]]


def _shorter(timeline: Timeline) -> Iterator[Timeline]:
    for share in (0.5, 0.75, 0.9):
        minutes = int(timeline.minutes * share) // 5 * 5
        if 60 <= minutes < timeline.minutes:
            yield replace(timeline, minutes=minutes)


def _simpler(timeline: Timeline) -> Iterator[Timeline]:
    truth, weather = timeline.truth, timeline.weather
    for account in truth.accounts[1:]:
        yield _without_account(timeline, account.id)
    for one in _less(truth):
        if one.accounts == truth.accounts or len(one.accounts) == len(truth.accounts):
            yield replace(timeline, truth=one)
    for other in _less(weather):
        if other.targets:
            yield replace(timeline, weather=other)


def _without_account(timeline: Timeline, account: str) -> Timeline:
    truth, weather = timeline.truth, timeline.weather
    targets = tuple(
        replace(target, accounts=kept)
        for target in weather.targets
        if (kept := tuple(one for one in target.accounts if one != account))
    )
    return replace(
        timeline,
        truth=replace(
            truth,
            accounts=tuple(one for one in truth.accounts if one.id != account),
            portals=tuple(one for one in truth.portals if one.account != account),
            servers=tuple(one for one in truth.servers if one.account != account),
        ),
        weather=replace(
            weather,
            targets=targets,
            outages=tuple(one for one in weather.outages if one.account != account),
        ),
    )


SIMPLEST = {"removed": None, "deleted": None, "last": None, "manual": False, "phase": 0}
"""What an attribute is where nothing happens."""

NEEDED = {"conditions", "places", "accounts"}
"""Of these the first member stays."""


def _less(value: Any) -> Iterator[Any]:
    """Copies of a dataclass in which one event is missing, at any depth."""
    for field in fields(value):
        own = getattr(value, field.name)
        if field.name in SIMPLEST and own != SIMPLEST[field.name]:
            yield replace(value, **{field.name: SIMPLEST[field.name]})
        if not isinstance(own, tuple) or field.name == "reasons":
            continue
        if len(own) > 8 and all(isinstance(one, int) for one in own):
            half = len(own) // 2
            yield replace(value, **{field.name: own[:half]})
            yield replace(value, **{field.name: own[half:]})
            continue
        first = 1 if field.name in NEEDED else 0
        for number in range(len(own) - 1, first - 1, -1):
            yield replace(value, **{field.name: own[:number] + own[number + 1 :]})
        for number, one in enumerate(own):
            if is_dataclass(one):
                for less in _less(one):
                    yield replace(value, **{field.name: (*own[:number], less, *own[number + 1 :])})
