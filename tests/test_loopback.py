"""The guard that keeps the tests on this machine does so."""

from __future__ import annotations

import socket

import pytest

from loopback import is_harmless


@pytest.mark.parametrize(
    ("host", "harmless"),
    [
        pytest.param("127.0.0.1", True, id="loopback"),
        pytest.param("127.8.9.10", True, id="another address of loopback"),
        pytest.param("::1", True, id="IPv6 loopback"),
        pytest.param("0.0.0.0", True, id="any address of this machine"),
        pytest.param("localhost", True, id="localhost"),
        pytest.param(b"localhost", True, id="bytes"),
        pytest.param("api.localhost", True, id="a name under localhost"),
        pytest.param("gone.invalid", True, id="a name that cannot exist"),
        pytest.param(None, True, id="no host"),
        pytest.param("192.0.2.1", False, id="another machine"),
        pytest.param("2001:db8::1", False, id="another machine by IPv6"),
        pytest.param("api.example", False, id="a name"),
        pytest.param("notlocalhost", False, id="a name that ends like localhost"),
    ],
)
def test_only_this_machine_is_harmless(host: object, harmless: bool) -> None:
    assert is_harmless(host) is harmless


def test_reaching_for_another_machine_fails_the_test() -> None:
    with socket.socket() as connection, pytest.raises(pytest.fail.Exception, match=r"192\.0\.2\.1"):
        connection.connect(("192.0.2.1", 80))
    with pytest.raises(pytest.fail.Exception, match=r"api\.example"):
        socket.getaddrinfo("api.example", 443)
