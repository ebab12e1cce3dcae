"""What the status page says: from listings to a report, and from the report to what is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs

import msgspec
import pytest

import accounts as made
from accounts import NOW
from exporter.errors import ListingError, Reason
from exporter.history import KEPT_FOR, MAX_GONE
from exporter.model import (
    AUTH_TYPES,
    AUTHENTICATION_STATUSES,
    CONDITIONS,
    STATUSES,
    Skipped,
)
from exporter.scrape_result import AccountState
from exporter.web.status import words
from exporter.web.status.moments import Moments
from exporter.web.status.page import STALE_AFTER
from exporter.web.status.query import Query, read_query
from exporter.web.status.report import (
    Error,
    PortalStatus,
    ServerStatus,
    Status,
    Tools,
    moment,
    report,
    time_of,
)
from exporter.web.status.states import LEVELS, PORTAL_STATES, SERVER_STATES
from exporter.web.status.tables import PAGE_SIZE
from exporter.web.status.view import MAX_BROKEN, ONLY_TEXT, View, page_view
from mixin.thresholds import load
from processes import ROOT

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
MANUAL = made.server(
    "manual", authentication_status="manual", last_successful_sync=NOW - 63 * 24 * HOUR
)
EVERY = (LAPSED, DOWN, REFUSED, PASSING, WAITING, STALE, FINE, UNKNOWN)

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


def reported(*accounts: AccountState, stale_after: float = STALE_AFTER, now: float = NOW) -> Status:
    return report(accounts or (ACCOUNT,), now, stale_after)


def view(*accounts: AccountState, **query: str) -> View:
    return page_view(reported(*accounts), Query(**query), NOW)


def only(server: object, **fields: float) -> ServerStatus:
    """The report of an account with this server in one portal."""
    account = made.listed(made.inventory(made.portal("only", server)))  # type: ignore[arg-type] # a server
    (status,) = reported(account, **fields).servers
    return status


def portal_of(*accounts: AccountState) -> PortalStatus:
    (status,) = reported(*accounts).portals
    return status


def listed(shown: View) -> list[str]:
    assert shown.table is not None
    return [row.id for row in shown.table.rows]


def grouped(shown: View) -> list[tuple[str, list[str]]]:
    """Titles of the groups with the ids in them."""
    return [
        (group.title, [one.id for one in group.portals] + [one.id for one in group.servers])
        for group in shown.groups
    ]


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


@pytest.mark.parametrize("when", [None, float("inf"), float("nan"), 1e20, -1e20])
def test_a_time_that_no_calendar_has_is_not_shown(when: float | None) -> None:
    assert moment(when) is None


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (
            Error(is_upstream=False, retryable=True, status_code=None, mcp_code=None),
            "The API says: the server could not be reached, it may pass by itself.",
        ),
        (
            Error(is_upstream=True, retryable=False, status_code=401, mcp_code=-32001),
            (
                "The API says: the server answered an error, HTTP 401, MCP code -32001, "
                "it will not pass by itself."
            ),
        ),
        (
            Error(is_upstream=None, retryable=None, status_code=None, mcp_code=0),
            "The API says: an error of unknown origin, MCP code 0.",
        ),
    ],
    ids=["unreachable", "refused", "unknown"],
)
def test_an_error_is_told_in_one_sentence(kind: Error, text: str) -> None:
    assert words.error(kind).replace("\N{NO-BREAK SPACE}", " ") == text


def test_every_value_of_a_closed_set_has_words() -> None:
    assert set(words.REASONS) == set(Reason)
    assert set(words.AUTH_TYPES) == set(AUTH_TYPES)
    assert set(words.AUTHENTICATION_STATUSES) == set(AUTHENTICATION_STATUSES)
    assert set(SERVER_STATES) == {*CONDITIONS, "stale"}
    for status in STATUSES:
        assert made.server("any", status=status).condition in CONDITIONS


def test_every_state_that_needs_attention_says_what_to_do_and_has_a_runbook() -> None:
    runbooks = {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")}
    for kind in (*SERVER_STATES.values(), *PORTAL_STATES.values()):
        assert kind.level in LEVELS
        if kind.key in {"servers_failing", "servers_need_attention"}:
            continue  # its servers say it
        if kind.needs_attention:
            assert kind.notice
            assert kind.fix
            assert kind.runbook in runbooks, kind.key


@pytest.mark.parametrize("reason", Reason)
def test_every_failure_of_a_listing_has_a_runbook(reason: Reason) -> None:
    (account,) = reported(made.failing(ListingError(reason, "no"), ACCOUNT)).accounts
    assert (ROOT / "docs" / "runbooks" / f"{account.runbook}.md").is_file()


# --- what is wrong with a server ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "state"),
    [
        *((server, server.id) for server in (WAITING, STALE, UNKNOWN)),
        (PASSING, "retryable"),
        (LAPSED, "reauthorization"),
        (DOWN, "unreachable"),
        (REFUSED, "error"),
        (FINE, "working"),
        (MANUAL, "working"),
        (made.server("a", status="error"), "error"),
        (made.server("b", authentication_status="stale", in_error=True), "reauthorization"),
        (made.server("c", status="waiting", in_error=True), "error"),
        (made.server("d", status="other"), "unknown"),
        (made.server("e", status=None, last_successful_sync=NOW - 7 * HOUR), "stale"),
        (made.server("f", last_successful_sync=NOW - STALE_AFTER), "working"),
        (made.server("g", last_successful_sync=None, created=NOW - 7 * HOUR), "stale"),
    ],
    ids=lambda value: getattr(value, "id", value),
)
def test_what_must_be_acted_on_first_hides_the_rest(server: object, state: str) -> None:
    assert only(server).state == {"waiting": "awaiting_authorization"}.get(state, state)


def test_a_sync_is_stale_as_late_as_for_the_alerts_unless_configured() -> None:
    assert load().sync_stale_seconds == STALE_AFTER
    assert only(STALE, stale_after=32 * HOUR).state == "working"
    status = reported(made.listed(made.inventory(AGEING)), stale_after=30 * HOUR)
    (group,) = page_view(status, Query(), NOW).groups
    assert "for more than 1 d 6 h" in group.notice


def test_what_breaks_in_no_portal_hurts_nobody() -> None:
    account = made.listed(made.inventory(HEALTHY, alone=(DOWN,)))
    status = reported(account)
    assert [(one.id, one.state, one.level) for one in status.servers] == [
        ("down", "unreachable", "info"), ("fine", "working", "good"),
    ]  # fmt: skip
    shown = view(account)
    assert shown.level == "good"
    assert [(group.level, group.notice) for group in shown.groups] == [
        ("info", "Nothing: the server is in no portal.")
    ]


def test_an_error_whose_text_is_withheld_is_not_said_to_have_no_details() -> None:
    text_only = made.server("texts", in_error=True, error_class=None)
    shown = view(made.listed(made.inventory(made.portal("only", text_only, DOWN))))
    assert shown.withheld
    assert {group.cause for group in shown.groups if group.servers[:1] and group.title == "In error"
            } == {ONLY_TEXT}  # fmt: skip
    assert not view(made.listed(made.inventory(AGEING))).withheld
    assert only(text_only).error_text_withheld
    assert only(text_only).error is None


def test_a_server_that_refuses_credentials_gets_other_advice_than_one_that_fails() -> None:
    fails = msgspec.structs.replace(
        REFUSED, id="fails", error_class=msgspec.structs.replace(made.REFUSED, status_code="500")
    )
    shown = view(made.listed(made.inventory(made.portal("only", REFUSED, fails))))
    advice = {group.servers[0].id: group.fix for group in shown.groups if group.servers}
    assert "credentials" in advice["refused"]
    assert "credentials" not in advice["fails"]


def test_an_old_sync_is_explained_where_it_is_normal() -> None:
    shown = view(made.listed(made.inventory(made.portal("only", MANUAL, FINE))))
    assert (shown.by_hand, shown.groups) == (1, ())
    assert not only(MANUAL).synced_in_background


# --- what users of a portal feel ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "shown", "state", "tools"),
    [
        (HEALTHY, {}, "working", Tools(30, 30, 0, 0)),
        (HEALTHY, {("healthy", "fine"): 8}, "working", Tools(30, 8, 0, 22)),
        (HEALTHY, {("healthy", "fine"): 0}, "no_tools", Tools(30, 0, 0, 30)),
        (made.portal("p", FINE, DOWN), {("p", "fine"): 0}, "no_tools_left", Tools(42, 0, 12, 30)),
        (made.portal("p", DOWN, LAPSED), {("p", "down"): 2}, "no_working_server",
         Tools(24, 0, 14, 10)),
        (made.portal("p", WAITING), {}, "no_working_server", None),
        (MIXED, {}, "servers_failing", Tools(42, 30, 12, 0)),
        (AGEING, {}, "servers_need_attention", Tools(34, 34, 0, 0)),
        (made.portal("p", UNKNOWN), {}, "unknown", Tools(12, 12, 0, 0)),
        (made.portal("p", UNKNOWN, FINE), {}, "working", Tools(42, 42, 0, 0)),
        (EMPTY, {}, "empty", None),
        # The portal's record may be newer than the one of the server that counts.
        (HEALTHY, {("healthy", "fine"): 33}, "working", Tools(33, 33, 0, 0)),
    ],
    ids=[
        *("all", "some-hidden", "all-hidden", "hidden-and-lost", "all-lost", "waiting", "failing"),
        *("ageing", "unknown", "unknown-and-fine", "empty", "newer-record"),
    ],
)  # fmt: skip
def test_a_portal_counts_what_its_users_get(
    item: object, shown: dict[tuple[str, str], int], state: str, tools: Tools | None
) -> None:
    status = portal_of(made.listed(made.inventory(item, shown=shown)))  # type: ignore[arg-type] # a portal
    assert (status.state, status.tools) == (state, tools)
    if tools is not None:
        assert tools.offered == tools.shown + tools.lost + tools.hidden


def test_a_portal_that_shows_nothing_is_never_good() -> None:
    for key in ("no_working_server", "lost_all_servers", "no_tools_left", "no_tools", "empty"):
        assert PORTAL_STATES[key].level != "good"


def test_the_worst_portals_come_first_and_say_why() -> None:
    assert [
        (one.id, one.state, one.servers_lost, one.servers_need_attention, one.worst_server_state)
        for one in reported().portals
    ] == [
        ("broken", "no_working_server", 3, 3, "reauthorization"),
        ("mixed", "servers_failing", 2, 2, "error"),
        ("ageing", "servers_need_attention", 0, 1, "stale"),
        ("empty", "empty", 0, 0, None),
        ("healthy", "working", 0, 0, "working"),
    ]


def test_a_portal_that_lost_all_servers_is_not_one_that_never_had_any() -> None:
    before = made.listed(made.inventory(made.portal("p", FINE), alone=(FINE,)), ended=NOW - 700)
    after = made.relisted(before, made.inventory(made.portal("p"), alone=(FINE,)), ended=NOW - 100)
    status = portal_of(after)
    assert (status.state, status.servers_removed) == ("lost_all_servers", 1)
    assert status.seen_since == moment(NOW - 100)


# --- since when --------------------------------------------------------------------------------


def test_it_says_since_when_this_process_has_seen_a_server_so() -> None:
    works = made.inventory(made.portal("p", made.server("down"), LAPSED))
    fails = made.inventory(made.portal("p", DOWN, LAPSED))
    account = made.listed(works, ended=NOW - 700)
    for ended in (NOW - 400, NOW - 100):
        account = made.relisted(account, fails, ended=ended)
    status = reported(account)
    moments = Moments(status, NOW)
    assert {one.id: moments.seen(one) for one in status.servers} == {
        "down": "for 6 min",
        "lapsed": "since the first listing, 11 min ago",
    }
    # The portal has no working server since the last one broke.
    assert [one.seen_since for one in status.portals] == [moment(NOW - 400)]


def test_a_server_is_stale_since_the_threshold_or_the_first_listing() -> None:
    began = NOW - 900
    became = made.server("s", last_successful_sync=NOW - STALE_AFTER - 300)
    account = made.listed(made.inventory(made.portal("p", became, STALE)), ended=began)
    since = {one.id: one.seen_since for one in reported(account).servers}
    assert since == {"s": moment(NOW - 300), "stale": moment(began)}


def test_ages_count_up_to_the_newest_listing_and_by_the_minute_where_there_is_none() -> None:
    old = made.listed(made.inventory(), ended=NOW - 400)
    new = made.listed(made.inventory(), ended=NOW - 100.25)
    assert time_of([old, new], NOW) == NOW - 100.25
    assert time_of([old], NOW) == NOW - 400
    assert time_of([old], NOW + 300) == (NOW + 300) // 60 * 60
    assert time_of([AccountState(made.ID, "Main")], NOW) == NOW


# --- what is gone ------------------------------------------------------------------------------


def test_what_is_gone_is_told_for_a_day_with_what_it_had() -> None:
    before = made.listed(made.inventory(HEALTHY, made.portal("gone", FINE)), ended=NOW - 500)
    account = made.relisted(before, made.inventory(HEALTHY), ended=NOW - 200)
    (entry,) = view(account).disappeared
    assert (entry.kind, entry.portal_id, entry.portal_name) == ("portal", "gone", "Gone")
    assert (entry.servers, entry.tools) == (1, 30)
    assert (entry.last_seen, entry.noticed) == (moment(NOW - 500), moment(NOW - 200))
    assert reported(account, now=NOW - 200 + KEPT_FOR).disappeared
    assert not reported(account, now=NOW - 199 + KEPT_FOR).disappeared


def test_what_is_gone_is_bounded_and_says_so() -> None:
    large = made.large_account(MAX_GONE + 10)
    shown = view(made.relisted(large, made.inventory()))
    assert len(shown.disappeared) == PAGE_SIZE
    assert len(shown.status.disappeared) == MAX_GONE
    assert shown.status.disappeared_incomplete


# --- what is broken ----------------------------------------------------------------------------


def test_what_is_broken_is_grouped_by_state_and_cause_the_worst_first() -> None:
    again = msgspec.structs.replace(DOWN, id="again")
    other = msgspec.structs.replace(
        DOWN, id="other", error_class=msgspec.structs.replace(made.UNREACHABLE, retryable="false")
    )
    portals = (BROKEN, MIXED, AGEING, made.portal("more", again, other, FINE))
    hidden = made.portal("hidden", FINE)
    account = made.listed(made.inventory(*portals, hidden, shown={("hidden", "fine"): 0}))
    assert grouped(view(account)) == [
        ("Portal: no server works", ["broken"]),
        ("Needs reauthorization", ["lapsed"]),
        ("Unreachable", ["again", "down"]),
        ("Unreachable", ["other"]),
        ("In error", ["refused"]),
        ("Portal: shows no tools", ["hidden"]),
        ("Retryable failure", ["passing"]),
        ("Awaiting first authorization", ["waiting"]),
        ("Sync is stale", ["stale"]),
    ]


def test_a_group_leads_to_its_runbook_and_to_the_dashboard_of_its_account() -> None:
    (first, *_) = view().groups
    assert first.runbook == "CloudflareMCPPortalNoHealthyServer"
    assert [(link.text, link.href) for link in first.cloudflare] == [
        ("", f"https://dash.cloudflare.com/{made.ID}/one/access-controls/ai-controls")
    ]
    second = made.listed(made.inventory(BROKEN), "Second", "d" * 32)
    (first, *_) = view(ACCOUNT, second).groups
    assert [link.text for link in first.cloudflare] == ["Main", "Second"]


def test_of_two_in_the_same_state_the_one_without_a_sync_for_longer_comes_first() -> None:
    found = [
        made.server(name, last_successful_sync=NOW - hours * HOUR)
        for name, hours in (("a", 7), ("b", 9), ("c", 8))
    ]
    shown = view(made.listed(made.inventory(made.portal("p", *found))))
    assert grouped(shown) == [("Sync is stale", ["b", "c", "a"])]


# --- the table of servers ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sort", "first", "last"),
    [
        ("", "lapsed", "fine"),
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
        ("nonsense", "lapsed", "fine"),
        ("--name", "lapsed", "fine"),
    ],
)
def test_servers_sort_by_any_column_with_what_is_not_known_last(
    sort: str, first: str, last: str
) -> None:
    shown = listed(view(sort=sort, view="servers"))
    assert (shown[0], shown[-1]) == (first, last)
    assert sorted(shown) == sorted(server.id for server in EVERY)


def test_the_head_of_a_column_says_how_it_is_sorted_and_turns_it_round() -> None:
    def heads(**query: str) -> dict[str, tuple[str, str]]:
        shown = view(**query).table
        assert shown is not None
        return {head.title: (head.order, head.href) for head in shown.headings}

    by_default = heads(view="servers")
    assert by_default["State"] == ("descending", "?view=servers&sort=state")
    assert by_default["Server"] == ("", "?view=servers&sort=name")
    assert by_default["Tools"] == ("", "?view=servers&sort=-tools")
    by_name = heads(sort="name", page="3")
    assert by_name["Server"] == ("ascending", "?sort=-name")
    assert by_name["State"] == ("", "?sort=-state")


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
    assert set(listed(shown)) == found
    assert {portal.id for portal in shown.status.portals} == in_portals
    totals = shown.status.totals
    assert (totals.servers, totals.portals) == (9, 6)


def test_counts_follow_all_filters_but_their_own_and_lead_to_their_servers() -> None:
    shown = view(portal="mixed", state="error", sort="-tools")
    assert [(count.words, count.number, count.selected) for count in shown.counts] == [
        ("In error", 1, True), ("Retryable failure", 1, False), ("Working", 1, False),
    ]  # fmt: skip
    assert shown.counts[0].href == "?view=servers&portal=mixed&sort=-tools"
    assert shown.counts[1].href == "?view=servers&state=retryable&portal=mixed&sort=-tools"


def test_what_is_chosen_stays_a_choice_although_it_is_gone() -> None:
    choices = view(portal="gone", account="nobody").filters
    assert choices is not None
    assert "gone" in {option.value for option in choices.portals}
    assert "nobody" in {option.value for option in choices.accounts}


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
        ({"view": "servers"}, Query(view="servers")),
        ({"view": "other"}, Query()),
        *(({"page": page}, Query()) for page in ("0", "1", "-2", "x", "\u0662", "9999999", "1.5")),
        ({"page": "12"}, Query(page="12")),
    ],
    ids=str,
)
def test_a_parameter_that_makes_no_sense_counts_as_not_said(
    said: dict[str, str], query: Query
) -> None:
    assert read_query(lambda name: said.get(name, "")) == query


def test_a_link_says_what_the_query_says() -> None:
    query = Query(q='a&b="<\u05e9>', portal="p", sort="-sync", refresh="0", page="4")
    said = parse_qs(query.link(state="error").removeprefix("?"))
    again = read_query(lambda name: said.get(name, [""])[0])
    # Another list begins at its first page.
    assert again == msgspec.structs.replace(query, state="error", page="")
    assert query.without_filters() == "?view=servers&sort=-sync&refresh=0"


@pytest.mark.parametrize(
    ("query", "refreshes"),
    [
        ({}, True), ({"refresh": "0"}, False), ({"q": "a"}, False), ({"state": "error"}, False),
        ({"portal": "p"}, False), ({"account": "a"}, False), ({"view": "servers"}, False),
        ({"sort": "name"}, False), ({"page": "2"}, False),
    ],
)  # fmt: skip
def test_it_refreshes_by_itself_only_where_there_is_nothing_to_fill_in(
    query: dict[str, str], refreshes: bool
) -> None:
    assert Query(**query).refreshes is refreshes
    if refreshes:
        assert view(**query).filters is None


# --- bounds ------------------------------------------------------------------------------------


def test_of_ten_thousand_servers_all_that_are_broken_are_shown_and_the_rest_in_pages() -> None:
    large = made.large_account(10_000)
    shown = view(large)
    assert [(group.total, len(group.servers)) for group in shown.groups] == [(100, 100)]
    assert len(shown.portals) == PAGE_SIZE
    assert sum(portal.needs_attention for portal in shown.portals) == 100
    seen: list[str] = []
    for page in range(1, 101):
        table = view(large, view="servers", page=str(page)).table
        assert table is not None
        seen += [row.id for row in table.rows]
        assert (table.first, table.last, table.total) == (page * 100 - 99, page * 100, 10_000)
        assert bool(table.previous) == (page > 1)
        assert bool(table.next) == (page < 100)
    assert len(set(seen)) == 10_000
    assert listed(view(large, view="servers", page="999")) == seen[-100:]


def test_more_broken_portals_than_a_page_has_rows_are_all_shown() -> None:
    portals = [made.portal(f"p-{number}", DOWN) for number in range(PAGE_SIZE + 50)]
    shown = view(made.listed(made.inventory(*portals, HEALTHY)))
    assert len(shown.portals) == PAGE_SIZE + 50
    assert all(portal.needs_attention for portal in shown.portals)


def test_an_account_that_nobody_scrapes_any_more_is_told_with_its_age() -> None:
    left = made.listed(made.inventory(MIXED), "Left", "d" * 32, ended=NOW - HOUR)
    shown = view(ACCOUNT, left)
    (account,) = shown.troubled_accounts
    assert (account.name, account.level, account.overdue, account.outdated) == (
        "Left", "warn", True, True,
    )  # fmt: skip
    assert account.runbook == "CloudflareMCPAccountNotObserved"


def test_a_flood_of_broken_servers_is_bounded_and_counted() -> None:
    servers = [msgspec.structs.replace(DOWN, id=f"s-{number}") for number in range(700)]
    (portal, group) = view(made.listed(made.inventory(made.portal("p", *servers)))).groups
    assert portal.total == 1
    assert (len(group.servers), group.total, group.left_out) == (MAX_BROKEN, 700, 200)
    assert group.href == "?state=unreachable"


def test_accounts_and_the_choices_of_the_filter_are_bounded() -> None:
    many = [
        made.failing(
            ListingError(Reason.AUTH, "no"),
            made.listed(
                made.inventory(made.portal(f"p-{number}")), f"A {number}", f"{number:032x}"
            ),
        )
        for number in range(PAGE_SIZE + 50)
    ]
    shown = view(*many, view="servers")
    assert len(shown.troubled_accounts) == PAGE_SIZE
    assert shown.filters is not None
    assert len(shown.filters.accounts) == len(shown.filters.portals) == PAGE_SIZE


# --- what somebody should know first -----------------------------------------------------------

FAILURE = ListingError(Reason.RATE_LIMITED, "the API answered HTTP 429")
FRESH = AccountState("c" * 32, "Fresh")
AFFECTED = "3 of 5 portals affected, 6 servers need attention, 36 of 130 tools lost"


@pytest.mark.parametrize(
    ("observed", "lines"),
    [
        ([FRESH], []),
        ([OTHER], ["good: No trouble in 1 portal and 1 server"]),
        ([ACCOUNT], [f"bad: {AFFECTED}"]),
        (
            [made.failing(FAILURE, OTHER), FRESH],
            ["bad: 1 account cannot be listed", "info: 1 account is not listed yet",
             "good: No trouble in 1 portal and 1 server"],
        ),
        ([made.failing(FAILURE, FRESH)], ["bad: 1 account cannot be listed"]),
        ([made.listed(made.inventory())], ["info: There are no portals and no servers"]),
        (
            [made.listed(made.inventory(HEALTHY)),
             made.listed(made.inventory(), "Left", "d" * 32, ended=NOW - HOUR)],
            ["warn: 1 account is not scraped any more",
             "good: No trouble in 1 portal and 1 server"],
        ),
        (
            [made.listed(made.inventory(MIXED), ended=NOW - 3 * HOUR)],
            ["bad: 1 of 1 portal affected, 2 servers need attention, 12 of 42 tools lost",
             "warn: Nothing was scraped for 3 h: is Prometheus still running?"],
        ),
        (
            [made.listed(made.inventory(HEALTHY, shown={("healthy", "fine"): 0}))],
            ["warn: 1 of 1 portal affected"],
        ),
    ],
    ids=["fresh", "good", "trouble", "failing", "never", "empty", "left", "quiet", "hidden"],
)  # fmt: skip
def test_the_summary_says_the_worst_first(observed: list[AccountState], lines: list[str]) -> None:
    shown = view(*observed)
    assert [f"{line.level}: {line.text}" for line in shown.summary] == lines
    if lines:
        assert f"{shown.level}: {shown.title}" == lines[0]


def test_failing_accounts_come_first_and_fine_ones_are_kept_apart() -> None:
    failed = made.failing(
        ListingError(Reason.AUTH, "no"), made.listed(made.inventory(), "Z", "f" * 32)
    )
    skipping = made.listed(
        msgspec.structs.replace(made.inventory(), skipped=(Skipped("portal", "0", "no id"),)),
        "Skipping",
        "d" * 32,
    )
    shown = view(ACCOUNT, FRESH, skipping, failed)
    assert [(one.name, one.level) for one in shown.troubled_accounts] == [
        ("Z", "bad"), ("Skipping", "warn"),
    ]  # fmt: skip
    assert [(one.name, one.level) for one in shown.fine_accounts] == [
        ("Fresh", "info"), ("Main", "good"),
    ]  # fmt: skip
    assert shown.troubled_accounts[1].skipped_records == 1


@pytest.mark.parametrize("reason", Reason)
def test_a_failed_listing_is_told_with_reason_text_hint_and_what_is_shown(reason: Reason) -> None:
    failure = ListingError(reason, "what the API said")
    before = made.listed(made.inventory(MIXED), ended=NOW - 7800)
    status = reported(made.failing(failure, before))
    (account,) = status.accounts
    assert (account.reason, account.error, account.hint) == (
        reason.value, "what the API said", failure.hint,
    )  # fmt: skip
    assert (account.level, account.listed, account.outdated) == ("bad", False, True)
    assert account.last_listing == status.as_of == moment(NOW - 5)
    assert account.shown_as_of == moment(NOW - 7800)
    assert (account.last_listing_seconds, account.portals, account.servers) == (1.5, 1, 3)


def test_times_are_of_utc_and_to_the_second() -> None:
    assert moment(0.9) == datetime(1970, 1, 1, tzinfo=UTC)
    assert Moments.machine(datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC)) == "2026-03-01T04:05:06Z"
    assert Moments.utc(datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC)) == "2026-03-01 04:05:06 UTC"
