"""Answers of the API's shape and of almost its shape: whatever comes, what is good is exposed."""

from __future__ import annotations

import io
import json
import math
import random
import subprocess
from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest as text_of
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_of
from prometheus_client.parser import text_fd_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from exporter.cloudflare.api_errors import failure
from exporter.cloudflare.decode import decode_portals, decode_servers
from exporter.cloudflare.merge import build
from exporter.errors import Reason
from exporter.metrics.exposition import merged, render
from exporter.metrics.families import families
from exporter.metrics.formats import Format
from exporter.metrics.samples import line
from exporter.model import Inventory
from exporter.scrape_result import ListingResult
from rawserver import RawServer, answer, sends
from realparts import require
from watching import Samples, accounts_for, samples, scrape, value

NOW = 1773320400.0


# --- what the API might send -------------------------------------------------------------------

NASTY = (
    "",
    " ",
    "a\nb",
    "a\rb",
    "\r\n",
    'say "hi"',
    "back\\slash",
    "ends in \\",
    "\\n",
    '\\"',
    '",x="',
    "} 1\n",
    "# HELP x y",
    "# EOF\n",
    "\x00\x01\x1f\x7f",
    "\x85\u2028\u2029\x0b\x0c\x1c",
    "\ud800",
    "\udfff\ud800",
    "\U0001f600",
    "\u202eمركز العملاء\u202c",
    "e\u0301\u200b\ufeff\uffff",
    "n" * 350,
    "https://user:pass@host.example:1/p?q=1#f",
)
ALL_CHARACTERS = st.characters(exclude_categories=())  # surrogates too
TEXT = st.sampled_from(NASTY) | st.text(ALL_CHARACTERS, max_size=12)
NUMBER = (
    st.integers(-5, 600)
    | st.sampled_from([10**18, -(10**25), 10**400, math.nan, math.inf, -math.inf, 1e300, -0.0])
    | st.floats()
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def nullable(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return strategy | st.none()


TIME = st.sampled_from(
    [
        "2026-03-11 15:00:58",
        "2026-03-11T16:06:01.767Z",
        "2026-03-12T10:00:00+05:30",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999-23:59",
        "soon",
        "",
        "\ud800",
    ]
)
IDENTITY = st.sampled_from(["a", "b", "c", "d-e", 'q"', "\ud800", "x\n", "x" * 32])
CAPABILITIES = st.lists(
    st.fixed_dictionaries({}, optional={"name": TEXT, "inputSchema": ANYTHING}), max_size=4
)
OVERRIDES = st.lists(
    st.fixed_dictionaries({"name": TEXT}, optional={"enabled": nullable(st.booleans())}), max_size=3
)
SERVER_MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "id": IDENTITY,
    "server_id": nullable(IDENTITY),
    "name": TEXT,
    "hostname": TEXT,
    "auth_type": st.sampled_from(["oauth", "bearer", "unauthenticated", "kerberos", None]),
    "status": st.sampled_from(["waiting", "ready", "stale", "error", "asleep", "", None]),
    "authentication_status": st.sampled_from(["not_required", "manual", "new", None]),
    "auth_config_summary": nullable(st.fixed_dictionaries({"auth_mode": nullable(TEXT)})),
    "error": nullable(TEXT),
    "error_details": nullable(
        st.fixed_dictionaries(
            {},
            optional={
                "cause": nullable(TEXT),
                "is_upstream": nullable(st.booleans()),
                "retryable": nullable(st.booleans()),
                "status_code": nullable(NUMBER),
                "mcp_code": ANYTHING,
            },
        )
    ),
    "created_at": nullable(TIME),
    "modified_at": nullable(TIME),
    "last_synced": nullable(TIME),
    "last_successful_sync": nullable(TIME),
    "default_disabled": nullable(st.booleans()),
    "on_behalf": nullable(st.booleans()),
    "secure_web_gateway": nullable(st.booleans()),
    "is_shared_oauth_callback_enabled": nullable(st.booleans()),
    "tools": nullable(CAPABILITIES),
    "prompts": nullable(CAPABILITIES),
    "updated_tools": nullable(OVERRIDES),
    "updated_prompts": nullable(OVERRIDES),
    "an_unknown_member": ANYTHING,
}
PORTAL_MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "id": IDENTITY,
    "name": TEXT,
    "hostname": TEXT,
    "code_mode": st.sampled_from(["off", "opt_in", "default_on", "enforced", "new", None]),
    "allow_code_mode": nullable(st.booleans()),
    "secure_web_gateway": nullable(st.booleans()),
    "created_at": nullable(TIME),
    "modified_at": nullable(TIME),
    "an_unknown_member": ANYTHING,
}


