"""A probe reaches public addresses only, and exactly those that were checked."""

from __future__ import annotations

import socket
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.deadline import Deadline
from exporter.probes.addresses import AddressPolicy, RefusedAddressError, parse_network
from exporter.probes.exchange import Route
from exporter.probes.result import Outcome
from exporter.probes.server import ServerProbe, ServerTarget
from rawserver import RawServer, answer, sends

REFUSED = (
    *("127.0.0.1", "127.8.9.10", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1"),
    *("169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1"),
    *("224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "203.0.113.9"),
    *("::", "::1", "fe80::1", "fe80::1%lo", "fd00:ec2::254", "fc00::1", "ff02::1", "fec0::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1"),
    *("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1.1.1.1"),
    *("2002:7f00:1::1", "2001:0:7f00:1::", "2001:db8::1", "3fff::1", "not an address", ""),
)
PUBLIC = ("1.1.1.1", "104.16.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1")


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(RefusedAddressError):
        AddressPolicy().check([address])


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str) -> None:
    AddressPolicy().check([address])


@given(st.ip_addresses())
def test_what_python_calls_private_is_never_public_here(address: Any) -> None:
    if not address.is_global or address.is_multicast:
        inner = getattr(address, "ipv4_mapped", None)
        if inner is None and address not in ip_network("64:ff9b::/96"):
            with pytest.raises(RefusedAddressError):
                AddressPolicy().check([str(address)])


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(RefusedAddressError):
        AddressPolicy().check(["1.1.1.1", "10.0.0.1"])


def test_an_allowed_network_is_allowed_in_every_form_and_nothing_beside_it() -> None:
    policy = AddressPolicy((parse_network("10.1.0.0/16"), parse_network("fd12::/48")))
    policy.check(["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "fd12::1"])
    for address in ("10.2.0.1", "fd13::1", "127.0.0.1"):
        with pytest.raises(RefusedAddressError):
            policy.check([address])


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "2130706433", "0177.0.0.1", "0x7f.0.0.1", "127.1"),
        *("[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "[::]"),
    ],
)
def test_no_spelling_of_loopback_is_reached(host: str) -> None:
    with RawServer(sends(answer(b"{}"))) as server:
        port = server.base_url.rpartition(":")[2].partition("/")[0]
        target = ServerTarget("one", f"http://{host}:{port}/mcp", "oauth")
        result = ServerProbe(target, Route(allow_http=True), Deadline(5), None).run()
    assert server.heads == []
    assert result.outcome in {Outcome.REFUSED_ADDRESS, Outcome.DNS}
    assert not result.success


def test_a_name_that_changes_after_the_check_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection goes to the addresses of the one lookup that was checked."""
    lookups: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: str, *rest: Any, **options: Any) -> Any:
        lookups.append(host)
        return real("127.0.0.1" if len(lookups) == 1 else "127.0.0.2", *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with RawServer(sends(answer(b"", "403 Forbidden"))) as server:
        port = server.base_url.rpartition(":")[2].partition("/")[0]
        target = ServerTarget("one", f"http://changing.example.com:{port}/", "oauth")
        policy = AddressPolicy((parse_network("127.0.0.1"),))
        result = ServerProbe(target, Route(policy, allow_http=True), Deadline(5), None).run()
    assert result.outcome is Outcome.BLOCKED
    assert lookups == ["changing.example.com"]


@pytest.mark.parametrize("url", ["http://1.1.1.1/mcp", "ftp://1.1.1.1/", "file:///etc/passwd"])
def test_a_url_that_is_not_https_is_refused_unless_it_is_allowed(url: str) -> None:
    result = ServerProbe(ServerTarget("one", url, "oauth"), Route(), Deadline(5), None).run()
    assert (result.outcome, result.http_status) == (Outcome.REFUSED_ADDRESS, None)
