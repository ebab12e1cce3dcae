"""Clients that hold connections: a scrape gets through, and what they cost is bounded."""

from __future__ import annotations

import http.client
import random
import select
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Self

import pytest
import trustme

from exporter.simulator.server import Simulator
from exporter.simulator.uniform_account import uniform_account
from processes import Child, Prometheus, bare_environment, eventually
from realparts import require
from webserver import Source, site, trusting, write_chain

RunPrometheus = Callable[[str], Prometheus]

AUTHORITY = trustme.CA()
REQUEST = b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Filling: " + b"a" * 4000

IDLE, DRIPPING, SLOW = 200, 200, 50
MAX_MEMORY = 64 * 1024 * 1024
"""Bytes that the bad clients may add. Half of it is theirs: 0.1 MB for each slow reader's text,
compressed, 0.15 MB for its place in it and its buffers, 0.03 MB for each handshake, and as much
again as the allocator loses between them. Half is for the scrapes of the good ones meanwhile."""
MAX_THREADS = 6
"""Threads that they may add: those that serve good clients, begun on the way."""
DEADLINE = 5.0
"""Seconds for a scrape meanwhile, half of Prometheus' usual timeout."""


class TlsExporter(Child):
    """An exporter behind TLS, as a process whose memory and threads can be looked at."""

    port: int

    def __init__(self, home: Path, simulator: Simulator) -> None:
        (home / "ca.pem").write_bytes(AUTHORITY.cert_pem.bytes())
        super().__init__(
            [
                *(sys.executable, "-m", "exporter"),
                "--web.listen-address=127.0.0.1:0",
                f"--web.config.file={tls_file(home)}",
            ],
            home / "log",
            {**bare_environment(home), **simulator.environment()},
        )
        self.port = int(self.logged(r"url=https://127\.0\.0\.1:(\d+)")[1])

    def status(self, field: str) -> int:
        """A number that the kernel has of the process."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (one for one in text.splitlines() if one.startswith(f"{field}:"))
        return int(line.split()[1])

    @property
    def memory(self) -> int:
        return self.status("VmRSS") * 1024

    @property
    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[TlsExporter]:
    """Lists an account whose exposition is some 3 MB."""
    with Simulator(uniform_account(portals=28, servers=25, tools=1)) as simulator:
        running = TlsExporter(tmp_path, simulator)
        try:
            yield running
            assert running.stop() == 0
        finally:
            running.kill()


class BadClients:
    """All at once, from the begin of the context to its end."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._act)
        self._context = trusting(AUTHORITY)
        self.idle: list[socket.socket] = []
        self.dripping: list[ssl.SSLSocket] = []
        self.slow: list[ssl.SSLSocket] = []
        self.seconds = 0

    def __enter__(self) -> Self:
        self.slow = [self._slow() for _ in range(SLOW)]
        self.idle = [self._connect() for _ in range(IDLE)]
        self.dripping = [self._dripping() for _ in range(DRIPPING)]
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(20)
        for one in (*self.idle, *self.dripping, *self.slow):
            one.close()

    def _connect(self, receive_buffer: int = 0) -> socket.socket:
        raw = socket.socket()
        if receive_buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        raw.settimeout(10)
        raw.connect(("127.0.0.1", self._port))
        return raw

    def _dripping(self) -> ssl.SSLSocket:
        encrypted = self._context.wrap_socket(self._connect(), server_hostname="localhost")
        encrypted.sendall(REQUEST[:1])
        return encrypted

    def _slow(self) -> ssl.SSLSocket:
        raw = self._connect(receive_buffer=4096)
        encrypted = self._context.wrap_socket(raw, server_hostname="localhost")
        encrypted.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        return encrypted

    def _act(self) -> None:
        while not self._over.wait(1):
            self.seconds += 1
            for one in self.slow:
                assert one.recv(1024), "a reader of 1 kB/s was cut off"
            for one in self.dripping:
                with suppress(OSError):  # it was cut off
                    one.send(REQUEST[self.seconds :][:1])

    @property
    def held(self) -> int:
        """Those of the idle and the dripping that nobody has cut off yet."""
        look = select.poll()
        for one in (*self.idle, *self.dripping):
            look.register(one, select.POLLRDHUP)  # session tickets may be there to read
        return IDLE + DRIPPING - len(look.poll(0))


