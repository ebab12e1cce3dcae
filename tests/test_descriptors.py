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
from watching import failures, samples, value
from webserver import Source, done, site

NONE = range(0)


def limited_command(limit: int, inherited: range, *flags: str) -> list[str]:
    """The exporter with so many descriptors, after others were opened in its process."""
    opened = "".join(f"exec {number}</dev/null; " for number in inherited)
    script = f'{opened}ulimit -n {limit} && ulimit -Sn {limit // 2} && exec "$@"'
    return ["/bin/bash", "-c", script, "limited", sys.executable, "-m", "exporter", *flags]


class LimitedExporter(Child):
    """An exporter whose limit of open files is this, once it has raised it from half of it."""

    def __init__(
        self, home: Path, limit: int, *flags: str, env: dict[str, str], inherited: range = NONE
    ) -> None:
        super().__init__(
            limited_command(limit, inherited, "--web.listen-address=127.0.0.1:0", *flags),
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

    def run(limit: int, *flags: str, inherited: range = NONE) -> LimitedExporter:
        env = simulator.environment()
        running.append(LimitedExporter(tmp_path, limit, *flags, env=env, inherited=inherited))
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
    ("limit", "inherited", "sent"),
    [
        (256, NONE, b""),
        (64, NONE, b""),
        (64, NONE, HALF),
        (64, NONE, KEPT),
        (200, range(10, 146), b""),
    ],
    ids=["idle", "idle, few descriptors", "half a head", "kept alive", "inherited descriptors"],
)
def test_clients_that_hold_connections_keep_nobody_out_and_fill_no_log(
    limited: Callable[..., LimitedExporter], limit: int, inherited: range, sent: bytes
) -> None:
    exporter = limited(limit, inherited=inherited)
    with holding(exporter.port, 300, sent):
        for _ in range(5):
            began = time.monotonic()
            assert get(f"{exporter.url}/-/healthy").ok
            assert value(get(f"{exporter.url}/metrics").text, "cloudflare_mcp_up") == 1
            assert time.monotonic() - began < 5
            assert exporter.descriptors < limit
    assert len(exporter.log) < 5_000
    assert "Traceback" not in exporter.log


@pytest.mark.parametrize(
    ("limit", "inherited", "said"),
    [
        (63, NONE, "63, but at least 64 are required; "),
        (100, range(10, 70), "100, but at least 124 are required, because 60 are inherited; "),
    ],
)
def test_too_low_a_limit_ends_the_start_and_says_so(
    tmp_path: Path, simulator: Simulator, limit: int, inherited: range, said: str
) -> None:
    ended = subprocess.run(
        limited_command(limit, inherited),
        env={**bare_environment(tmp_path), **simulator.environment()},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr == (
        f"cloudflare-mcp-exporter: error: the limit of open files is {said}"
        "raise it (LimitNOFILE= in systemd, ulimit -n)\n"
    )


def test_the_soft_limit_is_raised_to_the_hard_one(
    limited: Callable[..., LimitedExporter],
) -> None:
    exporter = limited(200, "--log.level=debug")
    soft, hard = resource.prlimit(exporter.process.pid, resource.RLIMIT_NOFILE)
    assert (soft, hard) == (200, 200)
    assert 'msg="open files" limit=200 inherited=0 connections=84' in exporter.log


def test_inherited_descriptors_from_the_limit_on_take_nothing_from_it(
    limited: Callable[..., LimitedExporter],
) -> None:
    exporter = limited(80, "--log.level=debug", inherited=range(80, 200))
    assert 'msg="open files" limit=80 inherited=0' in exporter.log


def kept_alive(peer: socket.socket, _: str) -> None:
    """Answers one request after the other on the same connection."""
    body = listing([portal("a")])
    while True:
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        if not peer.recv(65536):
            return


def many_accounts(count: int) -> list[dict[str, str]]:
    """Their entries in a configuration file."""
    return [
        {"name": f"a{number}", "account_id": f"{number:032x}", "api_token": f"token-{number:09}"}
        for number in range(count)
    ]


def test_many_accounts_are_listed_with_few_descriptors(tmp_path: Path) -> None:
    with RawServer(kept_alive) as api:
        file = tmp_path / "config.yml"
        file.write_text(json.dumps({"base_url": api.base_url, "accounts": many_accounts(300)}))
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


def test_an_account_that_could_send_no_request_does_not_blame_the_api(tmp_path: Path) -> None:
    over = threading.Event()

    def hangs(peer: socket.socket, _: str) -> None:
        over.wait(60)

    with RawServer(hangs) as api, ExitStack() as cleanup:
        cleanup.callback(over.set)
        file = tmp_path / "config.yml"
        file.write_text(json.dumps({"base_url": api.base_url, "accounts": many_accounts(12)}))
        flags = (f"--config.file={file}", "--scrape.timeout=1")
        exporter = LimitedExporter(tmp_path, 64, *flags, env={})
        cleanup.callback(exporter.kill)
        assert failures(get(f"{exporter.url}/metrics", 30.0).text) == {"timeout": 1}
        lines = [line for line in exporter.log.splitlines() if "listing failed" in line]
        blamed = [line for line in lines if "the API did not respond in time" in line]
        assert len(blamed) == share_out(64).requests
        rest = [line for line in lines if line not in blamed]
        assert len(rest) == 12 - len(blamed)
        assert all("all request slots were in use" in line for line in rest)
        assert all("limit of open files" in line and "network" not in line for line in rest)


@pytest.mark.parametrize("limit", [64, 100, 256, 1024, 4096, 65536, 1 << 20])
@pytest.mark.parametrize("in_use", [0, 1, 1000])
def test_no_more_is_shared_out_than_there_is(limit: int, in_use: int) -> None:
    shares = share_out(limit + in_use, in_use)
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
