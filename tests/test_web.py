"""The server over real sockets: what clients get, good ones and bad ones, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import http.client
import logging
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import ExitStack
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest

from exporter.errors import SettingsError
from exporter.metrics.formats import Format
from exporter.settings import ListenAddress
from exporter.web.responses import PIECE
from exporter.web.routes import App
from exporter.web.server import Server, bind
from processes import Child, bare_environment, eventually
from webserver import Outcome, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROMETHEUS_ACCEPT = (
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
BIG = b"".join(b'metric{id="%d"} 1\n' % number for number in range(200_000))


class Listings(Source):
    """Hands out futures, and exposes what they were given."""

    def __init__(self) -> None:
        super().__init__()
        self.forget()

    def forget(self) -> None:
        self.begun.clear()
        self.exposed: list[tuple[str, Format, frozenset[str]]] = []
        self.next = lambda: done("up 1\n")
        self.render: Callable[[str], bytes] = str.encode

    @property
    def timeouts(self) -> list[float | None]:
        return [timeout for timeout, _ in self.begun]

    def expose(self, scrapes: Outcome, form: Format, names: frozenset[str]) -> list[bytes]:
        self.exposed.append((scrapes.body, form, names))
        return [self.render(scrapes.body)]


def done(scrape: str) -> Future[str]:
    future: Future[str] = Future()
    future.set_result(scrape)
    return future


class Running:
    """A server in a thread."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.host, port = server.url.removeprefix("http://").rsplit(":", 1)
        self.port = int(port)
        self.thread = threading.Thread(target=server.run)
        self.thread.start()

    def stop(self) -> None:
        self.server.stop()
        self.thread.join(15)
        assert not self.thread.is_alive()

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=10)

    def ask(
        self, path: str = "/metrics", method: str = "GET", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on its own connection; header names with underscores for dashes."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        with contextlib.closing(connection):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=named)
            response = connection.getresponse()
            heads = {name.lower(): value for name, value in response.getheaders()}
            return response.status, heads, response.read()


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Listings, Running]]:
    """One server for all tests that need no options, since starting and stopping takes time."""
    source = Listings()
    app = App(source)
    running = Running(Server(app, [bind(ListenAddress("127.0.0.1", 0))]))
    yield source, running
    running.stop()


@pytest.fixture
def source(shared: tuple[Listings, Running]) -> Listings:
    shared[0].forget()
    return shared[0]


@pytest.fixture
def served(shared: tuple[Listings, Running], source: Listings) -> Running:
    """The server of ``source``."""
    assert shared[0] is source
    return shared[1]


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """``start(source, telemetry_path=..., **server options)`` serves it until the test ends."""
    with ExitStack() as cleanup:

        def run(
            source: Listings,
            *,
            telemetry_path: str = "/metrics",
            send_buffer: int | None = None,
            **options: Any,
        ) -> Running:
            app = App(source, telemetry_path=telemetry_path)
            listening = bind(ListenAddress("127.0.0.1", 0))
            if send_buffer:  # connections inherit it
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
            running = Running(Server(app, [listening], **options))
            cleanup.callback(running.stop)
            return running

        yield run