def curl(port: int, authority: Path) -> tuple[float, int]:
    """Seconds of a scrape by curl, and bytes of it."""
    command = [
        *(require("curl"), "--silent", "--fail", "--max-time", str(DEADLINE)),
        *("--cacert", str(authority), f"https://127.0.0.1:{port}/metrics"),
    ]
    began = time.monotonic()
    ended = subprocess.run(command, capture_output=True, timeout=30, check=True)
    return time.monotonic() - began, len(ended.stdout)


def test_a_scrape_gets_through_a_crowd_of_bad_clients_that_costs_little(
    exporter: TlsExporter, run_prometheus: RunPrometheus, tmp_path: Path
) -> None:
    authority = tmp_path / "ca.pem"
    _, size = curl(exporter.port, authority)
    assert size > 1_000_000
    memory, threads = exporter.memory, exporter.status("Threads")
    prometheus = run_prometheus(
        "global: {scrape_interval: 2s, scrape_timeout: 2s}\n"
        "scrape_configs:\n- job_name: mcp\n  scheme: https\n"
        f"  tls_config: {{ca_file: {authority}}}\n"
        f'  static_configs: [{{targets: ["127.0.0.1:{exporter.port}"]}}]\n'
    )
    eventually(lambda: prometheus.query("up == 1"), "first scrape")
    scrapes = 0
    with BadClients(exporter.port) as crowd:
        while crowd.held == IDLE + DRIPPING:
            seconds, got = curl(exporter.port, authority)
            scrapes += 1
            assert seconds < DEADLINE
            assert abs(got - size) < size / 100
            assert exporter.memory - memory < MAX_MEMORY
            assert exporter.status("Threads") - threads <= MAX_THREADS
        assert scrapes > 3
        eventually(lambda: crowd.held == 0, "clients cut off", within=15)
        assert prometheus.query("min_over_time(up[1m])")[0][1] == 1
    eventually(lambda: exporter.descriptors < SLOW, "closed connections")
    assert "Traceback" not in exporter.log
    assert "level=error" not in exporter.log
    assert "level=warn" not in exporter.log


# --- the bounds, one by one --------------------------------------------------------------------


def test_a_connection_too_many_takes_the_place_of_the_one_that_waited_longest() -> None:
    with site(Source(), server={"most_connections": 5}) as served, ExitStack() as cleanup:
        idle = [cleanup.enter_context(served.connect()) for _ in range(5)]
        assert served.ask()[0] == 200
        assert idle[0].recv(1) == b""
        for _ in range(20):
            assert served.ask()[0] == 200
        assert not select.select(idle[1:], [], [], 0.1)[0]


def test_where_all_wait_for_their_answer_the_first_makes_room_and_the_others_get_theirs() -> None:
    source = Source()
    waiting: Future[bytes] = Future()
    source.next = lambda: waiting
    with site(source, server={"most_connections": 3}) as served, ExitStack() as cleanup:
        scrapes = [cleanup.enter_context(served.connect()) for _ in range(3)]
        for number, scrape in enumerate(scrapes, 1):
            scrape.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            eventually(partial(has_begun, source, number), "a scrape under way")
        assert served.ask("/-/healthy")[0] == 200
        with suppress(ConnectionError):
            assert scrapes[0].recv(1) == b""
        waiting.set_result(b"up 1\n")
        for scrape in scrapes[1:]:
            response = http.client.HTTPResponse(scrape)
            response.begin()
            assert response.read() == b"up 1\n"


def has_begun(source: Source, number: int) -> bool:
    return len(source.begun) == number


HELLO_OF_A_CLIENT = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


