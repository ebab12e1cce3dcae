"""What is read from each field of the API's answer: from bytes to the account's values."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest

from exporter.cloudflare.decode import decode_portals, decode_servers
from exporter.cloudflare.merge import build
from exporter.errors import ListingError, Reason
from exporter.model import (
    AUTH_TYPES,
    AUTHENTICATION_STATUSES,
    CODE_MODES,
    STATUSES,
    Attachment,
    ErrorClass,
    Exposure,
    Inventory,
    Portal,
    Server,
    Skipped,
)
from rawserver import RawServer, answer, listing, portal, sends
from watching import accounts_for, scrape, value


def read(result: Any) -> Inventory:
    """The account that one page of portals shows."""
    return build([decode_portals(listing(result))])


def read_portal(**members: Any) -> Portal:
    inventory = read([{**portal("p"), **members}])
    assert inventory.skipped == ()
    return inventory.portals[0].portal


def server(identity: str = "s", **members: Any) -> dict[str, Any]:
    """A server with what the API requires of one."""
    return {
        "id": identity,
        "name": identity,
        "hostname": f"https://{identity}.example.com/mcp",
        "auth_type": "bearer",
        "tools": [],
        "prompts": [],
        **members,
    }


def read_server(**members: Any) -> Server:
    inventory = read([portal("p", (server(**members),))])
    assert inventory.skipped == ()
    return inventory.servers[0].server


def read_attachment(**members: Any) -> Attachment:
    return read([portal("p", (server(**members),))]).attachments[0]


def notes(**members: Any) -> list[str]:
    return sorted(read([portal("p", (server(**members),))]).notes)


# --- hostnames ---------------------------------------------------------------------------------

HOSTNAMES = {
    "a bare host": ("mcp.example.com", "mcp.example.com"),
    "a bare host with port and path": ("mcp.example.com:8443/a/b", "mcp.example.com:8443/a/b"),
    "a URL": ("https://mcp.example.com/mcp", "https://mcp.example.com/mcp"),
    "a port": ("http://mcp.example.com:8080/", "http://mcp.example.com:8080/"),
    "an empty port": ("https://mcp.example.com:/a", "https://mcp.example.com:/a"),
    "a query": ("https://h.example/mcp?key=KEY", "https://h.example/mcp"),
    "a fragment": ("https://h.example/mcp#KEY", "https://h.example/mcp"),
    "a fragment before a query": ("https://h.example/mcp#KEY?KEY", "https://h.example/mcp"),
    "a query without a path": ("https://h.example?key=KEY", "https://h.example"),
    "user and password": ("https://user:KEY@h.example/mcp", "https://h.example/mcp"),
    "a user alone": ("https://KEY@h.example/mcp", "https://h.example/mcp"),
    "user info on a bare host": ("user:KEY@h.example", "h.example"),
    "everything": ("https://u:KEY@h.example:1/p?KEY#KEY", "https://h.example:1/p"),
    "a password with an @": ("https://u:KEY@KEY@h.example/p", "https://h.example/p"),
    "a password with a slash": ("https://u:KEY/KEY@h.example/p", "https://h.example/p"),
    "a password with a slash, and a longer path": (
        "https://u:KEY/KEY@h.example/p/q",
        "https://h.example/p/q",
    ),
    "a password with slashes and an @": (
        "https://u:KEY/KEY@KEY/KEY@h.example/p",
        "https://h.example/p",
    ),
    "a password with an @ and slashes": (
        "https://u:KEY@KEY/KEY@KEY/KEY@h.example/p/q",
        "https://h.example/p/q",
    ),
    "a password that ends like a port": ("https://u:KEY:80?KEY@h.example/p", "https://"),
    "a password that is a slash and more": ("https://u:/KEY@h.example/p", "https://h.example/p"),
    "a password with @ and slash": ("https://u:KEY@KEY/KEY@h.example/p", "https://h.example/p"),
    "a password with a question mark": ("https://u:KEY?KEY@h.example/p", "https://"),
    "a password with a hash": ("https://u:KEY#KEY@h.example/p", "https://"),
    "an @ in the path": ("https://h.example/@scope/mcp", "https://h.example/@scope/mcp"),
    "an @ in user info and path": ("https://u:KEY@h.example/@s/m", "https://h.example/@s/m"),
    "one slash": ("https:/u:KEY@h.example/p", "h.example/p"),
    "backslashes": ("https:\\\\u:KEY@h.example\\p", "https://h.example/p"),
    "white space in front": ("  https://u:KEY@h.example/p", "https://h.example/p"),
    "no scheme": ("//u:KEY@h.example/p", "//h.example/p"),
    "IPv6": ("https://[2001:db8::1]:8443/p", "https://[2001:db8::1]:8443/p"),
    "IPv6 with user info": ("http://u:KEY@[::1]/p", "http://[::1]/p"),
    "IPv6 with an @ in the query": ("http://[::1]:80/p?KEY@KEY", "http://[::1]:80/p"),
    "bare IPv6 with port": ("[::1]:80", "[::1]:80"),
    "a query alone": ("?key=KEY", ""),
    "nothing": ("", ""),
    "null": (None, ""),
}


@pytest.mark.parametrize(("url", "shown"), HOSTNAMES.values(), ids=HOSTNAMES)
def test_a_hostname_keeps_scheme_host_port_and_path_alone(url: str | None, shown: str) -> None:
    assert "KEY" not in shown
    assert read_server(hostname=url).hostname == shown
    assert read_portal(hostname=url).hostname == shown


# --- names -------------------------------------------------------------------------------------

NAMES = {
    "quotes and backslashes": ('a "b" \\c', 'a "b" \\c'),
    "a line feed": ("a\nb", "a\nb"),
    "a tab": ("a\tb", "a\tb"),
    "a carriage return": ("a\rb", "a\u240db"),
    "other control characters": ("a\x00\x1b\x7fb", "a\u2400\u241b\u2421b"),
    "C1 and other line ends": ("a\x85\u2028\u2029b", "a\ufffd\ufffd\ufffdb"),
    "right to left": ("مركز \u202eabc", "مركز \u202eabc"),
    "350 characters": ("x" * 350, "x" * 350),
    "beyond the basic plane": ("a\U0001f600b", "a\U0001f600b"),
    "empty": ("", ""),
    "null": (None, ""),
}


@pytest.mark.parametrize(("name", "shown"), NAMES.values(), ids=NAMES)
def test_a_name_stays_as_it_is_but_for_what_ends_a_line(name: str | None, shown: str) -> None:
    assert read_server(name=name).name == shown
    assert read_portal(name=name).name == shown


def test_a_lone_surrogate_is_replaced_and_costs_nothing_else() -> None:
    body = listing([portal("p", (server(name="good"),))]).replace(b'"good"', b'"a\\ud800b"')
    inventory = build([decode_portals(body)])
    assert [known.server.name for known in inventory.servers] == ["a\ufffdb"]
    assert inventory.skipped == ()


def test_a_name_in_bad_utf8_is_mended_and_costs_nothing_else() -> None:
    body = listing([portal("p", (server(name="good"),))]).replace(b'"good"', b'"a\xffb"')
    inventory = build([decode_portals(body)])
    assert [known.server.name for known in inventory.servers] == ["a\ufffdb"]


# --- times -------------------------------------------------------------------------------------

MARCH = 1773241258.0  # 2026-03-11 15:00:58 UTC
TIMES = {
    "no zone": ("2026-03-11 15:00:58", MARCH),
    "no zone, fraction": ("2026-03-11 15:00:58.25", MARCH + 0.25),
    "RFC 3339": ("2026-03-11T15:00:58Z", MARCH),
    "milliseconds": ("2026-03-11T15:00:58.767Z", MARCH + 0.767),
    "nanoseconds": ("2026-03-11T15:00:58.500000001Z", MARCH + 0.5),
    "an offset": ("2026-03-11T16:30:58+01:30", MARCH),
    "a negative offset": ("2026-03-11 10:00:58-05:00", MARCH),
    "before 1970": ("1969-12-31T23:59:59Z", -1.0),
    "year 1": ("0001-01-01T00:00:00Z", None),
    "year 1, no zone": ("0001-01-01 00:00:00", None),
    "empty": ("", None),
    "null": (None, None),
}
TIME_FIELDS = {
    "created_at": "created",
    "modified_at": "modified",
    "last_synced": "last_sync",
    "last_successful_sync": "last_successful_sync",
}


@pytest.mark.parametrize("field", TIME_FIELDS)
@pytest.mark.parametrize(("text", "seconds"), TIMES.values(), ids=TIMES)
def test_both_forms_of_a_time_are_read_and_none_is_noted(
    field: str, text: str | None, seconds: float | None
) -> None:
    assert getattr(read_server(**{field: text}), TIME_FIELDS[field]) == seconds
    assert notes(**{field: text}) == []
    if field in {"created_at", "modified_at"}:
        assert getattr(read_portal(**{field: text}), TIME_FIELDS[field]) == seconds


GARBAGE = [
    "soon",
    "2026-13-01T00:00:00Z",
    "1773241258",
    "2026-03-11T25:00:00Z",
    "0000-01-01",
    "\x00",
]


@pytest.mark.parametrize("field", TIME_FIELDS)
@pytest.mark.parametrize("text", GARBAGE)
def test_a_text_that_is_no_time_counts_as_not_reported_and_is_noted(field: str, text: str) -> None:
    assert getattr(read_server(**{field: text}), TIME_FIELDS[field]) is None
    assert notes(**{field: text}) == [
        f"server {field} {text!r} is not a time; treated as not reported"
    ]


@pytest.mark.parametrize("field", ["created_at", "modified_at"])
def test_a_time_of_a_portal_that_is_none_is_noted_too(field: str) -> None:
    inventory = read([{**portal("p"), field: "soon"}])
    assert inventory.notes == {f"portal {field} 'soon' is not a time; treated as not reported"}
    assert inventory.portals[0].portal.created is None
    assert inventory.portals[0].portal.modified is None


def test_a_note_holds_the_first_sixty_characters() -> None:
    shown = "x" * 60
    assert notes(status=f"{shown}y") == [f"server status {shown!r} is unknown; reported as other"]
    assert notes(created_at=f"{shown}y") == [
        f"server created_at {shown!r} is not a time; treated as not reported"
    ]


@pytest.mark.parametrize("zone", ["NST3:30", "IST-5:30"])
def test_a_time_without_a_zone_is_utc_in_every_zone(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as here:
        here.setenv("TZ", zone)
        time.tzset()
        assert read_server(created_at="2026-03-11 15:00:58").created == MARCH
    time.tzset()


STALENESS = {
    "success": ({"last_successful_sync": "2026-03-11 15:00:48", "created_at": "2026-01-01"}, 10.0),
    "never": ({"last_synced": "2026-03-11 15:00:57", "created_at": "2026-03-11 15:00:38"}, 20.0),
    "in the future": ({"last_successful_sync": "2026-03-11 15:01:58"}, 0.0),
    "neither": ({"last_synced": "2026-03-11 15:00:57"}, None),
}


@pytest.mark.parametrize(("members", "seconds"), STALENESS.values(), ids=STALENESS)
def test_staleness_counts_from_the_last_success_or_else_from_creation(
    members: dict[str, Any], seconds: float | None
) -> None:
    assert read_server(**members).staleness(MARCH) == seconds


# --- errors ------------------------------------------------------------------------------------

U = "unknown"
ERRORS: dict[str, tuple[dict[str, Any], bool, ErrorClass | None]] = {
    "nothing": ({}, False, None),
    "null": ({"error": None, "error_details": None}, False, None),
    "empty text": ({"error": ""}, False, None),
    "empty details": ({"error_details": {}}, False, None),
    "details of nulls": ({"error_details": {"cause": None, "retryable": None}}, False, None),
    "a text alone": ({"error": "unable to connect"}, True, None),
    "a text while ready": ({"error": "1042", "status": "ready"}, True, None),
    "status error alone": ({"status": "error"}, False, None),
    "details alone": (
        {"error_details": {"is_upstream": False}},
        True,
        ErrorClass("false", U, "", ""),
    ),
    "an empty text and details": (
        {"error": "", "error_details": {"cause": "x"}},
        True,
        ErrorClass(U, U, "", ""),
    ),
    "a member that is not known here": (
        {"error_details": {"severity": 3}},
        True,
        ErrorClass(U, U, "", ""),
    ),
    "all of it": (
        {
            "error": "x",
            "error_details": {
                "cause": "y",
                "is_upstream": True,
                "retryable": False,
                "status_code": 502,
                "mcp_code": -32001,
            },
        },
        True,
        ErrorClass("true", "false", "502", "-32001"),
    ),
}


@pytest.mark.parametrize(("members", "in_error", "kind"), ERRORS.values(), ids=ERRORS)
def test_a_server_is_in_error_by_its_text_or_by_its_details(
    members: dict[str, Any], in_error: bool, kind: ErrorClass | None
) -> None:
    known = read_server(**members)
    assert (known.in_error, known.error_class) == (in_error, kind)


CODES = {
    "whole": ("401", "401"),
    "with a fraction of 0": ("401.0", "401"),
    "negative": ("-32603", "-32603"),
    "zero": ("0", "0"),
    "in exponent form": ("5e2", "500"),
    "of 400 characters": (f"401.{'0' * 396}", "401"),
    "of 401 characters": (f"401.{'0' * 397}", ""),
    "null": ("null", ""),
    "a text": ('"401"', ""),
    "true": ("true", ""),
    "a list": ("[401]", ""),
    "infinite": ("1e999", ""),
    "not a number": ("NaN", ""),
}


@pytest.mark.parametrize("field", ["status_code", "mcp_code"])
@pytest.mark.parametrize(("sent", "shown"), CODES.values(), ids=CODES)
def test_a_code_is_a_whole_number_or_empty(field: str, sent: str, shown: str) -> None:
    body = listing([portal("p", (server(error_details={"is_upstream": True, field: "?"}),))])
    inventory = build([decode_portals(body.replace(b'"?"', sent.encode()))])
    (known,) = inventory.servers
    assert known.server.error_class is not None
    assert getattr(known.server.error_class, field) == shown


def test_of_large_details_only_their_size_counts() -> None:
    nulls = '{"cause": null, "x": null}'
    for size, in_error in ((64 * 1024, False), (64 * 1024 + 1, True)):
        padded = f"{nulls[:-1]}{' ' * (size - len(nulls))}}}"
        body = listing([portal("p", (server(error_details="?"),))])
        inventory = build([decode_portals(body.replace(b'"?"', padded.encode()))])
        assert inventory.servers[0].server.in_error is in_error


THREE = {"true": (True, "true"), "false": (False, "false"), "null": (None, U), "text": ("yes", U)}


@pytest.mark.parametrize("field", ["is_upstream", "retryable"])
@pytest.mark.parametrize(("sent", "shown"), THREE.values(), ids=THREE)
def test_what_the_details_say_is_three_valued(field: str, sent: object, shown: str) -> None:
    kind = read_server(error_details={"cause": "x", field: sent}).error_class
    assert getattr(kind, field) == shown
    assert getattr(read_server(error_details={"cause": "x"}).error_class, field) == U


@pytest.mark.parametrize("is_upstream", [True, False, None])
@pytest.mark.parametrize("retryable", [True, False, None])
def test_a_retryable_upstream_failure_needs_both_to_be_true(
    is_upstream: bool | None, retryable: bool | None
) -> None:
    known = read_server(
        error="x", error_details={"is_upstream": is_upstream, "retryable": retryable}
    )
    assert known.retryable_upstream_failure is (is_upstream is True and retryable is True)


# --- closed sets -------------------------------------------------------------------------------

SETS = {
    "auth_type": AUTH_TYPES,
    "status": STATUSES,
    "authentication_status": AUTHENTICATION_STATUSES,
}


@pytest.mark.parametrize(
    ("field", "known"), [(field, one) for field, values in SETS.items() for one in values[:-1]]
)
def test_a_value_of_a_closed_set_is_kept(field: str, known: str) -> None:
    assert getattr(read_server(**{field: known}), field) == known
    assert notes(**{field: known}) == []


@pytest.mark.parametrize("field", SETS)
def test_a_value_that_the_api_added_since_counts_as_other_and_is_noted(field: str) -> None:
    assert getattr(read_server(**{field: "brand_new"}), field) == "other"
    assert notes(**{field: "brand_new"}) == [
        f"server {field} 'brand_new' is unknown; reported as other"
    ]


@pytest.mark.parametrize("field", SETS)
@pytest.mark.parametrize("sent", [None, ""], ids=["null", "empty"])
def test_a_value_that_is_not_reported_is_absent_but_a_server_always_has_an_auth_type(
    field: str, sent: str | None
) -> None:
    expected = "other" if field == "auth_type" else None
    assert getattr(read_server(**{field: sent}), field) == expected
    assert notes(**{field: sent}) == []


AUTHENTICATION = {
    "manual mode": ({"auth_config_summary": {"auth_mode": "manual"}}, "manual"),
    "manual mode beside a status": (
        {"auth_config_summary": {"auth_mode": "manual"}, "authentication_status": "connected"},
        "manual",
    ),
    "dcr": (
        {"auth_config_summary": {"auth_mode": "dcr"}, "authentication_status": "connected"},
        "connected",
    ),
    "dcr alone": ({"auth_config_summary": {"auth_mode": "dcr"}}, None),
    "no mode": ({"auth_config_summary": {}, "authentication_status": "stale"}, "stale"),
    "null": ({"auth_config_summary": None, "authentication_status": "manual"}, "manual"),
}


@pytest.mark.parametrize(("members", "status"), AUTHENTICATION.values(), ids=AUTHENTICATION)
def test_a_manual_oauth_client_counts_as_manual(
    members: dict[str, Any], status: str | None
) -> None:
    assert read_server(**members).authentication_status == status


MODES: dict[str, tuple[dict[str, Any], str | None, bool | None]] = {
    "neither": ({}, None, None),
    "both null": ({"code_mode": None, "allow_code_mode": None}, None, None),
    "allowed, old": ({"allow_code_mode": True}, None, True),
    "forbidden, old": ({"allow_code_mode": False}, None, False),
    **{mode: ({"code_mode": mode}, mode, mode != "off") for mode in CODE_MODES[:-1]},
    "off beside the old member": ({"code_mode": "off", "allow_code_mode": True}, "off", False),
    "on, but the old member forbids": (
        {"code_mode": "opt_in", "allow_code_mode": False},
        "opt_in",
        False,
    ),
    "on beside the old member": ({"code_mode": "opt_in", "allow_code_mode": True}, "opt_in", True),
    "a new mode": ({"code_mode": "sometimes"}, "other", True),
}


@pytest.mark.parametrize(("members", "mode", "allowed"), MODES.values(), ids=MODES)
def test_code_mode_is_read_from_the_new_member_or_else_from_the_old(
    members: dict[str, Any], mode: str | None, allowed: bool | None
) -> None:
    known = read_portal(**members)
    assert (known.code_mode, known.code_mode_allowed) == (mode, allowed)


def test_a_code_mode_that_the_api_added_since_is_noted() -> None:
    assert read([{**portal("p"), "code_mode": "sometimes"}]).notes == {
        "portal code_mode 'sometimes' is unknown; reported as other"
    }


FLAGS = {
    "secure_web_gateway": "secure_web_gateway",
    "is_shared_oauth_callback_enabled": "shared_oauth_callback",
}


@pytest.mark.parametrize("field", FLAGS)
@pytest.mark.parametrize("sent", [True, False, None])
def test_a_flag_is_absent_where_it_is_null(field: str, sent: bool | None) -> None:
    assert getattr(read_server(**{field: sent}), FLAGS[field]) is sent
    assert getattr(read_server(), FLAGS[field]) is None


# --- what a portal shows -----------------------------------------------------------------------


def named(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "inputSchema": {"type": "object"}} for name in names]


def override(name: str, enabled: bool | None = None) -> dict[str, Any]:
    return {"name": name, "portal_alias": "x"} | ({} if enabled is None else {"enabled": enabled})


ABC = named("a", "b", "c")
EXPOSURES: dict[str, tuple[Any, bool | None, Any, Exposure | None]] = {
    "no overrides": (ABC, False, [], Exposure(3, 0)),
    "null overrides": (ABC, None, None, Exposure(3, 0)),
    "one hidden": (ABC, False, [override("a", False)], Exposure(2, 0)),
    "one hidden, default not said": (ABC, None, [override("a", False)], Exposure(2, 0)),
    "one enabled that was so anyway": (ABC, False, [override("a", True)], Exposure(3, 0)),
    "one renamed": (ABC, False, [override("a")], Exposure(3, 0)),
    "all hidden": (ABC, True, [], Exposure(0, 0)),
    "all hidden but one": (ABC, True, [override("b", True)], Exposure(1, 0)),
    "hidden and named so": (ABC, True, [override("b", False)], Exposure(0, 0)),
    "hidden and renamed": (ABC, True, [override("b")], Exposure(0, 0)),
    "one orphan": (ABC, False, [override("z", False)], Exposure(3, 1)),
    "orphans beside the rest": (
        ABC,
        True,
        [override("a", True), override("y"), override("z", True)],
        Exposure(1, 2),
    ),
    "an orphan said twice": (ABC, False, [override("z"), override("z", False)], Exposure(3, 1)),
    "nothing offered": ([], True, [override("a", True)], Exposure(0, 1)),
    "null catalog": (None, False, [override("a", True)], None),
    "a tool without a name": ([{"foo": "bar"}], False, [], Exposure(1, 0)),
    "a hidden tool without a name": ([{"foo": "bar"}], True, [override("a", True)], Exposure(0, 1)),
}


@pytest.mark.parametrize("kind", ["tools", "prompts"])
@pytest.mark.parametrize(
    ("offered", "hidden", "overrides", "exposure"), EXPOSURES.values(), ids=EXPOSURES
)
def test_what_a_portal_shows_follows_from_default_disabled_and_the_overrides(
    kind: str, offered: Any, hidden: bool | None, overrides: Any, exposure: Exposure | None
) -> None:
    members = {kind: offered, "default_disabled": hidden, f"updated_{kind}": overrides}
    attachment = read_attachment(**members)
    assert getattr(attachment, kind) == exposure
    assert attachment.default_disabled is hidden
    assert getattr(read_server(**members), kind) == (None if offered is None else len(offered))


@pytest.mark.parametrize("sent", [True, False, None])
def test_on_behalf_is_absent_where_it_is_null(sent: bool | None) -> None:
    assert read_attachment(on_behalf=sent).on_behalf is sent


# --- what is left out --------------------------------------------------------------------------

GOOD = portal("good", (server("fine"),))
BAD_PORTALS: dict[str, Any] = {
    "null": None,
    "a number": 7,
    "a text": "portal",
    "a text with a lone surrogate": "\ud800",
    "a list": [],
    "no id": {"name": "x"},
    "an empty id": {"id": "", "name": "x"},
    "a null id": {"id": None},
    "an id that is a number": {"id": 5},
    "a name that is a number": {"id": "bad", "name": 5},
    "servers that are a number": {"id": "bad", "servers": 5},
    "servers that are an object": {"id": "bad", "servers": {}},
    "a flag that is a text": {"id": "bad", "secure_web_gateway": "yes"},
    "a time that is a number": {"id": "bad", "created_at": 1773241258},
}


@pytest.mark.parametrize("bad", BAD_PORTALS.values(), ids=BAD_PORTALS)
def test_a_portal_that_cannot_be_read_is_left_out_alone(bad: Any) -> None:
    inventory = read([GOOD, bad, portal("also")])
    assert [known.portal.id for known in inventory.portals] == ["also", "good"]
    assert [known.server.id for known in inventory.servers] == ["fine"]
    assert [skipped.kind for skipped in inventory.skipped] == ["portal"]


BAD_SERVERS: dict[str, Any] = {
    "null": None,
    "a number": 7,
    "no id": {"name": "x"},
    "an empty id": server(""),
    "an id that is a list": server("s") | {"id": []},
    "a name that is an object": server("bad", name={}),
    "tools that are a number": server("bad", tools=3),
    "tools that are an object": server("bad", tools={}),
    "overrides that are a text": server("bad", updated_tools="all"),
    "an error that is a number": server("bad", error=5),
    "a flag that is a number": server("bad", on_behalf=1),
}


@pytest.mark.parametrize("bad", BAD_SERVERS.values(), ids=BAD_SERVERS)
def test_a_server_that_cannot_be_read_is_left_out_alone(bad: Any) -> None:
    inventory = read([portal("p", (server("one"), bad, server("two"))), GOOD])
    assert [known.server.id for known in inventory.servers] == ["fine", "one", "two"]
    assert [known.portal.id for known in inventory.portals] == ["good", "p"]
    assert [skipped.kind for skipped in inventory.skipped] == ["server"]
    assert "server 2" in inventory.skipped[0].where or "server bad" in inventory.skipped[0].where


NO_ID = "no id"
TOO_LONG = "the id has 257 characters, the maximum is 256"


@pytest.mark.parametrize("identity", [None, ""])
def test_what_has_no_id_is_left_out_and_its_place_is_told(identity: str | None) -> None:
    inventory = read([{**portal("p"), "id": identity}, portal("q", (server() | {"id": identity},))])
    assert inventory.skipped == (
        Skipped("portal", "portal 1", NO_ID),
        Skipped("server", "portal q, server 1", NO_ID),
    )


def test_an_id_of_256_characters_is_taken_and_a_longer_one_is_not() -> None:
    longest = "i" * 256
    kept = read([portal(longest, (server(longest),))])
    assert [one.portal.id for one in kept.portals] == [longest]
    assert [one.server.id for one in kept.servers] == [longest]
    shown = "i" * 63 + "…"
    left_out = read([portal(f"{longest}i", (server(f"{longest}i"),))])
    assert left_out.skipped == (
        Skipped("server", f"portal {shown}, server {shown}", TOO_LONG),
        Skipped("portal", f"portal {shown}", TOO_LONG),
    )


MOST = [{"name": "t"}] * 100_000


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        ("tools", "more than 100000 tools or prompts"),
        ("prompts", "more than 100000 tools or prompts"),
        ("updated_tools", "more than 100000 overrides"),
    ],
)
def test_a_server_has_a_hundred_thousand_entries_of_a_kind_at_most(
    member: str, problem: str
) -> None:
    record = server(tools=[{"name": "t"}])
    assert read([portal("p", ({**record, member: MOST},))]).skipped == ()
    (skipped,) = read([portal("p", ({**record, member: [*MOST, *MOST[:1]]},))]).skipped
    assert skipped == Skipped("server", "portal p, server s", problem)


MENDED: dict[str, dict[str, Any]] = {
    "a tool that is a number": {"tools": [{"name": "a"}, 5, {"name": "b"}]},
    "a tool with a name that is a number": {"tools": [{"name": "a"}, {"name": 5}, None]},
    "details that are a text": {"error_details": "it broke", "tools": [1, 2, 3]},
    "an override that is a text": {"updated_tools": ["all"], "tools": [1, 2, 3]},
    "a summary that is a text": {"auth_config_summary": "manual", "tools": [1, 2, 3]},
}


@pytest.mark.parametrize("members", MENDED.values(), ids=MENDED)
def test_a_fault_inside_a_list_or_the_details_does_not_cost_the_server(
    members: dict[str, Any],
) -> None:
    known = read_server(**members)
    assert known.tools == 3
    assert known.in_error is ("error_details" in members)


def test_the_servers_of_a_portal_that_cannot_be_named_are_still_seen() -> None:
    inventory = read([{"name": "x", "servers": [server("fine")]}, portal("p", (server("fine"),))])
    assert [(known.server.id, known.portals) for known in inventory.servers] == [("fine", 2)]
    assert [item.portal_id for item in inventory.attachments] == ["p"]


@pytest.mark.parametrize(
    ("member", "value"), [("code_mode", 5), ("created_at", {}), ("secure_web_gateway", "yes")]
)
def test_the_servers_of_a_portal_with_a_member_of_a_wrong_type_are_still_seen(
    member: str, value: object
) -> None:
    inventory = read([{**portal("p", (server("a"), server("b"))), member: value}, portal("q")])
    assert [one.portal.id for one in inventory.portals] == ["q"]
    assert [(one.server.id, one.portals) for one in inventory.servers] == [("a", 1), ("b", 1)]
    assert [skipped.kind for skipped in inventory.skipped] == ["portal"]


def test_a_server_that_stands_twice_in_a_portal_is_in_it_once() -> None:
    twice = (server("a"), server("a"))
    named, unnamed = portal("p", twice), {**portal("p", twice), "id": None}
    for listed, count in (([named], 1), ([unnamed], 1), ([named, {**unnamed}], 2)):
        (found,) = read(listed).servers
        assert found.portals == count


def test_id_comes_before_server_id() -> None:
    (found,) = read([portal("p", ({**server("a"), "server_id": "b"},))]).servers
    assert found.server.id == "a"
    odd = {**server("a"), "server_id": "b", "tools": 5}
    (skipped,) = read([portal("p", (odd,))]).skipped
    assert "server a" in skipped.where


# --- two records of one object -----------------------------------------------------------------

OLD, NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
ORDERS = [("a", "b"), ("b", "a")]
"""Of the older and the newer record: their order decides nothing."""


@pytest.mark.parametrize("member", ["last_synced", "last_successful_sync", "modified_at"])
@pytest.mark.parametrize(("older", "newer"), ORDERS)
def test_of_two_records_of_a_server_the_newer_one_counts(
    member: str, older: str, newer: str
) -> None:
    records = [server(name=older, **{member: OLD}), server(name=newer, **{member: NEW})]
    for listed in (records, records[::-1]):
        inventory = read([portal("p", (listed[0],)), portal("q", (listed[1],))])
        assert [one.server.name for one in inventory.servers] == [newer]


@pytest.mark.parametrize(("older", "newer"), ORDERS)
def test_of_two_records_of_a_portal_the_newer_one_counts(older: str, newer: str) -> None:
    records = [
        {**portal("p"), "name": older, "modified_at": OLD},
        {**portal("p"), "name": newer, "modified_at": NEW},
    ]
    for listed in (records, records[::-1]):
        assert [one.portal.name for one in read(listed).portals] == [newer]


@pytest.mark.parametrize("member", ["last_synced", "last_successful_sync", "modified_at"])
def test_of_two_records_of_an_attachment_the_newer_one_counts(member: str) -> None:
    for hidden in (True, False):
        older = server(default_disabled=not hidden, **{member: OLD})
        newer = server(default_disabled=hidden, **{member: NEW})
        for listed in ((older, newer), (newer, older)):
            (found,) = read([portal("p", listed)]).attachments
            assert found.default_disabled is hidden


def test_of_two_records_of_the_same_age_the_order_decides_nothing() -> None:
    one = {**portal("p", (server(name="a", default_disabled=True),)), "name": "a"}
    other = {**portal("p", (server(name="b", default_disabled=False),)), "name": "b"}
    assert read([one, other]) == read([other, one])


def test_of_two_records_of_an_attachment_of_the_same_age_the_order_decides_nothing() -> None:
    shown, hidden = server(default_disabled=False), server(default_disabled=True)
    assert read([portal("p", (shown, hidden))]) == read([portal("p", (hidden, shown))])


@pytest.mark.parametrize("member", ["last_synced", "last_successful_sync", "modified_at"])
def test_a_record_with_a_time_counts_before_one_without(member: str) -> None:
    with_time, without = server(name="a", **{member: OLD}), server(name="b")
    for listed in ((with_time, without), (without, with_time)):
        assert [one.server.name for one in read([portal("p", listed)]).servers] == ["a"]
    records = [{**portal("p"), "name": "a", "modified_at": OLD}, {**portal("p"), "name": "b"}]
    for both in (records, records[::-1]):
        assert [one.portal.name for one in read(both).portals] == ["a"]


def test_what_is_noted_of_each_page_is_kept() -> None:
    pages = [
        decode_portals(listing([portal(one, (server(one, status=one),)), 5])) for one in ("a", "b")
    ]
    inventory = build(pages)
    assert len(inventory.notes) == len(inventory.skipped) == 2


def test_of_two_overrides_of_a_tool_the_last_one_counts() -> None:
    for last in (True, False):
        overrides = [override("t", enabled=not last), override("t", enabled=last)]
        found = read_attachment(tools=named("t"), updated_tools=overrides)
        assert found.tools == Exposure(shown=int(last), orphaned=0)


def test_server_id_stands_in_for_a_missing_id() -> None:
    record = server() | {"id": None, "server_id": "other-name"}
    inventory = read([portal("p", (record,))])
    assert [known.server.id for known in inventory.servers] == ["other-name"]


def test_the_list_of_servers_is_read_like_those_of_a_portal() -> None:
    page = decode_servers(listing([server("a"), {"name": "x"}, server("b"), 5]))
    inventory = build([page])
    assert [(known.server.id, known.portals) for known in inventory.servers] == [("a", 0), ("b", 0)]
    assert [skipped.where for skipped in inventory.skipped] == [
        "list of servers, server 2",
        "list of servers, server 4",
    ]


STRAY = pytest.mark.parametrize("stray", [[], [5]], ids=["valid", "with a faulty one"])


@STRAY
def test_a_page_holds_the_id_of_each_of_its_items(stray: list[Any]) -> None:
    missing = [None] * len(stray)
    portals = decode_portals(listing([portal("a"), portal(""), {"name": "x"}, *stray]))
    assert portals.ids == ("a", None, None, *missing)
    sent = [{"id": "a", "server_id": "b"}, {"server_id": "c"}, {"id": "", "server_id": ""}, *stray]
    assert decode_servers(listing(sent)).ids == ("a", "c", None, *missing)


@STRAY
def test_a_page_holds_what_the_api_says_of_its_listing(stray: list[Any]) -> None:
    for decode in (decode_portals, decode_servers):
        page = decode(listing(stray, total_count=7, per_page=5))
        assert (page.total_count, page.per_page) == (7, 5)
        page = decode(listing(stray, total_count=-7))
        assert (page.total_count, page.per_page) == (None, None)


@STRAY
def test_a_record_without_an_id_is_named_by_its_position(stray: list[Any]) -> None:
    odd = ({"tools": stray}, {"name": "x", "tools": stray})
    page = decode_portals(listing([portal("p", odd), {"name": "x", "servers": stray}]))
    assert [skipped.where for skipped in page.skipped if skipped.kind == "portal"] == ["portal 2"]
    assert [skipped.where for skipped in page.skipped if skipped.kind == "server"] == [
        "portal p, server 1",
        "portal p, server 2",
        *("portal 2, server 1" for _ in stray),
    ]
    page = decode_servers(listing([server("a"), {"name": "x", "tools": stray}]))
    assert [skipped.where for skipped in page.skipped] == ["list of servers, server 2"]


def test_a_record_without_an_id_among_others_is_named_by_its_position() -> None:
    page = decode_portals(listing([5, {"name": "x"}, portal("p", ({"name": "x"}, 5))]))
    assert [skipped.where for skipped in page.skipped] == [
        "portal 1",
        "portal 2",
        "portal p, server 1",
        "portal p, server 2",
    ]


def test_what_is_wrong_with_a_record_is_said() -> None:
    sent = [5, {"id": "p", "name": 5}, {"id": "q", "servers": 5}, portal("r", ({"name": 5},))]
    said = {skipped.where: skipped.why for skipped in decode_portals(listing(sent)).skipped}
    assert said == {
        "portal 1": "Expected `object`, got `int`",
        "portal p": "Expected `str | null`, got `int` - at `$.name`",
        "portal q": "Expected `array | null`, got `int`",
        "portal r, server 1": "Expected `str | null`, got `int` - at `$.name`",
    }


NO_LISTINGS = {
    "no JSON": (b"<html>", "JSON is malformed"),
    "no object": (b"[1]", "Expected `object`, got `array`"),
    "no list": (b'{"success": true, "result": 5}', "Expected `array | null`, got `int` - at"),
    "null": (b'{"success": true, "result": null}', "no result list"),
    "nothing": (b'{"success": true}', "no result list"),
    "an end too early": (b'{"success": true, "result": [', "Input data was truncated"),
    "bad UTF-8 and an end too early": (b'{"result": ["\xff"', "Input data was truncated"),
    "odd numbers without an end": (b'{"x":[' + b"NaN," * 100_001, "too many JSON syntax errors"),
}


@pytest.mark.parametrize(("body", "problem"), NO_LISTINGS.values(), ids=NO_LISTINGS)
def test_what_is_wrong_with_a_body_that_is_no_listing_is_said(body: bytes, problem: str) -> None:
    for decode in (decode_portals, decode_servers):
        with pytest.raises(ListingError) as caught:
            decode(body)
        assert caught.value.reason is Reason.INVALID_RESPONSE
        assert str(caught.value).startswith(f"the response is not a listing: {problem}")


@pytest.mark.parametrize("what", ["tools", "prompts"])
def test_an_override_beside_a_faulty_one_counts(what: str) -> None:
    overrides = [5, override("a", enabled=False), {"name": 5}]
    found = read_attachment(**{what: named("a", "b"), f"updated_{what}": overrides})
    assert getattr(found, what) == Exposure(shown=1, orphaned=0)


def test_deep_nesting_anywhere_costs_the_record_at_most() -> None:
    deep: Any = []
    for _ in range(480):
        deep = [deep]
    records = [
        server("plain"),
        server("deep-unknown", unknown=deep),
        server("deep-summary", auth_config_summary={"config": deep}),
        server("deep-details", error_details={"cause": deep}),
        server("deep-name", name=deep),
    ]
    inventory = read([portal("p", tuple(records))])
    assert {known.server.id for known in inventory.servers} >= {"plain", "deep-unknown"}
    assert len(inventory.skipped) == 5 - len(inventory.servers)


# --- null and absent ---------------------------------------------------------------------------

EVERYTHING = server(
    server_id="s",
    status="ready",
    authentication_status="connected",
    auth_config_summary={"auth_mode": "dcr"},
    error="x",
    error_details={"retryable": True},
    created_at="2026-03-11 15:00:58",
    modified_at="2026-03-11 15:00:58",
    last_synced="2026-03-11 15:00:58",
    last_successful_sync="2026-03-11 15:00:58",
    default_disabled=True,
    on_behalf=True,
    secure_web_gateway=True,
    is_shared_oauth_callback_enabled=True,
    updated_tools=[],
    updated_prompts=[],
)


@pytest.mark.parametrize("member", sorted(EVERYTHING.keys() - {"id"}))
def test_null_and_absent_are_alike_in_a_server(member: str) -> None:
    absent = {key: sent for key, sent in EVERYTHING.items() if key != member}
    null = {**EVERYTHING, member: None}
    assert read([portal("p", (absent,))]) == read([portal("p", (null,))])


PORTAL = {
    **portal("p"),
    "code_mode": "off",
    "allow_code_mode": True,
    "secure_web_gateway": True,
    "created_at": "2026-03-11 15:00:58",
    "modified_at": "2026-03-11 15:00:58",
}


@pytest.mark.parametrize("member", sorted(PORTAL.keys() - {"id"}))
def test_null_and_absent_are_alike_in_a_portal(member: str) -> None:
    absent = {key: sent for key, sent in PORTAL.items() if key != member}
    assert read([absent]) == read([{**PORTAL, member: None}])


# --- the log -----------------------------------------------------------------------------------


def test_what_is_left_out_or_not_understood_is_named_in_the_log_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    members = [server("new", status="brand_new"), {"name": "no id"}, server("late", created_at="x")]
    body = answer(listing([portal("p", tuple(members)), 5, 6]))
    with RawServer(sends(body)) as api, caplog.at_level(logging.DEBUG):
        service = accounts_for(api.base_url)
        for _ in range(3):
            text = scrape(service)
    assert value(text, "cloudflare_mcp_skipped_records", kind="server") == 1
    assert value(text, "cloudflare_mcp_skipped_records", kind="portal") == 2
    lines = [str(vars(record).get("fields")) for record in caplog.records]
    for named_once in ("portal p, server 2", "portal 2", "portal 3", "brand_new", "created_at"):
        assert len([line for line in lines if named_once in line]) == 1, named_once


@pytest.mark.parametrize("sent", [True, False, None])
def test_the_gateway_flag_of_a_portal_is_absent_if_it_is_null(sent: bool | None) -> None:
    assert read_portal(secure_web_gateway=sent).secure_web_gateway is sent
