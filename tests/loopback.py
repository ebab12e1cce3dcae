"""Restricts tests to loopback: any other connection or name lookup fails the test."""

from __future__ import annotations

import ipaddress
import socket
import sys
from typing import Any

import pytest

# Names that are loopback by definition, and names that never exist by definition.
HARMLESS_NAMES = (".localhost", ".invalid")


def is_harmless(host: object) -> bool:
    """Whether a host that is given to a socket is this machine."""
    text = host.decode() if isinstance(host, bytes) else host
    if not isinstance(text, str) or not text:
        return True  # None and "" mean this machine
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return _is_loopback_number(text) or f".{text.lower().rstrip('.')}".endswith(HARMLESS_NAMES)
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def _is_loopback_number(text: str) -> bool:
    """Whether it is an IPv4 address in one of the forms that only resolvers take, such as 127.1."""
    try:
        return ipaddress.ip_address(socket.inet_aton(text)).is_loopback
    except OSError:
        return False


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in {"socket.connect", "socket.sendto"}:
        connection, address = arguments[0], arguments[1]
        if connection.family not in {socket.AF_INET, socket.AF_INET6} or address is None:
            return
        host = address[0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if not is_harmless(host):
        # Not an Exception, so that no `except Exception` on the way swallows it.
        pytest.fail(f"a test reached for {host!r}: tests talk to loopback only")


def guard() -> None:
    """Watch this process from now on; an audit hook cannot be removed."""
    sys.addaudithook(_watch)