def eof_within(connection: socket.socket, seconds: float) -> bytes:
    """What comes until the peer hangs up; fails where it does not."""
    connection.settimeout(seconds)
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            received += piece
    return received


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of the next answer on a connection."""
    response = http.client.HTTPResponse(connection)
    with contextlib.closing(response):
        response.begin()
        return response.status, response.read()


# --- a scrape ----------------------------------------------------------------------------------


def test_a_scrape_is_text_with_the_headers_it_needs(served: Running) -> None:
    status, headers, body = served.ask()
    assert (status, body) == (200, b"up 1\n")
    assert headers.pop("date")
    assert headers == {
        "content-type": "text/plain; version=0.0.4; charset=utf-8",
        "content-length": "5",
        "cache-control": "no-store",
        "vary": "Accept, Accept-Encoding",
        "x-content-type-options": "nosniff",
    }


def test_the_client_gets_openmetrics_where_it_prefers_that(
    served: Running, source: Listings
) -> None:
    _, headers, _ = served.ask(Accept=PROMETHEUS_ACCEPT)
    assert headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert source.exposed == [("up 1\n", Format.OPENMETRICS, frozenset())]


@pytest.mark.parametrize(
    ("accept_encoding", "coded"),
    [("gzip", True), ("gzip;q=0", False), ("*;q=0", False), ("deflate", False), ("", False)],
)
def test_an_answer_is_compressed_where_that_is_wanted(
    served: Running, source: Listings, accept_encoding: str, coded: bool
) -> None:
    source.render = lambda _: b"x" * 5000
    _, headers, body = served.ask(Accept_Encoding=accept_encoding)
    assert (headers.get("content-encoding") == "gzip") is coded
    assert (gzip.decompress(body) if coded else body) == b"x" * 5000
    assert headers["vary"] == "Accept, Accept-Encoding"


def test_a_big_answer_arrives_whole(served: Running, source: Listings) -> None:
    source.render = lambda _: BIG
    assert served.ask()[2] == BIG
    assert gzip.decompress(served.ask(Accept_Encoding="gzip")[2]) == BIG


@pytest.mark.parametrize("path", ["/metrics", "/", "/-/healthy", "/nowhere"])
def test_head_has_the_headers_of_get_and_no_body(
    served: Running, source: Listings, path: str
) -> None:
    source.render = lambda _: BIG
    status, headers, body = served.ask(path, Accept_Encoding="gzip")
    head_status, head_headers, nothing = served.ask(path, "HEAD", Accept_Encoding="gzip")
    for one in (headers, head_headers):
        one.pop("date")
    assert (head_status, head_headers, nothing) == (status, headers, b"")
    assert len(body) == int(headers["content-length"])


def test_one_connection_serves_many_requests(served: Running) -> None:
    connection = http.client.HTTPConnection(served.host, served.port, timeout=10)
    with contextlib.closing(connection):
        for method in ("GET", "HEAD", "GET"):
            connection.request(method, "/metrics")
            assert connection.getresponse().read() == (b"" if method == "HEAD" else b"up 1\n")
        assert connection.sock is not None


@pytest.mark.parametrize(
    ("value", "timeout"),
    [
        ("10", 10.0),
        ("4.500000", 4.5),
        ("1e1", 10.0),
        *((bad, None) for bad in ("", "0", "-1", "nan", "inf", "1e999", "ten", "1_0", "9, 8")),
    ],
)
def test_the_source_learns_prometheus_time_out_if_it_makes_sense(
    served: Running, source: Listings, value: str, timeout: float | None
) -> None:
    assert served.ask(X_Prometheus_Scrape_Timeout_Seconds=value)[0] == 200
    assert source.timeouts == [timeout]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", set()),
        ("?name[]=a", {"a"}),
        ("?name[]=a&name%5B%5D=b&name[]=a", {"a", "b"}),
        ("?name[]=&other=x&name=y", set()),
        ("?%ff=%&&;=&name[]=caf%C3%A9", {"caf\u00e9"}),
    ],
)
def test_name_parameters_reach_the_source(
    served: Running, source: Listings, query: str, names: set[str]
) -> None:
    assert served.ask(f"/metrics{query}")[0] == 200
    assert [one[2] for one in source.exposed] == [names]


def raising(*_: object) -> Any:
    raise RuntimeError("secret detail")


def failed_future() -> Future[str]:
    future: Future[str] = Future()
    future.set_exception(RuntimeError("secret detail"))
    return future


@pytest.mark.parametrize(
    ("attribute", "fault"),
    [
        ("next", raising),
        ("next", failed_future),
        ("render", raising),
    ],
    ids=["begin", "listing", "expose"],
)
def test_a_bug_is_a_500_and_one_traceback_in_the_log_and_the_next_scrape_works(
    served: Running,
    source: Listings,
    caplog: pytest.LogCaptureFixture,
    attribute: str,
    fault: Callable[..., Any],
) -> None:
    works = getattr(source, attribute)
    setattr(source, attribute, fault)
    status, headers, body = served.ask()
    assert (status, body) == (500, b"internal error, see the log\n")
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    (record,) = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert record.exc_info
    setattr(source, attribute, works)
    assert served.ask()[0] == 200


# --- the other paths ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready", "/"])
def test_paths_that_are_not_a_scrape_never_ask_the_source(
    served: Running, source: Listings, path: str
) -> None:
    source.next = raising
    status, headers, body = served.ask(path)
    assert status == 200
    assert int(headers["content-length"]) == len(body) > 0
    # A browser may keep the page, and asks whether it has changed.
    assert headers["cache-control"] == ("private, no-cache" if path == "/" else "no-store")
    assert source.timeouts == []


@pytest.mark.parametrize(
    "path", ["/nope", "/metrics/", "/metricsx", "/-/", "/-/reload", "//", "/%"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_404(served: Running, path: str, method: str) -> None:
    status, headers, body = served.ask(path, method)
    assert (status, body) == (404, b"not found\n")
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "SCRAPE"])
@pytest.mark.parametrize("path", ["/metrics", "/-/healthy", "/"])
def test_another_method_is_405_and_told_what_is_allowed(
    served: Running, source: Listings, path: str, method: str
) -> None:
    status, headers, body = served.ask(path, method)
    assert (status, headers["allow"], body) == (405, "GET, HEAD", b"method not allowed\n")
    assert source.timeouts == []


def test_the_first_page_links_and_escapes_and_runs_nothing(
    start: Callable[..., Running], source: Listings
) -> None:
    running = start(source, telemetry_path="/m'&x")
    status, headers, body = running.ask("/")
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["content-security-policy"].startswith("default-src 'none';")
    links = [unescape(one) for one in re.findall(r'href="(\./[^"]*)"', body.decode())]
    assert links == ["./m'&x", "./api/v1/status", "./sd", "./runbooks/", "./-/healthy", "./-/ready"]
    assert b"m'&x" not in body
    assert b"<script" not in body
    assert running.ask("/m'&x")[2] == b"up 1\n"
    assert running.ask("/metrics")[0] == 404


def test_the_telemetry_path_may_be_the_root(
    start: Callable[..., Running], source: Listings
) -> None:
    assert start(source, telemetry_path="/").ask("/")[2] == b"up 1\n"


def test_a_websocket_upgrade_is_a_plain_request(served: Running) -> None:
    status, _, body = served.ask(Connection="Upgrade", Upgrade="websocket")
    assert (status, body) == (200, b"up 1\n")


@pytest.mark.parametrize(
    "rubbish",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
     b"GET /" + b"a" * 20_000],
    ids=["tls", "no-path", "no-host", "long-path"],
)  # fmt: skip
def test_what_is_not_a_request_is_refused_and_the_server_goes_on(
    served: Running, rubbish: bytes
) -> None:
    with served.connect() as connection:
        connection.sendall(rubbish + b"\r\n\r\n")
        assert eof_within(connection, 10).startswith(b"HTTP/1.1 400 ")
    assert served.ask()[0] == 200


# --- many clients, and bad ones ----------------------------------------------------------------

GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


def test_two_hundred_waiting_scrapes_hold_no_thread_and_all_get_their_answer(
    served: Running, source: Listings
) -> None:
    shared: Future[str] = Future()
    source.next = lambda: shared
    assert served.ask("/-/healthy")[0] == 200
    before = set(threading.enumerate())  # some may be an earlier test's, and end
    with ExitStack() as cleanup:
        connections = [cleanup.enter_context(served.connect()) for _ in range(200)]
        for connection in connections:
            connection.sendall(GET)
        eventually(lambda: len(source.timeouts) == 200, "two hundred scrapes under way")
        assert set(threading.enumerate()) <= before
        began = time.monotonic()
        assert served.ask("/-/healthy")[0] == 200
        assert served.ask("/-/ready")[0] == 200
        assert time.monotonic() - began < 5
        shared.set_result("up 1\n")
        for connection in connections:
            assert answer(connection) == (200, b"up 1\n")
        assert len(set(threading.enumerate()) - before) <= 2


def test_text_that_takes_long_to_make_holds_up_nothing_but_itself(
    served: Running, source: Listings
) -> None:
    go_on = threading.Event()

    def slow(scrape: str) -> bytes:
        assert go_on.wait(10)
        return scrape.encode()

    source.render = slow
    with ExitStack() as cleanup:
        connections = [cleanup.enter_context(served.connect()) for _ in range(10)]
        for connection in connections:
            connection.sendall(GET)
        eventually(lambda: len(source.exposed) == 2, "as many as may be made at a time")
        assert served.ask("/-/healthy")[0] == 200
        assert len(source.exposed) == 2
        go_on.set()
        for connection in connections:
            assert answer(connection) == (200, b"up 1\n")


def test_a_client_that_leaves_ends_neither_the_listing_nor_costs_an_exposition(
    served: Running, source: Listings
) -> None:
    shared: Future[str] = Future()
    source.next = lambda: shared
    with served.connect() as leaving:
        leaving.sendall(GET)
        eventually(lambda: len(source.timeouts) == 1, "a scrape under way")
        # A reset, not a quiet end.
        leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert served.ask("/-/healthy")[0] == 200  # by now the loop has seen the reset
    assert not shared.done()
    with served.connect() as staying:
        staying.sendall(GET)
        eventually(lambda: len(source.timeouts) == 2, "another scrape under way")
        assert shared.set_running_or_notify_cancel()
        shared.set_result("up 1\n")
        assert answer(staying) == (200, b"up 1\n")
    assert len(source.exposed) == 1


BEGINNINGS = {
    "nothing": b"",
    "half a head": b"GET /metrics HTTP/1.1\r\nHos",
    "half a second head": GET + b"GET /metrics HTT",
    "a body that never ends": b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nx",
}


@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS.keys())
def test_a_client_that_never_ends_its_request_is_hung_up_on(
    start: Callable[..., Running], source: Listings, beginning: bytes
) -> None:
    running = start(source, head_timeout=0.5)
    with running.connect() as connection:
        connection.sendall(beginning)
        began = time.monotonic()
        eof_within(connection, 10)
        assert 0.3 < time.monotonic() - began < 8


def test_a_client_that_drips_its_head_is_hung_up_on(
    start: Callable[..., Running], source: Listings
) -> None:
    running = start(source, head_timeout=0.5)
    with running.connect() as connection:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for byte in GET[:-1] * 1000:
                connection.sendall(bytes([byte]))
                if select.select([connection], [], [], 0.05)[0]:
                    assert connection.recv(1) == b""
                    break
        assert 0.3 < time.monotonic() - began < 8
    assert source.timeouts == []


def test_a_connection_may_idle_between_scrapes_and_a_scrape_may_take_its_time(
    start: Callable[..., Running], source: Listings
) -> None:
    running = start(source, head_timeout=0.2)
    slow: Future[str] = Future()
    with running.connect() as connection:
        connection.sendall(GET)
        assert answer(connection) == (200, b"up 1\n")
        assert not select.select([connection], [], [], 0.6)[0]
        source.next = lambda: slow
        connection.sendall(GET)
        assert not select.select([connection], [], [], 0.6)[0]
        slow.set_result("up 1\n")
        assert answer(connection) == (200, b"up 1\n")


def slow_reader(running: Running) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(10)
    connection.connect((running.host, running.port))
    connection.sendall(GET)
    return connection


def test_readers_that_do_not_read_do_not_hold_others_up(served: Running, source: Listings) -> None:
    source.render = lambda _: BIG
    with ExitStack() as cleanup:
        for _ in range(20):
            cleanup.enter_context(slow_reader(served))
        eventually(lambda: len(source.exposed) == 20, "twenty answers")
        began = time.monotonic()
        assert served.ask("/-/healthy")[0] == 200
        assert served.ask()[2] == BIG
        assert time.monotonic() - began < 5


def test_a_reader_that_takes_nothing_is_hung_up_on(
    start: Callable[..., Running], source: Listings
) -> None:
    source.render = lambda _: BIG * 3
    running = start(source, stall_timeout=0.5)
    with slow_reader(running) as connection:
        eventually(lambda: source.exposed, "an answer")
        # The one thing to wait for is that nothing is read for three times the timeout.
        select.select([], [], [], 1.5)
        assert len(eof_within(connection, 10)) < len(BIG) * 3
    assert running.ask("/-/healthy")[0] == 200


def test_the_last_bytes_must_be_taken_too(start: Callable[..., Running], source: Listings) -> None:
    source.render = lambda _: b"x" * 40_000  # one piece, more than the kernels' buffers take
    running = start(source, stall_timeout=0.3, send_buffer=4096)
    with slow_reader(running) as connection:
        eventually(lambda: source.exposed, "an answer")
        select.select([], [], [], 1.0)
        assert len(eof_within(connection, 10)) < 40_000


def test_a_reader_that_pauses_and_goes_on_keeps_its_connection(
    start: Callable[..., Running], source: Listings
) -> None:
    source.render = lambda _: b"x" * 40_000
    running = start(source, stall_timeout=1.0, send_buffer=4096)
    with slow_reader(running) as connection:
        eventually(lambda: source.exposed, "an answer")
        select.select([], [], [], 0.2)
        assert answer(connection) == (200, b"x" * 40_000)
        assert not select.select([connection], [], [], 1.2)[0]
        connection.sendall(GET)
        assert answer(connection) == (200, b"x" * 40_000)


def test_a_reader_that_is_slow_but_reads_gets_everything(
    start: Callable[..., Running], source: Listings
) -> None:
    source.render = lambda _: BIG * 3
    running = start(source, stall_timeout=1.5)
    with running.connect() as connection:
        connection.sendall(GET)
        received = 0
        began = time.monotonic()
        while received < len(BIG) * 3:
            piece = connection.recv(65536, socket.MSG_WAITALL)
            assert piece, f"cut off after {received} bytes"
            received += len(piece)
            if time.monotonic() - began < 2:
                select.select([], [], [], 0.025)
        assert time.monotonic() - began > 1.9


def asgi_messages(app: App, method: str) -> list[Any]:
    """What the application sends for a scrape, without a server in between."""
    sent: list[Any] = []
    inbox = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        return inbox.pop() if inbox else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": "/metrics", "query_string": b""}
    asyncio.run(app({**scope, "headers": []}, receive, send))
    return sent


def test_a_large_body_goes_out_in_pieces_and_to_head_not_at_all() -> None:
    source = Listings()
    source.render = lambda _: b"x" * (2 * PIECE + 1)
    app = App(source)
    head, *body = asgi_messages(app, "GET")
    assert [len(message["body"]) for message in body] == [PIECE, PIECE, 1]
    assert [message["more_body"] for message in body] == [True, True, False]
    no_body = {"type": "http.response.body", "body": b"", "more_body": False}
    assert asgi_messages(app, "HEAD") == [head, no_body]


# --- sockets -----------------------------------------------------------------------------------


def test_a_busy_port_is_named() -> None:
    with bind(ListenAddress("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError) as caught:
            bind(ListenAddress("127.0.0.1", port))
    assert str(caught.value) == (
        f"--web.listen-address: 127.0.0.1:{port}: is already in use; "
        "stop the other program, or use another port"
    )


def test_a_host_that_cannot_be_found_is_named() -> None:
    with pytest.raises(SettingsError) as caught:
        bind(ListenAddress("no.such.host.invalid", 0))
    assert str(caught.value) == (
        "--web.listen-address: no.such.host.invalid:0: the host does not resolve"
    )


def test_an_address_of_another_machine_is_named(tmp_path: Path) -> None:
    # In a process of its own, since in this one nothing but loopback may be touched.
    program = """
