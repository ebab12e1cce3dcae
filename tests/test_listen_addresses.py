"""Where the command listens, and what it says of it at its start."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from exporter.errors import SettingsError
from exporter.settings import ListenAddress
from exporter.web.listen import endpoint_of, listen
from processes import Child, bare_environment
from realparts import require

Start = Callable[..., Child]
needs_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """``start(address, ...)`` runs the command with these addresses."""
    with ExitStack() as cleanup:

        def run(*addresses: str) -> Child:
            flags = [f"--web.listen-address={one}" for one in addresses]
            child = Child(
                [sys.executable, "-m", "exporter", "--demo", "--web.route-prefix=/x", *flags],
                tmp_path / "log",
                bare_environment(tmp_path),
            )
            cleanup.callback(child.kill)
            return child

        yield run


def fetched(url: str) -> str:
    """The status that a client gets there, outside this process, which asks loopback alone."""
    command = [*(require("curl"), "--silent", "--output", os.devnull), "--globoff", "--noproxy"]
    asked = [*command, "*", "--max-time", "10", "--write-out", "%{http_code}", url]
    return subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False).stdout


def interface() -> str:
    """A link-local address of this machine with its interface; skips where there is none."""
    file = Path("/proc/net/if_inet6")
    for line in file.read_text().splitlines() if file.exists() else ():
        digits, *_, name = line.split()
        if digits.startswith("fe80"):
            return f"{socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))}%{name}"
    pytest.skip("no link-local address here")


ADDRESSES = {
    "no host": (":0", "[::]:{}", "http://[::]:{}", ("127.0.0.1", "[::1]")),
    "all of IPv6": ("[::]:0", "[::]:{}", "http://[::]:{}", ("127.0.0.1", "[::1]")),
    "all of IPv6, long": ("[0:0::0]:0", "[::]:{}", "http://[::]:{}", ("127.0.0.1", "[::1]")),
    "all of IPv4": ("0.0.0.0:0", "0.0.0.0:{}", "http://0.0.0.0:{}", ("127.0.0.1",)),
    "all of IPv4, short": ("0:0", "0.0.0.0:{}", "http://0.0.0.0:{}", ("127.0.0.1",)),
    "IPv6": ("[::1]:0", "[::1]:{}", "http://[::1]:{}", ("[::1]",)),
    "IPv4": ("127.0.0.2:0", "127.0.0.2:{}", "http://127.0.0.2:{}", ("127.0.0.2",)),
    "IPv4 in IPv6": (
        "[::ffff:127.0.0.1]:0",
        "127.0.0.1:{}",
        "http://127.0.0.1:{}",
        ("127.0.0.1",),
    ),
    "name": ("localhost:0", "127.0.0.1:{}", "http://127.0.0.1:{}", ("127.0.0.1",)),
}


@needs_ipv6
@pytest.mark.parametrize(
    ("flag", "address", "url", "hosts"), ADDRESSES.values(), ids=ADDRESSES.keys()
)
def test_what_is_said_at_the_start_is_where_it_listens_and_a_url_that_works(
    start: Start, flag: str, address: str, url: str, hosts: tuple[str, ...]
) -> None:
    said = start(flag).logged(r"msg=listening address=(\S+:(\d+))( interfaces=all)? url=(\S+)$")
    port = said[2]
    assert said[1] == address.format(port)
    assert (said[3] is not None) == ("[::]" in address or "0.0.0.0" in address)
    assert said[4] == f"{url.format(port)}/x/metrics"
    assert fetched(said[4]) == "200"
    for host in hosts:
        assert fetched(f"http://{host}:{port}/x/metrics") == "200"


def test_an_address_of_a_link_is_bound_with_its_interface(start: Start) -> None:
    where = interface()
    said = start(f"[{where}]:0").logged(r"msg=listening address=(\S+):\d+ url=(\S+)$")
    assert said[1] == f"[{where}]"
    assert where.replace("%", "%25") in said[2]
    assert fetched(said[2]) == "200"


def test_each_address_has_its_line(start: Start, tmp_path: Path) -> None:
    child = start("127.0.0.1:0", f"unix:{tmp_path}/socket", "127.0.0.2:0")
    child.logged(r"address=127\.0\.0\.2:\d+ url=http://127\.0\.0\.2:\d+/x/metrics$")
    lines = re.findall(r"msg=listening address=(\S+)(?: url=(\S+))?$", child.log, re.MULTILINE)
    assert [one[0].rpartition(":")[0] for one in lines] == ["127.0.0.1", "unix", "127.0.0.2"]
    assert lines[1] == (f"unix:{tmp_path}/socket", "")


@needs_ipv6
@pytest.mark.parametrize("ipv4", ["0.0.0.0", "127.0.0.1"])
@pytest.mark.parametrize("first", [0, 1])
def test_ipv4_and_ipv6_may_share_a_port_as_two_addresses(ipv4: str, first: int) -> None:
    for _ in range(20):  # another program may take the port in between
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        both = [ListenAddress(ipv4, port), ListenAddress("::", port)]
        try:
            bound = listen(both[first:] + both[:first])
        except SettingsError as problem:
            if "already in use" not in str(problem):
                raise
            continue
        break
    urls = {endpoint_of(one, "http").url for one in bound}
    assert urls == {f"http://127.0.0.1:{port}", f"http://[::1]:{port}"}
    for host in ("127.0.0.1", "::1"):
        socket.create_connection((host, port), timeout=5).close()
    for one in bound:
        one.close()


def test_an_interface_that_is_not_there_is_one_line(start: Start) -> None:
    child = start("[fe80::1%nosuch]:0")
    assert child.process.wait(30) == 2
    assert child.log == (
        "cloudflare-mcp-exporter: error: --web.listen-address: [fe80::1%nosuch]:0: the interface "
        "does not exist\n"
    )
