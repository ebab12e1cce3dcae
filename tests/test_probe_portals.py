"""What a probe of a portal shows, over real sockets."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.deadline import Deadline
from exporter.probes.portal import PortalProbe, PortalTarget, ServiceToken, visible_tools
from exporter.probes.result import Outcome, ProbeResult
from mcpserver import ROUTE, McpServer, Message, Say, always, header, legacy, modern
from rawserver import answer

TOKEN = ServiceToken("client.access", "not-for-anybody")


def probe(server: McpServer, *expected: str, token: ServiceToken | None = TOKEN) -> ProbeResult:
    target = PortalTarget("portal", server.host, frozenset(expected), scheme="http")
    return PortalProbe(target, ROUTE, Deadline(5), token, None).run()


def behind_access(inner: Say) -> Say:
    """Lets in who has the service token, and sends everybody else to the login."""

    def say(connection: socket.socket, head: str, message: Message) -> None:
        if header(head, "CF-Access-Client-Secret") == TOKEN.client_secret:
            inner(connection, head, message)
        else:
            where = "Location: https://team.cloudflareaccess.com/login\r\n"
            connection.sendall(answer(b"", "302 Found", where))

    return say


def test_the_home_page_is_enough_without_a_service_token() -> None:
    with McpServer(always("200 OK", "Content-Type: text/html\r\n", b"<html>")) as server:
        found = probe(server, "docs", token=None)
    assert (found.outcome, found.success, found.http_status) == (Outcome.OK, True, 200)
    assert found.visible_tools is None
    assert server.heads[0].startswith("GET / ")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("522 Connection Timed Out", Outcome.HTTP_ERROR),
        ("530 Origin DNS Error", Outcome.HTTP_ERROR),
        ("404 Not Found", Outcome.NOT_FOUND),
        ("403 Forbidden", Outcome.BLOCKED),
        ("429 Too Many Requests", Outcome.THROTTLED),
        ("302 Found", Outcome.REDIRECTED),
    ],
)
def test_a_home_page_that_does_not_answer_is_a_failure(status: str, outcome: Outcome) -> None:
    with McpServer(always(status)) as server:
        found = probe(server, token=None)
    assert (found.outcome, found.success) == (outcome, False)
    assert found.http_status == int(status[:3])


@pytest.mark.parametrize("era", [modern, legacy], ids=["modern", "legacy"])
def test_servers_that_should_be_there_and_are_not_are_seen(era: type) -> None:
    tools = ["docs_search", "docs_read", "my_server_run", "portal_search_tools", "other_tool"]
    with McpServer(behind_access(era(tools))) as server:
        found = probe(server, "docs", "my_server", "gone")
    assert (found.outcome, found.success) == (Outcome.OK, True)
    assert found.visible_tools == {"docs": 2, "my_server": 1, "gone": 0}
    assert found.tools == 4
    assert "codemode=off" in server.heads[0].split(" ")[1]


def test_enforced_code_mode_hides_the_servers_and_nothing_is_claimed() -> None:
    with McpServer(behind_access(modern(["portal_codemode_run", "portal_search"]))) as server:
        found = probe(server, "docs")
    assert (found.outcome, found.visible_tools) == (Outcome.OK, None)


def test_an_empty_portal_shows_nothing() -> None:
    with McpServer(behind_access(modern(["portal_search"]))) as server:
        assert probe(server, "docs").visible_tools == {"docs": 0}


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "302 Found"])
def test_a_wrong_service_token_has_its_own_outcome(status: str) -> None:
    with McpServer(always(status)) as server:
        found = probe(server, "docs")
    assert (found.outcome, found.success) == (Outcome.CREDENTIALS_REFUSED, False)
    assert found.visible_tools is None


def test_the_service_token_goes_to_the_portal_alone_and_is_never_shown() -> None:
    with McpServer(always("403 Forbidden")) as other:
        location = f"Location: http://{other.host}/mcp\r\n"
        with McpServer(always("307 Temporary Redirect", location)) as server:
            found = probe(server, "docs")
    assert other.heads == []
    assert header(server.heads[0], "CF-Access-Client-Id") == TOKEN.client_id
    assert TOKEN.client_secret not in repr((found, TOKEN))
    assert "not-for-anybody" not in f"{TOKEN}"


NAMES = st.text("ab_-", min_size=1, max_size=6)


@given(st.sets(NAMES, max_size=5), st.lists(st.tuples(NAMES, NAMES), max_size=10))
def test_each_tool_counts_once_at_most_and_for_an_id_that_it_begins_with(
    ids: set[str], made: list[tuple[str, str]]
) -> None:
    names = [f"{server}_{tool}" for server, tool in made]
    counts = visible_tools(names, ids)
    assert counts.keys() == ids
    assert sum(counts.values()) <= len(names)
    for one, count in counts.items():
        assert count <= sum(name.startswith(f"{one}_") for name in names)
    unambiguous = [
        s for s, _ in made if s in ids and not any(o != s and o.startswith(f"{s}_") for o in ids)
    ]
    assert all(counts[server] > 0 for server in unambiguous)
