"""The promises of the alert rules: on timelines made at random, and in the cases that have a name.

`tests/timelines` says how; ``make timelines`` checks a thousand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import yaml

from mixin.alerts import RULES
from timelines.firing import KEPT, Alert, firing, rules
from timelines.making import timelines
from timelines.promises import violations
from timelines.run import RuleFiles, judged, run
from timelines.shrinking import World, shrunk
from timelines.truth import Account, Condition, Portal, Server, Truth
from timelines.weather import Outage, Target, Timeline, Weather

# Half a minute of both cores, which may be busy.
pytestmark = pytest.mark.timeout(400)

SEEDS = range(25)

ALONE = (3, 17)
"""Seeds of one Prometheus each, on the rules as they ship."""


def test_every_promise_is_held_on_timelines_made_at_random() -> None:
    result = run(SEEDS)
    assert {seed: list(map(str, broken)) for seed, broken in result.broken.items()} == {}
    assert (result.seeds, result.timelines > result.seeds) == (len(SEEDS), True)
    assert result.checks > 50_000


@pytest.mark.parametrize("seed", ALONE)
def test_every_promise_is_held_by_the_rules_as_they_ship(seed: int) -> None:
    (timeline,) = timelines(seed)
    assert judged([[timeline]], rules()) == [[]]


# --- rules that are broken on purpose ----------------------------------------------------------


def changed(name: str, change: Callable[[str], str]) -> RuleFiles:
    """The rules with the expression of one of them, or of all (``*``), changed."""
    document = yaml.safe_load(rules(*KEPT)[RULES])
    before = str(document)
    for group in document["groups"]:
        for rule in group["rules"]:
            if name in ("*", rule.get("alert"), rule.get("record")):
                rule["expr"] = change(rule["expr"])
    assert str(document) != before, "the change found nothing to change"
    return {RULES: yaml.safe_dump(document)}


def without_last_unless(expr: str) -> str:
    """The expression with what stands behind its last ``unless`` of the left margin gone."""
    kept, _, rest = expr.rpartition("\nunless on ")
    after = re.search(r"\nand on .*", rest, re.DOTALL)
    return kept + (after[0] if after else "")


BROKEN_RULES = {
    "windows of five minutes": (
        "one scrape in ten is missed, one every ten minutes",
        "*",
        lambda expr: expr.replace("[21m]", "[5m]"),
    ),
    "a cluster that is not kept": (
        "two clusters have the same names",
        "account_id:cloudflare_mcp_up:max",
        lambda expr: expr.replace("cluster, ", ""),
    ),
    "accounts that were removed": (
        "an account is taken out, and a replica dies half an hour later",
        "CloudflareMCPAccountNotObserved",
        without_last_unless,
    ),
    "failures that are forgotten when the class changes": (
        "the class alternates at each sync",
        "account_id_server_id:cloudflare_mcp_server_broken:max",
        lambda expr: expr.replace("[3h30m]", "[21m]"),
    ),
    "portals that are forgotten within an hour": (
        "a portal is deleted during an outage",
        "CloudflareMCPPortalDisappeared",
        lambda expr: expr.replace("[4h]", "[1h]"),
    ),
}
"""The case that shows it, the name of the rule, and what becomes of its expression."""


@pytest.mark.parametrize("name", BROKEN_RULES)
def test_rules_that_are_broken_on_purpose_break_a_promise(name: str) -> None:
    shown_by, rule, change = BROKEN_RULES[name]
    (broken,) = judged([CASES[shown_by].world], changed(rule, change))
    assert broken


# --- shrinking ---------------------------------------------------------------------------------


def test_a_timeline_is_shrunk_to_what_matters() -> None:
    def in_trouble(world: World) -> bool:
        outages = [one for timeline in world for one in timeline.weather.outages]
        return any(one.first > 200 for one in outages)

    seed = next(seed for seed in range(1000) if in_trouble(timelines(seed)))
    world = shrunk(timelines(seed), lambda worlds: map(in_trouble, worlds))
    assert in_trouble(world)
    (timeline,) = world
    assert len(timeline.weather.outages) == len(timeline.truth.accounts) == 1
    assert len(timeline.weather.targets) == 1
    assert (timeline.truth.servers, timeline.truth.portals) == ((), ())
    assert eval(repr(world)) == world


# --- cases with a name -------------------------------------------------------------------------


@dataclass(frozen=True)
class Expected:
    """Whether an alert with these labels fires, from one minute to another one.

    Attributes:
        labels: that it has; of an empty value, that it has not.
    """

    fires: bool
    first: int
    last: int
    labels: Alert

    def holds(self, alerts: dict[int, list[Alert]]) -> bool:
        """Whether it is so at every look."""
        return all(
            any(
                all(alert.get(label, "") == value for label, value in self.labels.items())
                for alert in fired
            )
            is self.fires
            for minute, fired in alerts.items()
            if self.first <= minute <= self.last
        )


@dataclass(frozen=True)
class Case:
    """A world, and what is expected of it beyond the promises."""

    world: World
    expected: tuple[Expected, ...]


def server(first: int, last: int, identity: str = "s", **labels: str) -> Expected:
    """The server is named all the time."""
    return Expected(True, first, last, {"account_id": "a", "server_id": identity, **labels})


def account(first: int, last: int, identity: str = "a", **labels: str) -> Expected:
    """The account is named all the time, not only a server or a portal of it."""
    own = {"account_id": identity, "server_id": "", "portal_id": ""}
    return Expected(True, first, last, {**own, **labels})


def exporter(first: int, last: int, **labels: str) -> Expected:
    """The exporter is named as a whole."""
    return Expected(True, first, last, {"account_id": "", "instance": "", **labels})


def portal(first: int, last: int, identity: str = "p") -> Expected:
    """The portal is named all the time."""
    own = {"account_id": "a", "portal_id": identity, "server_id": ""}
    return Expected(True, first, last, own)


def quiet(first: int, last: int, **labels: str) -> Expected:
    """Nothing with these labels is named."""
    return Expected(False, first, last, labels)


OK, DENIED, RETRYABLE = Condition.OK, Condition.DENIED, Condition.RETRYABLE

BROKEN = Server("a", "s", ((60, DENIED),), ((0, ("p",)),))
WORKING = Server("a", "t", (), ((0, ("p", "q")),))

ONE = Target("one:10180", "metrics", ("a",))


def fleet(
    *servers: Server,
    accounts: tuple[Account, ...] = (Account("a"),),
    portals: tuple[Portal, ...] = (Portal("a", "p"), Portal("a", "q")),
) -> Truth:
    """The servers, another one that works, and the portals of account a."""
    return Truth(accounts, portals, (*servers, WORKING))


def case(
    *expected: Expected,
    truth: Truth | None = None,
    targets: tuple[Target, ...] = (ONE,),
    minutes: int = 300,
    **weather: object,
) -> Case:
    """A case of one timeline; a server breaks at minute 60 unless the truth is another one."""
    known = fleet(BROKEN) if truth is None else truth
    sky = Weather(targets, **weather)  # type: ignore[arg-type]  # a table of keywords
    return Case([Timeline(minutes, known, sky)], expected)


def broken(**changes: object) -> Truth:
    """A fleet in which the server that is broken differs in something."""
    values = {"conditions": BROKEN.conditions, "places": BROKEN.places, **changes}
    return fleet(Server("a", "s", **values))  # type: ignore[arg-type]  # a table of keywords


def alternating(*conditions: Condition) -> tuple[tuple[int, Condition], ...]:
    return tuple((60 + 120 * number, condition) for number, condition in enumerate(conditions))


TWO = Target("two:10180", "metrics", ("a",))
EVERY_NINTH = tuple(range(45, 600, 9))
BOTH_ACCOUNTS = (Account("a"), Account("b"))
REMOVED = (Account("a"), Account("b", removed=60))

PROBES = (
    Target("one:10180", "own", ("a", "b")),
    Target("one:10180", "probe", ("b",)),
)


def probe(**changes: object) -> Target:
    """The target of account a, on the instance of account b's."""
    return Target("one:10180", "probe", ("a",), **changes)  # type: ignore[arg-type]