from exporter.settings import ListenAddress
from exporter.web.server import bind
bind(ListenAddress("198.51.100.1", 0))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=bare_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.stderr.endswith(
        "--web.listen-address: 198.51.100.1:0: is not an address of this machine; "
        "use one that is, or :PORT\n"
    )


def test_without_a_host_all_interfaces_are_listened_on() -> None:
    with bind(ListenAddress("", 0)) as listening:
        port = listening.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        if socket.has_dualstack_ipv6():
            socket.create_connection(("::1", port), timeout=5).close()


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:"), ("::1", "http://[::1]:"), ("", "http://127.0.0.1:"),
     ("localhost", "http://127.0.0.1:")],
)  # fmt: skip
def test_the_server_knows_its_url(source: Listings, host: str, url: str) -> None:
    if host == "::1" and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    app = App(source)
    with bind(ListenAddress(host, 0)) as listening:
        assert Server(app, [listening]).url == f"{url}{listening.getsockname()[1]}"


# --- the end -----------------------------------------------------------------------------------


def test_stop_answers_what_is_under_way_and_refuses_what_comes(
    start: Callable[..., Running], source: Listings
) -> None:
    slow: Future[str] = Future()
    stopped: list[float] = []
    source.next = lambda: slow
    running = start(source, on_stop=lambda: stopped.append(time.monotonic()))
    with running.connect() as idle, running.connect() as busy:
        busy.sendall(GET)
        eventually(lambda: source.timeouts, "a scrape under way")
        running.server.stop()
        eventually(lambda: stopped, "on_stop")
        with pytest.raises(ConnectionRefusedError):
            running.connect()
        assert eof_within(idle, 5) == b""
        slow.set_result("up 1\n")
        assert answer(busy) == (200, b"up 1\n")
    running.stop()
    assert len(stopped) == 1


