"""What the status page says: from listings to words, rows and their order."""

from __future__ import annotations

from urllib.parse import parse_qs

import msgspec
import pytest

import accounts as made
from accounts import NOW
from exporter.errors import ListingError, Reason
from exporter.model import (
    AUTH_TYPES,
    AUTHENTICATION_STATUSES,
    CODE_MODES,
    STATUSES,
    ErrorClass,
    Skipped,
)
from exporter.scrape_result import AccountState
from exporter.web.status import words
from exporter.web.status.health import HEALTHS, STALE_AFTER, health_of
from exporter.web.status.query import Query, read_query
from exporter.web.status.tables import MAX_ROWS
from exporter.web.status.view import View, page_view
from mixin.thresholds import load

HOUR = 3600.0
LAPSED = made.server("lapsed", status="stale", last_successful_sync=NOW - 9 * HOUR)
DOWN = made.server("down", status="error", in_error=True, error_class=made.UNREACHABLE)
REFUSED = made.server(
    "refused", status="error", in_error=True, error_class=made.REFUSED, tools=None
)
PASSING = made.server("passing", in_error=True, error_class=made.PASSING, auth_type="bearer")
WAITING = made.server(
    "waiting", status="waiting", last_successful_sync=None, created=NOW - 50 * HOUR, tools=None
)
STALE = made.server("stale", last_successful_sync=NOW - 31 * HOUR, tools=4)
UNKNOWN = made.server("unknown", status=None, last_successful_sync=None)
FINE = made.server("fine", tools=30)
EVERY = (LAPSED, DOWN, REFUSED, PASSING, WAITING, STALE, UNKNOWN, FINE)

BROKEN = made.portal("broken", LAPSED, DOWN, WAITING)
MIXED = made.portal("mixed", REFUSED, FINE, PASSING)
AGEING = made.portal("ageing", STALE, FINE, code_mode=None)
HEALTHY = made.portal("healthy", FINE)
EMPTY = made.portal("empty")
ACCOUNT = made.listed(
    made.inventory(HEALTHY, EMPTY, AGEING, MIXED, BROKEN, alone=(UNKNOWN,)), "Main"
)
OTHER = made.listed(
    made.inventory(made.portal("broken", made.server("else"), name="Elsewhere")), "Other", "e" * 32
)


def view(*accounts: AccountState, **query: str) -> View:
    return page_view(accounts or (ACCOUNT,), Query(**query), NOW)


def servers(shown: View) -> list[str]:
    return [row.id for row in shown.servers.rows]


def portals(shown: View) -> list[str]:
    return [row.id for row in shown.portals.rows]


# --- words -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"), (0, "0 s"), (0.9, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"),
        (3600, "1 h"), (7800, "2 h 10 min"), (86399, "23 h 59 min"), (86400, "1 d"),
        (273600, "3 d 4 h"), (30 * 86400 - 1, "29 d 23 h"), (30 * 86400, "30 d"), (1e8, "1157 d"),
    ],
)  # fmt: skip
def test_a_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize("when", [float("inf"), float("nan"), 1e20, -1e20])
def test_a_time_that_no_calendar_has_is_not_shown(when: float) -> None:
    assert words.moment(when, NOW) is None


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        (None, ("No details given",)),
        (made.UNREACHABLE, ("Could not be reached", "May pass by itself")),
        (
            made.REFUSED,
            ("The server answered an error", "HTTP 401, MCP code -32001",
             "Will not pass by itself"),
        ),
        (
            ErrorClass("unknown", "unknown", "", "7"),
            ("Who failed is not known", "MCP code 7", "Whether it may pass is not known"),
        ),
    ],
    ids=["none", "unreachable", "refused", "unknown"],
)  # fmt: skip
def test_an_error_class_is_told_in_words(kind: ErrorClass | None, lines: tuple[str, ...]) -> None:
    shown = tuple(line.replace("\N{NO-BREAK SPACE}", " ") for line in words.error_class(kind))
    assert shown == lines


def test_every_value_of_a_closed_set_has_words() -> None:
    assert set(words.REASONS) == set(Reason)
    assert set(words.AUTH_TYPES) == set(AUTH_TYPES)
    assert set(words.AUTHENTICATION_STATUSES) == set(AUTHENTICATION_STATUSES)
    assert set(words.CODE_MODES) == set(CODE_MODES)
    for status in STATUSES:
        assert health_of(made.server("any", status=status), 0) in HEALTHS


