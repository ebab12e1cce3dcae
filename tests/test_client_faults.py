"""What a client does wrong costs a line at debug, its own connection, and nothing else."""

from __future__ import annotations

import http.client
import logging
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from exporter.logs import LineFormatter, logfmt
from exporter.web.public_address import PublicAddress
from processes import eventually
from webserver import Source, WebServer, done, site, trusting, write_chain

AUTHORITY = trustme.CA()
GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /metrics HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"

REFUSED = {
    "bad chunk": (POST + CHUNKED + b"zz\r\n", 400),
    "bad chunk of a scrape": (GET + CHUNKED + b"zz\r\n", 400),
    "bad chunk after HEAD": (GET.replace(b"GET", b"HEAD") + CHUNKED + b"zz\r\n", 400),
    "bad chunk that was to be asked for": (
        POST + b"Expect: 100-continue\r\n" + CHUNKED + b"zz\r\n",
        400,
    ),
    "no method": (b"\r\n\r\n /\r\n\r\n", 400),
    "no version": (b"GET /metrics\r\n\r\n", 400),
    "unknown version": (b"GET /metrics HTTP/9.9\r\nHost: x\r\n\r\n", 505),
    "preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "other protocol": (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", 400),
    "greeting of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n", 400),
    "null in the target": (b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "null in a header": (GET + b"X: \x00\r\n\r\n", 400),
    "not ASCII": ("GET /ü HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 400),
    "long target": (b"GET /" + b"a" * 20_000, 431),
    "long header": (GET + b"X: " + b"a" * 20_000, 431),
    "many headers": (GET + b"X: a\r\n" * 4_000, 431),
    "blank before the colon": (GET + b"X : a\r\n\r\n", 400),
    "no host": (b"GET /metrics HTTP/1.1\r\n\r\n", 400),
    "two hosts": (GET + b"Host: y\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    "length that is no number": (POST + b"Content-Length: -1\r\n\r\n", 400),
    "unknown coding": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "length and chunks": (POST + b"Content-Length: 3\r\n" + CHUNKED + b"0\r\n\r\n", 400),
    "chunks in HTTP/1.0": (
        b"POST / HTTP/1.0\r\nHost: x\r\n" + CHUNKED + b"0\r\n\r\n",
        400,
    ),
    "target without a host": (b"GET http:///metrics HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "target with a user": (b"GET http://a:b@x/metrics HTTP/1.1\r\nHost: x\r\n\r\n", 400),
}
ANSWERED = {
    "upgrade to h2c": (
        GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n\r\n",
        200,
    ),
    "upgrade to websocket": (
        GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
        200,
    ),
    "upgrade to something": (GET + b"Connection: upgrade\r\nUpgrade: \xff\r\n\r\n", 200),
    "body that is announced and never sent": (
        POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        405,
    ),
    "control characters": (GET + b"X: \x1b[31m\r\n\r\n", 200),
    "unknown expectation": (GET + b"Expect: 200-maybe\r\n\r\n", 200),
    "connect": (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "asterisk": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "null in the path": (b"GET /%00%ff%2e%2e HTTP/1.1\r\nHost: x\r\n\r\n", 404),
}


class Log:
    """What is logged from the beginning of a test on."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "asyncio")  # of the tests' own event loop
        caplog.set_level(logging.DEBUG)
        self._caplog = caplog
        self._format = LineFormatter(logfmt, ()).format

    @property
    def lines(self) -> list[str]:
        """But for what uvicorn and an operator's own start of the server say."""
        return [
            self._format(one)
            for one in self._caplog.records
            if not (one.name.startswith("uvicorn") and one.levelno <= logging.INFO)
        ]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    return Log(caplog)


@pytest.fixture(scope="module", params=["plain", "tls"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[WebServer, Source, ssl.SSLContext | None]]:
    home = tmp_path_factory.mktemp("served")
    source = Source()
    tls = request.param == "tls"
    with site(source, web_config=tls_file(home) if tls else None) as running:
        yield running, source, trusting(AUTHORITY) if tls else None


def tls_file(home: Path, extra: str = "") -> Path:
    write_chain(AUTHORITY.issue_cert("localhost", "127.0.0.1"), home)
    (home / "ca.pem").write_bytes(AUTHORITY.cert_pem.bytes())
    file = home / "web.yml"
    file.write_text(f"tls_server_config: {{cert_file: server.pem, key_file: server.key{extra}}}\n")
    return file


def opened(running: WebServer, context: ssl.SSLContext | None) -> socket.socket:
    raw = running.connect()
    return raw if context is None else context.wrap_socket(raw, server_hostname="localhost")


def everything(connection: socket.socket) -> bytes:
    """What comes until the peer hangs up."""
    received = b""
    with suppress(OSError):
        while piece := connection.recv(65536):
            received += piece
    return received


def ask(running: WebServer, context: ssl.SSLContext | None, data: bytes) -> bytes:
    with opened(running, context) as connection:
        with suppress(OSError):  # it may hang up before it has read everything
            connection.sendall(data)
        return everything(connection)


def one_short_line(log: Log) -> str:
    eventually(lambda: log.lines, "a line in the log", within=5)
    (line,) = log.lines
    assert " level=debug " in line
    assert ' msg="client error" client=127.0.0.1:' in line
    assert len(line) < 600  # also where each byte became an escape
    return line


@pytest.mark.parametrize(("data", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_request_is_refused_in_one_short_line_at_debug(
    served: tuple[WebServer, Source, ssl.SSLContext | None], log: Log, data: bytes, status: int
) -> None:
    running, source, context = served
    source.begun.clear()
    got = ask(running, context, data)
    assert got.startswith(f"HTTP/1.1 {status} ".encode())
    assert got.count(b"HTTP/1.1") == 1
    one_short_line(log)
    assert running.ask(context=context)[0] == 200
    assert len(source.begun) <= 2  # what was refused cost no more than one


@pytest.mark.parametrize(("data", "status"), ANSWERED.values(), ids=ANSWERED.keys())
def test_what_asks_for_too_much_gets_its_answer_and_no_line(
    served: tuple[WebServer, Source, ssl.SSLContext | None], log: Log, data: bytes, status: int
) -> None:
    running, _, context = served
    with opened(running, context) as connection:
        connection.sendall(data)
        response = http.client.HTTPResponse(connection)
        response.begin()
        response.read()
        assert response.status == status
    assert log.lines == []


def test_what_follows_a_request_is_judged_after_its_answer(
    served: tuple[WebServer, Source, ssl.SSLContext | None], log: Log
) -> None:
    running, _, context = served
    got = ask(running, context, (GET + b"\r\n") * 20 + b"rubbish\r\n\r\n")
    assert got.count(b"HTTP/1.1 200 OK") == 20
    assert got.count(b"HTTP/1.1 400 ") == 1
    one_short_line(log)


@pytest.mark.parametrize("answered", [False, True], ids=["before the answer", "after it"])
def test_a_body_that_goes_wrong_later_ends_the_connection(
    served: tuple[WebServer, Source, ssl.SSLContext | None], log: Log, answered: bool
) -> None:
    running, source, context = served
    source.begun.clear()
    waiting: Future[bytes] = Future()
    source.next = lambda: waiting
    try:
        with opened(running, context) as connection:
            connection.sendall(GET + CHUNKED + b"3\r\nabc\r\n")
            eventually(lambda: source.begun, "a scrape under way")
            if answered:
                waiting.set_result(b"up 1\n")
                response = http.client.HTTPResponse(connection)
                response.begin()
                assert response.read() == b"up 1\n"
            connection.sendall(b"zz\r\n")
            got = everything(connection)
            assert got.startswith(b"" if answered else b"HTTP/1.1 400 ")
            assert got.count(b"HTTP/1.1") == (0 if answered else 1)
    finally:
        source.next = lambda: done(source.body)
        if not waiting.done():
            waiting.set_result(b"")
    one_short_line(log)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("read", [0, 10], ids=["before the first byte", "in the middle"])
def test_a_client_that_resets_its_connection_is_no_news(
    served: tuple[WebServer, Source, ssl.SSLContext | None], log: Log, read: int
) -> None:
    running, source, context = served
    source.body = b"x" * 5_000_000
    try:
        for _ in range(5):
            connection = opened(running, context)
            connection.sendall(GET + b"\r\n")
            if read:
                connection.recv(read)
            reset(connection)
            assert len(running.ask(context=context)[2]) == 5_000_000
    finally:
        source.body = b"up 1\n"
    assert log.lines == []


def test_a_fault_of_ours_is_an_error_with_its_traceback_even_on_a_long_path(
    served: tuple[WebServer, Source, ssl.SSLContext | None], log: Log
) -> None:
    running, source, context = served
    source.next = lambda: 1 / 0  # type: ignore[assignment,return-value]
    try:
        assert running.ask(context=context)[0] == 500
    finally:
        source.next = lambda: done(source.body)
    (line,) = log.lines
    assert " level=error " in line
    assert "ZeroDivisionError" in line


# --- TLS ---------------------------------------------------------------------------------------

BROKEN_HANDSHAKES: dict[str, Callable[[socket.socket], object]] = {
    "plain HTTP": lambda one: one.sendall(GET + b"\r\n"),
    "rubbish in a record": lambda one: one.sendall(b"\x16\x03\x01\x00\x05hello"),
    "half a greeting": lambda one: one.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"),
    "reset in the middle": lambda one: reset_after(b"\x16\x03\x01\x02\x00\x01", one),
    "stranger": lambda one: with_tls(one, trusting(trustme.CA())),
    "old version": lambda one: with_tls(one, of_version(ssl.TLSVersion.TLSv1_1)),
    "no certificate": lambda one: with_tls(one, trusting(AUTHORITY)),
}


def reset_after(data: bytes, connection: socket.socket) -> None:
    connection.sendall(data)
    reset(connection)


def with_tls(connection: socket.socket, context: ssl.SSLContext) -> None:
    with suppress(OSError), context.wrap_socket(connection, server_hostname="localhost") as one:
        one.recv(1)


def of_version(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = trusting(AUTHORITY)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@pytest.mark.parametrize("act", BROKEN_HANDSHAKES.values(), ids=BROKEN_HANDSHAKES.keys())
def test_a_handshake_that_fails_is_one_short_line_at_debug(
    tmp_path: Path, log: Log, act: Callable[[socket.socket], object]
) -> None:
    file = tls_file(
        tmp_path, ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem"
    )
    with site(Source(), web_config=file, server={"head_timeout": 1}) as running:
        connection = running.connect()
        act(connection)
        with suppress(OSError):
            everything(connection)
        connection.close()
        one_short_line(log)


def test_records_that_are_no_tls_after_the_handshake_are_no_news(tmp_path: Path, log: Log) -> None:
    with site(Source(), web_config=tls_file(tmp_path)) as running:
        encrypted = opened(running, trusting(AUTHORITY))
        with socket.socket(fileno=encrypted.detach()) as raw:
            raw.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            everything(raw)
        assert running.ask(context=trusting(AUTHORITY))[0] == 200
    assert log.lines == []


# --- targets in absolute-form ------------------------------------------------------------------

ABSOLUTE = {
    "plain": ("http://x/metrics", 200),
    "query": ("http://x/probe?account=a", 200),
    "wrong query": ("http://x/probe?account=nobody", 404),
    "other host and port": ("http://other.example.com:9999/metrics", 200),
    "https": ("https://x/metrics", 200),
    "scheme in capitals": ("HTTP://x/metrics", 200),
    "address": ("http://127.0.0.1/metrics", 200),
    "address of IPv6": ("http://[::1]:80/metrics", 200),
    "no path": ("http://x", 200),
    "no path but a query": ("http://x?a=b", 200),
    "unknown path": ("http://x/nowhere", 404),
    "other scheme": ("ftp://x/metrics", 404),
}


@pytest.mark.parametrize(("target", "status"), ABSOLUTE.values(), ids=ABSOLUTE.keys())
def test_a_target_may_be_a_whole_url(
    served: tuple[WebServer, Source, ssl.SSLContext | None], target: str, status: int
) -> None:
    running, _, context = served
    for host in ("x", "unlike"):
        got = ask(
            running,
            context,
            f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode(),
        )
        assert got.startswith(f"HTTP/1.1 {status} ".encode())


def test_the_host_of_a_whole_url_counts_and_that_of_the_header_does_not(
    served: tuple[WebServer, Source, ssl.SSLContext | None],
) -> None:
    running, _, context = served
    request = b"GET http://right:81/sd HTTP/1.1\r\nHost: wrong\r\nConnection: close\r\n\r\n"
    got = ask(running, context, request)
    assert b'"right:81"' in got
    assert b"wrong" not in got


def test_a_whole_url_has_the_route_prefix_too() -> None:
    with site(Source(), site=PublicAddress(route_prefix="/mcp")) as running:
        for target, status in (("http://x/mcp/metrics", 200), ("http://x/metrics", 404)):
            request = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            assert ask(running, None, request.encode()).startswith(f"HTTP/1.1 {status} ".encode())
