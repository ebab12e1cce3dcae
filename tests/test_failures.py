"""Each way in which a listing fails, over a real socket: the reason, the time, what is left."""

from __future__ import annotations

import gzip
import logging
import resource
import socket
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import pytest

from exporter.errors import Reason
from exporter.settings import load
from rawserver import RawServer, answer, bomb, eventually, listing, portal, refusal, sends
from watching import (
    TOKEN,
    accounts_for,
    accounts_of,
    begin,
    exposed,
    failures,
    request_threads,
    scrape,
    value,
)

ANSWERS: dict[str, tuple[bytes, Reason]] = {
    "400 with code 10000": (answer(refusal(10000), "400 Bad Request"), Reason.AUTH),
    "403 with code 9109": (answer(refusal(9109), "403 Forbidden"), Reason.AUTH),
    "400 with code 9106": (answer(refusal(9106), "400 Bad Request"), Reason.AUTH),
    "400 with code 9103": (answer(refusal(9103), "400 Bad Request"), Reason.AUTH),
    "400 with code 6003": (answer(refusal(6003), "400 Bad Request"), Reason.AUTH),
    "401 with code 1000": (answer(refusal(1000), "401 Unauthorized"), Reason.AUTH),
    "200 with code 10000": (answer(refusal(10000)), Reason.AUTH),
    "401 without a body": (answer(b"", "401 Unauthorized"), Reason.AUTH),
    "403 in HTML": (answer(b"<html>", "403 Forbidden"), Reason.AUTH),
    "404 with code 7003": (answer(refusal(7003), "404 Not Found"), Reason.NOT_FOUND),
    "400 with code 7003": (answer(refusal(7003), "400 Bad Request"), Reason.NOT_FOUND),
    "404 in HTML": (answer(b"<html>", "404 Not Found"), Reason.NOT_FOUND),
    "429": (answer(b"", "429 Too Many Requests"), Reason.RATE_LIMITED),
    "code 971 in a 200": (answer(refusal(971)), Reason.RATE_LIMITED),
    "code 971 in a 503": (answer(refusal(971), "503 Unavailable"), Reason.RATE_LIMITED),
    "500": (answer(b"", "500 Internal Server Error"), Reason.UPSTREAM_5XX),
    "530 in HTML": (answer(b"<html>error code: 1033", "530 Origin"), Reason.UPSTREAM_5XX),
    "400 with code 7001": (answer(refusal(7001), "400 Bad Request"), Reason.UPSTREAM_4XX),
    "418": (answer(b"", "418 Teapot"), Reason.UPSTREAM_4XX),
    "success false": (answer(refusal(1234)), Reason.API_ERROR),
    "success false, no errors": (answer(b'{"success": false}'), Reason.API_ERROR),
    "HTML in a 200": (answer(b"<html>Sign in</html>"), Reason.INVALID_RESPONSE),
    "nothing in a 200": (answer(b""), Reason.INVALID_RESPONSE),
    "204": (answer(b"", "204 No Content"), Reason.INVALID_RESPONSE),
    "JSON that is a list": (answer(b"[]"), Reason.INVALID_RESPONSE),
    "JSON cut short": (answer(b'{"success": true, "result": [{'), Reason.INVALID_RESPONSE),
    "result null": (answer(b'{"success": true, "result": null}'), Reason.INVALID_RESPONSE),
    "result absent": (answer(b'{"success": true}'), Reason.INVALID_RESPONSE),
    "result an object": (answer(b'{"success": true, "result": {}}'), Reason.INVALID_RESPONSE),
    "success a text": (answer(b'{"success": "yes", "result": []}'), Reason.INVALID_RESPONSE),
    "deep nesting": (answer(b"[" * 200_000), Reason.INVALID_RESPONSE),
    "bad gzip": (
        answer(b"not gzip at all", headers="Content-Encoding: gzip\r\n"),
        Reason.INVALID_RESPONSE,
    ),
    "gzip cut short": (
        answer(gzip.compress(listing([portal("a")]))[:-12], headers="Content-Encoding: gzip\r\n"),
        Reason.INVALID_RESPONSE,
    ),
    "an encoding nobody asked for": (
        answer(b"x", headers="Content-Encoding: br\r\n"),
        Reason.INVALID_RESPONSE,
    ),
    "redirect": (
        answer(b"", "302 Found", "Location: https://example.com/\r\n"),
        Reason.INVALID_RESPONSE,
    ),
    "body cut short": (answer(listing([portal("a")]), length=5000), Reason.CONNECTION),
    "closed without a word": (b"", Reason.CONNECTION),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", Reason.CONNECTION),
}


