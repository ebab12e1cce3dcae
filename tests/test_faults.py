"""What makes libraries raise is the failure of its account, and the process goes on."""

from __future__ import annotations

import gzip
import json
import logging
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.settings import load
from processes import bare_environment
from rawserver import RawServer, answer, bomb, listing, portal
from watching import ACCOUNT_ID, TOKEN, accounts_for, accounts_of, failures, scrape, value

WHOLE = answer(listing([portal("a")]))
OTHER_ID = "f" * 32


def redirect(location: bytes, status: bytes = b"302 Found") -> bytes:
    head = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\nLocation: "
    return head + location + b"\r\n\r\n"


ODD: dict[str, tuple[bytes, str]] = {
    "redirect to half an address": (redirect(b"http://["), "invalid_response"),
    "redirect that is not UTF-8": (redirect(b"/\xff\xfe"), "invalid_response"),
    "redirect to a scheme that is none": (redirect(b"http://a:b:c/%zz"), "invalid_response"),
    "308 with a port out of range": (
        redirect(b"http://a:99999/", b"308 Permanent Redirect"),
        "invalid_response",
    ),
    "header lines without end": (
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        "connection",
    ),
    "a header line of 100 kB": (
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        "connection",
    ),
    "a status that is no number": (b"HTTP/1.1 OK 200\r\n\r\n", "connection"),
    "a status of four digits": (b"HTTP/1.1 2000 OK\r\n\r\n", "connection"),
    "a length that is no number": (
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\nConnection: close\r\n\r\n{}",
        "invalid_response",
    ),
    "a length below zero": (
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\nConnection: close\r\n\r\n{}",
        "invalid_response",
    ),
    "a chunk that is no number": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "connection",
    ),
    "interim answers without end": (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100, "connection"),
    "protocols are switched": (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
        "invalid_response",
    ),
    "a cookie that is broken": (
        answer(b"", headers="Set-Cookie: \xff=\x00; expires=never; domain=[\r\n"),
        "invalid_response",
    ),
}


@pytest.mark.parametrize(("sent", "reason"), ODD.values(), ids=ODD)
def test_an_answer_that_libraries_stumble_over_is_the_failure_of_its_account(
    sent: bytes, reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def handle(peer: socket.socket, head: str) -> None:
        peer.sendall(sent if ACCOUNT_ID in head else WHOLE)

    with RawServer(handle) as api, caplog.at_level(logging.INFO):
        config = tmp_path / "config.yml"
        config.write_text(
            f"base_url: {api.base_url}\naccounts:\n"
            f"  - {{account_id: {ACCOUNT_ID}, api_token: {TOKEN}}}\n"
            f"  - {{account_id: {OTHER_ID}, api_token: {TOKEN}}}\n"
        )
        text = scrape(accounts_of(load([f"--config.file={config}", "--scrape.timeout=5"], {})))
    assert value(text, "cloudflare_mcp_up", account_id=ACCOUNT_ID) == 0
    assert value(text, "cloudflare_mcp_up", account_id=OTHER_ID) == 1
    assert failures(text) == {reason: 1}
    failed = [one for one in caplog.records if one.getMessage() == "listing failed"]
    assert len(failed) == 1
    assert "Traceback" not in caplog.text


def test_a_bug_in_one_account_is_seen_by_check_and_by_once(tmp_path: Path) -> None:
    """With the one library taken away that only one of the accounts needs."""
    with RawServer(lambda peer, _: peer.sendall(WHOLE)) as api:
        config = tmp_path / "config.yml"
        config.write_text(
            f"base_url: {api.base_url}\naccounts:\n"
            f"  - {{account_id: {ACCOUNT_ID}, api_token: {TOKEN}}}\n"
            f"  - {{account_id: {OTHER_ID}, api_token: {TOKEN}, collectors: [servers]}}\n"
        )
        program = (
            "import sys, exporter.cloudflare.client as client\n"
            "def fail(*_, **__): raise ZeroDivisionError('of no use')\n"
            "client.DECODERS = {**client.DECODERS, 'servers': fail}\n"
            "from exporter.cli import main\n"
            "sys.exit(main(sys.argv[1:], {}))\n"
        )
        ended = {
            mode: subprocess.run(
                [sys.executable, "-c", program, f"--config.file={config}", *mode.split()],
                env=bare_environment(tmp_path),
                capture_output=True,
                timeout=30,
                check=False,
            )
            for mode in ("--check --format=json", "--once")
        }
    check, once = ended.values()
    assert (check.returncode, once.returncode) == (1, 1)
    report = json.loads(check.stdout)
    assert report["ok"] is False
    assert [one["ok"] for one in report["accounts"]] == [True, False]
    assert report["accounts"][1]["reason"] == "internal"
    text = once.stdout.decode()
    assert value(text, "cloudflare_mcp_up", account_id=OTHER_ID) == 0
    assert value(text, "cloudflare_mcp_up", account_id=ACCOUNT_ID) == 1
    assert b"Traceback" not in check.stderr + once.stderr


# --- bodies, cookies, interim answers ----------------------------------------------------------


@pytest.mark.parametrize("status", ["302 Found", "200 OK", "404 Not Found", "503 Unavailable"])
def test_the_size_limit_holds_for_every_status(status: str) -> None:
    packed = "Content-Encoding: gzip\r\nLocation: /elsewhere\r\n"
    sent = answer(bomb(1000), status, packed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with RawServer(lambda peer, _: peer.sendall(sent)) as api:
        text = scrape(accounts_for(api.base_url, "--api.max-response-size=32MiB"))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert failures(text) == {"invalid_response": 1}
    assert grown < 200, f"{grown:.0f} MiB for a bomb of 1000 MiB and a limit of 32 MiB"


def test_a_body_of_many_empty_gzip_members_is_refused_and_costs_little() -> None:
    packed = gzip.compress(b"") * 50_000
    with RawServer(lambda peer, _: peer.sendall(gzipped(packed))) as api:
        text = scrape(accounts_for(api.base_url))
    assert failures(text) == {"invalid_response": 1}
    took = value(text, "cloudflare_mcp_collection_duration_seconds")
    assert took is not None
    assert took < 2


def test_a_body_of_a_few_gzip_members_is_read_whole() -> None:
    body = listing([portal("a"), portal("b")])
    packed = b"".join(gzip.compress(body[at : at + 50]) for at in range(0, len(body), 50))
    with RawServer(lambda peer, _: peer.sendall(gzipped(packed))) as api:
        assert value(scrape(accounts_for(api.base_url)), "cloudflare_mcp_portals") == 2


def gzipped(packed: bytes) -> bytes:
    return answer(packed, headers="Content-Encoding: gzip\r\n")


def test_no_cookie_is_kept() -> None:
    sent = answer(listing([]), headers="Set-Cookie: a=b; Path=/\r\nSet-Cookie: __cf_bm=c\r\n")
    with RawServer(lambda peer, _: peer.sendall(sent)) as api:
        accounts = accounts_for(api.base_url)
        for _ in range(3):
            scrape(accounts)
        assert len(api.heads) == 3
        assert not [head for head in api.heads if "cookie" in head.lower()]


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n" * 3,
        b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 199 Whatever\r\nA: b\r\n\r\n",
    ],
    ids=["100", "102", "103", "100 and 199"],
)
def test_interim_answers_are_passed_over(interim: bytes) -> None:
    with RawServer(lambda peer, _: peer.sendall(interim + WHOLE)) as api:
        text = scrape(accounts_for(api.base_url))
    assert value(text, "cloudflare_mcp_portals") == 1
    assert value(text, "cloudflare_mcp_api_requests_total", code="200") == 1