@pytest.mark.parametrize("first", [b"", HELLO_OF_A_CLIENT], ids=["nothing", "half a greeting"])
def test_a_handshake_that_does_not_end_is_given_up(tmp_path: Path, first: bytes) -> None:
    with site(Source(), web_config=tls_file(tmp_path), server={"head_timeout": 0.4}) as served:
        with served.connect() as connection:
            connection.sendall(first)
            began = time.monotonic()
            with suppress(ConnectionError):
                assert connection.recv(1) == b""
            assert 0.2 < time.monotonic() - began < 5
        assert served.ask(context=trusting(AUTHORITY))[0] == 200


def test_a_greeting_in_pieces_and_a_request_in_its_last_one_are_understood(
    tmp_path: Path,
) -> None:
    with site(Source(), web_config=tls_file(tmp_path)) as served:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = trusting(AUTHORITY).wrap_bio(incoming, outgoing, server_hostname="localhost")
        with served.connect() as connection:
            finished = False
            while not finished:
                try:
                    client.do_handshake()
                    finished = True
                    client.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                except ssl.SSLWantReadError:
                    pass
                data = outgoing.read()
                step = len(data) if finished else 37
                for start in range(0, len(data), step):
                    connection.sendall(data[start : start + step])
                if not finished:
                    incoming.write(connection.recv(65536))
            answer = b""
            with suppress(ssl.SSLZeroReturnError):
                while b"up 1" not in answer:
                    incoming.write(connection.recv(65536))
                    with suppress(ssl.SSLWantReadError):
                        while piece := client.read(65536):  # a record at a time
                            answer += piece
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def test_rubbish_in_place_of_a_handshake_ends_that_connection_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with site(Source(), web_config=tls_file(tmp_path)) as served:
        for rubbish in (b"\x16" + b"\xff" * 100, b"\x00" * 100, b"SSH-2.0-x\r\n"):
            with served.connect() as connection:
                connection.sendall(rubbish)
                with suppress(ConnectionError):
                    while connection.recv(65536):
                        pass
        assert served.ask(context=trusting(AUTHORITY))[0] == 200
    assert caplog.records == []


def test_a_stop_waits_for_no_handshake(tmp_path: Path) -> None:
    with site(Source(), web_config=tls_file(tmp_path)) as served, ExitStack() as cleanup:
        for first in (b"", HELLO_OF_A_CLIENT):
            cleanup.enter_context(served.connect()).sendall(first)
        idle = http.client.HTTPSConnection(
            "127.0.0.1", served.port, timeout=10, context=trusting(AUTHORITY)
        )
        idle.request("GET", "/metrics")
        idle.getresponse().read()
        began = time.monotonic()
        served.server.stop()
        cleanup.callback(idle.close)
        eventually(lambda: refuses(served.port), "server that has stopped")
    assert time.monotonic() - began < 3


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_answers_that_need_too_much_memory_cut_the_oldest_reader_off() -> None:
    # More than the kernel's buffers take, and as much when it is compressed.
    source = Source(random.Random(8).randbytes(8_000_000))
    with site(source, most_bytes=20_000_000) as served, ExitStack() as cleanup:
        readers = [cleanup.enter_context(served.connect()) for _ in range(4)]
        for number, reader in enumerate(readers, start=1):
            reader.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            assert reader.recv(1)
            assert len(source.begun) == number
        assert [received(reader) > 8_000_000 for reader in readers] == [False, False, True, True]


def received(connection: socket.socket) -> int:
    """Bytes until the peer hangs up, or all of an answer has come."""
    total = 0
    with suppress(ConnectionError):
        while total < 8_000_000 and (piece := connection.recv(1 << 20)):
            total += len(piece)
    return total


def tls_file(home: Path) -> Path:
    write_chain(AUTHORITY.issue_cert("localhost", "127.0.0.1"), home)
    file = home / "web.yml"
    file.write_text("tls_server_config: {cert_file: server.pem, key_file: server.key}\n")
    return file
