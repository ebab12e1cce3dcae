"""A listing has the account's time, a scrape its own, and neither spends the other's."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from processes import get
from rawserver import RawServer, answer, eventually, listing, portal
from serving import serving
from watching import accounts_for, begin, exposed, failures, request_threads, scrape, value

ANNOUNCE = "X-Prometheus-Scrape-Timeout-Seconds"
WHOLE = answer(listing([portal("a")]))


@contextmanager
def looping(url: str, announced: str, clients: int) -> Iterator[list[float | None]]:
    """Clients that scrape without a break and announce so many seconds; gives each ``up``."""
    over = threading.Event()
    ups: list[float | None] = []

    def loop() -> None:
        while not over.is_set():
            text = get(url, 30.0, headers={ANNOUNCE: announced}).text
            ups.append(value(text, "cloudflare_mcp_up"))

    with ThreadPoolExecutor(clients) as pool:
        running = [pool.submit(loop) for _ in range(clients)]
        try:
            yield ups
        finally:
            over.set()
            for one in running:
                one.result(30)


def slow_api(seconds: float) -> RawServer:
    def handle(peer: socket.socket, head: str) -> None:
        time.sleep(seconds)  # the latency that the test is about
        peer.sendall(WHOLE)

    return RawServer(handle)


@pytest.mark.parametrize("announced", ["0.2", "0.002"])
@pytest.mark.parametrize("path", ["/metrics", "/probe?account=0123456789abcdef0123456789abcdef"])
@pytest.mark.parametrize("flags", [(), ("--cache.ttl=2",)], ids=["no cache", "cache"])
def test_impatient_clients_cost_a_patient_one_nothing_and_hardly_a_request(
    announced: str, path: str, flags: tuple[str, ...]
) -> None:
    latency = 0.3
    with (
        slow_api(latency) as api,
        serving(accounts_for(api.base_url, *flags)) as url,
        looping(f"{url}{path}", announced, 2) as impatient,
    ):
        assert eventually(lambda: len(impatient) >= 2)
        began = time.monotonic()
        texts = [get(f"{url}{path}", 30.0, headers={ANNOUNCE: "10"}).text for _ in range(5)]
        took = time.monotonic() - began
        asked = len(api.heads)
    assert [value(text, "cloudflare_mcp_up") for text in texts] == [1] * 5
    assert failures(texts[-1]) == {}, "an impatient scrape is nobody's failure"
    assert asked <= (took + 1) / latency + 2, "one listing at a time"


def test_a_prometheus_that_cannot_wait_spoils_nothing_for_one_that_can() -> None:
    with (
        slow_api(0.6) as api,
        serving(accounts_for(api.base_url)) as url,
        looping(f"{url}/metrics", "0.9", 1) as impatient,  # less the offset: 0.45
    ):
        texts = [get(f"{url}/metrics", 30.0, headers={ANNOUNCE: "10"}).text for _ in range(4)]
        assert eventually(lambda: 0 in impatient)
    assert [value(text, "cloudflare_mcp_up") for text in texts] == [1] * 4
    assert failures(texts[-1]) == {}


def test_a_listing_goes_on_for_the_accounts_own_time_when_its_scrape_has_gone() -> None:
    with slow_api(0.4) as api:
        accounts = accounts_for(api.base_url)
        assert value(scrape(accounts, 0.1), "cloudflare_mcp_up") == 0
        assert eventually(lambda: accounts.observed()[0].whole is not None)
        assert len(api.heads) == 1


def test_scrapes_without_a_time_of_their_own_get_the_listings_timeout() -> None:
    with ExitStack() as cleanup:
        api = cleanup.enter_context(RawServer(lambda peer, _: void(api.closed.wait(30))))
        accounts = accounts_for(api.base_url, "--scrape.timeout=0.8")
        together = [begin(accounts) for _ in range(3)]
        texts = [exposed(accounts, one) for one in together]
        assert failures(texts[0]) == {"timeout": 1}, "one listing, one failure"
        assert len(api.heads) == 1


def void(_: object) -> None:
    """Drop a result."""


# --- nothing outlives its deadline -------------------------------------------------------------


def test_retries_end_with_the_listings_time() -> None:
    with RawServer(lambda peer, _: peer.sendall(answer(b"", "502 Bad Gateway"))) as api:
        accounts = accounts_for(api.base_url, "--scrape.timeout=0.6")
        scrape(accounts)
        asked = len(api.heads)
        assert 1 <= asked <= 2
        assert eventually(lambda: not request_threads())
        time.sleep(1.0)  # longer than every delay between two tries
        assert len(api.heads) == asked


def test_when_one_of_many_pages_fails_the_others_are_given_up_at_once() -> None:
    pages = listing([portal(f"p{number}") for number in range(20)], total_count=80)

    def handle(peer: socket.socket, head: str) -> None:
        if "page=1&" in head:
            peer.sendall(answer(pages))
        elif "page=3&" in head:
            peer.sendall(answer(b"", "403 Forbidden"))
        else:
            api.closed.wait(30)

    with RawServer(handle) as api:
        began = time.monotonic()
        text = scrape(accounts_for(api.base_url))
        assert time.monotonic() - began < 4
        assert eventually(lambda: not request_threads())
    assert failures(text) == {"auth": 1}


# --- names with several addresses --------------------------------------------------------------


@contextmanager
def black_hole(port: int) -> Iterator[str]:
    """An address of loopback on which nothing is ever answered: the queue of its port is full."""
    address = "127.0.0.2"
    with ExitStack() as cleanup:
        listening = cleanup.enter_context(socket.socket())
        listening.bind((address, port))
        listening.listen(0)
        for _ in range(4):
            filler = cleanup.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((address, port))
        yield address


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Have every name mean these addresses: no name server can be asked in a test."""

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_an_address_that_leads_nowhere_costs_a_moment_and_not_the_scrape(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with RawServer(lambda peer, _: peer.sendall(WHOLE)) as api:
        port = int(api.base_url.split(":")[2].split("/")[0])
        with black_hole(port) as hole:
            resolving(monkeypatch, hole, hole, "127.0.0.1")
            began = time.monotonic()
            text = scrape(accounts_for(f"http://api.example.com:{port}/client/v4"))
            took = time.monotonic() - began
    assert value(text, "cloudflare_mcp_up") == 1
    assert took < 3


def test_an_address_that_refuses_costs_nothing_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(lambda peer, _: peer.sendall(WHOLE)) as api:
        port = int(api.base_url.split(":")[2].split("/")[0])
        resolving(monkeypatch, "127.0.0.3", "127.0.0.4", "127.0.0.1")
        text = scrape(accounts_for(f"http://api.example.com:{port}/client/v4"))
    assert value(text, "cloudflare_mcp_up") == 1


def test_addresses_that_all_lead_nowhere_end_with_the_listings_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with RawServer(lambda peer, _: peer.sendall(WHOLE)) as api:
        port = int(api.base_url.split(":")[2].split("/")[0])
        with black_hole(port) as hole:
            resolving(monkeypatch, hole, hole)
            base_url = f"http://api.example.com:{port}/client/v4"
            began = time.monotonic()
            text = scrape(accounts_for(base_url, "--scrape.timeout=1"))
            assert time.monotonic() - began < 4
            assert eventually(lambda: not request_threads())
    assert failures(text) == {"timeout": 1}


def test_a_name_lookup_that_hangs_holds_up_neither_the_scrape_nor_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go_on = threading.Event()

    def hang(*_: Any, **__: Any) -> list[Any]:
        go_on.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    began = time.monotonic()
    text = scrape(accounts_for("http://api.example.com/client/v4", "--scrape.timeout=0.8"))
    assert time.monotonic() - began < 3
    assert failures(text) == {"timeout": 1}
    go_on.set()
    assert eventually(lambda: not request_threads())


def test_a_failure_that_leaves_no_time_for_a_retry_keeps_its_reason() -> None:
    def handle(peer: socket.socket, head: str) -> None:
        time.sleep(1.75)  # of 2 seconds: a retry would run out of time
        peer.sendall(answer(b"", "500 Internal Server Error"))

    with RawServer(handle) as api:
        text = scrape(accounts_for(api.base_url, "--scrape.timeout=2"))
        assert len(api.heads) == 1
    assert failures(text) == {"upstream_5xx": 1}