# --- what is wrong with a server ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "key"),
    [
        *((server, server.id) for server in (PASSING, WAITING, STALE, UNKNOWN)),
        (LAPSED, "reauthorize"),
        (DOWN, "unreachable"),
        (REFUSED, "error"),
        (FINE, "working"),
        (made.server("a", status="error"), "error"),
        (made.server("b", authentication_status="stale", in_error=True), "reauthorize"),
        (made.server("c", status="waiting", in_error=True), "error"),
        (made.server("d", status="other"), "unknown"),
        (made.server("e", status=None, last_successful_sync=NOW - 7 * HOUR), "stale"),
        (made.server("f", last_successful_sync=NOW - STALE_AFTER), "working"),
        (made.server("g", last_successful_sync=None, created=NOW - 7 * HOUR), "stale"),
        (
            made.server("h", authentication_status="manual", last_successful_sync=1.0),
            "working",
        ),
    ],
    ids=lambda value: getattr(value, "id", value),
)
def test_what_must_be_acted_on_first_hides_the_rest(server: object, key: str) -> None:
    shown = view(made.listed(made.inventory(made.portal("only", server))))  # type: ignore[arg-type] # a server
    expected = {"passing": "retryable"}.get(key, key)
    assert [count.href for count in shown.counts] == [f"?state={expected}"]


def test_a_sync_is_stale_as_late_as_for_the_alerts() -> None:
    assert load().sync_stale_seconds == STALE_AFTER


# --- order -------------------------------------------------------------------------------------


def test_the_worst_servers_come_first() -> None:
    assert servers(view()) == [
        "lapsed", "down", "refused", "passing", "waiting", "stale", "unknown", "fine",
    ]  # fmt: skip


def test_of_two_in_the_same_state_the_one_without_a_sync_for_longer_comes_first() -> None:
    found = [
        made.server(name, last_successful_sync=NOW - hours * HOUR)
        for name, hours in (("a", 7), ("b", 9), ("c", 8))
    ]
    shown = view(made.listed(made.inventory(alone=tuple(found))))
    assert servers(shown) == ["b", "c", "a"]


def test_the_worst_portals_come_first_and_say_why() -> None:
    assert [(row.id, row.tone, row.state, row.troubled) for row in view().portals.rows] == [
        ("broken", "bad", "No server works", 3),
        ("mixed", "bad", "Some servers fail", 2),
        ("ageing", "warn", "Some servers need attention", 1),
        ("empty", "idle", "No servers", 0),
        ("healthy", "good", "Working", 0),
    ]


def test_failing_accounts_come_first_then_those_that_wait() -> None:
    failed = made.failing(
        ListingError(Reason.AUTH, "no"), made.listed(made.inventory(), "Z", "f" * 32)
    )
    skipping = made.listed(
        msgspec.structs.replace(made.inventory(), skipped=(Skipped("portal", "0", "no id"),)),
        "Skipping",
        "d" * 32,
    )
    shown = view(ACCOUNT, AccountState("c" * 32, "Fresh"), skipping, failed)
    assert [(row.name, row.tone) for row in shown.accounts] == [
        ("Z", "bad"), ("Skipping", "warn"), ("Fresh", "idle"), ("Main", "good"),
    ]  # fmt: skip
    assert shown.accounts[1].left_out == 1


@pytest.mark.parametrize(
    ("sort", "first", "last"),
    [
        ("-state", "lapsed", "fine"),
        ("state", "fine", "lapsed"),
        ("name", "down", "waiting"),
        ("-name", "waiting", "down"),
        ("-sync", "waiting", "unknown"),
        ("sync", "down", "unknown"),
        ("-tools", "fine", "waiting"),
        ("tools", "stale", "waiting"),
        ("-portals", "fine", "unknown"),
        ("auth", "passing", "fine"),
        ("error", "down", "fine"),
        ("nonsense", "lapsed", "fine"),
        ("--name", "lapsed", "fine"),
    ],
)
def test_servers_sort_by_any_column_with_what_is_not_known_last(
    sort: str, first: str, last: str
) -> None:
    shown = servers(view(sort=sort))
    assert (shown[0], shown[-1]) == (first, last)
    assert sorted(shown) == sorted(server.id for server in EVERY)


