"""What each answer of an MCP server means, over real sockets."""

from __future__ import annotations

import json
import socket
import threading
from itertools import count

import pytest

from exporter.deadline import Deadline
from exporter.probes.mcp import Era
from exporter.probes.result import Drift, Outcome, Phase, ProbeResult
from exporter.probes.server import ServerProbe, ServerTarget
from mcpserver import JSON, ROUTE, SSE, McpServer, Message, always, error, legacy, modern, result
from rawserver import answer


def probe(
    server: McpServer,
    auth_type: str = "unauthenticated",
    *,
    seconds: float = 5.0,
    era: Era | None = None,
    stored: frozenset[int] | None = None,
) -> ProbeResult:
    target = ServerTarget("one", server.url, auth_type, stored)
    return run(ServerProbe(target, ROUTE, Deadline(seconds), era), seconds)


def run(one: ServerProbe, seconds: float) -> ProbeResult:
    """Run it, interrupted and aborted as by the prober."""
    timers = [threading.Timer(seconds, one.interrupt), threading.Timer(seconds + 1, one.abort)]
    for timer in timers:
        timer.start()
    try:
        return one.run()
    finally:
        for timer in timers:
            timer.cancel()


# --- the three eras ----------------------------------------------------------------------------


def test_a_modern_server_is_asked_once_and_its_tools_are_compared_with_the_stored_ones() -> None:
    with McpServer(modern(["a", "b", "c"])) as server:
        found = probe(server, stored=frozenset(map(hash, ["b", "c", "gone", "lost"])))
    assert server.methods == ["server/discover", "tools/list"]
    assert (found.outcome, found.success, found.protocol_version) == (
        Outcome.OK,
        True,
        "2026-07-28",
    )
    assert (found.tools, found.drift) == (3, Drift(added=1, removed=2))
    assert {Phase.RESOLVE, Phase.CONNECT, Phase.DISCOVER, Phase.LIST} == found.phases.keys()
    assert "mcp-method: tools/list" in server.heads[1].lower()


@pytest.mark.parametrize("stream", [False, True], ids=["JSON", "SSE"])
def test_a_legacy_server_is_initialized_and_every_session_is_deleted(stream: bool) -> None:
    with McpServer(legacy(["a"], stream=stream)) as server:
        found = probe(server)
    assert (found.outcome, found.protocol_version, found.tools) == (Outcome.OK, "2025-06-18", 1)
    assert found.http_status == 200
    deleted = [head for head in server.heads if head.startswith("DELETE")]
    assert len(deleted) == 2
    assert {"abc", "early"} == {
        line.partition(": ")[2]
        for head in deleted
        for line in head.splitlines()
        if line.lower().startswith("mcp-session-id")
    }


def test_the_era_that_is_remembered_saves_the_request_that_would_fail() -> None:
    with McpServer(legacy(["a"])) as server:
        found = probe(server, era=Era.LEGACY)
    assert found.success
    assert server.methods[0] == "initialize"


def test_the_old_sse_transport_is_alive_with_its_first_event() -> None:
    def say(connection: socket.socket, head: str, message: Message) -> None:
        if head.startswith("GET"):
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
                b"event: endpoint\r\ndata: /messages?session=1\r\n\r\n"
            )
            server.closed.wait(5)  # the stream stays open
        else:
            connection.sendall(answer(b"", "405 Method Not Allowed"))

    with McpServer(say) as server:
        found = probe(server)
    assert (found.outcome, found.protocol_version) == (Outcome.OK, "2024-11-05")
    assert found.tools is None


@pytest.mark.parametrize("code", [-32020, -32021, -32022])
def test_a_code_of_modern_servers_alone_is_alive(code: int) -> None:
    def say(connection: socket.socket, head: str, message: Message) -> None:
        connection.sendall(answer(error(message, code), "400 Bad Request", JSON))

    with McpServer(say) as server:
        assert probe(server).success
    assert "initialize" not in server.methods


def test_a_404_with_method_not_found_is_a_modern_server() -> None:
    def say(connection: socket.socket, head: str, message: Message) -> None:
        connection.sendall(answer(error(message, -32601), "404 Not Found", JSON))

    with McpServer(say) as server:
        found = probe(server)
    assert (found.outcome, found.tools) == (Outcome.OK, 0)


# --- what an answer means ----------------------------------------------------------------------

