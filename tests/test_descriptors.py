"""However many clients hold connections and however few descriptors there are, all is answered."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from exporter.descriptors import RESERVE, share_out
from exporter.simulator.server import Simulator
from processes import Child, bare_environment, eventually, get
from rawserver import RawServer, listing, portal
from watching import samples, value
from webserver import Source, done, site


class LimitedExporter(Child):
    """An exporter whose limit of open files is this, once it has raised it from half of it."""

    def __init__(self, home: Path, limit: int, *flags: str, env: dict[str, str]) -> None:
        command = [sys.executable, "-m", "exporter", "--web.listen-address=127.0.0.1:0", *flags]
        super().__init__(
            [
                "/bin/bash",
                "-c",
                f'ulimit -n {limit} && ulimit -Sn {limit // 2} && exec "$@"',
                "limited",
                *command,
            ],
            home / "exporter.log",
            {**bare_environment(home), **env},
        )
        self.url = self.logged(r"\burl=(http://127\.0\.0\.1:\d+)")[1]
        self.port = int(self.url.rsplit(":", 1)[1])

    @property
    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


@pytest.fixture
def limited(tmp_path: Path, simulator: Simulator) -> Iterator[Callable[..., LimitedExporter]]:
    running: list[LimitedExporter] = []

    def run(limit: int, *flags: str) -> LimitedExporter:
        running.append(LimitedExporter(tmp_path, limit, *flags, env=simulator.environment()))
        return running[-1]

    try:
        yield run
        assert [one.stop() for one in running] == [0] * len(running)
    finally:
        for one in running:
            one.kill()


@contextmanager
def holding(port: int, number: int, sent: bytes = b"") -> Iterator[None]:
    """Clients that connect all at once, send this much and stay."""
    with ExitStack() as cleanup:
        for _ in range(number):
            peer = cleanup.enter_context(socket.create_connection(("127.0.0.1", port), 10))
            with suppress(ConnectionError):
                peer.sendall(sent)
        yield


HALF = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"
KEPT = HALF + b"\r\n"


@pytest.mark.parametrize(
    ("limit", "sent"),
    [(256, b""), (64, b""), (64, HALF), (64, KEPT)],
    ids=["idle", "idle, few descriptors", "half a head", "kept alive"],
)
def test_clients_that_hold_connections_keep_nobody_out_and_fill_no_log(
    limited: Callable[..., LimitedExporter], limit: int, sent: bytes
) -> None:
    exporter = limited(limit)
    with holding(exporter.port, 300, sent):
        for _ in range(5):
            began = time.monotonic()
            assert get(f"{exporter.url}/-/healthy").ok
            assert value(get(f"{exporter.url}/metrics").text, "cloudflare_mcp_up") == 1
            assert time.monotonic() - began < 5
            assert exporter.descriptors < limit
    assert len(exporter.log) < 5_000
    assert "Traceback" not in exporter.log


def test_too_low_a_limit_ends_the_start_and_says_so(tmp_path: Path, simulator: Simulator) -> None:
    ended = subprocess.run(
        ["/bin/bash", "-c", f"ulimit -n 63 && exec {sys.executable} -m exporter"],
        env={**bare_environment(tmp_path), **simulator.environment()},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr == (
        "cloudflare-mcp-exporter: error: the limit of open files is 63, but at least 64 are "
        "required; raise it (LimitNOFILE= in systemd, ulimit -n)\n"
    )


def test_the_soft_limit_is_raised_to_the_hard_one(
    limited: Callable[..., LimitedExporter],
) -> None:
    exporter = limited(200, "--log.level=debug")
    soft, hard = resource.prlimit(exporter.process.pid, resource.RLIMIT_NOFILE)
    assert (soft, hard) == (200, 200)
    assert 'msg="open files" limit=200 connections=84' in exporter.log


def kept_alive(peer: socket.socket, _: str) -> None:
    """Answers one request after the other on the same connection."""
    body = listing([portal("a")])
    while True:
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        if not peer.recv(65536):
            return


def test_many_accounts_are_listed_with_few_descriptors(tmp_path: Path) -> None:
    with RawServer(kept_alive) as api:
        accounts = [
            {
                "name": f"a{number}",
                "account_id": f"{number:032x}",
                "api_token": f"token-{number:09}",
            }
            for number in range(300)
        ]
        file = tmp_path / "config.yml"
        file.write_text(json.dumps({"base_url": api.base_url, "accounts": accounts}))
        exporter = LimitedExporter(tmp_path, 128, f"--config.file={file}", env={})
        try:
            for _ in range(2):
                found = samples(get(f"{exporter.url}/metrics", 60.0).text)
                ups = [up for (name, _), up in found.items() if name == "cloudflare_mcp_up"]
                assert ups == [1] * 300
                assert exporter.descriptors < 128
            assert exporter.stop() == 0
        finally:
            exporter.kill()


@pytest.mark.parametrize("limit", [64, 100, 256, 1024, 4096, 65536, 1 << 20])
def test_no_more_is_shared_out_than_there_is(limit: int) -> None:
    shares = share_out(limit)
    # A request has its socket twice, so that it can be interrupted.
    total = shares.connections + shares.backlog + 2 * shares.requests + shares.idle
    assert total + RESERVE <= limit
    assert min(shares.connections, shares.backlog, shares.requests, shares.idle) > 0


# --- slow readers ------------------------------------------------------------------------------


class SlowReaders:
    """Take 1 kB a second of a large answer, through buffers as small as those of a network."""

    def __init__(self, port: int, number: int) -> None:
        self._peers = [self._connect(port) for _ in range(number)]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _connect(self, port: int) -> socket.socket:
        peer = socket.socket()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.settimeout(10)
        peer.connect(("127.0.0.1", port))
        peer.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        peer.setblocking(False)
        return peer

    def _read(self) -> None:
        while not self._over.wait(1):
            for peer in self._peers:
                with suppress(OSError):
                    peer.recv(1024)

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        for peer in self._peers:
            peer.close()


def test_slow_readers_on_every_place_make_room_for_scrapes_and_health(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Source(b"x" * 338_000)
    with (
        site(source, server={"most_connections": 60}, send_buffer=32 * 1024) as served,
        ExitStack() as cleanup,
    ):
        readers = SlowReaders(served.port, 60)
        cleanup.callback(readers.close)
        eventually(lambda: len(source.begun) == 60, "slow readers on every place")
        source.next = lambda: done(b"up 1\n")
        for _ in range(10):
            began = time.monotonic()
            assert served.ask("/-/healthy")[0] == 200
            status, _, body = served.ask()
            assert (status, body) == (200, b"up 1\n")
            assert time.monotonic() - began < 3
    lines = [
        one
        for one in caplog.records
        if one.getMessage() == "closed a client connection to free capacity"
    ]
    assert {vars(line)["fields"]["was"] for line in lines} >= {"slow client"}
