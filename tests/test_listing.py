"""All pages of a listing, whatever the API says of where it ends, and no request too many."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from exporter.simulator.server import Simulator
from rawserver import Handler, RawServer, answer, listing, portal, refusal
from watching import accounts_for, failures, samples, scrape, value

PER_PAGE = 20
Item = dict[str, Any]


def portals(number: int) -> list[Item]:
    return [portal(f"p{i:03}") for i in range(number)]


def asked_page(head: str) -> tuple[int, int]:
    """The page that a request is for, and its size."""
    found = re.search(r"\?page=(\d+)&per_page=(\d+) ", head)
    assert found, head
    return int(found[1]), int(found[2])


def pages_of(api: RawServer) -> list[int]:
    """The pages asked for, in the order of their numbers."""
    return sorted(asked_page(head)[0] for head in api.heads)


def body(result: list[Item], info: Any) -> bytes:
    return answer(json.dumps({"success": True, "result": result, "result_info": info}).encode())


def right(items: list[Item]) -> Any:
    """What the API usually says of a listing."""
    return {"total_count": len(items)}


def silent(_: list[Item]) -> Any:
    """A listing of which the API says nothing."""
    return None


def paged(items: list[Item], info: Callable[[list[Item]], Any] = right, cap: int = 100) -> Handler:
    """Serves the items by page, at most ``cap`` in one."""

    def handle(connection: socket.socket, head: str) -> None:
        page, size = asked_page(head)
        size = min(size, cap)
        connection.sendall(body(items[(page - 1) * size : page * size], info(items)))

    return handle


def shown(text: str) -> list[str]:
    """The ids of the portals that an exposition has."""
    return sorted(
        dict(labels)["portal_id"]
        for name, labels in samples(text)
        if name == "cloudflare_mcp_portal_info"
    )


def ids(items: list[Item]) -> list[str]:
    return [item["id"] for item in items]


# --- where a listing ends ----------------------------------------------------------------------

ENDS: dict[str, tuple[int, Callable[[list[Item]], Any], int]] = {
    "nothing": (0, right, 1),
    "nothing, no total": (0, silent, 1),
    "one page": (7, right, 1),
    "one page, no total": (7, silent, 1),
    "one full page": (20, right, 1),
    "one full page, no total": (20, silent, 2),
    "a short last page": (45, right, 3),
    "a short last page, no total": (45, silent, 3),
    "a full last page": (60, right, 3),
    "a full last page, no total": (60, silent, 4),
    "ten pages": (200, right, 10),
}


@pytest.mark.parametrize(("number", "info", "requests"), ENDS.values(), ids=ENDS)
def test_a_listing_is_whole_and_takes_no_request_too_many(
    number: int, info: Callable[[list[Item]], Any], requests: int
) -> None:
    items = portals(number)
    with RawServer(paged(items, info)) as api:
        text = scrape(accounts_for(api.base_url))
        assert pages_of(api) == list(range(1, requests + 1))
    assert shown(text) == ids(items)
    assert value(text, "cloudflare_mcp_portals") == number
    assert value(text, "cloudflare_mcp_up") == 1


NO_TOTALS: dict[str, Any] = {
    "no result_info": None,
    "an empty result_info": {},
    "null": {"total_count": None},
    "a text": {"total_count": "45"},
    "negative": {"total_count": -1},
    "true": {"total_count": True},
    "a fraction": {"total_count": 44.5},
    "a list": {"total_count": [45]},
    "a result_info that is a text": "page 1 of 3",
    "less than the first page has": {"total_count": 5},
    "nothing at all, it says": {"total_count": 0},
    "less than there is": {"total_count": 25},
}


@pytest.mark.parametrize("info", NO_TOTALS.values(), ids=NO_TOTALS)
def test_a_total_that_is_none_or_too_low_leaves_the_end_to_the_short_page(info: Any) -> None:
    items = portals(45)
    with RawServer(paged(items, lambda _: info)) as api:
        text = scrape(accounts_for(api.base_url))
        assert pages_of(api) == [1, 2, 3]
    assert shown(text) == ids(items)


@pytest.mark.parametrize("total", [46, 1000, 10**12, 10**300], ids=["46", "1000", "1e12", "1e300"])
def test_a_total_that_is_too_high_is_incomplete_after_a_few_requests(total: int) -> None:
    with RawServer(paged(portals(45), lambda _: {"total_count": total})) as api:
        text = scrape(accounts_for(api.base_url))
        assert len(api.heads) <= 2 * 5, "two tries of one page and four side by side"
    assert failures(text) == {"incomplete": 1}
    assert shown(text) == []


def test_a_server_that_sends_smaller_pages_than_asked_for_is_followed_by_its_own_size() -> None:
    items = portals(45)
    with RawServer(paged(items, cap=10)) as api:
        text = scrape(accounts_for(api.base_url, "--api.per-page=50"))
        assert pages_of(api) == [1, 2, 3, 4, 5]
    assert shown(text) == ids(items)


# --- servers that would never end --------------------------------------------------------------


def same_page(result: list[Item], info: Any) -> Handler:
    return lambda connection, _: connection.sendall(body(result, info))


NAMELESS = {"name": "a portal without an id"}


@pytest.mark.parametrize(
    "result", [portals(20), [*portals(19), NAMELESS]], ids=["all named", "one without an id"]
)
def test_a_server_that_ignores_the_page_is_asked_twice_at_most(result: list[Item]) -> None:
    with RawServer(same_page(result, None)) as api:
        text = scrape(accounts_for(api.base_url))
        assert pages_of(api) == [1, 2]
    assert value(text, "cloudflare_mcp_up") == 1
    assert shown(text) == ids([item for item in result if "id" in item])


def test_a_server_that_ignores_the_page_but_counts_more_is_incomplete() -> None:
    with RawServer(same_page(portals(20), {"total_count": 45})) as api:
        text = scrape(accounts_for(api.base_url))
        assert len(api.heads) <= 2 * 3
    assert failures(text) == {"incomplete": 1}


def test_a_page_that_is_repeated_ends_a_listing_without_a_total() -> None:
    items = portals(40)

    def handle(connection: socket.socket, head: str) -> None:
        last = min(asked_page(head)[0], 2)
        connection.sendall(body(items[(last - 1) * 20 : last * 20], None))

    with RawServer(handle) as api:
        text = scrape(accounts_for(api.base_url))
        assert pages_of(api) == [1, 2, 3]
    assert shown(text) == ids(items)


@pytest.mark.parametrize("info", [None, {"total_count": 3}], ids=["no total", "a low total"])
def test_pages_without_end_are_given_up(info: Any) -> None:
    def handle(connection: socket.socket, head: str) -> None:
        connection.sendall(body([portal(f"p{asked_page(head)[0]}")], info))

    with RawServer(handle) as api:
        text = scrape(accounts_for(api.base_url, "--api.per-page=1", "--scrape.timeout=60"))
        assert len(api.heads) <= 500
    if info is None:
        assert failures(text) == {"invalid_response": 1}
    else:
        assert value(text, "cloudflare_mcp_portals") == 3, "the API counted three and sent three"


# --- accounts that change while they are listed ------------------------------------------------


def test_a_portal_that_slips_between_two_pages_is_found_by_a_second_try() -> None:
    items = portals(45)
    tries: dict[int, int] = {}

    def handle(connection: socket.socket, head: str) -> None:
        page, _ = asked_page(head)
        tries[page] = tries.get(page, 0) + 1
        start = (page - 1) * PER_PAGE
        if page > 1 and tries[page] == 1:
            start -= 1  # somebody made a portal that sorts first: all others moved by one
            found = items[start : start + PER_PAGE][: 20 if page == 2 else 5]
        else:
            found = items[start : start + PER_PAGE]
        connection.sendall(body(found, right(items)))

    with RawServer(handle) as api:
        text = scrape(accounts_for(api.base_url))
        assert pages_of(api) == [1, 1, 2, 2, 3, 3]
    assert value(text, "cloudflare_mcp_up") == 1
    assert shown(text) == ids(items)


def test_a_portal_on_two_pages_is_one_portal() -> None:
    items = [*portals(20), portal("p019"), *portals(45)[20:]]
    with RawServer(paged(items, silent)) as api:
        text = scrape(accounts_for(api.base_url))
    assert shown(text) == ids(portals(45))


# --- all or nothing ----------------------------------------------------------------------------

FAILURES = {
    "500": (answer(b"", "500 Internal Server Error"), "upstream_5xx"),
    "403": (answer(refusal(10000), "403 Forbidden"), "auth"),
    "429": (answer(b"", "429 Too Many Requests"), "rate_limited"),
    "not JSON": (answer(b"<html>"), "invalid_response"),
    "success false": (answer(refusal(1)), "api_error"),
    "cut short": (answer(b"{}", length=500), "connection"),
}


@pytest.mark.parametrize("page", [2, 3])
@pytest.mark.parametrize(("sent", "reason"), FAILURES.values(), ids=FAILURES)
def test_a_later_page_that_fails_fails_the_listing(page: int, sent: bytes, reason: str) -> None:
    whole = paged(portals(45))

    def handle(connection: socket.socket, head: str) -> None:
        if asked_page(head)[0] == page:
            connection.sendall(sent)
        else:
            whole(connection, head)

    with RawServer(handle) as api:
        text = scrape(accounts_for(api.base_url))
    assert failures(text) == {reason: 1}
    assert value(text, "cloudflare_mcp_up") == 0
    assert value(text, "cloudflare_mcp_portals") is None
    assert shown(text) == []


# --- side by side ------------------------------------------------------------------------------


def test_the_pages_after_the_first_come_side_by_side_a_few_at_a_time() -> None:
    items = portals(180)
    whole = paged(items)
    together = threading.Barrier(4)
    lock = threading.Lock()
    under_way = most = 0

    def handle(connection: socket.socket, head: str) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        if asked_page(head)[0] > 1:
            together.wait(10)  # breaks, and so fails the listing, unless four are here
        with lock:
            under_way -= 1
        whole(connection, head)

    with RawServer(handle) as api:
        text = scrape(accounts_for(api.base_url, "--api.parallel-pages=4", "--scrape.timeout=30"))
    assert shown(text) == ids(items)
    assert most == 4


def test_one_page_at_a_time_where_that_is_asked_for() -> None:
    items = portals(100)
    whole = paged(items)
    busy = threading.Lock()

    def handle(connection: socket.socket, head: str) -> None:
        assert busy.acquire(blocking=False), "two requests at once"
        time.sleep(0.05)  # another request would come meanwhile
        busy.release()  # before the answer, after which the next one may come
        whole(connection, head)

    with RawServer(handle) as api:
        text = scrape(accounts_for(api.base_url, "--api.parallel-pages=1"))
    assert shown(text) == ids(items)


@pytest.mark.parametrize("per_page", [1, 2, 100])
def test_the_simulated_account_is_listed_whole_with_any_size_of_page(per_page: int) -> None:
    with Simulator() as simulator:
        service = accounts_for(
            simulator.base_url, f"--api.per-page={per_page}", environ=simulator.environment()
        )
        text = scrape(service)
        account = simulator.accounts[simulator.account_id]
        expected = ids(account.portals(simulator.clock()))
        needed = max(1, -(-len(expected) // per_page))
        assert sorted(int(asked.query["page"]) for asked in simulator.requests) == list(
            range(1, needed + 1)
        )
        assert {asked.query["per_page"] for asked in simulator.requests} == {str(per_page)}
    assert shown(text) == expected


# --- the list of servers -----------------------------------------------------------------------


def server(identity: str, **members: Any) -> Item:
    return {
        "id": identity,
        "name": identity,
        "hostname": "h.example.com",
        "auth_type": "bearer",
        "tools": [],
        "prompts": [],
        **members,
    }


def both(of_portals: list[Item], of_servers: list[Item]) -> Handler:
    """Serves both lists."""
    lists = {"portals": paged(of_portals), "servers": paged(of_servers)}

    def handle(connection: socket.socket, head: str) -> None:
        found = re.search(r"/access/ai-controls/mcp/(\w+)\?", head)
        assert found
        lists[found[1]](connection, head)

    return handle


def test_the_list_of_servers_is_not_asked_for_unless_wanted() -> None:
    with RawServer(both([portal("p", (server("a"),))], [server("b")])) as api:
        text = scrape(accounts_for(api.base_url))
        assert len(api.heads) == 1
    assert value(text, "cloudflare_mcp_server_portals", server_id="b") is None


def test_a_server_that_is_attached_to_nothing_is_seen_with_the_list_of_servers() -> None:
    attached = [portal("p", (server("a"),)), portal("q", (server("a"),))]
    listed = [server(f"s{i:02}") for i in range(25)] + [server("a")]
    with RawServer(both(attached, listed)) as api:
        text = scrape(accounts_for(api.base_url, "--collector.servers"))
        assert len(api.heads) == 3
    assert value(text, "cloudflare_mcp_server_portals", server_id="s24") == 0
    assert value(text, "cloudflare_mcp_server_portals", server_id="a") == 2
    assert value(text, "cloudflare_mcp_servers", auth_type="bearer") == 26


EARLY, LATE = {"last_synced": "2026-03-11 10:00:00"}, {"last_synced": "2026-03-11T10:00:01Z"}


@pytest.mark.parametrize("newest", ["the portal", "the list"])
def test_of_two_lists_the_newest_sync_attempt_wins(newest: str) -> None:
    times = (LATE, EARLY) if newest == "the portal" else (EARLY, LATE)
    in_portal = server("a", name="the portal", **times[0])
    in_list = server("a", name="the list", **times[1])
    with RawServer(both([portal("p", (in_portal,))], [in_list])) as api:
        text = scrape(accounts_for(api.base_url, "--collector.servers"))
    assert value(text, "cloudflare_mcp_server_info", server_name=newest) == 1


WINNERS: dict[str, tuple[Item, Item]] = {
    "the newest attempt": (LATE, EARLY | {"last_successful_sync": "2026-03-11 10:00:00"}),
    "an attempt over none": (EARLY, {"modified_at": "2026-03-12 00:00:00"}),
    "the newest success of one attempt": (
        EARLY | {"last_successful_sync": "2026-03-11 10:00:00"},
        EARLY | {"last_successful_sync": "2026-03-11 09:00:00"},
    ),
    "the newest change where all else is alike": (
        {"modified_at": "2026-03-12 00:00:00"},
        {"modified_at": "2026-03-11 00:00:00"},
    ),
}


@pytest.mark.parametrize(("wins", "loses"), WINNERS.values(), ids=WINNERS)
@pytest.mark.parametrize("order", [1, -1], ids=["first", "last"])
def test_of_one_server_in_two_portals_the_same_record_wins_in_either_order(
    wins: Item, loses: Item, order: int
) -> None:
    records = [server("a", name="wins", **wins), server("a", name="loses", **loses)][::order]
    attached = [portal(f"p{i}", (record,)) for i, record in enumerate(records)]
    with RawServer(paged(attached)) as api:
        text = scrape(accounts_for(api.base_url))
    assert value(text, "cloudflare_mcp_server_info", server_name="wins") == 1
    assert value(text, "cloudflare_mcp_server_info", server_name="loses") is None


def test_a_list_of_servers_that_fails_fails_the_listing() -> None:
    whole = paged([portal("p", (server("a"),))])

    def handle(connection: socket.socket, head: str) -> None:
        if "/mcp/servers?" in head:
            connection.sendall(answer(refusal(10000), "403 Forbidden"))
        else:
            whole(connection, head)

    with RawServer(handle) as api:
        text = scrape(accounts_for(api.base_url, "--collector.servers"))
    assert failures(text) == {"auth": 1}
    assert shown(text) == []


def test_a_server_that_caps_its_pages_and_says_so_is_listed_whole_without_a_total() -> None:
    def capped(connection: socket.socket, head: str) -> None:
        number, _ = asked_page(head)
        items = [portal(identity) for identity in ("ab", "cd", "e")[number - 1]]
        connection.sendall(answer(listing(items, per_page=2)))

    with RawServer(capped) as api:
        text = scrape(accounts_for(api.base_url))
        assert len(api.heads) == 3
    assert value(text, "cloudflare_mcp_portals") == 5
