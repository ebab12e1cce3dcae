"""Unix sockets, sockets from systemd, what systemd hears, and the unit that ships."""

from __future__ import annotations

import http.client
import os
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from exporter.errors import SettingsError
from exporter.settings import ListenAddress
from exporter.simulator.server import Simulator
from exporter.web.listen import bind, listen
from exporter.web.systemd import Notifier
from processes import ROOT, Child, bare_environment, eventually, get
from realparts import require

UNITS = ROOT / "deploy" / "systemd"
SERVICE = UNITS / "cloudflare-mcp-exporter.service"


class UnixConnection(http.client.HTTPConnection):
    """HTTP to a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self._path)


def asked(path: Path, what: str = "/-/ready") -> int:
    connection = UnixConnection(path)
    connection.request("GET", what)
    status = connection.getresponse().status
    connection.close()
    return status


Start = Callable[..., Child]


@pytest.fixture
def start(tmp_path: Path, simulator: Simulator) -> Iterator[Start]:
    """``start(*flags, before=code, **environment)``: an exporter, after some Python code."""
    with ExitStack() as cleanup:

        def run(*flags: str, before: str = "", **env: str) -> Child:
            command = '[sys.executable, "-m", "exporter", *sys.argv[1:]]'
            code = f"import os, socket, sys\n{before}\nos.execv(sys.executable, {command})"
            home = tmp_path / f"home{time.monotonic_ns()}"
            home.mkdir()
            child = Child(
                [sys.executable, "-c", code, *flags],
                home / "log",
                {**bare_environment(home), **simulator.environment(), **env},
            )
            cleanup.callback(child.kill)
            return child

        yield run


# --- unix sockets and several addresses --------------------------------------------------------


def test_all_addresses_are_served_and_the_socket_file_goes_with_the_process(
    start: Start, tmp_path: Path
) -> None:
    path = tmp_path / "exporter.sock"
    child = start(
        f"--web.listen-address=unix:{path}",
        "--web.listen-address=127.0.0.1:0",
        "--web.listen-address=localhost:0",
    )
    child.logged(f"msg=listening address=unix:{re.escape(str(path))}$")
    ports = eventually(
        lambda: (found := re.findall(r"url=http://127\.0\.0\.1:(\d+)/", child.log))[1:] and found,
        "two ports",
    )
    eventually(lambda: asked(path) == 200, "answer on the socket")
    assert asked(path, "/metrics") == 200
    for port in ports:
        assert get(f"http://127.0.0.1:{port}/-/ready").ok
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert child.stop() == 0
    assert not path.exists()


def test_a_socket_file_that_nobody_listens_on_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "exporter.sock"
    left_over = socket.socket(socket.AF_UNIX)
    left_over.bind(str(path))
    left_over.close()
    with bind(ListenAddress(path=str(path))) as listening:
        assert listening.getsockname() == str(path)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert not path.exists()


def test_a_socket_in_use_and_a_plain_file_are_left_alone(tmp_path: Path) -> None:
    path, file = tmp_path / "exporter.sock", tmp_path / "file"
    file.write_text("precious")
    with bind(ListenAddress(path=str(path))):
        with pytest.raises(SettingsError) as caught:
            bind(ListenAddress(path=str(path)))
        assert path.exists()
    assert str(caught.value) == (
        f"--web.listen-address: unix:{path}: is already in use; "
        "stop the other program, or use another path"
    )
    with pytest.raises(SettingsError, match="the file exists and is not a socket"):
        bind(ListenAddress(path=str(file)))
    assert file.read_text() == "precious"
    with pytest.raises(SettingsError, match="cannot listen: no such file or directory"):
        bind(ListenAddress(path=str(tmp_path / "no" / "where.sock")))


def test_a_socket_file_of_a_successor_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "exporter.sock"
    first = bind(ListenAddress(path=str(path)))
    path.unlink()
    with bind(ListenAddress(path=str(path))):
        first.close()
        assert path.exists()


def test_an_address_that_cannot_be_had_leaves_no_socket_file(tmp_path: Path) -> None:
    path = tmp_path / "exporter.sock"
    with bind(ListenAddress("127.0.0.1", 0)) as taken:
        busy = ListenAddress("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(SettingsError, match="is already in use"):
            listen([ListenAddress(path=str(path)), busy])
    assert not path.exists()


def test_the_mode_of_the_socket_does_not_go_by_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o777)
    try:
        with bind(ListenAddress(path=str(tmp_path / "exporter.sock"))):
            assert stat.S_IMODE((tmp_path / "exporter.sock").stat().st_mode) == 0o660
    finally:
        os.umask(before)


# --- sockets from systemd ----------------------------------------------------------------------

# As systemd does it: the sockets from descriptor 3 on, then the program in the same process.
ACTIVATE = """
tcp = socket.create_server(("127.0.0.1", 0))
unix = socket.socket(socket.AF_UNIX)
unix.bind({path!r})
unix.listen()
print("port", tcp.getsockname()[1], flush=True)
for target, given in ((103, tcp), (104, unix), (3, 103), (4, 104)):
    os.dup2(given if isinstance(given, int) else given.fileno(), target)