CHALLENGE = 'WWW-Authenticate: Bearer realm="x"\r\n'
STATUSES = {
    "403": ("403 Forbidden", "", Outcome.BLOCKED),
    "bot check": ("403 Forbidden", "cf-mitigated: challenge\r\n", Outcome.BLOCKED),
    "404": ("404 Not Found", "", Outcome.NOT_FOUND),
    "406": ("406 Not Acceptable", "", Outcome.HTTP_ERROR),
    "415": ("415 Unsupported Media Type", "", Outcome.HTTP_ERROR),
    "421": ("421 Misdirected Request", "", Outcome.HTTP_ERROR),
    "429": ("429 Too Many Requests", "Retry-After: 90\r\n", Outcome.THROTTLED),
    "500": ("500 Internal Server Error", "", Outcome.HTTP_ERROR),
    "530": ("530 Origin DNS Error", "", Outcome.HTTP_ERROR),
    "Access": (
        "302 Found",
        "Location: https://team.cloudflareaccess.com/login\r\n",
        Outcome.REDIRECTED,
    ),
    "page": ("200 OK", "Content-Type: text/html\r\n", Outcome.NOT_MCP),
    "other JSON": ("200 OK", JSON, Outcome.NOT_MCP),
}


@pytest.mark.parametrize(("status", "headers", "outcome"), STATUSES.values(), ids=STATUSES.keys())
def test_each_status_has_its_outcome(status: str, headers: str, outcome: Outcome) -> None:
    with McpServer(always(status, headers, b"[1]")) as server:
        found = probe(server)
    assert (found.outcome, found.success) == (outcome, False)
    assert found.http_status == int(status[:3])
    assert found.problem
    assert found.retry_after == (90 if status.startswith("429") else 0)


@pytest.mark.parametrize(
    ("auth_type", "healthy"),
    [("oauth", True), ("bearer", True), ("unauthenticated", False), ("other", False)],
)
def test_a_challenge_is_healthy_where_a_login_is_due(auth_type: str, healthy: bool) -> None:
    with McpServer(always("401 Unauthorized", CHALLENGE)) as server:
        found = probe(server, auth_type)
    assert (found.outcome, found.success) == (Outcome.AUTHORIZATION_REQUIRED, healthy)


def test_a_401_without_a_challenge_is_said() -> None:
    with McpServer(always("401 Unauthorized")) as server:
        assert "without a challenge" in probe(server, "bearer").problem


@pytest.mark.parametrize("works", [True, False])
def test_a_login_is_possible_where_its_metadata_answer(works: bool) -> None:
    def say(connection: socket.socket, head: str, message: Message) -> None:
        path = head.split(" ")[1]
        body: dict[str, object] = {}
        if path == "/meta":
            body = {"authorization_servers": [server.url.replace("/mcp", "")]}
        elif path == "/.well-known/openid-configuration" and works:
            body = {"issuer": "here"}
        if body:
            connection.sendall(answer(json.dumps(body).encode(), headers=JSON))
        elif path == "/mcp":
            named = server.url.replace("/mcp", "/meta")
            header = f'WWW-Authenticate: Bearer resource_metadata="{named}"\r\n'
            connection.sendall(answer(b"", "401 Unauthorized", header))
        else:
            connection.sendall(answer(b"", "404 Not Found"))

    with McpServer(say) as server:
        found = probe(server, "oauth")
    assert (found.login_possible, found.success) == (works, True)
    assert found.http_status == 401


def test_metadata_at_a_private_address_are_not_asked_for() -> None:
    with McpServer(always("200 OK", JSON, b'{"issuer": "x"}')) as inner:
        named = inner.url.replace("127.0.0.1", "[::1]")
        header = f'WWW-Authenticate: Bearer resource_metadata="{named}"\r\n'
        with McpServer(always("401 Unauthorized", header)) as server:
            assert probe(server, "oauth").login_possible is False
    assert inner.heads == []


# --- redirects ---------------------------------------------------------------------------------


def test_a_redirect_within_the_origin_is_followed_with_its_method() -> None:
    def say(connection: socket.socket, head: str, message: Message) -> None:
        if head.split(" ")[1] == "/mcp":
            connection.sendall(answer(b"", "308 Permanent Redirect", "Location: /mcp/\r\n"))
        else:
            modern(["a"])(connection, head, message)

    with McpServer(say) as server:
        assert probe(server).tools == 1


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:1/", "https://example.com/", "//[", "http://[::1", ""]
)
def test_a_redirect_elsewhere_is_not_followed(location: str) -> None:
    with McpServer(always("307 Temporary Redirect", f"Location: {location}\r\n")) as server:
        found = probe(server)
    assert found.outcome is Outcome.REDIRECTED
    assert len(server.heads) == 1


