"""The simulator as a server: connections, start and stop, what it remembers, hooks, the command."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from exporter.simulator.messages import Request, Response, envelope
from exporter.simulator.server import Simulator
from exporter.simulator.uniform_account import UniformAccount, uniform_account
from processes import bare_environment, eventually, get
from simulated import START, Clock, Record, ask, bearer, connect, listed, url_of


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def demo(clock: Clock) -> Iterator[Simulator]:
    with Simulator(clock=clock) as simulator:
        yield simulator


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
    accounts = {
        key: uniform_account(portals=n, servers=1, tools=1) for n, key in enumerate(ids, start=1)
    }
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


class Counted(UniformAccount):
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