def metrics(instance: str, *, names: tuple[str, ...] = ("a", "b"), **changes: object) -> Target:
    """An exporter of both accounts."""
    return Target(instance, "metrics", names, **changes)  # type: ignore[arg-type]


def clusters() -> Case:
    """Two clusters with the same names; in one the exporter dies, in the other a server breaks."""
    east = Timeline(300, fleet(), Weather((Target("one:10180", "metrics", ("a",), last=100),)))
    west = Timeline(300, fleet(BROKEN), Weather((ONE,)))
    named = {
        "east": Timeline(300, east.truth, east.weather, (("cluster", "east"),)),
        "west": Timeline(300, west.truth, west.weather, (("cluster", "west"),)),
    }
    return Case(
        list(named.values()),
        (
            exporter(125, 300, cluster="east"),
            quiet(0, 300, account_id="", cluster="west"),
            server(85, 300, cluster="west"),
            quiet(0, 300, server_id="s", cluster="east"),
        ),
    )


CASES = {
    # Held.
    "the class alternates at each sync": case(
        server(85, 600),
        truth=broken(conditions=alternating(DENIED, RETRYABLE, DENIED, RETRYABLE, DENIED)),
        minutes=600,
    ),
    "the class is retryable for ever, after one that is not": case(
        server(85, 600),
        truth=broken(conditions=alternating(DENIED, RETRYABLE)),
        minutes=600,
    ),
    "a retryable failure lasts": case(
        quiet(0, 235, server_id="s"),
        server(265, 600),
        truth=broken(conditions=((60, RETRYABLE),)),
        minutes=600,
    ),
    "a retryable failure passes with the next sync": case(
        quiet(0, 300, server_id="s"),
        truth=broken(conditions=((60, RETRYABLE), (180, OK))),
    ),
    "a retryable failure lasts beyond an outage": case(
        server(265, 330),
        server(405, 600),
        truth=broken(conditions=((60, RETRYABLE),)),
        outages=(Outage("a", 330, 400, ("timeout",)),),
        minutes=600,
    ),
    "a manual server fails in a way that is called retryable": case(
        server(85, 300),
        truth=broken(conditions=((60, RETRYABLE),), manual=True),
    ),
    "the server is renamed": case(server(85, 300), truth=broken(renamed=(100, 103, 200))),
    "the portal is renamed": case(
        server(85, 300),
        truth=fleet(BROKEN, portals=(Portal("a", "p", (70, 100, 200)), Portal("a", "q"))),
    ),
    "the server is moved between portals": case(
        server(85, 300),
        truth=broken(places=((0, ("p",)), (100, ("q",)), (110, ()), (115, ("p",)))),
    ),
    "one scrape in ten is missed": case(
        server(85, 300),
        targets=(Target("one:10180", "metrics", ("a",), missed=tuple(range(3, 300, 10))),),
    ),
    "one scrape in ten is missed, one every ten minutes": case(
        server(85, 300),
        targets=(Target("one:10180", "metrics", ("a",), 10, missed=(60, 160, 260)),),
    ),
    "the pod is rolled": case(
        server(85, 300),
        targets=(
            Target("one:10180", "metrics", ("a",), last=70),
            Target("two:10180", "metrics", ("a",), first=72, last=150, started=72),
            Target("six:10180", "metrics", ("a",), first=150, started=150),
        ),
    ),
    "a second replica comes and goes": case(
        server(85, 300),
        targets=(
            ONE,
            *(
                Target(f"two-{first}:10180", "metrics", ("a",), first=first, last=first + 7)
                for first in range(50, 300, 20)
            ),
        ),
    ),
    # Unseen.
    "the listing fails": case(
        server(85, 100),
        account(125, 300),
        outages=(Outage("a", 100, 300, ("timeout",)),),
    ),
    "the listing fails for one reason after the other": case(
        account(125, 300),
        outages=(Outage("a", 100, 300, ("timeout", "auth", "rate_limited")),),
    ),
    "the reason changes just before an alert fires": case(
        account(80, 136),
        targets=(Target("one:10180", "metrics", ("a",), 5, missed=(65,)),),
        outages=(Outage("a", 56, 136, ("upstream_4xx", "internal", "rate_limited")),),
        minutes=136,
    ),
    "credentials are refused just before an alert fires": case(
        account(80, 136),
        outages=(Outage("a", 56, 77, ("timeout",)), Outage("a", 78, 136, ("auth",))),
        minutes=136,
    ),
    "credentials are refused": case(
        account(110, 300, severity="critical"),
        outages=(Outage("a", 100, 300, ("auth",)),),
    ),
    "the only target is down": case(
        exporter(125, 300),
        targets=(Target("one:10180", "metrics", ("a",), down=((100, 300),)),),
    ),
    "the only target is gone": case(
        exporter(125, 300),
        targets=(Target("one:10180", "metrics", ("a",), last=100),),
    ),
    "one of two exporters with an account each is gone": case(
        account(125, 300),
        quiet(0, 300, account_id="b"),
        truth=fleet(BROKEN, accounts=BOTH_ACCOUNTS),
        targets=(
            Target("one:10180", "metrics", ("a",), last=100),
            Target("two:10180", "metrics", ("b",)),
        ),
    ),
    "one of many accounts on one instance is down": case(
        account(125, 300),
        quiet(0, 300, account_id="b"),
        truth=fleet(BROKEN, accounts=BOTH_ACCOUNTS),
        targets=(*PROBES, probe(down=((100, 300),))),
    ),
    "one of many accounts on one instance is gone": case(
        account(125, 300),
        truth=fleet(BROKEN, accounts=BOTH_ACCOUNTS),
        targets=(*PROBES, probe(last=100)),
    ),
    "a listing fails and every ninth scrape is missed": case(
        account(125, 300),
        targets=(Target("one:10180", "metrics", ("a",), missed=EVERY_NINTH),),
        outages=(Outage("a", 100, 300, ("timeout",)),),
    ),
    "a listing fails for an hour and one scrape is missed at minute 50": case(
        account(165, 300, severity="critical"),
        targets=(Target("one:10180", "metrics", ("a",), missed=(150,)),),
        outages=(Outage("a", 100, 300, ("timeout",)),),
    ),
    "access is denied to what writes a textfile": case(
        account(115, 300, severity="critical"),
        targets=(Target("node:9100", "textfile", ("a",)),),
        outages=(Outage("a", 100, 300, ("auth",)),),
    ),
    "a textfile is not written any more": case(
        account(125, 300),
        targets=(Target("node:9100", "textfile", ("a",)),),
        stopped=((100, 300),),
    ),
    # Quiet.
    "an account is taken out, and a replica dies half an hour later": case(
        quiet(0, 300, account_id="b"),
        truth=fleet(BROKEN, accounts=REMOVED),
        targets=(metrics("one:10180"), metrics("two:10180", down=((90, 300),))),
    ),
    "an account is taken out while a replica is down": case(
        quiet(0, 300, account_id="b"),
        truth=fleet(BROKEN, accounts=REMOVED),
        targets=(metrics("one:10180"), metrics("two:10180", down=((50, 300),))),
    ),
    "an account is taken out, and the pods are rolled": case(
        quiet(0, 300, account_id="b"),
        truth=fleet(BROKEN, accounts=REMOVED),
        targets=(
            metrics("one:10180", last=62),
            metrics("two:10180", first=61, started=61),
        ),
    ),
    "an account is taken out of what /sd tells": case(
        quiet(0, 300, account_id="b"),
        truth=fleet(BROKEN, accounts=REMOVED),
        targets=(
            Target("one:10180", "own", ("a", "b")),
            Target("one:10180", "probe", ("b",), last=60),
            probe(),
        ),
    ),
    # No false end.
    "one account of /sd is not scraped": case(
        server(85, 120),
        account(125, 300),
        truth=fleet(BROKEN, accounts=BOTH_ACCOUNTS),
        targets=(*PROBES, probe(missed=tuple(range(100, 300)))),
    ),
    # Together.
    "two clusters have the same names": clusters(),
    # Portals.
    "a portal is deleted during an outage": case(
        portal(220, 300),
        truth=fleet(BROKEN, portals=(Portal("a", "p", deleted=150), Portal("a", "q"))),
        outages=(Outage("a", 110, 190, ("upstream_5xx",)),),
    ),
    "a portal is emptied during an outage": case(
        portal(220, 300, "r"),
        truth=fleet(
            Server("a", "s", (), ((0, ("r",)), (150, ("p",)))),
            portals=(Portal("a", "p"), Portal("a", "q"), Portal("a", "r")),
        ),
        outages=(Outage("a", 110, 190, ("upstream_5xx",)),),
    ),
}


@pytest.fixture(scope="module")
def fired(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[int, list[Alert]]]:
    """The alerts of every case; all of them in one run of promtool."""
    return _fired(tmp_path_factory.mktemp("cases"))


@cache
def _fired(directory: Path) -> dict[str, dict[int, list[Alert]]]:
    worlds = [case.world for case in CASES.values()]
    return dict(zip(CASES, firing(worlds, rules(*KEPT), directory), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_in_this_case(name: str, fired: dict[str, dict[int, list[Alert]]]) -> None:
    alerts = fired[name]
    one = CASES[name]
    assert [expected for expected in one.expected if not expected.holds(alerts)] == []
    assert [str(v) for timeline in one.world for v in violations(timeline, alerts)] == []