@st.composite
def records(draw: st.DrawFn, members: dict[str, st.SearchStrategy[Any]]) -> Any:
    """A record of the shape; or with a member missing or wrong; or anything at all."""
    kind = draw(st.sampled_from(["right", "right", "right", "wrong", "anything"]))
    if kind == "anything":
        return draw(ANYTHING)
    names = draw(st.sets(st.sampled_from(sorted(members.keys() - {"id"}))))
    record = {name: draw(members[name]) for name in ["id", *sorted(names)]}
    if kind == "wrong":
        name = draw(st.sampled_from(sorted(members)))
        record[name] = draw(ANYTHING)
        if draw(st.booleans()):
            del record[name]
    return record


SERVERS = records(SERVER_MEMBERS)


@st.composite
def portals(draw: st.DrawFn) -> Any:
    record = draw(records(PORTAL_MEMBERS))
    if isinstance(record, dict):
        record["servers"] = draw(st.lists(SERVERS, max_size=4) | ANYTHING)
    return record


PORTALS = portals()


def encoded(result: Sequence[Any], info: object = None, *, raw: bool = False) -> bytes:
    """The API's envelope; ``raw`` writes characters as they are, surrogates as bad UTF-8."""
    whole = {"success": True, "errors": [], "result": list(result), "result_info": info}
    return json.dumps(whole, ensure_ascii=not raw).encode("utf-8", "surrogatepass")


@st.composite
def planted(draw: st.DrawFn) -> tuple[list[Any], int]:
    """Records with three good portals among them, and how many of the rest must be skipped."""
    hopeless: list[Any] = draw(
        st.lists(st.sampled_from([5, "x", [], None, {}, {"id": None}]), max_size=3)
    )
    found = [*draw(st.lists(PORTALS, max_size=4)), *hopeless]
    for number in range(3):
        members = draw(st.lists(SERVERS, max_size=2))
        members.insert(draw(st.integers(0, len(members))), good_server(number))
        found.insert(draw(st.integers(0, len(found))), good_portal(number, members))
    return found, len(hopeless)


def good_server(number: int) -> dict[str, Any]:
    return {
        "id": f"fine-{number}",
        "name": f"Fine {number}",
        "hostname": f"https://fine-{number}.example.com/mcp",
        "auth_type": "bearer",
        "status": "ready",
        "tools": [{"name": "a"}, {"name": "b"}],
        "prompts": [],
        "last_successful_sync": "2026-03-12T12:59:00Z",
    }


def good_portal(number: int, servers: list[Any]) -> dict[str, Any]:
    return {
        "id": f"good-{number}",
        "name": f"Good {number}",
        "hostname": f"good-{number}.example.com",
        "servers": servers,
    }


# --- the way through the exporter, and back ----------------------------------------------------


def expose(inventory: Inventory, form: Format = Format.TEXT) -> bytes:
    """What is exposed of the account, without what the exporter says of itself."""
    listed = ListingResult(
        account_id="0" * 32,
        account_name='Account "1"\\',
        duration=0.5,
        ended=NOW,
        inventory=inventory,
        last_success=NOW,
        ratelimit_remaining=50.0,
    )
    return b"".join(render(families([listed], NOW), (), form))


