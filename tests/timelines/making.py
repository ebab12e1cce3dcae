"""Timelines from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterable

from exporter.errors import Reason
from timelines.truth import SYNC, Account, Condition, Portal, Server, Truth
from timelines.weather import Outage, Span, Target, Timeline, Weather

CALM = 45
"""Minutes at the start in which nothing fails: what was never seen cannot be missed."""

LASTING = (Condition.DENIED, Condition.UNREACHABLE, Condition.LAPSED, Condition.BARE)
BROKEN = (*LASTING, Condition.RETRYABLE)
REASONS = tuple(reason.value for reason in Reason)


def timelines(seed: int) -> list[Timeline]:
    """One timeline, or those of two clusters that know nothing of each other."""
    chance = random.Random(seed)
    minutes = chance.choice((360, 480, 600))
    topology = chance.choice(tuple(TOPOLOGIES))
    if chance.random() < 0.2:
        both = (_timeline(chance, minutes, topology) for _ in range(2))
        return [
            Timeline(one.minutes, one.truth, one.weather, (("cluster", name),))
            for name, one in zip(("east", "west"), both, strict=True)
        ]
    return [_timeline(chance, minutes, topology)]


def _timeline(chance: random.Random, minutes: int, topology: str) -> Timeline:
    names = tuple(f"a{number}" for number in range(chance.randint(1, 3)))
    truth = _truth(chance, minutes, names, removable=topology not in WITHOUT_A_LIST)
    targets = tuple(
        _with_misses(chance, one) for one in TOPOLOGIES[topology](chance, minutes, names)
    )
    outages = tuple(_outages(chance, minutes, names))
    stopped = _spans(chance, minutes, 0.3) if topology == "textfile" else ()
    weather = Weather(targets, outages, every=chance.choice((1, 5, 10)), stopped=stopped)
    return Timeline(minutes, truth, weather)


# --- the truth ---------------------------------------------------------------------------------


def _truth(
    chance: random.Random, minutes: int, names: tuple[str, ...], *, removable: bool
) -> Truth:
    removed = {
        name: chance.randint(CALM, minutes)
        for name in names[1:]
        if removable and chance.random() < 0.3
    }
    accounts = tuple(Account(name, removed.get(name)) for name in names)
    portals, servers = [], []
    for account in names:
        ids = [f"p{number}" for number in range(chance.randint(1, 2))]
        portals += [_portal(chance, minutes, account, identity) for identity in ids]
        servers += [
            _server(chance, minutes, account, f"s{number}", ids)
            for number in range(chance.randint(1, 3))
        ]
    return Truth(accounts, tuple(portals), tuple(servers))


def _portal(chance: random.Random, minutes: int, account: str, identity: str) -> Portal:
    deleted = chance.randint(CALM, minutes) if chance.random() < 0.15 else None
    return Portal(account, identity, _moments(chance, minutes, 0.3), deleted)


def _server(
    chance: random.Random, minutes: int, account: str, identity: str, portals: list[str]
) -> Server:
    phase = chance.randrange(SYNC)
    manual = chance.random() < 0.15
    story = chance.choice(tuple(STORIES))
    conditions = STORIES[story](chance, minutes, phase)
    places: list[tuple[int, tuple[str, ...]]] = [(0, (chance.choice(portals),))]
    if chance.random() < 0.2:
        places = [(0, tuple(portals))]
    places += [
        (moment, chance.choice((tuple(portals), (portals[0],), (portals[-1],), ())))
        for moment in _moments(chance, minutes, 0.3)
    ]
    renamed = _moments(chance, minutes, 0.3)
    return Server(account, identity, conditions, tuple(places), renamed, manual, phase)


Conditions = tuple[tuple[int, Condition], ...]


def _syncs(minutes: int, phase: int) -> range:
    return range(phase, minutes, SYNC)


def _well(chance: random.Random, minutes: int, phase: int) -> Conditions:
    del chance, minutes, phase
    return ()


def _breaks(chance: random.Random, minutes: int, phase: int) -> Conditions:
    """At one sync, in one way; it may recover at a later one, or between two."""
    start = chance.choice(_syncs(minutes, phase))
    found = [(start, chance.choice(BROKEN))]
    if chance.random() < 0.6:
        end = start + chance.choice((SYNC, 2 * SYNC, 3 * SYNC, chance.randint(5, 3 * SYNC)))
        found.append((end, Condition.OK))
    return tuple(found)


def _alternates(chance: random.Random, minutes: int, phase: int) -> Conditions:
    """Its class of error is another one at each sync."""
    ways = chance.sample(BROKEN, 2)
    start = chance.choice(_syncs(minutes, phase))
    found = [(m, ways[m // SYNC % 2]) for m in _syncs(minutes, phase) if m >= start]
    if chance.random() < 0.3:
        found.append((found[-1][0] + chance.randint(5, SYNC), Condition.OK))
    return tuple(found)


def _anything(chance: random.Random, minutes: int, phase: int) -> Conditions:
    """Whatever comes, at each sync."""
    return tuple((m, chance.choice(tuple(Condition))) for m in _syncs(minutes, phase))


def _flaps(chance: random.Random, minutes: int, phase: int) -> Conditions:
    way = chance.choice(BROKEN)
    return tuple((m, way if m // SYNC % 2 else Condition.OK) for m in _syncs(minutes, phase))


STORIES = {
    "well": _well,
    "breaks": _breaks,
    "alternates": _alternates,
    "anything": _anything,
    "flaps": _flaps,
}


# --- the weather -------------------------------------------------------------------------------


def _moments(chance: random.Random, minutes: int, share: float) -> tuple[int, ...]:
    """Moments after the calm, in some of the cases."""
    if chance.random() >= share:
        return ()
    return tuple(sorted(chance.randint(CALM, minutes) for _ in range(chance.randint(1, 3))))


def _spans(chance: random.Random, minutes: int, share: float) -> tuple[Span, ...]:
    return tuple(
        (start, start + chance.choice((3, 15, 35, 80, 150)))
        for start in _moments(chance, minutes, share)
    )


def _outages(chance: random.Random, minutes: int, names: tuple[str, ...]) -> Iterable[Outage]:
    for account in names:
        for first, last in _spans(chance, minutes, 0.4):
            reasons = chance.sample(REASONS, chance.choice((1, 1, 2, 3)))
            yield Outage(account, first, last, tuple(reasons))


def _with_misses(chance: random.Random, target: Target) -> Target:
    """The target with single scrapes missed, and with times at which it is down."""
    way = chance.choice(("none", "none", "one in ten", "regular"))
    first = max(CALM, target.first + 1)
    last = 600 if target.last is None else target.last
    missed: Iterable[int] = ()
    if way == "one in ten":
        missed = (m for m in range(first, last + 1) if chance.random() < 0.1)
    elif way == "regular":
        missed = range(first, last + 1, 9)
    down = _spans(chance, last, 0.2) if last > CALM else ()
    return Target(
        target.instance,
        target.kind,
        target.accounts,
        target.interval,
        target.first,
        target.last,
        tuple(span for span in down if span[0] > target.first),
        tuple(missed),
        target.started,
    )


def _interval(chance: random.Random) -> int:
    return chance.choice((1, 1, 5, 10))


def _rolled(
    chance: random.Random, minutes: int, name: str, names: tuple[str, ...], every: int
) -> list[Target]:
    """The pods of one exporter, one after the other."""
    moments = _moments(chance, minutes, 0.5)
    starts = (0, *(moment + chance.choice((0, 1, 2)) for moment in moments))
    ends = (*moments, None)
    return [
        Target(f"{name}-{number}:10180", "metrics", names, every, first, last, started=first)
        for number, (first, last) in enumerate(zip(starts, ends, strict=True))
        if last is None or first <= last
    ]


def _one(chance: random.Random, minutes: int, names: tuple[str, ...]) -> list[Target]:
    return _rolled(chance, minutes, "one", names, _interval(chance))


def _replicas(chance: random.Random, minutes: int, names: tuple[str, ...]) -> list[Target]:
    """Two exporters, of which the second may come and go."""
    every = _interval(chance)
    found = _rolled(chance, minutes, "one", names, every)
    starts = chance.sample(range(0, minutes, 30), 3)
    for number, first in enumerate(sorted(starts)):
        last = first + chance.randint(5, 29)
        found.append(
            Target(f"two-{number}:10180", "metrics", names, every, first, last, started=first)
        )
    if chance.random() < 0.5:
        found = found[:-3] + _rolled(chance, minutes, "two", names, every)
    return found


def _discovered(chance: random.Random, minutes: int, names: tuple[str, ...]) -> list[Target]:
    """All accounts of one exporter as targets of one instance, and the exporter itself."""
    every = _interval(chance)
    own = Target("one:10180", "own", names, every)
    probes = [_probe(chance, minutes, "one:10180", name, every) for name in names]
    return [own, *probes]


def _probe(chance: random.Random, minutes: int, instance: str, name: str, every: int) -> Target:
    gone = _moments(chance, minutes, 0.15)
    return Target(instance, "probe", (name,), every, last=gone[0] if gone else None)


def _sharded(chance: random.Random, minutes: int, names: tuple[str, ...]) -> list[Target]:
    """Three exporters with the same configuration, an account with one of them each."""
    every = _interval(chance)
    own = Target("shard-0:10180", "own", names, every)
    probes = [
        _probe(chance, minutes, f"shard-{number % 3}:10180", name, every)
        for number, name in enumerate(names)
    ]
    return [own, *probes]


def _apart(chance: random.Random, minutes: int, names: tuple[str, ...]) -> list[Target]:
    """Exporters with a configuration, and an account, of their own."""
    every = _interval(chance)
    return [Target(f"own-{name}:10180", "metrics", (name,), every) for name in names]


def _named(chance: random.Random, minutes: int, names: tuple[str, ...]) -> list[Target]:
    """An instance an account, as an operator's probe makes them, and no list of accounts."""
    every = _interval(chance)
    return [_probe(chance, minutes, name, name, every) for name in names]


def _textfile(chance: random.Random, minutes: int, names: tuple[str, ...]) -> list[Target]:
    del minutes
    return [Target("node:9100", "textfile", names, _interval(chance))]


TOPOLOGIES = {
    "one": _one,
    "replicas": _replicas,
    "discovered": _discovered,
    "sharded": _sharded,
    "apart": _apart,
    "named": _named,
    "textfile": _textfile,
}

WITHOUT_A_LIST = ("named", "apart")
"""Topologies in which nobody can tell an account that was removed from one that was lost."""