os.environ |= {{"LISTEN_FDS": "2", "LISTEN_PID": str(os.getpid())}}
"""


def test_sockets_that_are_handed_over_are_served(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "from-systemd.sock"
    child = start("--web.systemd-socket", before=ACTIVATE.format(path=str(path)))
    port = child.logged(r"^port (\d+)$")[1]
    child.logged(f"url=http://127.0.0.1:{port}/metrics")
    eventually(lambda: get(f"http://127.0.0.1:{port}/-/ready").ok, "answer")
    assert asked(path, "/metrics") == 200
    assert child.stop() == 0
    assert path.exists()  # it is systemd's


HAND_OVER = """
os.dup2({descriptor}, 103)
os.dup2(103, 3)
os.environ |= {{"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}}
"""


@pytest.mark.parametrize(
    ("before", "complaint"),
    [
        ("", "no socket was passed; start the service through its .socket unit"),
        (
            'os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": "1"}',
            "no socket was passed; start the service through its .socket unit",
        ),
        (
            HAND_OVER.format(descriptor="os.open('/dev/null', 0)"),
            "file descriptor 3 is not a socket",
        ),
        (
            HAND_OVER.format(descriptor="socket.socket(type=socket.SOCK_DGRAM).detach()"),
            ("file descriptor 3 is not a listening stream socket; use ListenStream= and Accept=no"),
        ),
    ],
    ids=["none", "another's", "a file", "a datagram socket"],
)
def test_what_cannot_be_listened_on_is_said(start: Start, before: str, complaint: str) -> None:
    child = start("--web.systemd-socket", before=before)
    assert child.process.wait(20) == 2
    assert child.log == (f"cloudflare-mcp-exporter: error: --web.systemd-socket: {complaint}\n")


# --- what systemd hears ------------------------------------------------------------------------


class Manager:
    """Stands where systemd listens."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(20)

    def hears(self, beginning: str) -> str:
        """The next state that begins so; signs of life in between are skipped."""
        while True:
            state = self._socket.recv(4096).decode()
            if state.startswith(beginning):
                return state
            assert state == "WATCHDOG=1"

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Manager, str]]:
    """The manager, and what ``NOTIFY_SOCKET`` says of it."""
    name = f"{tmp_path}/notify"
    listening = Manager(name if request.param == "path" else f"\0{name}")
    yield listening, name if request.param == "path" else f"@{name}"
    listening.close()


def test_systemd_hears_of_the_start_life_reload_and_end(
    start: Start, manager: tuple[Manager, str]
) -> None:
    listening, address = manager
    child = start("--web.listen-address=127.0.0.1:0", NOTIFY_SOCKET=address, WATCHDOG_USEC="300000")
    listening.hears("READY=1")
    port = child.logged(r"url=http://127\.0\.0\.1:(\d+)/")[1]
    assert get(f"http://127.0.0.1:{port}/-/ready").ok  # ready means that it serves
    for _ in range(4):
        listening.hears("WATCHDOG=1")
    os.kill(child.process.pid, 1)
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", listening.hears("RELOADING=1"))
    listening.hears("READY=1")
    child.process.terminate()
    listening.hears("STOPPING=1")
    assert child.process.wait(10) == 0


def test_a_sign_of_life_comes_three_times_in_the_time_that_systemd_waits() -> None:
    def interval(**environ: str) -> float | None:
        return Notifier({"NOTIFY_SOCKET": "/x", **environ}, 7).interval

    assert interval(WATCHDOG_USEC="30000000") == 10
    assert interval(WATCHDOG_USEC="30000000", WATCHDOG_PID="7") == 10
    assert interval(WATCHDOG_USEC="30000000", WATCHDOG_PID="8") is None
    assert interval(WATCHDOG_USEC="soon") is None
    assert interval() is None
    assert Notifier({"WATCHDOG_USEC": "1"}, 7).interval is None


def test_a_manager_that_has_gone_disturbs_nobody(start: Start, tmp_path: Path) -> None:
    child = start("--web.listen-address=127.0.0.1:0", NOTIFY_SOCKET=str(tmp_path / "gone"))
    port = child.logged(r"url=http://127\.0\.0\.1:(\d+)/")[1]
    eventually(lambda: get(f"http://127.0.0.1:{port}/-/ready").ok, "answer")
    assert child.stop() == 0


# --- the unit ----------------------------------------------------------------------------------


Analyzed = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def analyzed(tmp_path: Path) -> Analyzed:
    """``analyzed(*arguments)`` runs systemd-analyze in a directory with copies of the units.

    They are checked as units of a user: for those of the system the program writes to /run. A
    user's manager refuses DynamicUser, and not every machine has the programs that the unit runs.
    """
    for unit in UNITS.glob("*.s*"):
        text = re.sub("/usr/bin/cloudflare-mcp-exporter|/bin/kill", "/bin/true", unit.read_text())
        (tmp_path / unit.name).write_text(text.replace("DynamicUser=yes\n", ""))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [require("systemd-analyze"), "--user", *arguments],
            env={**bare_environment(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_systemd_rates_the_unit_as_ok(analyzed: Analyzed) -> None:
    # The threshold is in tenths: at most 1.5 on the scale that ends at 10.
    ended = analyzed("security", "--offline=true", "--threshold=15", f"./{SERVICE.name}")
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_systemd_finds_nothing_wrong_with_the_units(analyzed: Analyzed) -> None:
    names = sorted(unit.name for unit in UNITS.glob("*.s*"))
    ended = analyzed("verify", "--man=false", *(f"./{name}" for name in names))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_unit_starts_the_exporter_with_a_token_from_a_credential() -> None:
    text = SERVICE.read_text()
    assert "LoadCredential=api-token:/etc/cloudflare-mcp-exporter/api-token" in text
    assert "Environment=CLOUDFLARE_API_TOKEN_FILE=%d/api-token" in text
    assert "Type=notify" in text
    assert "DynamicUser=yes" in text
