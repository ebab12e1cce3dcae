"""The promises of the alert rules, said of truth, weather and alerts, by labels alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from timelines.firing import CLUSTER, EVERY, Alert
from timelines.series import configuration_loaded
from timelines.truth import Account, Portal, Server
from timelines.weather import Timeline

BREAKS = 25
"""Minutes after which what does not pass by itself, and what is not seen, is named."""

PASSES = 205
"""Minutes after which a failure is named that could have passed by itself."""

SOON = 6
"""Minutes after which a failure is named that was seen only when it was older than that."""

TOO_SOON = 175
"""Minutes for which a first failure that may pass by itself is not named."""

WELL = 90
"""Minutes after which nothing names what was well all the time."""

REMOVED = 40
"""Minutes after which nothing names what the configuration has no more."""

OVER = 45
"""Minutes that an alert may go on after what it says is over."""

GAP = 20
"""Minutes between two listings that are no reason for an alert: one missed every ten minutes."""

REPORTED = 35
"""Minutes in which a portal that lost its servers, or is gone, is named once that is seen."""

FORGOTTEN = 180
"""Minutes for which such a portal is named at least."""

Alerts = Mapping[int, Sequence[Alert]]


@dataclass(frozen=True)
class Violation:
    """A promise that was broken.

    Attributes:
        promise: its name.
        minute: at which it was.
        what: server, portal, account or exporter.
    """

    promise: str
    minute: int
    what: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.what} at minute {self.minute}"


class _World:
    """Truth and weather of a timeline as tables, and the alerts by what they name."""

    def __init__(self, timeline: Timeline, alerts: Alerts) -> None:
        self.timeline = timeline
        self.truth = timeline.truth
        self.minutes = range(timeline.minutes + 1)
        cluster = dict(timeline.labels).get(CLUSTER)
        self.alerts = {
            minute: [one for one in some if one.get(CLUSTER) in (cluster, None)]
            for minute, some in alerts.items()
        }
        self.named = {
            minute: {_object(alert) for alert in some if alert["severity"] != "info"}
            for minute, some in self.alerts.items()
        }
        self.newest = {one.id: self._newest(one) for one in self.truth.accounts}
        self.bad = {(s.account, s.id): self._bad_server(s) for s in self.truth.servers}

    # --- what is observed ---

    def _newest(self, account: Account) -> list[int | None]:
        """The minute of the newest listing that Prometheus knows of, minute by minute."""
        found: list[int | None] = []
        newest = None
        for minute in self.minutes:
            for target in self.timeline.weather.targets:
                if target.kind == "own" or account.id not in target.accounts:
                    continue
                if not target.scraped(minute):
                    continue
                listed: int | None = minute
                if target.kind == "textfile":
                    listed = self.timeline.weather.written(minute)
                if listed is None or not account.configured(listed):
                    continue
                if self.timeline.weather.reason(account.id, listed) is None:
                    newest = max(listed, -1 if newest is None else newest)
            found.append(newest)
        return found

    def unseen(self, account: str, minute: int) -> int:
        """Minutes since the newest listing that is known."""
        newest = self.newest[account][minute]
        return minute + 1000 if newest is None else minute - newest

    def unanswered(self, minute: int) -> int:
        """Minutes since any target answered; 0 where one does now and then."""
        last = max((m for m in self.answered if m <= minute), default=0)
        return minute - last if minute - last > GAP else 0

    def gap(self, account: str, first: int, last: int) -> bool:
        """Whether listings lay too far apart in these minutes."""
        return any(self.unseen(account, m) > GAP for m in range(max(0, first), last + 1))

    def listings(self, account: str, first: int, last: int) -> list[tuple[int, int]]:
        """When listings of these minutes, the newest one each time, came to be known."""
        newest = self.newest[account]
        return [
            (minute, listed)
            for minute, (before, listed) in enumerate(zip([None, *newest], newest, strict=False))
            if listed is not None and listed != before and first <= listed and minute <= last
        ]

    @cached_property
    def answered(self) -> list[int]:
        """Minutes at which any target answers."""
        targets = self.timeline.weather.targets
        return [m for m in self.minutes if any(target.scraped(m) for target in targets)]

    def list_known(self, account: Account) -> int | None:
        """When Prometheus gets to know that an account was removed."""
        for target in self.timeline.weather.targets:
            if target.kind == "probe":
                continue
            assert account.removed is not None
            for minute in range(account.removed, self.timeline.minutes + 1):
                if target.scraped(minute):
                    loaded = configuration_loaded(self.timeline, target, minute)
                    if loaded >= account.removed:
                        return minute
        return None

    # --- what is true ---

    def _bad_server(self, server: Server) -> list[bool]:
        """Whether it is broken where somebody uses it, minute by minute."""
        account = self.truth.account(server.account)
        return [
            account.configured(m)
            and server.condition(m).broken
            and bool(self.truth.homes(server, m))
            for m in self.minutes
        ]

    def state(self, portal: Portal, minute: int) -> str:
        """What may be said of a portal."""
        if not portal.exists(minute):
            return "gone"
        members = self.truth.members(portal, minute)
        if not members:
            return "empty"
        return "dead" if all(one.condition(minute).broken for one in members) else "good"

    # --- what is said ---

    def explained(self, account: str, minute: int) -> bool:
        """Whether an alert says that nothing is known of an account."""
        return bool(self.named[minute] & {("account", account), ("exporter",)})


def _object(alert: Alert) -> tuple[str, ...]:
    """What an alert names."""
    account = alert.get("account_id")
    if account is None:
        return ("instance", alert["instance"]) if "instance" in alert else ("exporter",)
    if "server_id" in alert:
        return ("server", account, alert["server_id"])
    if "portal_id" in alert:
        return ("portal", account, alert["portal_id"])
    return ("account", account)


def violations(timeline: Timeline, alerts: Alerts) -> list[Violation]:
    """Every promise that is broken, every five minutes."""
    world = _World(timeline, alerts)
    looks = [minute for minute in world.minutes if minute % EVERY == 0]
    found: list[Violation] = []
    for minute in looks:
        found += _held(world, minute)
        found += _unseen(world, minute)
        found += _quiet(world, minute)
        found += _no_false_end(world, minute)
    found += _reported(world)
    return sorted(found, key=lambda one: one.minute)


def checks(timeline: Timeline) -> int:
    """How often a promise about something is checked."""
    truth = timeline.truth
    each = 3 * (len(truth.servers) + len(truth.portals)) + 4 * len(truth.accounts) + 2
    return each * (timeline.minutes // EVERY + 1)


# --- held --------------------------------------------------------------------------------------


def _held(world: _World, minute: int) -> Iterator[Violation]:
    for server in world.truth.servers:
        due = _due(world, server, minute)
        if due is None or minute < due:
            continue
        if ("server", server.account, server.id) in world.named[minute]:
            continue
        if world.gap(server.account, minute - OVER, minute) and world.explained(
            server.account, minute
        ):
            continue
        yield Violation("held", minute, f"server {server.account}/{server.id}")


def _due(world: _World, server: Server, minute: int) -> int | None:
    """When the failure that goes on at this minute has to be named."""
    bad = world.bad[server.account, server.id]
    if not bad[minute]:
        return None
    start = minute
    while start > 0 and bad[start - 1]:
        start -= 1
    seen = world.listings(server.account, start, minute)
    if not seen:
        return None
    for known, listed in seen:
        if not server.failing_like_a_blip(listed):
            began = listed
            while began > start and not server.failing_like_a_blip(began - 1):
                began -= 1
            return max(began + BREAKS, known + SOON)
    return max(start + PASSES, seen[0][0] + PASSES - BREAKS + 2)


# --- unseen ------------------------------------------------------------------------------------


def _unseen(world: _World, minute: int) -> Iterator[Violation]:
    for account in world.truth.accounts:
        if not account.configured(minute) or world.newest[account.id][minute] is None:
            continue
        silent = min(world.unseen(account.id, minute), world.unanswered(minute) or BREAKS)
        if silent >= BREAKS and not world.explained(account.id, minute):
            yield Violation("unseen", minute, f"account {account.id}")


# --- quiet -------------------------------------------------------------------------------------


def _quiet(world: _World, minute: int) -> Iterator[Violation]:
    for named in sorted(world.named[minute]):
        kind, *identity = named
        if kind in ("server", "portal", "account"):
            account = world.truth.account(identity[0])
            if _long_removed(world, account, minute):
                yield Violation("removed", minute, " ".join(named))
        if QUIET[kind](world, minute, *identity) and not _thawing(world, minute, *identity):
            yield Violation("quiet", minute, " ".join(named))


def _thawing(world: _World, minute: int, *identity: str) -> bool:
    """Whether what an old textfile told may still be believed.

    It was scraped to the end, so that its series are no older than those of the new one.
    """
    return any(
        target.kind == "textfile" and world.gap(identity[0], minute - REMOVED, minute)
        for target in world.timeline.weather.targets
        if identity and identity[0] in target.accounts
    )


def _long_removed(world: _World, account: Account, minute: int) -> bool:
    if account.configured(minute):
        return False
    known = world.list_known(account)
    return known is not None and minute >= known + REMOVED


def _quiet_server(world: _World, minute: int, account: str, server: str) -> bool:
    bad = world.bad[account, server]
    if not any(bad[max(0, minute - WELL) : minute + 1]):
        return minute >= WELL
    first = bad.index(True)
    (one,) = [s for s in world.truth.servers if (s.account, s.id) == (account, server)]
    return (
        minute < first + TOO_SOON
        and all(bad[first : minute + 1])
        and all(one.failing_like_a_blip(m) for m in range(first, minute + 1))
    )


def _quiet_portal(world: _World, minute: int, account: str, portal: str) -> bool:
    one = world.truth.portal(account, portal)
    return all(world.state(one, m) == "good" for m in range(max(0, minute - WELL), minute + 1))


def _quiet_account(world: _World, minute: int, account: str) -> bool:
    first = max(0, minute - WELL)
    reason = world.timeline.weather.reason
    return not world.gap(account, first, minute) and all(
        reason(account, m) is None for m in range(first, minute + 1)
    )


def _quiet_instance(world: _World, minute: int, instance: str) -> bool:
    targets = [t for t in world.timeline.weather.targets if t.instance == instance]
    answers = [m for m in range(minute + 1) if any(target.scraped(m) for target in targets)]
    return _close(answers, minute)


def _quiet_exporter(world: _World, minute: int) -> bool:
    return _close(world.answered, minute)


def _close(answers: list[int], minute: int) -> bool:
    """Whether there was an answer every now and then all the time."""
    first = max(0, minute - WELL)
    near = [m for m in answers if first - GAP <= m <= minute]
    times = [first, *near, minute]
    return all(later - earlier <= GAP for earlier, later in pairwise(times))


Judge = Callable[..., bool]
"""Of a world, a minute, and the ids that an alert names."""

QUIET: dict[str, Judge] = {
    "server": _quiet_server,
    "portal": _quiet_portal,
    "account": _quiet_account,
    "instance": _quiet_instance,
    "exporter": _quiet_exporter,
}


# --- no false end ------------------------------------------------------------------------------


def _no_false_end(world: _World, minute: int) -> Iterator[Violation]:
    if minute < EVERY:
        return
    for named in sorted(world.named[minute - EVERY] - world.named[minute]):
        kind, *identity = named
        if not ENDED[kind](world, minute, *identity):
            yield Violation("no false end", minute, " ".join(named))


def _recent(minute: int) -> range:
    return range(max(0, minute - OVER), minute + 1)


def _server_ended(world: _World, minute: int, account: str, server: str) -> bool:
    bad = world.bad[account, server]
    return world.explained(account, minute) or not all(bad[m] for m in _recent(minute))


def _portal_ended(world: _World, minute: int, account: str, portal: str) -> bool:
    one = world.truth.portal(account, portal)
    now = world.state(one, minute)
    if now == "good" or any(world.state(one, m) != now for m in _recent(minute)):
        return True
    if not world.truth.account(account).configured(minute) or world.explained(account, minute):
        return True
    if now == "dead":
        return False
    # What was there long ago, by the last listing that showed it, is forgotten.
    other = [
        listed
        for _, listed in world.listings(account, 0, minute)
        if world.state(one, listed) != now
    ]
    return minute - max(other, default=-FORGOTTEN) >= FORGOTTEN


def _account_ended(world: _World, minute: int, account: str) -> bool:
    one = world.truth.account(account)
    return (
        any(world.unseen(account, m) == 0 for m in _recent(minute))
        or world.unseen(account, minute) < OVER
        or not one.configured(minute)
        or ("exporter",) in world.named[minute]
    )


def _exporter_ended(world: _World, minute: int) -> bool:
    return any(m in world.answered for m in _recent(minute))


def _instance_ended(world: _World, minute: int, instance: str) -> bool:
    """An instance may be back, or gone for good, or down with all the others."""
    del world, minute, instance
    return True


ENDED: dict[str, Judge] = {
    "server": _server_ended,
    "portal": _portal_ended,
    "account": _account_ended,
    "exporter": _exporter_ended,
    "instance": _instance_ended,
}


# --- portals that lose what they had -----------------------------------------------------------


def _reported(world: _World) -> Iterator[Violation]:
    for portal in world.truth.portals:
        for lost in range(1, world.timeline.minutes):
            if world.state(portal, lost) not in ("gone", "empty"):
                continue
            if world.state(portal, lost - 1) in ("gone", "empty"):
                continue
            if _unreported(world, portal, lost):
                yield Violation("reported", lost, f"portal {portal.account}/{portal.id}")


def _unreported(world: _World, portal: Portal, lost: int) -> bool:
    account = world.truth.account(portal.account)
    before = [
        listed
        for _, listed in world.listings(account.id, lost - 60, lost)
        if listed < lost and world.state(portal, listed) not in ("gone", "empty")
    ]
    after = world.listings(account.id, lost, world.timeline.minutes)
    if not before or not after:
        return False
    seen, _ = after[0]
    until = seen + REPORTED
    if seen - before[-1] > FORGOTTEN - REPORTED or until > world.timeline.minutes:
        return False
    if not account.configured(until) or world.gap(account.id, seen, until):
        return False
    # Back before anybody could tell, or described by another state in between.
    if len({world.state(portal, m) for m in range(lost, until + 1)}) > 1:
        return False
    name = ("portal", portal.account, portal.id)
    return not any(name in world.named[m] for m in world.named if seen <= m <= until)