@pytest.mark.parametrize(("sent", "reason"), ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_that_is_no_listing_is_counted_by_its_reason(
    sent: bytes, reason: Reason, caplog: pytest.LogCaptureFixture
) -> None:
    with RawServer(sends(sent)) as api, caplog.at_level(logging.DEBUG):
        text = scrape(accounts_for(api.base_url, "--scrape.timeout=5"))
    assert failures(text) == {reason.value: 1}
    assert value(text, "cloudflare_mcp_up") == 0
    assert "cloudflare_mcp_portal_info{" not in text
    assert "cloudflare_mcp_server_info{" not in text
    assert TOKEN not in caplog.text


def test_every_reason_is_there_at_zero_before_anything_failed() -> None:
    with RawServer(sends(answer(listing([])))) as api:
        text = scrape(accounts_for(api.base_url))
    assert failures(text) == {}
    for reason in Reason:
        assert value(text, "cloudflare_mcp_collection_failures_total", reason=reason.value) == 0


def test_a_port_that_nobody_listens_on_is_a_connection_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    text = scrape(accounts_for(f"http://127.0.0.1:{port}/client/v4", "--scrape.timeout=5"))
    assert failures(text) == {"connection": 1}
    assert value(text, "cloudflare_mcp_api_requests_total", code="error") == 3, "tried three times"


def test_a_reset_connection_is_a_connection_failure() -> None:
    def reset(connection: socket.socket, head: str) -> None:
        connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
        )

    with RawServer(reset) as api:
        text = scrape(accounts_for(api.base_url, "--scrape.timeout=5"))
    assert failures(text) == {"connection": 1}


def test_fewer_items_than_counted_twice_is_incomplete() -> None:
    with RawServer(sends(answer(listing([portal("a")], total_count=2)))) as api:
        text = scrape(accounts_for(api.base_url))
    assert failures(text) == {"incomplete": 1}
    assert len(api.heads) == 4, "each of two tries asks for the second page as well"


# --- time --------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
Slow = Callable[[RawServer, socket.socket], None]

SLOW: dict[str, Slow] = {
    "says nothing": lambda api, _: void(api.closed.wait(30)),
    "drips its head": lambda api, peer: api.drip(peer, b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 900),
    "drips its body": lambda api, peer: api.drip(peer, HEAD + b" " * 900),
    "stops in its body": lambda api, peer: stall(api, peer, HEAD + b" "),
}


def void(_: object) -> None:
    """Drop a result."""


def stall(api: RawServer, peer: socket.socket, data: bytes) -> None:
    peer.sendall(data)
    api.closed.wait(30)


@pytest.mark.parametrize("slow", SLOW.values(), ids=SLOW.keys())
def test_a_server_that_is_slow_anywhere_does_not_hold_a_scrape_beyond_its_budget(
    slow: Slow,
) -> None:
    api = RawServer(lambda peer, _: slow(api, peer))
    with api:
        service = accounts_for(api.base_url, "--scrape.timeout=1")
        start = time.monotonic()
        text = scrape(service)
        took = time.monotonic() - start
        assert eventually(lambda: not request_threads()), "what blocked was interrupted"
    assert failures(text) == {"timeout": 1}
    assert took < 20, "far below what the server would take"


