"""Bodies that are made to cost much: memory and steps stay bounded, and what is good is read."""

from __future__ import annotations

import asyncio
import json
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cloudflare.api_errors import failure
from exporter.cloudflare.decode import NotSuccessfulError, Page, decode_portals, decode_servers
from exporter.cloudflare.json_repair import UnrepairableError, repaired
from exporter.cloudflare.merge import build
from exporter.cloudflare.paging import list_all
from exporter.errors import ListingError, Reason
from rawserver import listing, portal

LIMIT = 8 << 20
OPEN = b'{"success":true,"result":['


def filled(before: bytes, unit: bytes, after: bytes) -> bytearray:
    """A body of `LIMIT` bytes: one thing again and again."""
    body = bytearray(before)
    body += unit * ((LIMIT - len(before) - len(after)) // len(unit))
    if body.endswith(b","):
        body[-1:] = b" "
    return body + after


def in_portal(member: bytes, unit: bytes, after: bytes) -> bytearray:
    return filled(OPEN + b'{"id":"p",' + member, unit, after + b"}]}")


def in_server(member: bytes, unit: bytes, after: bytes) -> bytearray:
    return in_portal(b'"servers":[{"id":"s",' + member, unit, after + b"}]")


def padded(unit: bytes) -> bytes:
    """As thin as may be: one object in 64 bytes."""
    return unit[:-2] + b" " * (65 - len(unit)) + unit[-2:]


FACE, FACE_ESCAPED = "\U0001f600".encode(), b"\\ud83d\\ude00"
BODIES: dict[str, Callable[[], bytearray]] = {
    "empty items": lambda: filled(OPEN, b"{},", b"]}"),
    "items that are numbers": lambda: filled(OPEN, b"0,", b"]}"),
    "empty servers": lambda: in_portal(b'"servers":[', b"{},", b"]"),
    "servers that are numbers": lambda: in_portal(b'"servers":[', b"0,", b"]"),
    "empty tools": lambda: in_server(b'"tools":[', b"{},", b"]"),
    "thin tools": lambda: in_server(b'"tools":[', padded(b'{"name":"abc"},'), b"]"),
    "thin overrides": lambda: in_server(
        b'"tools":[],"updated_tools":[', padded(b'{"name":"abc"},'), b"]"
    ),
    "tools that are numbers": lambda: in_server(b'"tools":[', b"0,", b"]"),
    "tools that are lists": lambda: in_server(b'"tools":[', b"[],", b"]"),
    "details of lists": lambda: in_server(b'"error_details":{"x":[', b"[],", b"]}"),
    "details of members": lambda: in_server(b'"error_details":{"x":1', b',"abcd":1', b"}"),
    "details of different members": lambda: in_portal(
        b'"servers":[{"id":"s","error_details":{"x":1'
        + b"".join(b',"%05x":1' % number for number in range(LIMIT // 12)),
        b" ",
        b"}}]",
    ),
    "a wide text as status code": lambda: in_server(
        b'"error_details":{"status_code":"' + FACE, b"x", b'"}'
    ),
    "a wide text as total_count": lambda: filled(
        OPEN + b'],"result_info":{"total_count":"' + FACE, b"x", b'"}}'
    ),
    "a wide text as code": lambda: filled(
        b'{"success":false,"errors":[{"code":"' + FACE, b"x", b'"}]}'
    ),
    "details that are a list": lambda: in_server(b'"error_details":[', b"0,", b"]"),
    "result_info of lists": lambda: filled(
        OPEN + b'],"result_info":{"total_count":[', b"[],", b"]}}"
    ),
    "a name": lambda: in_portal(b'"name":"', b"x", b'"'),
    "a wide name": lambda: in_portal(b'"name":"' + FACE, b"x", b'"'),
    "an escaped wide name": lambda: in_portal(b'"name":"' + FACE_ESCAPED, b"x", b'"'),
    "a name of escapes": lambda: in_portal(b'"name":"' + FACE, b"\\n", b'"'),
    "a wide error": lambda: in_server(b'"error":"' + FACE, b"x", b'"'),
    "a wide name of a tool": lambda: in_server(b'"tools":[{"name":"' + FACE, b"x", b'"}]'),
    "a wide id": lambda: filled(OPEN + b'{"id":"' + FACE, b"x", b'"}]}'),
    "wide cause": lambda: in_server(b'"error_details":{"cause":"' + FACE, b"x", b'"}'),
    "a wide auth mode": lambda: in_server(
        b'"auth_config_summary":{"auth_mode":"' + FACE, b"x", b'"}'
    ),
    "lone surrogates": lambda: in_portal(b'"name":"', b"\\ud800", b'"'),
    "one lone surrogate": lambda: in_portal(b'"name":"\\ud800","x":"', b"x", b'"'),
    "bytes that are not UTF-8": lambda: in_portal(b'"name":"', b"\xff", b'"'),
    "a byte in nine that is not UTF-8": lambda: in_portal(b'"name":"', b"xxxxxxxx\xff", b'"'),
    "NaN": lambda: in_portal(b'"servers":[', b"NaN,", b"0]"),
    "digits": lambda: in_portal(b'"name":', b"9", b""),
    "nesting": lambda: filled(OPEN, b"[", b""),
    "white space": lambda: filled(b"", b" ", b""),
    "quotes": lambda: in_portal(b'"x":"', b'\\"', b'"'),
    "texts without an end": lambda: filled(OPEN + b'{"id":"', b"x", b""),
    "errors": lambda: filled(b'{"success":false,"errors":[', b"{},", b"]}"),
    "errors that are numbers": lambda: filled(b'{"success":false,"errors":[', b"0,", b"]}"),
    "a code of lists": lambda: filled(b'{"success":false,"errors":[{"code":[', b"[],", b"]}]}"),
    "a wide message": lambda: filled(
        b'{"success":false,"errors":[{"code":1,"message":"' + FACE, b"x", b'"}]}'
    ),
}
DECODERS = {"portals": decode_portals, "servers": decode_servers}


def outcome(decode: Callable[..., Page], body: bytearray) -> Page | ListingError:
    """What a listing makes of the body."""
    try:
        return decode(body, limit=LIMIT)
    except ListingError as problem:
        return problem
    except NotSuccessfulError:
        return failure(200, {}, body, str)


@pytest.mark.parametrize("what", DECODERS)
@pytest.mark.parametrize("make", BODIES.values(), ids=BODIES)
def test_a_hostile_body_takes_a_small_multiple_of_the_limit(
    make: Callable[[], bytearray], what: str
) -> None:
    body = make()
    assert LIMIT * 0.99 < len(body) <= LIMIT
    tracemalloc.start()
    try:
        found = outcome(DECODERS[what], body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.1 * LIMIT, f"{peak / LIMIT:.1f} times the limit"
    if isinstance(found, ListingError):
        assert found.reason in {Reason.INVALID_RESPONSE, Reason.API_ERROR}
        assert len(str(found)) < 400
    else:
        assert len(str(found.skipped)) < 1000


# --- how many ----------------------------------------------------------------------------------


def test_a_page_has_a_hundred_items_at_most() -> None:
    items = [portal(f"p{number}") for number in range(101)]
    assert len(decode_portals(listing(items[:100])).portals) == 100
    with pytest.raises(ListingError) as caught:
        decode_portals(listing(items))
    assert caught.value.reason is Reason.INVALID_RESPONSE
    assert "100" in str(caught.value)


def test_a_portal_has_five_hundred_servers_at_most_and_else_is_left_out_alone() -> None:
    servers = tuple({"id": f"s{number}"} for number in range(501))
    page = decode_portals(listing([portal("few", servers[:500]), portal("many", servers)]))
    assert [read.portal and read.portal.id for read in page.portals] == ["few", None]
    assert [len(read.servers) for read in page.portals] == [500, 0]
    assert [skipped.where for skipped in page.skipped] == ["portal many"]


MANY = [{"name": "x"}] * 100_001


@pytest.mark.parametrize("odd", [[], [5]], ids=["valid", "with a faulty one"])
@pytest.mark.parametrize(
    "members",
    [
        {"tools": MANY},
        {"prompts": MANY, "updated_prompts": [{"name": "x"}]},
        {"tools": [{"name": "x"}], "updated_tools": MANY},
    ],
    ids=["tools", "prompts", "overrides"],
)
def test_a_server_with_more_than_a_hundred_thousand_entries_is_left_out_alone(
    members: dict[str, Any], odd: list[int]
) -> None:
    bad = {"id": "bad", **{name: [*entries, *odd] for name, entries in members.items()}}
    inventory = build([decode_portals(listing([portal("p", ({"id": "good"}, bad))]))])
    assert [known.server.id for known in inventory.servers] == ["good"]
    assert [skipped.where for skipped in inventory.skipped] == ["portal p, server bad"]
    assert "100000" in inventory.skipped[0].why


def test_a_list_that_is_too_long_is_not_gone_through() -> None:
    body = listing([portal("p", ({"id": "s", "tools": [5] * 100_001},))])
    calls = 0

    def count(_frame: FrameType, _event: str, _argument: Any) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        decode_portals(body)
    finally:
        sys.setprofile(None)
    assert calls < 1000


SMALLEST = 4 << 20
"""The smallest limit that is used."""


@pytest.mark.parametrize("what", DECODERS)
def test_a_body_of_too_many_objects_is_refused(what: str) -> None:
    most = SMALLEST // 64
    start = OPEN + b'{"id":"a","x":['
    # The envelope and the record are two more.
    page = DECODERS[what](start + b'{"abc":1},' * (most - 2) + b"0]}]}", limit=SMALLEST)
    assert page.ids == ("a",)
    with pytest.raises(ListingError, match=f"more than {most} objects$"):
        DECODERS[what](start + b'{"abc":1},' * (most - 1) + b"0]}]}", limit=SMALLEST)


def test_a_long_name_in_ascii_is_read_beside_a_faulty_record() -> None:
    page = decode_servers(listing([5, {"id": "a", "name": "x" * (SMALLEST // 2)}]), limit=SMALLEST)
    assert [one.server.id for one in page.servers] == ["a"]


def test_a_small_record_is_read_beside_a_large_one_of_wide_characters() -> None:
    wide = json.dumps(["\u00e9" * SMALLEST], ensure_ascii=False).encode()
    body = OPEN + wide + b"," + json.dumps(portal("p", ({"id": "s"},))).encode() + b"]}"
    page = decode_portals(body, limit=SMALLEST)
    assert [read.portal and read.portal.id for read in page.portals] == [None, "p"]
    assert [skipped.where for skipped in page.skipped] == ["portal 1"]


def test_a_long_name_of_wide_characters_is_left_out() -> None:
    body = json.dumps(portal("p") | {"name": "\u00e9" * (SMALLEST // 3)}, ensure_ascii=False)
    page = decode_portals(OPEN + body.encode() + b"]}", limit=SMALLEST)
    assert [(skipped.where, skipped.why[-8:]) for skipped in page.skipped] == [
        ("portal p", "`$.name`")
    ]


def test_a_text_of_a_faulty_record_has_a_most_length() -> None:
    most = SMALLEST // 16 - len('""')
    for length, why in (
        (most, []),
        (most + 1, [f"{SMALLEST // 16 + 1} bytes exceed the limit - at `$.name`"]),
    ):
        faulty = [{"id": "a", "name": "x" * length, "tools": [5]}]
        page = decode_servers(listing(faulty), limit=SMALLEST)
        assert [skipped.why for skipped in page.skipped] == why
        faulty = [{"id": "x" * length, "tools": [5]}]
        page = decode_servers(listing(faulty), limit=SMALLEST)
        assert page.ids == (None if why else "x" * length,)


def test_the_summary_of_a_faulty_record_has_a_most_size() -> None:
    most = SMALLEST // 16 - len('{"auth_mode": "manual", "x": ""}')
    for length, status in ((most, "manual"), (most + 1, None)):
        summary = {"auth_mode": "manual", "x": "x" * length}
        faulty = {"id": "a", "auth_config_summary": summary, "tools": [5]}
        page = decode_servers(listing([faulty]), limit=SMALLEST)
        assert [one.server.authentication_status for one in page.servers] == [status]


def test_the_error_details_of_a_faulty_record_may_be_large() -> None:
    faulty = {"id": "a", "error_details": {"cause": "x" * (SMALLEST // 16)}, "tools": [5]}
    page = decode_servers(listing([faulty]), limit=SMALLEST)
    assert [one.server.in_error for one in page.servers] == [True]


@pytest.mark.parametrize("member", ["tools", "prompts", "updated_tools", "updated_prompts"])
def test_a_list_of_a_faulty_record_has_a_most_length(member: str) -> None:
    for limit, most, why in (
        (SMALLEST, SMALLEST // 64 + 1, "a list has too many members"),
        (LIMIT, 100_000, "a list has more than 100000 members"),
    ):
        for length, said in ((most, []), (most + 1, [why])):
            page = decode_servers(listing([{"id": "a", member: [5] * length}]), limit=limit)
            assert [skipped.why for skipped in page.skipped] == said


# --- the way to stop ---------------------------------------------------------------------------


class OutOfTimeError(Exception):
    """A deadline is over."""


def checking(most: int) -> Callable[[], None]:
    """A check that raises when it is asked more often."""
    left = [most]

    def check() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OutOfTimeError

    return check


def steps(decode: Callable[..., Page], body: bytes) -> int:
    """How often a check is asked."""
    count = 0

    def check() -> None:
        nonlocal count
        count += 1

    decode(body, check=check)
    return count


SERVERS = [{"id": f"s{number}"} for number in range(30)]
ODD_SERVERS = [{**server, "tools": [5]} for server in SERVERS]
STEPS: dict[str, tuple[Callable[..., Page], list[Any], int]] = {
    "portals": (decode_portals, [portal(f"p{number}") for number in range(30)], 30),
    "portals, one by one": (decode_portals, [5, *(portal(f"p{n}") for n in range(30))], 30),
    "servers": (decode_servers, SERVERS, 30),
    "servers, one by one": (decode_servers, ODD_SERVERS, 30),
    "servers of a portal, one by one": (decode_portals, [portal("p", tuple(ODD_SERVERS))], 30),
}


@pytest.mark.parametrize(("decode", "items", "records"), STEPS.values(), ids=STEPS)
def test_decoding_ends_between_records_when_its_time_is_over(
    decode: Callable[..., Page], items: list[Any], records: int
) -> None:
    body = listing(items)
    assert steps(decode, body) >= records
    with pytest.raises(OutOfTimeError):
        decode(body, check=checking(records // 2))


def test_looking_through_a_large_body_ends_when_its_time_is_over() -> None:
    for make in (BODIES["one lone surrogate"], BODIES["a byte in nine that is not UTF-8"]):
        with pytest.raises(OutOfTimeError):
            decode_portals(make(), check=checking(4))


# --- the lenient way gives what the strict one does --------------------------------------------

TEXTS = st.text(max_size=8) | st.none()
NAMED = st.lists(st.fixed_dictionaries({"name": st.sampled_from("abc")}), max_size=4)
SERVER = st.fixed_dictionaries(
    {"id": st.sampled_from("abc")},
    optional={
        "name": TEXTS,
        "hostname": TEXTS,
        "status": st.sampled_from(["ready", "new", None]),
        "error": TEXTS,
        "error_details": st.none()
        | st.dictionaries(
            st.sampled_from(["cause", "retryable", "status_code", "other"]),
            st.none() | st.booleans() | st.integers(-9, 600) | st.text(max_size=3),
        ),
        "created_at": st.sampled_from(["2026-03-11 15:00:58", "soon", None]),
        "default_disabled": st.booleans() | st.none(),
        "tools": NAMED | st.none(),
        "updated_tools": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from("abcd")},
                optional={"enabled": st.booleans() | st.none()},
            ),
            max_size=3,
        ),
    },
)


@given(st.lists(SERVER, max_size=4), TEXTS)
def test_a_fault_that_is_mended_changes_nothing_else_of_its_record(
    servers: list[dict[str, Any]], name: str | None
) -> None:
    faulty = [{**server, "auth_config_summary": "a text"} for server in servers]
    right, wrong = (
        build([decode_portals(listing([{**portal("p", tuple(each)), "name": name}]))])
        for each in (servers, faulty)
    )
    assert right == wrong


@given(st.lists(SERVER, max_size=4), TEXTS)
def test_a_server_that_is_left_out_changes_nothing_of_its_portal(
    servers: list[dict[str, Any]], name: str | None
) -> None:
    right, wrong = (
        build([decode_portals(listing([{**portal("p", tuple(each)), "name": name}]))])
        for each in (servers, [*servers, 5])
    )
    assert (right.portals, right.servers, right.attachments) == (
        wrong.portals,
        wrong.servers,
        wrong.attachments,
    )
    assert len(wrong.skipped) == len(right.skipped) + 1


# --- repairs -----------------------------------------------------------------------------------

FRAGMENTS = (
    *(b"\\ud800", b"\\udC00", b"\\ud83d\\ude00", b"\\\\", b'\\"', b"\\n", b"\\u0041", b"\\uDabc"),
    *(b"ud800", b"NaN", b"Infinity", b"-", b"x", "é".encode(), b"\xff", b"\xc3", b"\xed\xa0\x80"),
)
QUOTED = st.lists(st.sampled_from(FRAGMENTS), max_size=8).map(lambda f: b'"' + b"".join(f) + b'"')
ODD = QUOTED | st.sampled_from([b"NaN", b"Infinity", b"-Infinity", b"1", b"null"])
FAULTY = st.recursive(
    ODD,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda one: b"[" + b",".join(one) + b"]")
        | st.tuples(QUOTED, inner).map(lambda one: b"{" + one[0] + b":" + one[1] + b"}")
    ),
    max_leaves=8,
)


def comparable(value: Any) -> Any:
    """As repaired JSON reads: odd numbers alike, each half character replaced."""
    if isinstance(value, float):
        return value if abs(value) < 1e300 else "an odd number"
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [comparable(one) for one in value]
    if isinstance(value, dict):
        return {comparable(key): comparable(one) for key, one in value.items()}
    return value


def signless(text: str) -> str:
    return text.replace("-Infinity", "Infinity")


@pytest.mark.parametrize("piece", [7, 1 << 16])
@given(body=FAULTY)
def test_a_repaired_body_reads_as_a_lenient_reader_reads_it(piece: int, body: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exporter.cloudflare.json_repair.PIECE", piece)  # so that a cut is anywhere
        fixed = repaired(body, lambda: None)
    expected = json.loads(body.decode("utf-8", "replace"))
    assert comparable(strictly(fixed)) == comparable(expected)


def strictly(body: bytes | bytearray) -> Any:
    """As a reader that takes neither odd numbers nor half characters reads it."""

    def refuse(number: str) -> None:
        raise AssertionError(f"{number} is not JSON")

    value = json.loads(body.decode(), parse_constant=refuse)
    json.dumps(value, ensure_ascii=False).encode()  # half a character has no UTF-8
    return value


REPAIRED: dict[str, tuple[bytes, bytes]] = {
    "half a character": (b'"\\ud800"', b'"\\ufffd"'),
    "half a character in capitals": (b'"\\uD800\\uDbFF"', b'"\\ufffd\\ufffd"'),
    "the other half": (b'"\\udfffx"', b'"\\ufffdx"'),
    "half a character at the start": (b"\\ud800", b"\\ufffd"),
    "not a number": (b"[NaN, 1]", b"[1e999, 1]"),
    "infinite": (b"[Infinity]", b"[1e999]"),
    "negative": (b"[-Infinity,NaN]", b"[-1e999,1e999]"),
    "a number after a text of the same name": (b'["NaN",NaN]', b'["NaN",1e999]'),
    "a number right after a text": (b'"ab"NaN', b'"ab"1e999'),
    "bad UTF-8": (b'"\xff"', '"\ufffd"'.encode()),
    "UTF-8 that ends too early": (b'"\xc3\xa9\xc3', '"é\ufffd'.encode()),
    "bad UTF-8, a thousand times": (b"\xff" * 1000, "\ufffd".encode() * 1000),
}


@pytest.mark.parametrize("piece", [1, 2, 7, 1 << 16])
@pytest.mark.parametrize(("body", "fixed"), REPAIRED.values(), ids=REPAIRED)
def test_each_fault_is_replaced_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, piece: int, body: bytes, fixed: bytes
) -> None:
    monkeypatch.setattr("exporter.cloudflare.json_repair.PIECE", piece)
    assert repaired(body, lambda: None) == fixed


def test_a_body_that_is_mostly_not_utf8_is_refused() -> None:
    with pytest.raises(UnrepairableError, match=r"^not UTF-8$"):
        repaired(b"\xff" * 20_000, lambda: None)


@pytest.mark.parametrize(
    "body", [b'{"a": "\\ud83d\\ude00"}', b"{}", b"", b"<html>", b"NaX", "é".encode()]
)
def test_a_body_without_a_fault_is_not_copied(body: bytes) -> None:
    assert repaired(body, lambda: None) is body


@pytest.mark.parametrize("fault", [b"NaN,", b'"\\ud800",'])
def test_a_body_full_of_faults_is_refused(fault: bytes) -> None:
    with pytest.raises(UnrepairableError, match=r"^too many JSON syntax errors$"):
        repaired(fault * 100_001, lambda: None)
    assert repaired(fault * 1000, lambda: None)


def test_a_text_without_an_end_is_looked_at_once() -> None:
    pieces: list[None] = []
    body = b'NaN,"' + b'\\"' * 100_000
    assert repaired(body, lambda: pieces.append(None)).endswith(b'\\"')
    assert len(pieces) < 20


@pytest.mark.parametrize(
    "rest", [b"1," * (1 << 19), b'"' + b"x" * (1 << 20), b'"\\ud800",' * 99_999]
)
def test_the_time_is_checked_again_and_again_while_a_body_is_repaired(rest: bytes) -> None:
    asked: list[None] = []
    repaired(b"NaN," + rest, lambda: asked.append(None))
    assert len(asked) >= len(rest) // (1 << 16)


def test_a_body_that_ends_within_an_escape_is_repaired() -> None:
    assert repaired(b'NaN,"\\', checking(20)) == b'1e999,"\\'
    assert repaired(b'"\\ud800\\', checking(20)) == b'"\\ufffd\\'


def test_repairs_make_a_body_a_quarter_larger_at_most_and_a_little() -> None:
    # Each wrong byte becomes three.
    assert len(repaired(b"x" * 39_996 + b"\xff" * 8054, lambda: None)) == 39_996 + 3 * 8054
    with pytest.raises(UnrepairableError):
        repaired(b"x" * 40_000 + b"\xff" * 8055, lambda: None)


# --- all pages together ------------------------------------------------------------------------


def test_pages_that_each_hold_as_much_as_a_page_may_are_not_collected_for_ever() -> None:
    servers = tuple({"id": f"s{number}"} for number in range(500))
    page = decode_portals(listing([portal(f"p{number}", servers) for number in range(100)]))
    asked: list[int] = []

    async def fetch(numbers: Sequence[int]) -> list[Page]:
        asked.extend(numbers)
        return [
            Page(ids=tuple(f"{number}-{identity}" for identity in page.ids), portals=page.portals)
            for number in numbers
        ]

    with pytest.raises(ListingError) as caught:
        asyncio.run(list_all(fetch, 100, 4))
    assert caught.value.reason is Reason.INVALID_RESPONSE
    assert len(asked) == 21, "twenty hold a million"


def test_of_values_that_are_not_understood_no_more_are_noted_than_anybody_reads() -> None:
    servers = [{"id": f"s{number}", "status": f"new {number}"} for number in range(500)]
    page = decode_portals(listing([portal("p", tuple(servers)), portal("q", tuple(servers))]))
    assert len(page.notes) == 500
    odd = ("created_at", "modified_at")
    late = [{**server, **{one: f"{one} {server['id']}" for one in odd}} for server in servers]
    page = decode_portals(listing([portal("p", tuple(late))]))
    assert len(page.notes) == 1000
    assert len(page.portals[0].servers) == 500