def parsed(exposition: bytes, form: Format) -> list[Metric]:
    """The families, as prometheus_client's parsers understand them."""
    lines = io.StringIO(exposition.decode(), newline="\n")
    if form is Format.TEXT:
        return list(text_fd_to_metric_families(lines))
    return list(openmetrics.text_fd_to_metric_families(lines))  # type: ignore[no-untyped-call]  # of prometheus_client


def series(metrics: Iterable[Metric]) -> list[tuple[str, frozenset[tuple[str, str]]]]:
    return [(one.name, frozenset(one.labels.items())) for m in metrics for one in m.samples]


def the_good_are_there(found: Samples) -> None:
    have = {
        (name, *sorted(dict(labels).items())): number for (name, labels), number in found.items()
    }
    account = next(dict(labels)["account_id"] for _, labels in found if dict(labels))
    for n in range(3):
        by_portal = (("account_id", account), ("portal_id", f"good-{n}"))
        by_server = (("account_id", account), ("server_id", f"fine-{n}"))
        both = (*by_portal, by_server[1])
        info = (
            by_portal[0],
            ("hostname", f"good-{n}.example.com"),
            by_portal[1],
            ("portal_name", f"Good {n}"),
        )
        assert have[("cloudflare_mcp_portal_info", *info)] == 1
        assert have[("cloudflare_mcp_server_tools", *by_server)] == 2
        assert have[("cloudflare_mcp_portal_server_info", *both)] == 1
        assert have[("cloudflare_mcp_portal_server_exposed_tools", *both)] == 2


# --- the properties ----------------------------------------------------------------------------


@settings(max_examples=120)
@given(planted(), st.booleans(), ANYTHING)
def test_the_exposition_parses_without_duplicates_and_no_good_record_is_lost(
    sent: tuple[list[Any], int], raw: bool, info: Any
) -> None:
    found, hopeless = sent
    inventory = build([decode_portals(encoded(found, info, raw=raw))])
    text = expose(inventory)
    as_text = parsed(text, Format.TEXT)
    as_openmetrics = parsed(expose(inventory, Format.OPENMETRICS), Format.OPENMETRICS)
    assert series(as_text) == series(as_openmetrics)
    the_good_are_there(samples(text.decode()))  # refuses duplicates
    assert sum(skipped.kind == "portal" for skipped in inventory.skipped) >= hopeless