def test_a_redirect_in_a_circle_ends() -> None:
    with McpServer(always("307 Temporary Redirect", "Location: /mcp\r\n")) as server:
        assert probe(server).outcome is Outcome.REDIRECTED


# --- faults ------------------------------------------------------------------------------------


def test_a_refused_connection_and_a_name_that_does_not_resolve_have_their_outcomes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/mcp"
    target = ServerTarget("one", url, "oauth")
    assert ServerProbe(target, ROUTE, Deadline(5), None).run().outcome is Outcome.CONNECT
    target = ServerTarget("one", "http://no-such-name.invalid/mcp", "oauth")
    assert ServerProbe(target, ROUTE, Deadline(5), None).run().outcome is Outcome.DNS


@pytest.mark.parametrize("what", ["head", "body", "event stream", "nothing"])
def test_a_server_that_drips_ends_with_the_deadline(what: str) -> None:
    def say(connection: socket.socket, head: str, message: Message) -> None:
        if what == "nothing":
            server.closed.wait(10)
        if what != "head":
            kind = SSE if what == "event stream" else JSON
            connection.sendall(f"HTTP/1.1 200 OK\r\n{kind}\r\n".encode())
        data = b": ping\n" * 1000 if what == "event stream" else b"HTTP/1.1 200 OK\r\nX: " * 1000
        server.drip(connection, data)

    with McpServer(say) as server:
        found = probe(server, seconds=0.5)
    assert found.outcome is Outcome.TIMEOUT
    assert not found.success


def test_a_session_is_deleted_also_after_a_timeout() -> None:
    def say(connection: socket.socket, head: str, message: Message) -> None:
        if message.get("method") == "tools/list":
            server.closed.wait(10)
        legacy(["a"])(connection, head, message)

    with McpServer(say) as server:
        found = probe(server, seconds=1.0)
        assert found.outcome is Outcome.OK  # it answered; its list did not
        assert found.tools is None
        assert sum(head.startswith("DELETE") for head in server.heads) == 2


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b'{"id": 1, "result": 5}', b"\xff"])
def test_a_body_that_is_no_message_is_an_outcome(body: bytes) -> None:
    with McpServer(always("200 OK", JSON, body)) as server:
        assert probe(server).outcome is Outcome.NOT_MCP


def test_a_body_without_end_is_bounded() -> None:
    def say(connection: socket.socket, head: str, message: Message) -> None:
        connection.sendall(f"HTTP/1.1 200 OK\r\n{JSON}\r\n".encode())
        chunk = b" " * 65536
        while not server.closed.is_set():
            connection.sendall(chunk)

    with McpServer(say) as server:
        assert probe(server).outcome is Outcome.TOO_LARGE


def test_pages_without_end_are_bounded_and_no_failure_of_the_server() -> None:
    numbers = count()

    def say(connection: socket.socket, head: str, message: Message) -> None:
        if message["method"] == "tools/list":
            body = result(message, tools=[{"name": f"t{next(numbers)}"}], nextCursor="")
            connection.sendall(answer(body, headers=JSON))
        else:
            modern([])(connection, head, message)

    with McpServer(say) as server:
        found = probe(server)
    assert (found.outcome, found.tools) == (Outcome.OK, None)
    assert server.methods.count("tools/list") == 20


def test_what_a_server_says_is_never_repeated() -> None:
    secret = "<script>SECRET</script>"
    headers = f"{JSON}X: {secret}\r\nWWW-Authenticate: {secret}\r\n"
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": secret}})
    for status in ("200 OK", "401 Unauthorized", "403 Forbidden", "404 Not Found", "500 X"):
        with McpServer(always(status, headers, body.encode())) as server:
            assert "SECRET" not in repr(probe(server, "oauth"))


def test_no_credentials_and_no_origin_go_to_a_server() -> None:
    with McpServer(modern(["a"])) as server:
        probe(server, "oauth")
    for head in server.heads:
        names = {line.partition(":")[0].lower() for line in head.splitlines()[1:]}
        assert not names & {
            "authorization",
            "cookie",
            "origin",
            "cf-access-client-id",
            "x-auth-key",
        }
