"""What fires, when, with every label and annotation, and what does not: judged by promtool.

An alert that a test does not name must not fire at that minute.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exporter.errors import Reason
from exporter.model import ErrorClass
from promtool import ACCOUNT, Alert, World, between, rules, since
from scenarios import Verdicts, judged, scenario, world_of

GRAFANA = "http://localhost:3000/d"

CALLED_TRANSIENT = ErrorClass("true", "true", "503", "")
CALLED_LASTING = ErrorClass("true", "false", "401", "-32001")
UNREACHABLE = ErrorClass("false", "unknown", "", "")

REPLICAS = ("one:9853", "two:9853")


@pytest.fixture(scope="module")
def verdicts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Verdicts]:
    with judged(request.session.items, tmp_path_factory.mktemp("scenarios")) as found:
        yield found


def alert(
    name: str,
    severity: str,
    summary: str,
    *description: str,
    dashboard: str,
    **labels: str,
) -> Alert:
    return Alert(
        name,
        {"severity": severity, **labels},
        {
            "summary": summary,
            "description": "\n".join(description),
            "runbook_url": f"http://localhost:10180/runbooks/{name}",
            "dashboard_url": f"{GRAFANA}/{dashboard}",
        },
    )


def server_alert(
    name: str,
    summary: str,
    *description: str,
    server: str = "jira",
    severity: str = "warning",
) -> Alert:
    return alert(
        f"CloudflareMCP{name}",
        severity,
        summary,
        *description,
        dashboard=f"cloudflare-mcp-server?var-account={ACCOUNT}&var-server={server}",
        account_id=ACCOUNT,
        server_id=server,
    )


def portal_alert(name: str, severity: str, summary: str, *description: str) -> Alert:
    return alert(
        f"CloudflareMCP{name}",
        severity,
        summary,
        *description,
        dashboard=f"cloudflare-mcp-overview?var-account={ACCOUNT}&var-portal=eng",
        account_id=ACCOUNT,
        portal_id="eng",
    )


def account_alert(
    name: str, severity: str, summary: str, *description: str, **labels: str
) -> Alert:
    return alert(
        f"CloudflareMCP{name}",
        severity,
        summary,
        *description,
        dashboard=f"cloudflare-mcp-exporter?var-account={ACCOUNT}",
        account_id=ACCOUNT,
        **labels,
    )


def in_error(
    *, name: str = "Jira", portals: str = "Engineering", age: str = "10m 0s", why: str = ""
) -> Alert:
    return server_alert(
        "ServerError",
        "An MCP server is in error and will not recover by a retry.",
        f"MCP server {name} (jira) of account Production is in error, and since it last worked "
        "there was a failure that does not pass by itself.",
        f"Portals: {portals}.",
        f"No successful sync for {age}.",
        why or "Error class: upstream true, retryable false, HTTP status 401, MCP code -32001.",
    )


NO_DETAILS = "The API gave no details of an error."


def uniform_account(world: World) -> None:
    """The exporter up, the account there, and a portal with a second server that works."""
    world.exporter()
    world.account()
    if "wiki" not in world.attached["eng"]:
        world.server("wiki")
    world.portal(name="Engineering")


# --- a server in error -------------------------------------------------------------------------


@scenario
def test_a_server_in_error_fires_once_it_lasted() -> World:
    world = World(40)
    world.server(details=since(5, CALLED_LASTING, None))
    uniform_account(world)
    world.expect(9)
    world.expect(10, in_error())
    return world


@pytest.mark.parametrize(
    "state",
    [
        pytest.param({"error": True}, id="an error text without details, status ready"),
        pytest.param({"status": "error"}, id="status error without an error"),
    ],
)
@scenario
def test_an_error_without_details_counts(state: dict[str, object]) -> World:
    world = World(20)
    world.server(**state)  # type: ignore[arg-type]  # a table of keywords
    uniform_account(world)
    world.expect(15, in_error(why=NO_DETAILS))
    return world


@scenario
def test_an_upstream_error_of_unknown_retryability_counts_as_not_retryable() -> World:
    world = World(20)
    world.server(details=ErrorClass("true", "unknown", "", ""))
    uniform_account(world)
    text = "Error class: upstream true, retryable unknown, HTTP status none, MCP code none."
    world.expect(15, in_error(why=text))
    return world


@scenario
def test_a_server_in_three_portals_seen_by_two_exporters_is_one_alert() -> World:
    world = World(20, instances=REPLICAS)
    world.server(portals=("eng", "support", "sales"), details=CALLED_LASTING)
    for portal in ("support", "sales"):
        world.server("wiki", portals=(portal,))
        world.portal(portal)
    uniform_account(world)
    world.expect(15, in_error(portals="Engineering, Sales, Support"))
    return world


@scenario
def test_two_exporters_that_disagree_make_one_alert() -> World:
    world = World(30, instances=REPLICAS)
    world.server(instances=("one:9853",), details=CALLED_LASTING, name="Jira")
    world.server(instances=("two:9853",), error=since(3, True, False), name="Jira")
    uniform_account(world)
    world.expect(25, in_error())
    return world


@scenario
def test_one_of_two_exporters_dying_changes_nothing_for_a_server() -> World:
    world = World(20, instances=REPLICAS)
    gone = since(7, None, 1.0)
    world.exporter(instances=("one:9853",))
    world.exporter(since(7, 0, 1), instances=("two:9853",))
    world.account(instances=("one:9853",))
    world.account(up=gone, instances=("two:9853",))
    for instance in world.instances:
        there = True if instance == "one:9853" else since(7, False, True)
        world.server(details=CALLED_LASTING, instances=(instance,), present=there)
        world.server("wiki", instances=(instance,), present=there)
        world.portal(name="Engineering", instances=(instance,), present=there)
    world.expect(4)
    world.expect(15, in_error())
    return world


@scenario
def test_one_failed_listing_neither_restarts_nor_ends_it() -> World:
    world = World(40, unlisted=lambda minute: minute in (9, 22, 23))
    world.server(details=since(5, CALLED_LASTING, None))
    uniform_account(world)
    for minute in (15, 22, 23, 24, 40):
        world.expect(minute, in_error())
    return world


@scenario
def test_an_exporter_that_restarts_neither_restarts_nor_ends_it() -> World:
    world = World(40, unlisted=lambda minute: minute in (9, 22))
    world.server(details=since(5, CALLED_LASTING, None))
    world.server("wiki")
    world.portal(name="Engineering")
    world.exporter(lambda minute: 0 if minute in (9, 22) else 1)
    world.account(up=lambda minute: None if minute in (9, 22) else 1)
    for minute in (15, 22, 23, 40):
        world.expect(minute, in_error())
    return world


@scenario
def test_a_server_that_recovers_resolves_after_the_time_to_keep_firing() -> World:
    world = World(50)
    world.server(details=between(5, 24, CALLED_LASTING, None))
    uniform_account(world)
    world.expect(34, in_error())
    world.expect(36)
    return world


@pytest.mark.parametrize("how", ["present", "attached"])
@scenario
def test_a_broken_server_that_is_detached_on_purpose_resolves(how: str) -> World:
    world = World(70)
    world.server(details=CALLED_LASTING, **{how: since(25, False, True)})  # type: ignore[arg-type]
    uniform_account(world)
    world.expect(24, in_error())
    world.expect(57)
    world.expect(70)
    return world


@pytest.mark.parametrize(
    "state",
    [
        pytest.param({"details": CALLED_LASTING}, id="error"),
        pytest.param({"details": UNREACHABLE}, id="unreachable"),
        pytest.param({"status": "stale"}, id="lapsed"),
        pytest.param({"staleness": 90000}, id="not synced"),
        pytest.param({"staleness": 90000, "status": "waiting"}, id="waiting"),
        pytest.param({"auth_type": "unauthenticated"}, id="unauthenticated"),
    ],
)
@scenario
def test_a_server_that_is_listed_but_in_no_portal_fires_nothing(state: dict[str, object]) -> World:
    world = World(90, step=5)
    world.server("chat")
    world.server(portals=(), **state)  # type: ignore[arg-type]  # a table of keywords
    uniform_account(world)
    world.expect(90)
    return world


@scenario
def test_a_server_detached_before_a_failed_listing_does_not_come_back() -> World:
    world = World(120, unlisted=between(27, 36, True, False))
    world.server(details=CALLED_LASTING, present=since(25, False, True))
    uniform_account(world)
    for minute in range(57, 121, 3):
        world.expect(minute)
    return world


@scenario
def test_a_healthy_server_that_is_detached_fires_nothing() -> World:
    world = World(60, step=5)
    world.server(present=since(10, False, True))
    uniform_account(world)
    for minute in (15, 30, 60):
        world.expect(minute)
    return world


@scenario
def test_a_renamed_server_stays_one_alert_and_shows_its_new_name_at_once() -> World:
    world = World(60)
    world.server(name=since(20, "Jira", "Old"), details=CALLED_LASTING)
    uniform_account(world)
    world.expect(4)
    for minute in range(6, 61):
        world.expect(minute, in_error(name="Jira" if minute >= 20 else "Old"))
    return world


@scenario
def test_while_exporters_know_other_names_the_alert_shows_the_same_ones_every_time() -> World:
    world = World(20, instances=REPLICAS)
    world.exporter()
    world.server("wiki")
    for instance, server, portal, account in (
        ("one:9853", "New name", "Engineering", "Production"),
        ("two:9853", "Jira", "A new name", "Quality"),
    ):
        world.server(instances=(instance,), details=CALLED_LASTING, name=server)
        world.account(name=account, instances=(instance,))
        world.portal(name=portal, instances=(instance,))
    for minute in range(6, 21):
        world.expect(minute, in_error(portals="A new name, Engineering"))
    return world


@scenario
def test_of_several_classes_of_error_the_alert_names_the_same_one_every_time() -> World:
    codes = ("502", "403", "401", "404")
    world = World(20, instances=codes)
    for code in codes:
        details = ErrorClass("true", "false", code, "-32001")
        world.server(instances=(code,), details=details)
    uniform_account(world)
    for minute in range(10, 21):
        world.expect(minute, in_error())
    return world


# --- other ways for a server to fail -----------------------------------------------------------


@scenario
def test_an_unreachable_server_fires_as_unreachable_alone() -> World:
    world = World(30)
    world.server(status=since(5, "error", "ready"), details=since(5, UNREACHABLE, None))
    uniform_account(world)
    world.expect(9)
    world.expect(
        10,
        server_alert(
            "ServerUnreachable",
            "An MCP server cannot be reached from its portals.",
            "MCP server Jira (jira) of account Production cannot be reached; "
            "the error is not the server's own answer.",
            "Portals: Engineering.",
            "No successful sync for 10m 0s.",
            "Error class: upstream false, retryable unknown, HTTP status none, MCP code none.",
        ),
    )
    return world


@scenario
def test_a_retryable_failure_fires_only_when_it_lasts() -> World:
    world = World(240, step=5)
    world.server(status="error", details=CALLED_TRANSIENT, staleness=lambda m: 600 + 60 * m)
    uniform_account(world)
    world.expect(175)
    world.expect(
        180,
        server_alert(
            "ServerRetryableFailure",
            "A retryable MCP server failure persists.",
            "MCP server Jira (jira) of account Production has answered with an error for more "
            "than 3h, although the API calls the failure retryable.",
            "Portals: Engineering.",
            "No successful sync for 3h 10m 0s.",
            "Error class: upstream true, retryable true, HTTP status 503, MCP code none.",
        ),
    )
    return world


@scenario
def test_a_retryable_failure_that_passes_with_the_next_sync_fires_nothing() -> World:
    world = World(240, step=5)
    world.server(details=between(10, 130, CALLED_TRANSIENT, None))
    uniform_account(world)
    for minute in (30, 130, 200, 240):
        world.expect(minute)
    return world


@pytest.mark.parametrize(
    "state",
    [
        pytest.param({"status": "stale"}, id="status stale"),
        pytest.param({"authentication": "stale"}, id="authentication status stale"),
        pytest.param({"status": "stale", "authentication": "stale"}, id="both"),
        pytest.param({"status": "error", "authentication": "stale"}, id="and status error"),
    ],
)
@scenario
def test_a_lapsed_authorization_fires_alone(state: dict[str, object]) -> World:
    world = World(600, step=10)
    # Long unsynced, too: it must not be reported as stale besides.
    world.server(error=True, staleness=lambda m: 60.0 * m, **state)  # type: ignore[arg-type]
    uniform_account(world)
    lapsed = (
        "ServerNeedsReauthorization",
        "The stored authorization of an MCP server has lapsed.",
        "MCP server Jira (jira) of account Production needs an administrator to log in again.",
        "Portals: Engineering.",
    )
    world.expect(0)
    world.expect(10, server_alert(*lapsed, "No successful sync for 10m 0s.", NO_DETAILS))
    world.expect(600, server_alert(*lapsed, "No successful sync for 10h 0m 0s.", NO_DETAILS))
    return world


@scenario
def test_a_lapsed_authorization_comes_before_every_other_failure() -> World:
    world = World(240, step=5)
    world.server(status="stale", details=UNREACHABLE)
    world.server("wiki", status="stale", details=CALLED_TRANSIENT)
    world.server("chat")
    uniform_account(world)
    lapsed = (
        "ServerNeedsReauthorization",
        "The stored authorization of an MCP server has lapsed.",
    )
    common = ("Portals: Engineering.", "No successful sync for 10m 0s.")
    login = "of account Production needs an administrator to log in again."
    world.expect(
        240,
        server_alert(
            *lapsed,
            f"MCP server Jira (jira) {login}",
            *common,
            "Error class: upstream false, retryable unknown, HTTP status none, MCP code none.",
        ),
        server_alert(
            *lapsed,
            f"MCP server Wiki (wiki) {login}",
            *common,
            "Error class: upstream true, retryable true, HTTP status 503, MCP code none.",
            server="wiki",
        ),
    )
    return world


@scenario
def test_a_server_that_changes_at_every_sync_is_flapping() -> World:
    world = World(720, step=5)
    # It works while even hours run; changes come at 2 h, 4 h, 6 h and 8 h.
    world.server(
        details=lambda m: CALLED_TRANSIENT if m // 120 % 2 and m < 480 else None,
        staleness=300,
    )
    uniform_account(world)
    world.expect(480)
    world.expect(
        485,
        server_alert(
            "ServerFlapping",
            "An MCP server keeps changing between working and failing.",
            "MCP server Jira (jira) of account Production has changed 4 times between working "
            "and failing within 12h.",
            "Portals: Engineering.",
            "No successful sync for 5m 0s.",
            "Error class: upstream true, retryable true, HTTP status 503, MCP code none.",
        ),
    )
    return world


@scenario
def test_listings_that_fail_again_and_again_are_not_flapping() -> World:
    world = World(120, step=2, unlisted=lambda minute: minute % 10 == 0)
    world.server()
    uniform_account(world)
    for minute in (60, 120):
        world.expect(minute)
    return world


# --- not synced --------------------------------------------------------------------------------


def ageing(minute: int) -> float:
    return 20000.0 + 60 * minute


STALE_AT = 27
"""The first minute at which `ageing` is over six hours."""


@pytest.mark.parametrize("status", ["ready", "other", None])
@scenario
def test_a_sync_that_stopped_fires_after_three_missed_ones(status: str | None) -> World:
    world = World(60)
    world.server(status=status, staleness=ageing)
    uniform_account(world)
    world.expect(STALE_AT + 4)
    world.expect(
        STALE_AT + 5,
        server_alert(
            "ServerSyncStale",
            "The catalog of an MCP server is not synced any more.",
            "MCP server Jira (jira) of account Production was last synced with success "
            "6h 5m 20s ago, and no other alert says why.",
            "Portals: Engineering.",
        ),
    )
    return world


@pytest.mark.parametrize(
    "state",
    [
        pytest.param({"authentication": "manual"}, id="manual OAuth is never synced again"),
        pytest.param({"status": "waiting"}, id="waiting for its first login"),
        pytest.param({"staleness": None}, id="nothing known"),
        pytest.param({"staleness": 21600}, id="just at the threshold"),
    ],
)
@scenario
def test_no_sync_is_missed_by(state: dict[str, object]) -> World:
    world = World(120, step=5)
    world.server(**{"staleness": ageing, **state})  # type: ignore[arg-type]
    uniform_account(world)
    for minute in (60, 120):
        world.expect(minute)
    return world


@scenario
def test_a_failing_server_is_not_reported_as_stale_besides() -> World:
    world = World(60, step=5)
    world.server(status="error", details=CALLED_LASTING, staleness=ageing)
    uniform_account(world)
    world.expect(60, in_error(age="6h 33m 20s"))
    return world


@scenario
def test_the_fresher_of_two_exporters_is_believed() -> World:
    world = World(60, step=5, instances=REPLICAS)
    world.server(instances=("one:9853",), staleness=ageing)
    world.server(instances=("two:9853",), staleness=60)
    uniform_account(world)
    world.expect(60)
    return world


@pytest.mark.parametrize("authentication", ["required", "manual"])
@scenario
def test_a_server_that_waits_for_a_login_too_long_fires(authentication: str) -> World:
    world = World(60)
    world.server(
        status="waiting",
        authentication=authentication,
        tools=None,
        staleness=lambda m: 86000.0 + 60 * m,
    )
    uniform_account(world)
    world.expect(11)
    world.expect(
        12,
        server_alert(
            "ServerAwaitingAuthorization",
            "An MCP server still waits for its first authorization.",
            "MCP server Jira (jira) of account Production has waited for its first login for "
            "1d 0h 5m 20s and offers no tools until then.",
            "Portals: Engineering.",
        ),
    )
    return world


@scenario
def test_a_server_that_waits_and_fails_is_reported_as_failing_alone() -> World:
    world = World(30)
    world.server(status="waiting", details=CALLED_LASTING, staleness=90000)
    uniform_account(world)
    world.expect(30, in_error(age="1d 1h 0m 0s"))
    return world


# --- portals -----------------------------------------------------------------------------------


def dead(count: int, servers: str) -> Alert:
    return portal_alert(
        "PortalNoHealthyServer",
        "critical",
        "No server of an MCP portal works.",
        "MCP portal Engineering (eng) of account Production has no working server left: "
        f"{count} fail, and any other still waits for its first login.",
        f"Its failing servers: {servers}.",
    )


@scenario
def test_a_portal_whose_servers_all_fail_fires_above_them() -> World:
    world = World(30)
    world.server(details=since(5, CALLED_TRANSIENT, None))
    world.server(
        "wiki", status=since(5, "error", "ready"), details=since(5, CALLED_TRANSIENT, None)
    )
    uniform_account(world)
    world.expect(9)
    world.expect(10, dead(2, "Jira, Wiki"))
    return world


@scenario
def test_a_server_that_waits_does_not_keep_a_portal_alive() -> World:
    world = World(30)
    world.server(details=CALLED_TRANSIENT)
    world.server("wiki", status="waiting", tools=None)
    uniform_account(world)
    world.expect(10, dead(1, "Jira"))
    return world


@pytest.mark.parametrize(
    "others",
    [
        pytest.param({"details": CALLED_TRANSIENT}, id="one of two servers works"),
        pytest.param({"status": "waiting", "tools": None}, id="one waits, one works"),
    ],
)
@scenario
def test_a_portal_with_a_working_server_is_alive(others: dict[str, object]) -> World:
    world = World(60, step=5)
    world.server(**others)  # type: ignore[arg-type]
    uniform_account(world)
    world.expect(60)
    return world


@pytest.mark.parametrize("waiting", [0, 2])
@scenario
def test_a_new_portal_without_servers_or_with_waiting_ones_fires_nothing(waiting: int) -> World:
    world = World(60, step=5)
    world.exporter()
    world.account()
    for number in range(waiting):
        world.server(f"s{number}", status="waiting", tools=None)
    world.portal()
    world.expect(60)
    return world


def emptied(before: int) -> Alert:
    return portal_alert(
        "PortalLostServers",
        "warning",
        "An MCP portal has lost all of its servers.",
        "MCP portal Engineering (eng) of account Production has no server attached now; "
        f"within the last 4h it had {before}.",
    )


@scenario
def test_a_portal_that_lost_its_servers_fires_for_some_hours() -> World:
    world = World(270)
    world.exporter()
    world.account()
    for server in ("jira", "wiki"):
        world.server(server, present=since(10, False, True))
    world.portal(name="Engineering", servers=since(10, 0, 2))
    world.expect(14)
    world.expect(15, emptied(2))
    world.expect(248, emptied(2))
    world.expect(270)
    return world


GONE = portal_alert(
    "PortalDisappeared",
    "warning",
    "An MCP portal is not listed any more.",
    "MCP portal Engineering (eng) of account Production was there within the last 4h and is gone, "
    "while the account is listed.",
)


def disappearing(world: World) -> None:
    world.exporter()
    world.account()
    world.server(present=since(10, False, True))
    world.portal(name="Engineering", present=since(10, False, True))


@scenario
def test_a_portal_that_disappears_fires_for_some_hours() -> World:
    world = World(290)
    disappearing(world)
    world.expect(34)
    world.expect(36, GONE)
    world.expect(268, GONE)
    world.expect(290)
    return world


@pytest.mark.parametrize("former", ["A former name", "Former name"])
@scenario
def test_a_portal_that_was_renamed_and_disappears_goes_by_its_last_name(former: str) -> World:
    world = World(70)
    world.exporter()
    world.account()
    world.server(present=since(10, False, True))
    world.portal(name=since(5, "Engineering", former), present=since(10, False, True))
    world.expect(34)
    for minute in range(36, 71, 3):
        world.expect(minute, GONE)
    return world


@scenario
def test_a_failed_listing_does_not_hide_that_a_portal_disappeared() -> World:
    world = World(60, unlisted=between(12, 13, True, False))
    disappearing(world)
    world.expect(36, GONE)
    return world


@scenario
def test_a_renamed_portal_has_not_disappeared() -> World:
    world = World(60)
    world.exporter()
    world.account()
    world.server()
    world.portal(name=since(10, "New", "Old"))
    for minute in range(10, 61, 5):
        world.expect(minute)
    return world


@pytest.mark.parametrize("minutes", [1, 8])
@scenario
def test_failed_listings_are_no_disappearance(minutes: int) -> World:
    world = World(60, unlisted=between(10, 9 + minutes, True, False))
    world.server()
    uniform_account(world)
    for minute in range(10, 40, 3):
        world.expect(minute)
    return world


@scenario
def test_a_portal_that_hides_every_tool_fires() -> World:
    world = World(60)
    world.server(shown=since(5, 0, 5))
    world.server("wiki", tools=7, shown=since(5, 0, 7))
    uniform_account(world)
    world.expect(34)
    world.expect(
        35,
        portal_alert(
            "PortalExposesNoTools",
            "warning",
            "An MCP portal shows its users no tool although its servers offer some.",
            "MCP portal Engineering (eng) of account Production hides every tool of its servers "
            "by its own settings.",
        ),
    )
    return world


@pytest.mark.parametrize(
    "state",
    [
        pytest.param({"tools": 0}, id="none to hide"),
        pytest.param({"tools": None}, id="catalog unknown"),
        pytest.param({"shown": 1}, id="one shown"),
    ],
)
@scenario
def test_a_portal_hides_nothing_when_its_servers_have(state: dict[str, object]) -> World:
    world = World(60, step=5)
    world.exporter()
    world.account()
    world.server(**state)  # type: ignore[arg-type]
    world.portal()
    world.expect(60)
    return world


# --- the exporter and the listing --------------------------------------------------------------


@scenario
def test_an_exporter_that_is_down_fires_and_servers_do_not_resolve_at_once() -> World:
    world = World(60, unlisted=since(20, True, False))
    world.server(details=CALLED_LASTING)
    world.server("wiki")
    world.portal(name="Engineering")
    world.exporter(since(20, 0, 1))
    world.account(up=since(20, None, 1))
    down = alert(
        "CloudflareMCPExporterDown",
        "critical",
        "No instance of the exporter can be scraped.",
        "Prometheus can reach no instance of the MCP portal exporter.",
        "Nothing is known about portals and servers until one answers.",
        dashboard="cloudflare-mcp-exporter",
    )
    world.expect(42, in_error())
    world.expect(44, in_error(), down)
    world.expect(60, down)
    return world


@scenario
def test_an_exporter_without_a_target_fires() -> World:
    world = World(30)
    world.sample("up", 1, instances=())
    world.series = {'up{job="node",instance="x"}': "1+0x30"}
    absent = alert(
        "CloudflareMCPExporterAbsent",
        "critical",
        "Prometheus has no target for the exporter.",
        'No scrape target matches job="cloudflare-mcp".',
        "Nothing is known about portals and servers until there is one.",
        dashboard="cloudflare-mcp-exporter",
        job="cloudflare-mcp",
    )
    world.expect(2)
    world.expect(3, absent)
    return world


def two_exporters(world: World, account_of_second: bool) -> None:
    world.exporter(instances=("one:9853",))
    world.exporter(since(10, 0, 1), instances=("two:9853",))
    if account_of_second:
        world.account(up=since(10, None, 1), instances=("two:9853",))
    else:
        world.account(instances=("one:9853",))
        world.account(up=since(10, None, 1), instances=("two:9853",))


INSTANCE_DOWN = alert(
    "CloudflareMCPExporterInstanceDown",
    "warning",
    "One instance of the exporter cannot be scraped while others can.",
    "Prometheus cannot scrape two:9853 of job cloudflare-mcp.",
    "Accounts that no other instance lists raise an alert of their own.",
    dashboard="cloudflare-mcp-exporter?var-job=cloudflare-mcp&var-instance=two%3A9853",
    job="cloudflare-mcp",
    instance="two:9853",
)


@scenario
def test_one_of_two_replicas_down_is_a_warning_alone() -> World:
    world = World(40, instances=REPLICAS)
    two_exporters(world, account_of_second=False)
    world.expect(32)
    world.expect(34, INSTANCE_DOWN)
    return world


@scenario
def test_an_account_that_only_the_dead_instance_lists_is_critical() -> World:
    world = World(600, instances=REPLICAS, step=10)
    two_exporters(world, account_of_second=True)
    not_observed = account_alert(
        "AccountNotObserved",
        "critical",
        "No exporter reports on an account any more.",
        "No exporter reports on account Production (id a1): "
        "the target that did is down or gone, or its file is not written any more.",
        "Nothing is known about its portals and servers.",
    )
    world.expect(30)
    world.expect(40, not_observed, INSTANCE_DOWN)
    world.expect(600, not_observed, INSTANCE_DOWN)
    return world


@scenario
def test_a_refused_configuration_fires_for_its_instance() -> World:
    world = World(30)
    world.server()
    uniform_account(world)
    world.sample("cloudflare_mcp_exporter_config_last_reload_successful", since(5, 0, 1))
    world.expect(9)
    world.expect(
        10,
        alert(
            "CloudflareMCPExporterConfigReloadFailed",
            "warning",
            "The exporter could not load its configuration and still uses the old one.",
            "one:9853 of job cloudflare-mcp refused its configuration file.",
            "It still works with the one before; a restart would fail.",
            dashboard="cloudflare-mcp-exporter?var-job=cloudflare-mcp&var-instance=one%3A9853",
            job="cloudflare-mcp",
            instance="one:9853",
        ),
    )
    return world


def unlisted(name: str, severity: str, summary: str, reasons: str) -> Alert:
    return account_alert(
        name,
        severity,
        summary,
        "No exporter can list account Production (id a1).",
        f"Reasons: {reasons}.",
        "Nothing is known about its portals and servers.",
    )


def failing(world: World, *reasons: Reason) -> None:
    """Every listing fails from minute 5 on, for each of the reasons."""
    world.exporter()
    world.account(
        up=since(5, 0, 1),
        failures={reason: since(5, True, False) for reason in reasons},
    )


@pytest.mark.parametrize("reason", [Reason.AUTH, Reason.NOT_FOUND])
@scenario
def test_refused_credentials_are_critical(reason: Reason) -> World:
    world = World(90, step=5)
    failing(world, reason)
    denied = (
        "AccountAccessDenied",
        "critical",
        "The API refuses the exporter's credentials or does not know the account.",
    )
    world.expect(5)
    world.expect(10, unlisted(*denied, f"{reason}"))
    world.expect(30, unlisted(*denied, f"{reason}"))
    world.expect(90, unlisted(*denied, f"{reason}"))
    return world


@scenario
def test_a_rate_limit_is_a_warning_and_then_critical() -> World:
    world = World(90, step=5)
    failing(world, Reason.RATE_LIMITED)
    limited = unlisted(
        "AccountRateLimited",
        "warning",
        "The API's rate limit keeps the exporter from listing an account.",
        "rate_limited",
    )
    long = unlisted(
        "AccountListingFailingLong",
        "critical",
        "The portals of an account cannot be listed.",
        "rate_limited",
    )
    world.expect(25)
    world.expect(30, limited)
    world.expect(60, limited)
    world.expect(65, limited, long)
    return world


@scenario
def test_credentials_come_before_other_reasons() -> World:
    world = World(40)
    failing(world, Reason.AUTH, Reason.RATE_LIMITED, Reason.TIMEOUT)
    world.expect(
        40,
        unlisted(
            "AccountAccessDenied",
            "critical",
            "The API refuses the exporter's credentials or does not know the account.",
            "auth, rate_limited, timeout",
        ),
    )
    return world


@pytest.mark.parametrize(
    "reason",
    [r for r in Reason if r not in (Reason.AUTH, Reason.NOT_FOUND, Reason.RATE_LIMITED)],
)
@scenario
def test_any_other_reason_is_a_warning_and_then_critical(reason: Reason) -> World:
    world = World(90, step=5)
    failing(world, reason)
    summary = "The portals of an account cannot be listed."
    reasons = f"{reason}"
    warning = unlisted("AccountListingFailing", "warning", summary, reasons)
    critical = unlisted("AccountListingFailingLong", "critical", summary, reasons)
    world.expect(10)
    world.expect(60, warning)
    world.expect(65, warning, critical)
    return world


@scenario
def test_a_listing_that_another_replica_still_does_fires_nothing() -> World:
    world = World(60, instances=REPLICAS)
    world.exporter()
    world.account(instances=("one:9853",))
    world.account(up=0, failures={Reason.TIMEOUT: True}, instances=("two:9853",))
    world.expect(60)
    return world


@scenario
def test_a_listing_that_fails_now_and_then_fires_nothing() -> World:
    world = World(60, unlisted=lambda minute: minute % 3 == 0)
    world.server()
    uniform_account(world)
    world.account(failures={Reason.TIMEOUT: lambda m: m % 3 == 0})
    for minute in (20, 30, 60):
        world.expect(minute)
    return world


@scenario
def test_a_quota_that_is_nearly_used_fires() -> World:
    world = World(30)
    world.server()
    uniform_account(world)
    world.sample("cloudflare_mcp_api_ratelimit_remaining", since(5, 19, 20), account_id=ACCOUNT)
    world.expect(14)
    world.expect(
        15,
        account_alert(
            "AccountQuotaLow",
            "warning",
            "The API's rate limit is nearly used up.",
            "The API would take only 19 more requests for account Production "
            "in its current window.",
            "The quota is shared by everything its user does, the provider's dashboard included; "
            "past it all of that is blocked for minutes.",
        ),
    )
    return world


@scenario
def test_skipped_records_fire_by_kind() -> World:
    world = World(30, instances=REPLICAS)
    world.server()
    uniform_account(world)
    world.listed("skipped_records", since(5, 2, 0), kind="server")
    world.listed("skipped_records", 0, kind="portal")
    world.expect(19)
    world.expect(
        20,
        account_alert(
            "AccountRecordsSkipped",
            "warning",
            "Records of a listing are left out because they cannot be read.",
            "2 server records of account Production are left out of the metrics.",
            "Nothing is known about these; the exporter's log names each.",
            kind="server",
        ),
    )
    return world


# --- posture -----------------------------------------------------------------------------------


@scenario
def test_an_unauthenticated_server_is_information() -> World:
    world = World(60, step=5)
    world.server(auth_type="unauthenticated", authentication="not_required")
    uniform_account(world)
    world.expect(55)
    world.expect(
        60,
        server_alert(
            "UnauthenticatedServer",
            "An MCP server without authentication is attached to a portal.",
            "MCP server Jira (jira) of account Production asks for no authentication.",
            "Portals: Engineering.",
            severity="info",
        ),
    )
    return world


@scenario
def test_enforced_code_mode_is_information() -> World:
    world = World(60, step=5)
    world.exporter()
    world.account()
    world.server()
    world.portal(name="Engineering", code_mode="enforced")
    world.expect(55)
    world.expect(
        60,
        portal_alert(
            "CodeModeEnforced",
            "info",
            "An MCP portal enforces code mode.",
            "MCP portal Engineering (eng) of account Production enforces code mode: "
            "its users' clients reach tools only by running code.",
        ),
    )
    return world


@scenario
def test_orphaned_overrides_are_information() -> World:
    world = World(60, step=5)
    world.server(orphaned=3)
    uniform_account(world)
    world.expect(55)
    world.expect(
        60,
        alert(
            "CloudflareMCPOrphanedOverrides",
            "info",
            "A portal's overrides name tools or prompts that the server has lost.",
            "3 overrides of MCP portal Engineering (eng) of account Production name something "
            "that MCP server Jira (jira) does not offer any more.",
            dashboard=f"cloudflare-mcp-server?var-account={ACCOUNT}&var-portal=eng&var-server=jira",
            account_id=ACCOUNT,
            portal_id="eng",
            server_id="jira",
        ),
    )
    return world


def test_every_alert_is_seen_firing_by_a_test_above(request: pytest.FixtureRequest) -> None:
    own = [item for item in request.session.items if item.path == request.path]
    if request.config.option.keyword or len(own) < len(SCENARIOS):
        pytest.skip("some of the tests above are not run")
    tests = [item for item in own if isinstance(item, pytest.Function)]
    worlds = [world_of(test) for test in tests if hasattr(test.obj, "build")]
    firing = {
        case["alertname"] for world in worlds for case in world.expected if case["exp_alerts"]
    }
    # tests/test_probe_alerts.py has those on live probes.
    others = {
        rule["alert"] for rule in rules() if "alert" in rule and "_probe_" not in rule["expr"]
    }
    assert firing == others


SCENARIOS = [value for value in vars().values() if hasattr(value, "build")]