@pytest.mark.parametrize(
    ("announced", "configured", "budget"),
    [(1.0, 60, 0.5), (60.0, 2, 2.0), (0.4, 60, 0.2)],
    ids=["less", "more", "tiny"],
)
def test_the_budget_is_the_smaller_of_both_timeouts(
    announced: float, configured: int, budget: float
) -> None:
    api = RawServer(lambda peer, _: void(api.closed.wait(30)))
    with api:
        text = scrape(accounts_for(api.base_url, f"--scrape.timeout={configured}"), announced)
    took = value(text, "cloudflare_mcp_collection_duration_seconds")
    assert took is not None
    assert budget <= took < budget + 20


# --- size --------------------------------------------------------------------------------------


def test_a_gzip_bomb_ends_in_invalid_response_and_not_in_memory() -> None:
    sent = answer(bomb(1500), headers="Content-Encoding: gzip\r\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with RawServer(sends(sent)) as api:
        text = scrape(accounts_for(api.base_url, "--api.max-response-size=64MiB"))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert failures(text) == {"invalid_response": 1}
    assert grown < 400, f"{grown:.0f} MiB for a bomb of 1500 MiB and a cap of 64 MiB"


def test_the_size_cap_counts_what_is_not_compressed_too() -> None:
    sent = answer(listing([portal("a" * 30)] * 100))
    with RawServer(sends(sent)) as api:
        text = scrape(accounts_for(api.base_url, "--api.max-response-size=1KiB"))
    assert failures(text) == {"invalid_response": 1}


# --- leaving the API alone ---------------------------------------------------------------------


RETRY_AFTER: dict[str, Callable[[], str]] = {
    "seconds": lambda: "120",
    "seconds in white space": lambda: "  300 ",
    "a date": lambda: formatdate(time.time() + 200, usegmt=True),
}


@pytest.mark.parametrize("header", RETRY_AFTER.values(), ids=RETRY_AFTER.keys())
def test_retry_after_is_remembered_across_scrapes(header: Callable[[], str]) -> None:
    sent = answer(refusal(971), "429 Too Many Requests", f"Retry-After: {header()}\r\n")
    with RawServer(sends(sent)) as api:
        service = accounts_for(api.base_url)
        for _ in range(3):
            text = scrape(service)
        assert len(api.heads) == 1, "only the first scrape asked"
    assert failures(text) == {"rate_limited": 3}


def test_accounts_with_one_token_leave_the_api_alone_together(tmp_path: Path) -> None:
    """The quota is the user's, so what one account is told holds for the others."""
    ids = [f"{number:032x}" for number in range(3)]
    accounts = "".join(
        f"  - {{name: a{number}, account_id: '{identity}', api_token: {token}}}\n"
        for number, (identity, token) in enumerate(
            zip(ids, (TOKEN, TOKEN, f"{TOKEN}-of-another"), strict=True)
        )
    )
    config = tmp_path / "config.yml"
    sent = answer(refusal(971), "429 Too Many Requests", "Retry-After: 300\r\n")
    with RawServer(sends(sent)) as api:
        config.write_text(f"base_url: {api.base_url}\naccounts:\n{accounts}")
        service = accounts_of(load([f"--config.file={config}"], {}))
        for name in ("a0", "a1", "a2"):
            exposed(service, begin(service, None, name))
        asked = [ids.index(head.split("/accounts/")[1][:32]) for head in api.heads]
    assert asked == [0, 2]


def test_the_api_is_asked_again_when_retry_after_is_over() -> None:
    replies = [
        answer(refusal(971), "429 Too Many Requests", "Retry-After: 1\r\n"),
        answer(listing([portal("a")])),
    ]
    with RawServer(lambda peer, _: peer.sendall(replies.pop(0))) as api:
        service = accounts_for(api.base_url)
        assert failures(scrape(service)) == {"rate_limited": 1}
        deadline = time.monotonic() + 10
        while value(text := scrape(service), "cloudflare_mcp_up") == 0:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert value(text, "cloudflare_mcp_portals") == 1


def test_a_failed_listing_is_not_cached() -> None:
    replies = [answer(refusal(7003), "404 Not Found"), answer(listing([portal("a")]))]
    with RawServer(lambda peer, _: peer.sendall(replies.pop(0))) as api:
        service = accounts_for(api.base_url, "--cache.ttl=600")
        assert failures(scrape(service)) == {"not_found": 1}
        assert value(scrape(service), "cloudflare_mcp_portals") == 1
        assert value(scrape(service), "cloudflare_mcp_portals") == 1, "which is cached"
        assert len(api.heads) == 2


def test_a_wrong_token_does_not_hammer() -> None:
    with RawServer(sends(answer(refusal(10000), "403 Forbidden"))) as api:
        service = accounts_for(api.base_url)
        for _ in range(5):
            text = scrape(service)
        assert len(api.heads) == 1
    assert failures(text) == {"auth": 5}


def test_what_is_transient_is_tried_again_within_the_budget() -> None:
    replies = [answer(b"", "502 Bad Gateway"), b"", answer(listing([portal("a")]))]
    with RawServer(lambda peer, _: peer.sendall(replies.pop(0))) as api:
        text = scrape(accounts_for(api.base_url))
    assert value(text, "cloudflare_mcp_up") == 1
    assert value(text, "cloudflare_mcp_api_requests_total", code="502") == 1
    assert value(text, "cloudflare_mcp_api_requests_total", code="error") == 1
    assert value(text, "cloudflare_mcp_api_requests_total", code="200") == 1


@pytest.mark.parametrize("status", ["429 Too Many Requests", "403 Forbidden", "400 Bad Request"])
def test_what_is_not_transient_is_not_tried_again(status: str) -> None:
    with RawServer(sends(answer(b"", status))) as api:
        scrape(accounts_for(api.base_url))
        assert len(api.heads) == 1


# --- what leaves the house ---------------------------------------------------------------------


def test_every_request_says_who_asks_what_page_and_that_it_takes_gzip() -> None:
    with RawServer(sends(answer(listing([])))) as api:
        scrape(accounts_for(api.base_url, "--api.per-page=7"))
    head = api.heads[0]
    assert "User-Agent: cloudflare-mcp-exporter/" in head
    assert "Accept-Encoding: gzip\r\n" in head
    assert f"Authorization: Bearer {TOKEN}\r\n" in head
    assert "/access/ai-controls/mcp/portals?page=1&per_page=7 HTTP/1.1" in head


def test_a_redirect_is_never_followed_so_the_key_stays_home() -> None:
    with RawServer(sends(answer(listing([])))) as elsewhere:
        location = f"Location: {elsewhere.base_url}\r\n"
        with RawServer(sends(answer(b"", "307 Temporary Redirect", location))) as api:
            environ = {
                "CLOUDFLARE_API_TOKEN": "",
                "CLOUDFLARE_EMAIL": "user@example.com",
                "CLOUDFLARE_API_KEY": TOKEN,
            }
            scrape(accounts_for(api.base_url, environ=environ))
        assert f"X-Auth-Key: {TOKEN}" in api.heads[0]
        assert elsewhere.heads == []


def test_a_netrc_entry_does_not_replace_the_token(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with RawServer(sends(answer(listing([])))) as api:
        scrape(accounts_for(api.base_url))
    assert f"Authorization: Bearer {TOKEN}\r\n" in api.heads[0]


def test_a_proxy_of_the_environment_is_used() -> None:
    with RawServer(sends(answer(listing([portal("a")])))) as proxy:
        environ = {"HTTP_PROXY": proxy.base_url.removesuffix("/client/v4")}
        text = scrape(accounts_for("http://api.example.invalid/client/v4", environ=environ))
    assert value(text, "cloudflare_mcp_up") == 1
    assert proxy.heads[0].startswith("GET http://api.example.invalid/client/v4/accounts/")
