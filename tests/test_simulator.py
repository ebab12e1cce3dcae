"""The simulator answers over HTTP as the API does."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import requests

from exporter.simulator.server import Simulator
from exporter.simulator.uniform_account import uniform_account
from processes import get
from simulated import START, Clock, ask, bearer, connect, listed, url_of

OTHER_ACCOUNT = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def demo(clock: Clock) -> Iterator[Simulator]:
    with Simulator(clock=clock) as simulator:
        yield simulator


@pytest.fixture
def uniform(clock: Clock) -> Iterator[Simulator]:
    with Simulator(uniform_account(portals=45, servers=2, tools=3), clock=clock) as simulator:
        yield simulator


# --- the envelope and the pages ------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["portals", "servers"])
def test_a_list_comes_in_the_envelope_with_its_counts(demo: Simulator, kind: str) -> None:
    body = ask(demo, kind, page=2, per_page=4).json()
    assert body.keys() == {"success", "errors", "messages", "result", "result_info"}
    assert (body["success"], body["errors"], body["messages"]) == (True, [], [])
    total = {"portals": 6, "servers": 28}[kind]
    count = min(4, total - 4)
    assert body["result_info"] == {"count": count, "page": 2, "per_page": 4, "total_count": total}
    assert len(body["result"]) == count


def test_pages_together_hold_every_portal_once_and_the_default_is_twenty(
    uniform: Simulator,
) -> None:
    pages = [listed(uniform, page=page) for page in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [20, 20, 5, 0]
    assert sorted(portal["id"] for portal in chain(*pages)) == [
        f"portal-{number:04}" for number in range(45)
    ]
    assert len(listed(uniform, per_page=100)) == 45


@pytest.mark.parametrize(
    ("kind", "search", "found"),
    [
        ("portals", "finan", ["finance"]),
        ("portals", "CUSTOMER", ["support"]),
        ("portals", "data.portal.example", ["data"]),
        ("portals", "", 6),
        ("portals", "nothing of the kind", []),
        ("servers", "wareh", ["warehouse"]),
        ("servers", "sql", ["warehouse"]),
        ("servers", "mcp.example.com", []),
    ],
)
def test_search_finds_what_the_list_says_it_searches(
    demo: Simulator, kind: str, search: str, found: list[str] | int
) -> None:
    ids = [record["id"] for record in listed(demo, kind, search=search)]
    assert len(ids) == found if isinstance(found, int) else ids == found


@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("identity", False),
        (None, False),
    ],
)
def test_a_body_is_compressed_when_the_client_says_so(
    demo: Simulator, accepted: str | None, zipped: bool
) -> None:
    headers: dict[str, Any] = bearer(demo) | {"Accept-Encoding": accepted}
    if accepted is None:
        headers["Accept-Encoding"] = "identity"
    answer = get(url_of(demo), headers=headers, stream=True)
    body = answer.raw.read(decode_content=False)
    assert (answer.headers.get("Content-Encoding") == "gzip") is zipped
    assert json.loads(gzip.decompress(body) if zipped else body)["success"] is True


# --- refusals ------------------------------------------------------------------------------------


class Refused(NamedTuple):
    status: int
    code: int
    headers: Mapping[str, str | None]
    path: str = "/accounts/{account}/access/ai-controls/mcp/portals"
    query: str = ""
    method: str = "GET"


GOOD = {"Authorization": "Bearer {token}"}
REFUSALS = {
    "no credentials": Refused(400, 9106, {}),
    "an e-mail without a key": Refused(400, 9106, {"X-Auth-Email": "{email}"}),
    "a wrong key": Refused(403, 9103, {"X-Auth-Email": "{email}", "X-Auth-Key": "f" * 37}),
    "a token and a key": Refused(
        400, 6003, {**GOOD, "X-Auth-Email": "{email}", "X-Auth-Key": "{api_key}"}
    ),
    "a token and an e-mail": Refused(400, 6003, {**GOOD, "X-Auth-Email": "{email}"}),
    "an unknown token": Refused(401, 1000, {"Authorization": "Bearer " + "x" * 40}),
    "a token of a wrong form": Refused(400, 6003, {"Authorization": "Bearer ${TOKEN}"}),
    "a token with another sign": Refused(400, 6003, {"Authorization": "Bearer $" + "x" * 39}),
    "another scheme": Refused(400, 6003, {"Authorization": "Basic {token}"}),
    "a token without the permission": Refused(
        403, 10000, {"Authorization": "Bearer {token_without_permission}"}
    ),
    "another account": Refused(
        404, 7003, GOOD, f"/accounts/{OTHER_ACCOUNT}/access/ai-controls/mcp/portals"
    ),
    "an unknown route": Refused(404, 7000, GOOD, "/accounts/{account}/access/apps"),
    "the base alone": Refused(404, 7000, GOOD, ""),
    "page 0": Refused(400, 7001, GOOD, query="page=0"),
    "a page that is no number": Refused(400, 7001, GOOD, query="page=one"),
    "per_page 0": Refused(400, 7001, GOOD, query="per_page=0"),
    "per_page 101": Refused(400, 7001, GOOD, query="per_page=101"),
    "per_page -1": Refused(400, 7001, GOOD, query="per_page=-1"),
    "an empty per_page": Refused(400, 7001, GOOD, query="per_page="),
    **{
        f"{method} of the list": Refused(405, 10405, GOOD, method=method)
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    },
    "POST of a sync": Refused(
        404,
        7000,
        GOOD,
        "/accounts/{account}/access/ai-controls/mcp/servers/ci/sync",
        method="POST",
    ),
}


@pytest.mark.parametrize("refused", REFUSALS.values(), ids=REFUSALS)
def test_a_request_is_refused_with_the_code_of_its_fault(demo: Simulator, refused: Refused) -> None:
    known = {
        "{account}": demo.account_id,
        "{token}": demo.token,
        "{token_without_permission}": demo.token_without_permission,
        "{email}": demo.email,
        "{api_key}": demo.api_key,
    }

    def filled(text: str) -> str:
        return re.sub(r"\{\w+\}", lambda found: known.get(found[0], found[0]), text)

    headers = {name: filled(str(value)) for name, value in refused.headers.items()}
    url = f"{demo.base_url}{filled(refused.path)}?{refused.query}"
    answer = requests.request(refused.method, url, headers=headers, timeout=10)
    body = answer.json()
    assert (answer.status_code, body["errors"][0]["code"]) == (refused.status, refused.code)
    assert (body["success"], body["result"], body["messages"]) == (False, None, [])
    assert body["errors"][0]["message"]


def test_an_e_mail_with_its_key_is_let_in(demo: Simulator) -> None:
    headers = {"X-Auth-Email": demo.email, "X-Auth-Key": demo.api_key}
    assert get(url_of(demo), headers=headers).status_code == 200


def test_a_request_without_a_user_agent_is_blocked_by_a_page_of_html(demo: Simulator) -> None:
    connection = connect(demo)
    connection.request("GET", urlsplit(url_of(demo)).path, headers=bearer(demo))
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Content-Type")) == (403, "text/html; charset=UTF-8")
    assert answer.read().startswith(b"<!DOCTYPE html>")
    connection.close()


def test_nothing_that_is_sent_changes_the_account(demo: Simulator) -> None:
    before = listed(demo)
    for method in ("POST", "PUT", "DELETE"):
        answer = requests.request(
            method, url_of(demo), headers=bearer(demo), json={"id": "mine"}, timeout=10
        )
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
    assert listed(demo) == before


def test_a_token_can_be_exchanged_while_it_serves(demo: Simulator) -> None:
    demo.credentials.tokens = {"n" * 40}
    assert ask(demo).status_code == 401
    renewed = {"Authorization": "Bearer " + "n" * 40}
    assert get(url_of(demo), headers=renewed).status_code == 200


# --- the rate limit ------------------------------------------------------------------------------


def test_the_quota_counts_down_and_one_request_too_many_waits_for_the_next_window(
    clock: Clock,
) -> None:
    clock.now = START + 100
    with Simulator(clock=clock, quota=2) as simulator:
        left = [ask(simulator).headers["Ratelimit"] for _ in range(2)]
        assert left == ['"default";r=1;t=200', '"default";r=0;t=200']
        refused = ask(simulator)
        assert refused.status_code == 429
        assert refused.json()["errors"][0]["code"] == 971
        assert refused.headers["Retry-After"] == "200"
        assert refused.headers["Ratelimit-Policy"] == '"default";q=2;w=300'
        clock.now = START + 299
        assert ask(simulator).headers["Retry-After"] == "1"
        clock.now = START + 300
        assert ask(simulator).status_code == 200


def test_side_by_side_requests_are_all_counted(clock: Clock) -> None:
    with Simulator(clock=clock, quota=10) as simulator, ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: ask(simulator).status_code, range(16)))
    assert sorted(statuses) == [200] * 10 + [429] * 6


def test_without_a_quota_nothing_is_said_of_one() -> None:
    with Simulator(quota=None) as simulator:
        assert "Ratelimit" not in ask(simulator).headers


def test_others_use_up_the_quota_before_the_seventh_minute_and_it_comes_back(
    demo: Simulator, clock: Clock
) -> None:
    def left(second: float) -> int:
        clock.now = START + second
        found = re.fullmatch(r'"default";r=(\d+);t=\d+', ask(demo).headers["Ratelimit"])
        assert found
        return int(found[1])

    assert left(0) == 1199
    assert [left(second) > 100 for second in (290, 330, 360, 400)] == [True] * 4
    assert left(415) < 100
    for second, wait in ((420, "40"), (445.5, "15"), (459, "1")):
        clock.now = START + second
        assert (ask(demo).status_code, ask(demo).headers["Retry-After"]) == (429, wait)
    assert left(460) > 1000
