"""The demo's story shows every condition that it promises, and always the same way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import msgspec
import pytest

from exporter.simulator.account import SimulatedAccount
from exporter.simulator.scenario import demo_scenario, parse_scenario
from simulated import START, Record

STEP = 5
MINUTES_10 = 600


class Moment(NamedTuple):
    """The account at a second of the story."""

    portals: dict[str, Record]
    servers: dict[str, Record]

    def of(self, portal: str) -> list[Record]:
        return [s for s in self.portals.get(portal, {}).get("servers", []) if "id" in s]

    def attachment(self, portal: str, server: str) -> Record | None:
        return next((entry for entry in self.of(portal) if entry["id"] == server), None)


def moment(account: SimulatedAccount, second: float) -> Moment:
    def by_id(records: list[Record]) -> dict[str, Record]:
        return {record["id"]: record for record in records}

    now = START + second
    return Moment(by_id(account.portals(now)), by_id(account.servers(now)))


@pytest.fixture(scope="module")
def story() -> list[Moment]:
    account = SimulatedAccount(demo_scenario(), START)
    return [moment(account, second) for second in range(0, MINUTES_10 + 1, STEP)]


def details(server: Record) -> Record:
    return server["error_details"] or {}


def healthy(server: Record) -> bool:
    return bool(server["status"] == "ready")


def some_server(test: Callable[[Record], object]) -> Callable[[Moment], bool]:
    return lambda seen: any(test(server) for server in seen.servers.values())


def some_portal(test: Callable[[Record], object]) -> Callable[[Moment], bool]:
    return lambda seen: any(test(portal) for portal in seen.portals.values())


def some_attachment(test: Callable[[Record], object]) -> Callable[[Moment], bool]:
    return lambda seen: any(test(s) for portal in seen.portals for s in seen.of(portal))


def orphaned(server: Record, kind: str = "tools") -> set[str]:
    overrides = {entry["name"] for entry in server[f"updated_{kind}"]}
    return overrides - {entry["name"] for entry in server[kind] or []}


def shows_no_tool(servers: list[Record]) -> bool:
    return all(
        server["default_disabled"] and not any(e.get("enabled") for e in server["updated_tools"])
        for server in servers
    )


def portals_of_a_server(seen: Moment) -> list[int]:
    ids = [server["id"] for portal in seen.portals for server in seen.of(portal)]
    return [ids.count(name) for name in seen.servers]


def age_hours(seen: Moment, server: str) -> float:
    last = datetime.fromisoformat(seen.servers[server]["last_successful_sync"])
    return (START - last.timestamp()) / 3600


AT_ONCE: dict[str, Callable[[Moment], bool]] = {
    "a server needs a new login": some_server(
        lambda s: (
            s["status"] == s.get("authentication_status") == "stale"
            and "needs_reauth" in s["error"]
        )
    ),
    "a server cannot be reached": some_server(
        lambda s: details(s).get("is_upstream") is False and s["error"] == "unable to connect"
    ),
    "a server refuses its credentials": some_server(
        lambda s: details(s).get("status_code") == 401 and details(s)["retryable"] is False
    ),
    "a server was never authorized": some_server(
        lambda s: (
            s["status"] == "waiting"
            and s["authentication_status"] == "required"
            and s["auth_config_summary"]["auth_mode"] == "dcr"
            and s["tools"] is None
            and s["prompts"] is None
            and "last_successful_sync" not in s
            and "last_synced" in s
        )
    ),
    "a server with manual OAuth was captured once": lambda seen: (
        seen.servers["design"]["authentication_status"] == "manual"
        and healthy(seen.servers["design"])
        and age_hours(seen, "design") > 1000
    ),
    "manual OAuth is told by auth_mode alone": some_server(
        lambda s: (
            s.get("auth_config_summary", {}).get("auth_mode") == "manual"
            and "authentication_status" not in s
        )
    ),
    "a ready server was not synced for many hours": lambda seen: (
        healthy(seen.servers["notebooks"])
        and seen.servers["notebooks"]["error"] is None
        and 24 < age_hours(seen, "notebooks") < 48
    ),
    "a healthy server has an empty error": some_server(
        lambda s: s["error"] == "" and healthy(s) and s["error_details"] is None
    ),
    "an error comes without details": some_server(
        lambda s: s["error"] and s["error_details"] is None and s["status"] == "error"
    ),
    "a portal exposes no tool": lambda seen: shows_no_tool(seen.of("finance")),
    "a portal exposes some tools only": some_attachment(
        lambda s: s["default_disabled"] and any(e.get("enabled") for e in s["updated_tools"])
    ),
    **{
        f"a portal has code_mode {mode}": some_portal(
            lambda p, mode=mode: p.get("code_mode") == mode  # type: ignore[misc]  # bound early
        )
        for mode in ("off", "opt_in", "default_on", "enforced")
    },
    "a portal has allow_code_mode only": some_portal(
        lambda p: "code_mode" not in p and p.get("allow_code_mode") is True
    ),
    "an unauthenticated server is attached": some_attachment(
        lambda s: (
            s["auth_type"] == "unauthenticated" and s["authentication_status"] == "not_required"
        )
    ),
    "a tool override is orphaned": some_attachment(lambda s: s["tools"] and orphaned(s)),
    "a prompt override is orphaned": some_attachment(lambda s: orphaned(s, "prompts")),
    "a server is out of the secure web gateway": some_attachment(
        lambda s: s.get("secure_web_gateway") is False
    ),
    "a server does not say whether it is in the gateway": some_attachment(
        lambda s: "secure_web_gateway" not in s
    ),
    "a server is in three portals": lambda seen: (
        3 in portals_of_a_server(seen) or 2 in portals_of_a_server(seen)
    ),
    "a server is in no portal": lambda seen: portals_of_a_server(seen).count(0) == 3,
    "both on_behalf and not": lambda seen: (
        {s["on_behalf"] for portal in seen.portals for s in seen.of(portal)} == {True, False}
    ),
    "a hostname carries a key": some_server(lambda s: "?key=" in s["hostname"]),
}

WITHIN_TEN_MINUTES: dict[str, Callable[[Moment], bool]] = {
    "error-tracking goes stale": lambda seen: seen.servers["error-tracking"]["status"] == "stale",
    "ci fails with 503": lambda seen: details(seen.servers["ci"]).get("status_code") == 503,
    "geocoder fails with 530": lambda seen: (
        details(seen.servers["geocoder"]).get("status_code") == 530
        and details(seen.servers["geocoder"])["is_upstream"]
        and details(seen.servers["geocoder"])["retryable"]
    ),
    "incident becomes unreachable": lambda seen: (
        details(seen.servers["incident"]).get("is_upstream") is False
    ),
    "warehouse fails for good, with an MCP code": lambda seen: (
        details(seen.servers["warehouse"]).get("retryable") is False
        and details(seen.servers["warehouse"])["mcp_code"] == -32001
    ),
    "engineering loses a server": lambda seen: seen.attachment("engineering", "design") is None,
    "engineering's code mode is changed": lambda seen: (
        seen.portals["engineering"]["code_mode"] == "enforced"
    ),
    "code-host loses tools and orphans an override": lambda seen: (
        len(seen.servers["code-host"]["tools"]) == 18
        and orphaned(seen.attachment("engineering", "code-host") or {}) == {"export_release"}
    ),
    "code-host gains tools": lambda seen: len(seen.servers["code-host"]["tools"]) == 25,
    "support has no healthy server": lambda seen: not any(map(healthy, seen.of("support"))),
    "partners has no server": lambda seen: seen.portals["partners"]["servers"] == [],
    "sandbox is gone": lambda seen: "sandbox" not in seen.portals,
    "a record has no id": lambda seen: any(
        "id" not in server and "server_id" not in server
        for portal in seen.portals.values()
        for server in portal["servers"]
    ),
}


@pytest.mark.parametrize("condition", AT_ONCE.values(), ids=AT_ONCE)
def test_the_first_look_shows(story: list[Moment], condition: Callable[[Moment], bool]) -> None:
    assert condition(story[0])


@pytest.mark.parametrize("condition", WITHIN_TEN_MINUTES.values(), ids=WITHIN_TEN_MINUTES)
def test_within_ten_minutes_begins_what_was_not_there(
    story: list[Moment], condition: Callable[[Moment], bool]
) -> None:
    seconds = [index * STEP for index, seen in enumerate(story) if condition(seen)]
    assert seconds
    assert 0 < seconds[0] < MINUTES_10
    assert len(seconds) * STEP >= 40, "too short to be seen by a scrape every fifteen seconds"


def test_something_happens_within_the_first_minute(story: list[Moment]) -> None:
    changed = [
        name
        for name, server in story[0].servers.items()
        if story[60 // STEP].servers[name]["status"] != server["status"]
    ]
    assert len(changed) >= 2


@pytest.mark.parametrize("server", ["ci", "incident", "wiki", "tickets", "error-tracking"])
def test_a_server_fails_and_recovers(story: list[Moment], server: str) -> None:
    assert spells(story, server) == [True, False, True]


def test_one_server_flaps(story: list[Moment]) -> None:
    assert len(spells(story, "observability")) > 10


def spells(story: list[Moment], server: str) -> list[bool]:
    """Healthy or not, each for as long as it lasts."""
    states = [healthy(seen.servers[server]) for seen in story]
    return [state for index, state in enumerate(states) if index == 0 or state != states[index - 1]]


@pytest.mark.parametrize(
    ("portal", "lost"),
    [
        ("partners", lambda seen: not seen.of("partners")),
        ("sandbox", lambda seen: "sandbox" not in seen.portals),
        ("support", lambda seen: not any(map(healthy, seen.of("support")))),
    ],
)
def test_a_portal_comes_back(
    story: list[Moment], portal: str, lost: Callable[[Moment], bool]
) -> None:
    states = [lost(seen) for seen in story]
    assert (states[0], any(states), states[-1]) == (False, True, False), portal


def test_what_is_lost_from_a_portal_is_still_a_server(story: list[Moment]) -> None:
    assert all(len(seen.servers) == 28 for seen in story)


def test_a_failed_attempt_moves_last_synced_and_leaves_the_last_success(
    story: list[Moment],
) -> None:
    before, after = (story[second // STEP].servers["ci"] for second in (0, 60))
    assert after["last_synced"] > before["last_synced"]
    assert after["last_successful_sync"] == before["last_successful_sync"]
    recovered = story[200 // STEP].servers["ci"]
    assert recovered["last_successful_sync"] == recovered["last_synced"] > after["last_synced"]


def test_an_edited_portal_is_modified(story: list[Moment]) -> None:
    for second, portal in ((120, "partners"), (210, "engineering"), (530, "sandbox")):
        before, after = story[second // STEP - 1], story[second // STEP]
        known = before.portals.get(portal) or story[0].portals[portal]
        assert after.portals[portal]["modified_at"] > known["modified_at"]


def test_a_healthy_server_is_synced_every_two_hours() -> None:
    account = SimulatedAccount(demo_scenario(), START)
    quarters = [moment(account, 900.0 * quarter) for quarter in range(25)]
    for name in ("ledger", "stock", "archive", "translate"):
        times = [seen.servers[name]["last_successful_sync"] for seen in quarters]
        assert times == sorted(times)
        assert len(set(times)) == 4
        assert all(
            s.servers[name]["last_synced"] == t for s, t in zip(quarters, times, strict=True)
        )


def test_the_story_returns_to_its_begin_and_is_told_again() -> None:
    account = SimulatedAccount(demo_scenario(), START)
    times = {"modified_at", "last_synced", "last_successful_sync"}

    def timeless(seen: Moment) -> object:
        servers = {
            (portal, s["id"]): {k: v for k, v in s.items() if k not in times}
            for portal in seen.portals
            for s in seen.of(portal)
        }
        portals = {
            name: {k: v for k, v in portal.items() if k not in {*times, "servers"}}
            for name, portal in seen.portals.items()
        }
        return servers, portals

    for second in (0, 100, 200, 310, 400):
        first = timeless(moment(account, second))
        assert [timeless(moment(account, second + 900 * n)) == first for n in (1, 2, 40)] == [
            True
        ] * 3


def test_no_time_of_a_sync_ever_goes_back() -> None:
    account = SimulatedAccount(demo_scenario(), START)
    seen = [moment(account, second).servers for second in range(0, 12_000, 150)]
    for name in seen[0]:
        for member in ("last_synced", "last_successful_sync"):
            times = [servers[name].get(member, "") for servers in seen]
            assert times == sorted(times), (name, member)


def encoded(seed: int, second: float) -> bytes:
    account = SimulatedAccount(demo_scenario(), START, seed)
    moment = START + second
    return msgspec.json.encode((account.portals(moment), account.servers(moment)))


@pytest.mark.parametrize("second", [0, 301.5, 5000])
def test_seed_and_moment_decide_every_byte(second: float) -> None:
    assert encoded(1, second) == encoded(1, second)
    assert encoded(1, second) != encoded(2, second)


def test_equal_revisions_mean_equal_lists() -> None:
    account = SimulatedAccount(demo_scenario(), START)
    moments = [START + second for second in range(-20, 2000, 17)]
    seen: dict[object, bytes] = {}
    for moment in moments:
        body = msgspec.json.encode((account.portals(moment), account.servers(moment)))
        assert seen.setdefault(account.revision(moment), body) == body
    assert 50 < len(seen) < len(moments)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("conditions: {}\nservers: []\nportals: []\nportal: []", "unknown field `portal`"),
        ("conditions: {}\nservers: []", "missing required field `portals`"),
        (
            "conditions: {}\nservers: []\nportals: []\nevents: [{do: explode, at: 1}]",
            r"Invalid value 'explode' - at `\$.events\[0\].do`",
        ),
    ],
    ids=["unknown key", "missing key", "unknown event"],
)
def test_a_scenario_that_is_not_one_is_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=complaint):
        parse_scenario(text)