PROGRAM = """
import asyncio, sys, threading
from concurrent.futures import Future
from exporter.logs import configure
from exporter.settings import ListenAddress
from exporter.web.routes import App
from exporter.web.server import Server, bind

listing = Future()

class Outcome(str):
    identity = 1

class Source:
    names = ()
    observed = tuple

    async def scrape(self, timeout, name=None):
        print("begun", flush=True)
        return Outcome(await asyncio.wrap_future(listing))

    def expose(self, scrapes, form, names):
        return [scrapes.encode()]

def on_stop():
    print("stopping", flush=True)
    {on_stop}

configure("info", "logfmt", ())
socket = bind(ListenAddress("127.0.0.1", 0))
print("port", socket.getsockname()[1], flush=True)
app = App(Source())
Server(app, [socket], on_stop=on_stop).run()
print("ended", flush=True)
"""

ANSWER = "threading.Timer(0.5, lambda: listing.set_result('up 1')).start()"


class Program(Child):
    """A server of its own process, with a scrape under way."""

    def __init__(self, on_stop: str, home: Path) -> None:
        code = PROGRAM.format(on_stop=on_stop)
        super().__init__([sys.executable, "-c", code], home / "log", bare_environment(home))

    def begin_scrape(self) -> socket.socket:
        port = int(self.logged(r"^port (\d+)$")[1])
        scrape = socket.create_connection(("127.0.0.1", port), timeout=10)
        scrape.sendall(GET)
        self.logged("^begun$")
        return scrape


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[[str], tuple[Program, socket.socket]]]:
    """``program(body of on_stop)`` starts one; gives it, and a scrape of it under way."""
    with ExitStack() as cleanup:

        def run(on_stop: str) -> tuple[Program, socket.socket]:
            running = Program(on_stop, tmp_path)
            cleanup.callback(running.kill)
            return running, cleanup.enter_context(running.begin_scrape())

        yield run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "on_stop",
    [ANSWER, f"{ANSWER}; 1 / 0"],
    ids=["quick", "failing"],
)
def test_a_signal_ends_the_process_with_0_and_the_scrape_under_way_is_answered(
    program: Callable[[str], tuple[Program, socket.socket]],
    number: signal.Signals,
    on_stop: str,
) -> None:
    running, scrape = program(on_stop)
    running.process.send_signal(number)
    assert eof_within(scrape, 5).endswith(b"\r\n\r\nup 1")
    assert running.process.wait(5) == 0
    assert running.log.count("stopping\n") == running.log.count("ended\n") == 1
    failures = 1 if "1 / 0" in on_stop else 0
    assert running.log.count("level=error") == failures
    assert running.log.count("ZeroDivisionError: ") == failures


def test_a_listing_that_never_ends_does_not_keep_the_process(
    program: Callable[[str], tuple[Program, socket.socket]],
) -> None:
    running, scrape = program("pass")
    running.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert eof_within(scrape, 10).startswith(b"HTTP/1.1 503 ")
    assert running.process.wait(5) == 0
    assert time.monotonic() - began < 8
    assert "Traceback" not in running.log


def test_a_second_signal_ends_the_process_at_once(
    program: Callable[[str], tuple[Program, socket.socket]],
) -> None:
    running, _ = program("pass")
    running.process.send_signal(signal.SIGTERM)
    running.logged("^stopping$")
    began = time.monotonic()
    assert running.stop() == -signal.SIGTERM
    assert time.monotonic() - began < 4  # waiting for the scrape takes more