@pytest.mark.parametrize(
    ("psort", "first"),
    [("", "broken"), ("state", "healthy"), ("name", "ageing"), ("-servers", "broken"),
     ("-sync", "broken"), ("code", "broken"), ("-trouble", "broken")],
)  # fmt: skip
def test_portals_sort_by_any_column(psort: str, first: str) -> None:
    assert portals(view(psort=psort))[0] == first


def test_the_head_of_a_column_says_how_it_is_sorted_and_turns_it_round() -> None:
    by_default = {head.title: (head.order, head.sort) for head in view().servers.headings}
    assert by_default["State"] == ("descending", "state")
    assert by_default["Server"] == ("", "name")
    assert by_default["Tools"] == ("", "-tools")
    by_name = {head.title: (head.order, head.sort) for head in view(sort="name").servers.headings}
    assert by_name["Server"] == ("ascending", "-name")
    assert by_name["State"] == ("", "-state")


# --- the filter --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found", "in_portals"),
    [
        ({"q": "FINE"}, {"fine"}, {"mixed", "ageing", "healthy"}),
        ({"q": "fine.mcp.example"}, {"fine"}, {"mixed", "ageing", "healthy"}),
        ({"q": "ageing.portal"}, set(), {"ageing"}),
        ({"q": "nothing has this"}, set(), set()),
        ({"state": "unreachable"}, {"down"}, {"broken"}),
        (
            {"state": "attention"},
            {"lapsed", "down", "refused", "passing", "waiting", "stale"},
            {"broken", "mixed", "ageing"},
        ),
        ({"portal": "mixed"}, {"refused", "fine", "passing"}, {"mixed"}),
        ({"portal": "mixed", "state": "working"}, {"fine"}, {"mixed"}),
        ({"portal": "gone"}, set(), set()),
        ({"account": "Other"}, {"else"}, {"broken"}),
        ({"account": "Other", "portal": "broken"}, {"else"}, {"broken"}),
        ({"q": "elsewhere"}, set(), {"broken"}),
        ({"account": "nobody"}, set(), set()),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_filters_combine(query: dict[str, str], found: set[str], in_portals: set[str]) -> None:
    shown = view(ACCOUNT, OTHER, **query)
    assert set(servers(shown)) == found
    assert set(portals(shown)) == in_portals
    assert (shown.all_servers, shown.all_portals) == (9, 6)


def test_counts_follow_all_filters_but_their_own_and_lead_to_their_servers() -> None:
    shown = view(portal="mixed", state="error", sort="-tools")
    assert [(count.words, count.number, count.selected) for count in shown.counts] == [
        ("In error", 1, True), ("Retryable failure", 1, False), ("Working", 1, False),
    ]  # fmt: skip
    assert shown.counts[0].href == "?portal=mixed&sort=-tools"
    assert shown.counts[1].href == "?state=retryable&portal=mixed&sort=-tools"


def test_what_is_chosen_stays_a_choice_although_it_is_gone() -> None:
    shown = view(portal="gone", account="nobody")
    assert "gone" in {option.value for option in shown.portal_options}
    assert "nobody" in {option.value for option in shown.account_options}


@pytest.mark.parametrize(
    ("said", "query"),
    [
        ({}, Query()),
        ({"q": "  a b "}, Query(q="a b")),
        ({"q": "x" * 9999}, Query(q="x" * 400)),
        ({"state": "unreachable"}, Query(state="unreachable")),
        ({"state": "<script>"}, Query()),
        ({"refresh": "0"}, Query(refresh="0")),
        ({"refresh": "1"}, Query()),
    ],
    ids=str,
)
def test_a_parameter_that_makes_no_sense_counts_as_not_said(
    said: dict[str, str], query: Query
) -> None:
    assert read_query(lambda name: said.get(name, "")) == query


def test_a_link_says_what_the_query_says() -> None:
    query = Query(q='a&b="<\u05e9>', portal="p", sort="-sync", refresh="0")
    said = parse_qs(query.link(state="error").removeprefix("?"))
    again = read_query(lambda name: said.get(name, [""])[0])
    assert again == msgspec.structs.replace(query, state="error")
    assert query.without_filters() == "?sort=-sync&refresh=0"


# --- bounds ------------------------------------------------------------------------------------


def test_of_ten_thousand_servers_the_worst_are_shown_and_the_rest_counted() -> None:
    shown = view(made.large_account(10_000))
    assert len(shown.servers.rows) == MAX_ROWS == 500
    assert [row.tone for row in shown.servers.rows[:101]] == ["bad"] * 100 + ["good"]
    assert (shown.servers.total, shown.servers.left_out) == (10_000, 9_500)
    assert (shown.portals.total, shown.portals.left_out) == (200, 0)
    narrowed = view(made.large_account(10_000), q="server-012")
    assert (narrowed.servers.total, narrowed.servers.left_out) == (100, 0)


def test_accounts_and_the_choices_of_the_filter_are_bounded() -> None:
    many = [
        made.listed(made.inventory(made.portal(f"p-{number}")), f"A {number:04}", f"{number:032x}")
        for number in range(600)
    ]
    shown = view(*many)
    assert (len(shown.accounts), shown.more_accounts) == (500, 100)
    assert len(shown.account_options) == len(shown.portal_options) == 500


# --- what somebody should know first -----------------------------------------------------------

FAILURE = ListingError(Reason.RATE_LIMITED, "the API answered HTTP 429")
FRESH = AccountState("c" * 32, "Fresh")


@pytest.mark.parametrize(
    ("observed", "lines"),
    [
        ([FRESH], ["idle: 1 account is not listed yet"]),
        ([OTHER], ["good: No server needs attention (of 1)"]),
        ([ACCOUNT, OTHER], ["bad: 6 of 9 servers need attention"]),
        (
            [made.failing(FAILURE, OTHER), FRESH],
            ["bad: 1 account cannot be listed", "idle: 1 account is not listed yet",
             "good: No server needs attention (of 1)"],
        ),
        ([made.failing(FAILURE, FRESH)], ["bad: 1 account cannot be listed"]),
        ([made.listed(made.inventory())], ["idle: There are no servers"]),
        (
            [made.listed(made.inventory(MIXED), ended=NOW - 3 * HOUR)],
            ["bad: 2 of 3 servers need attention",
             "warn: Nothing was scraped for 3 h: is Prometheus still running?"],
        ),
    ],
    ids=["fresh", "good", "trouble", "failing", "never", "empty", "quiet"],
)  # fmt: skip
def test_the_summary_says_the_worst_first(observed: list[AccountState], lines: list[str]) -> None:
    assert [f"{line.tone}: {line.text}" for line in view(*observed).summary] == lines


@pytest.mark.parametrize("reason", Reason)
def test_a_failed_listing_is_told_with_reason_text_hint_and_what_is_shown(reason: Reason) -> None:
    failure = ListingError(reason, "what the API said")
    before = made.listed(made.inventory(MIXED), ended=NOW - 7800)
    shown = view(made.failing(failure, before))
    (row,) = shown.accounts
    assert (row.result, row.reason) == (words.REASONS[reason], reason.value)
    assert (row.error, row.hint, row.tone) == ("what the API said", failure.hint, "bad")
    assert row.ended is not None
    assert row.whole is not None
    assert (row.ended.ago, row.whole.ago, row.took) == ("5 s ago", "2 h 10 min ago", "1.50 s")
    assert (row.portals, row.servers) == (1, 3)
    ages = [one.as_of for one in shown.servers.rows] + [one.as_of for one in shown.portals.rows]
    assert {age and age.ago for age in ages} == {"2 h 10 min ago"}


def test_staleness_counts_up_from_one_look_to_the_next() -> None:
    def staleness(now: float) -> dict[str, str]:
        return {row.id: row.staleness for row in page_view([ACCOUNT], Query(), now).servers.rows}

    assert (staleness(NOW)["stale"], staleness(NOW + HOUR)["stale"]) == ("1 d 7 h", "1 d 8 h")
    assert staleness(NOW)["waiting"] == "2 d 2 h"
    assert staleness(NOW)["unknown"] == ""


def test_a_server_names_its_portals_and_counts_those_beyond_three() -> None:
    homes = [made.portal(f"p-{number}", FINE) for number in range(5)]
    (row,) = view(made.listed(made.inventory(*homes))).servers.rows
    assert ([portal.id for portal in row.portals], row.more_portals) == (["p-0", "p-1", "p-2"], 2)
