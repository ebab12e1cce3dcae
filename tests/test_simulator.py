"""The simulator answers over HTTP as the API does, and is as large as asked."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import pytest
import requests

from exporter.simulator.catalogue import make_tools
from exporter.simulator.fleet import Fleet, fleet
from exporter.simulator.server import Simulator
from exporter.simulator.wire import Request, Response, envelope
from processes import bare_environment, eventually, get

START = 1_790_000_100.0  # at the begin of a rate-limit window
OTHER_ACCOUNT = "0123456789abcdef0123456789abcdef"
Record = dict[str, Any]


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def demo(clock: Clock) -> Iterator[Simulator]:
    with Simulator(clock=clock) as simulator:
        yield simulator


@pytest.fixture
def uniform(clock: Clock) -> Iterator[Simulator]:
    with Simulator(fleet(portals=45, servers=2, tools=3), clock=clock) as simulator:
        yield simulator


def url_of(simulator: Simulator, kind: str = "portals", account: str | None = None) -> str:
    account = account or simulator.account_id
    return f"{simulator.base_url}/accounts/{account}/access/ai-controls/mcp/{kind}"


def bearer(simulator: Simulator) -> dict[str, str]:
    return {"Authorization": f"Bearer {simulator.token}"}


def ask(simulator: Simulator, kind: str = "portals", **query: object) -> requests.Response:
    return get(url_of(simulator, kind), headers=bearer(simulator), params=query)


def listed(simulator: Simulator, kind: str = "portals", **query: object) -> list[Record]:
    answer = ask(simulator, kind, **query)
    assert answer.status_code == 200, answer.text
    records: list[Record] = answer.json()["result"]
    return records


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


# --- the server ----------------------------------------------------------------------------------


def connect(simulator: Simulator) -> http.client.HTTPConnection:
    parts = urlsplit(simulator.base_url)
    assert parts.hostname == "127.0.0.1"
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)


def test_a_connection_serves_many_requests(demo: Simulator) -> None:
    connection = connect(demo)
    headers = bearer(demo) | {"User-Agent": "test"}
    local: set[Any] = set()
    rays = set()
    for _ in range(3):
        connection.request("GET", urlsplit(url_of(demo)).path, headers=headers)
        answer = connection.getresponse()
        assert (answer.status, answer.version, len(answer.read()) > 0) == (200, 11, True)
        rays.add(answer.getheader("cf-ray"))
        local.add(connection.sock.getsockname())
    connection.close()
    assert (len(local), len(rays)) == (1, 3)


def test_stopping_closes_open_connections_and_starting_again_keeps_the_address(
    clock: Clock,
) -> None:
    simulator = Simulator(clock=clock).start()
    address = simulator.base_url
    idle = connect(simulator)
    idle.request("GET", "/", headers={"User-Agent": "test"})
    idle.getresponse().read()
    simulator.stop()
    assert idle.sock.recv(1) == b""
    idle.close()
    with pytest.raises(requests.ConnectionError):
        ask(simulator)
    with simulator:
        assert simulator.base_url == address
        assert ask(simulator).status_code == 200
    simulator.stop()


def test_a_client_that_goes_away_leaves_the_server_as_it_was(demo: Simulator) -> None:
    parts = urlsplit(demo.base_url)
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", parts.port or 0)) as client:
            client.sendall(b"GET /client/v4/acc")
    assert ask(demo).status_code == 200


def test_what_was_asked_is_remembered_without_what_it_was_asked_with(
    demo: Simulator, clock: Clock
) -> None:
    clock.now = START + 7
    ask(demo, per_page=5, search="x y")
    (asked,) = demo.requests
    assert (asked.method, asked.time) == ("GET", START + 7)
    assert asked.path == urlsplit(url_of(demo)).path
    assert asked.query == {"per_page": "5", "search": "x y"}
    assert {"authorization", "user-agent", "accept-encoding"} <= asked.header_names
    assert demo.token not in repr([*demo.requests, demo.credentials, demo])
    demo.requests.clear()
    assert len(demo.requests) == 0


def test_a_hook_answers_in_the_api_s_place_or_lets_it_pass(demo: Simulator) -> None:
    def second_page_fails(request: Request) -> Response | None:
        assert demo.token not in repr(request)
        if request.query.get("page") != "2":
            return None
        return Response(200, envelope(None, success=False), {"Content-Type": "application/json"})

    demo.hook = second_page_fails
    assert ask(demo, page=1).json()["success"] is True
    assert ask(demo, page=2).json()["success"] is False
    demo.hook = lambda _: Response(502, b"<html>Bad gateway</html>")
    assert (ask(demo).status_code, ask(demo).text) == (502, "<html>Bad gateway</html>")
    assert len(demo.requests) == 4


def test_latency_holds_every_answer_back(demo: Simulator) -> None:
    demo.latency = 0.2
    assert ask(demo).elapsed.total_seconds() >= 0.2


def test_one_server_serves_several_accounts(clock: Clock) -> None:
    ids = [f"{number:032x}" for number in range(3)]
    accounts = {key: fleet(portals=n, servers=1, tools=1) for n, key in enumerate(ids, start=1)}
    with Simulator(accounts, clock=clock) as simulator:
        counts = [
            get(url_of(simulator, account=key), headers=bearer(simulator)).json()["result_info"]
            for key in ids
        ]
        assert [info["total_count"] for info in counts] == [1, 2, 3]
        assert simulator.account_id == ids[0]


def test_the_names_that_clients_use_look_like_the_real_ones(demo: Simulator) -> None:
    assert demo.base_url.endswith("/client/v4")
    assert re.fullmatch(r"[0-9a-f]{32}", demo.account_id)
    assert re.fullmatch(r"[A-Za-z0-9_-]{40}", demo.token)
    assert demo.environment() == {
        "CLOUDFLARE_BASE_URL": demo.base_url,
        "CLOUDFLARE_ACCOUNT_ID": demo.account_id,
        "CLOUDFLARE_API_TOKEN": demo.token,
    }


def test_the_command_prints_its_environment_and_ends_on_sigterm(tmp_path: Path) -> None:
    log = tmp_path / "out"
    with log.open("wb") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "exporter.simulator", "--portals=2", "--servers=3"],
            stdout=out,
            env=bare_environment(tmp_path),
        )
    try:
        eventually(lambda: log.read_text().count("\n") == 3, "environment")
        env = dict(re.findall(r"export (\w+)=(.*)", log.read_text()))
        answer = get(
            f"{env['CLOUDFLARE_BASE_URL']}/accounts/{env['CLOUDFLARE_ACCOUNT_ID']}"
            "/access/ai-controls/mcp/servers",
            headers={"Authorization": f"Bearer {env['CLOUDFLARE_API_TOKEN']}"},
        )
        assert answer.json()["result_info"]["total_count"] == 6
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 0
    finally:
        child.kill()
        child.wait(10)


# --- the same again ------------------------------------------------------------------------------


class Counted(Fleet):
    """A fleet that counts how often its lists are asked for."""

    def __init__(self) -> None:
        super().__init__(3, 2, 1, 0, START)
        self.calls = 0

    def portals(self, now: float) -> list[Record]:
        self.calls += 1
        return super().portals(now)


def test_a_page_is_encoded_once_while_nothing_changes(clock: Clock) -> None:
    account = Counted()
    with Simulator(account, clock=clock) as simulator:
        bodies = {ask(simulator, per_page=2).content for _ in range(3)}
        clock.now += 3600
        bodies |= {ask(simulator, per_page=2).content}
        assert (len(bodies), account.calls) == (1, 1)
        ask(simulator, per_page=2, page=2)
        assert account.calls == 2


def test_a_changed_account_is_shown_at_once(demo: Simulator, clock: Clock) -> None:
    def status() -> str:
        (server,) = listed(demo, "servers", search="error-tracking")
        return str(server["status"])

    assert status() == "ready"
    clock.now = START + 29.9
    assert status() == "ready"
    clock.now = START + 30
    assert status() == "stale"


# --- shapes and sizes ----------------------------------------------------------------------------

PORTAL_FIELDS = {
    "id", "hostname", "name", "servers", "allow_code_mode", "code_mode", "created_at",
    "created_by", "description", "modified_at", "modified_by", "secure_web_gateway",
}  # fmt: skip
SERVER_FIELDS = {
    "id", "auth_type", "hostname", "name", "prompts", "tools", "auth_config_summary",
    "authentication_status", "created_at", "created_by", "description", "error", "error_details",
    "is_shared_oauth_callback_enabled", "last_successful_sync", "last_synced", "modified_at",
    "modified_by", "secure_web_gateway", "status", "updated_prompts", "updated_tools",
}  # fmt: skip
ATTACHED_FIELDS = SERVER_FIELDS | {"server_id", "default_disabled", "on_behalf"}
ERROR_FIELDS = {"cause", "is_upstream", "mcp_code", "retryable", "status_code"}
SUMMARY_FIELDS = {
    "auth_mode", "client_secret_version", "has_client_secret", "config", "registration_info",
}  # fmt: skip
PORTAL_OVERRIDE_FIELDS = {
    "name", "enabled", "portal_alias", "portal_description", "server_alias", "server_description",
}  # fmt: skip
SERVER_OVERRIDE_FIELDS = {"name", "enabled", "alias", "description"}
TOOL_FIELDS = {"name", "title", "description", "inputSchema", "outputSchema", "annotations"}


def members(records: list[Record], name: str | None = None) -> set[str]:
    """Names of the members that have a value, of the records or of one member of them."""
    nested = [record.get(name) for record in records] if name else records
    flat = [entry for value in nested for entry in (value if isinstance(value, list) else [value])]
    return {key for entry in flat if entry for key, value in entry.items() if value is not None}


def attached(portals: list[Record]) -> list[Record]:
    return [server for portal in portals for server in portal["servers"] if "id" in server]


def test_every_field_of_the_api_has_a_value_in_some_record_and_no_other_field_has(
    demo: Simulator,
) -> None:
    portals, servers = listed(demo), listed(demo, "servers", per_page=100)
    in_portals = attached(portals)
    assert members(portals) == PORTAL_FIELDS
    assert members(in_portals) == ATTACHED_FIELDS
    assert members(servers) == SERVER_FIELDS
    assert members(servers, "error_details") == ERROR_FIELDS
    assert members(servers, "auth_config_summary") == SUMMARY_FIELDS
    assert members(in_portals, "updated_tools") == PORTAL_OVERRIDE_FIELDS
    assert members(in_portals, "updated_prompts") == {"name", "enabled", "server_alias"}
    assert members(servers, "updated_tools") == SERVER_OVERRIDE_FIELDS
    assert members(servers, "tools") == TOOL_FIELDS
    assert members(servers, "prompts") == {"name", "title", "description", "arguments"}


def test_timestamps_come_in_both_forms(demo: Simulator) -> None:
    for record in [*listed(demo), *listed(demo, "servers", per_page=100)]:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", record["created_at"])
        for name in ("modified_at", "last_synced", "last_successful_sync"):
            form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
            assert name not in record or re.fullmatch(form, record[name])


def test_a_server_is_the_same_in_every_portal_but_for_what_is_the_portal_s(
    demo: Simulator, clock: Clock
) -> None:
    own = ("on_behalf", "default_disabled", "updated_tools", "updated_prompts", "server_id")
    clock.now = START + 200
    alone = {server["id"]: server for server in listed(demo, "servers", per_page=100)}
    for server in attached(listed(demo)):
        shared = {name: value for name, value in server.items() if name not in own}
        assert shared == {k: v for k, v in alone[server["id"]].items() if k not in own}


def test_tools_are_as_large_as_real_ones() -> None:
    sizes = sorted(len(msgspec.json.encode(tool)) for tool in make_tools(3000, ("a", "b"), "s"))
    assert 1250 < sum(sizes) / len(sizes) < 1550
    assert 750 < sizes[1500] < 1050
    assert 2500 < sizes[2700] < 3600
    assert sizes[-1] < 6500


def test_fewer_tools_are_the_first_of_more_and_no_name_comes_twice() -> None:
    many = make_tools(100, ("issue", "sprint"), "seed")
    assert make_tools(30, ("issue", "sprint"), "seed") == many[:30]
    assert len({tool["name"] for tool in many}) == 100


@pytest.mark.parametrize(("portals", "servers", "tools"), [(2, 5, 7), (1, 1, 2600), (3, 4, 0)])
def test_a_fleet_is_as_large_as_asked(portals: int, servers: int, tools: int) -> None:
    account = fleet(portals=portals, servers=servers, tools=tools)
    found = account.portals(START)
    assert [len(portal["servers"]) for portal in found] == [servers] * portals
    assert len({server["id"] for server in attached(found)}) == portals * servers
    assert len(account.servers(START)) == portals * servers
    for server in attached(found):
        assert len({tool["name"] for tool in server["tools"]}) == tools