@settings(max_examples=60)
@given(st.lists(SERVERS, max_size=4), st.booleans())
def test_the_list_of_servers_loses_no_good_record_either(found: list[Any], raw: bool) -> None:
    found.insert(len(found) // 2, good_server(0))
    inventory = build([decode_servers(encoded(found, raw=raw))])
    text = expose(inventory).decode()
    assert value(text, "cloudflare_mcp_server_tools", server_id="fine-0") == 2
    assert value(text, "cloudflare_mcp_server_portals", server_id="fine-0") == 0


class Again(Collector):
    """Families that were parsed, to be rendered again."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


@settings(max_examples=60)
@given(st.lists(PORTALS, max_size=5))
def test_the_text_is_what_prometheus_client_writes_for_the_same_families(found: list[Any]) -> None:
    inventory = build([decode_portals(encoded(found))])
    text = expose(inventory)
    openly = expose(inventory, Format.OPENMETRICS)
    assert text == text_of(Again(parsed(text, Format.TEXT)))
    again: bytes = openmetrics_of(Again(parsed(openly, Format.OPENMETRICS)))  # type: ignore[no-untyped-call]  # of prometheus_client
    assert openly == again


DECIMALS = st.builds(
    lambda digits, power: digits * 10.0**power, st.integers(0, 999), st.integers(0, 12)
)
# Adding 0 makes -0.0 what it equals: nobody counts below zero.
NUMBERS = (st.floats() | st.floats(1e8, 1e11) | DECIMALS).map(lambda number: number + 0.0)


@settings(max_examples=1000)
@given(NUMBERS)
@example(1e9)
@example(2e9)
@example(1773320400.0)
@example(1773320400.767)
@example(math.nextafter(1e9, 0.0))
@example(math.nextafter(1e10, 0.0))
@example(1e10)
@example(12345678901.5)
def test_a_number_is_written_as_prometheus_client_writes_it(number: float) -> None:
    expected: str = floatToGoString(number)  # type: ignore[no-untyped-call]  # of prometheus_client
    assert line("name", "", number) == f"name {expected}\n"


@settings(max_examples=60)
@given(
    st.dictionaries(st.text(), st.floats(0.0, allow_nan=False), max_size=4),
    st.dictionaries(st.text(), NUMBERS, max_size=4),
    st.lists(st.floats(), max_size=4),
)
def test_what_prometheus_client_holds_is_written_as_it_writes_it(
    counts: dict[str, float], values: dict[str, float], observed: list[float]
) -> None:
    registry = CollectorRegistry()
    counter = Counter("counted", "Of one label.", ["label"], registry=registry)
    gauge = Gauge("shown", "Of two labels.", ["b", "a"], registry=registry, unit="seconds")
    histogram = Histogram("observed", "Without a label.", registry=registry)
    for text, number in counts.items():
        counter.labels(text).inc(number)
    for text, number in values.items():
        gauge.labels("x", text).set(number)
    for number in observed:
        histogram.observe(number)
    metrics = list(merged((registry, CollectorRegistry()), frozenset()))
    plainly, openly = (b"".join(render((), metrics, form)) for form in Format)
    assert plainly == text_of(Again(metrics))
    again: bytes = openmetrics_of(Again(metrics))  # type: ignore[no-untyped-call]  # of prometheus_client
    assert openly == again


@settings(max_examples=60)
@given(st.lists(PORTALS, max_size=6), st.randoms(use_true_random=False), st.integers(1, 6))
def test_neither_the_order_of_records_nor_that_of_pages_makes_a_difference(
    found: list[Any], order: random.Random, size: int
) -> None:
    once = expose(build([decode_portals(encoded(found))]))
    shuffled = order.sample(found, len(found))
    for portal in shuffled:
        if isinstance(portal, dict) and isinstance(portal.get("servers"), list):
            order.shuffle(portal["servers"])
    pages = [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
    assert expose(build([decode_portals(encoded(page)) for page in pages])) == once


@settings(max_examples=25)
@given(planted())
def test_promtool_reads_the_exposition_without_a_word(sent: tuple[list[Any], int]) -> None:
    text = expose(build([decode_portals(encoded(sent[0]))]))
    command = [require("promtool"), "check", "metrics"]
    ended = subprocess.run(command, input=text, capture_output=True, check=False, timeout=30)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


@settings(max_examples=15)
@given(planted(), st.booleans(), ANYTHING.filter(lambda info: not isinstance(info, dict)))
def test_a_listing_stays_up_over_http_with_its_good_records(
    sent: tuple[list[Any], int], raw: bool, info: Any
) -> None:
    found, hopeless = sent
    with RawServer(sends(answer(encoded(found, info, raw=raw)))) as api:
        text = scrape(accounts_for(api.base_url))
    assert value(text, "cloudflare_mcp_up") == 1
    the_good_are_there(samples(text))
    skipped = value(text, "cloudflare_mcp_skipped_records", kind="portal")
    assert skipped is not None
    assert skipped >= hopeless


ERRORS = ANYTHING | st.lists(
    st.fixed_dictionaries({"code": NUMBER | ANYTHING, "message": TEXT | ANYTHING}), max_size=3
)


@settings(max_examples=100)
@given(st.integers(100, 999), ERRORS, st.booleans(), TEXT)
def test_any_answer_that_is_no_listing_has_a_reason(
    status: int, errors: Any, raw: bool, retry_after: str
) -> None:
    body = json.dumps({"success": False, "errors": errors}, ensure_ascii=not raw)
    sent = body.encode("utf-8", "surrogatepass")
    problem = failure(status, {"Retry-After": retry_after}, sent, str)
    assert problem.reason in Reason
    assert len(str(problem)) < 1000
    assert str(problem).isprintable()
    assert problem.retry_after is None or 0 < problem.retry_after <= 900
