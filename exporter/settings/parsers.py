"""From a setting's text to its value.

Each raises ``ValueError`` whose text says what is wrong and what would be right; whoever calls
puts the name of the setting in front.
"""

from __future__ import annotations

import ipaddress
import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from exporter.settings.urls import base_url, is_host
from exporter.settings.values import ListenAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TRUE = frozenset({"true", "1", "yes"})
FALSE = frozenset({"false", "0", "no"})
MAX_PORT = 65535
LONGEST_UNIX_PATH = 107
"""Bytes: what the kernel's address of a socket has room for."""

OWN_PATHS = frozenset({"/-", "/config", "/exporter", "/probe", "/runbooks", "/sd"})
SHOWN = 60

PROMETHEUS_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES = {"": 1, "kib": 1024, "mib": 1024**2, "gib": 1024**3}

_NUMBER = re.compile(r"[0-9]{0,9}\.?[0-9]{1,9}")
_SIZE = re.compile(r"([0-9]{1,15}) ?(KiB|MiB|GiB|)", re.IGNORECASE)
_PORT = re.compile(r"[0-9]{1,5}")
_INTERFACE = re.compile(r"[A-Za-z0-9._@:-]{1,15}")
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/-]*")


def shown(text: str) -> str:
    """A value as it may stand in an error: quoted, on one line, not endless."""
    return ascii(text if len(text) <= SHOWN else text[:SHOWN] + "...")


def switch(text: str) -> bool:
    """``true``, ``1``, ``yes`` or their opposites, in any case."""
    word = text.strip().lower()
    if word not in TRUE | FALSE:
        raise ValueError(f"{shown(text)} is not a boolean; use true or false")
    return word in TRUE


def one_of(*choices: str, also: Mapping[str, str] | None = None) -> Callable[[str], str]:
    """A parser that takes one of the words in any case; ``also`` maps other words to them."""

    def parse(text: str) -> str:
        word = text.strip().lower()
        word = (also or {}).get(word, word)
        if word not in choices:
            raise ValueError(f"{shown(text)} is not one of {', '.join(choices)}")
        return word

    return parse


def whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    """A parser that takes a whole number between two bounds, both included."""

    def parse(text: str) -> int:
        if re.fullmatch(r"[0-9]{1,9}", text) and lowest <= int(text) <= highest:
            return int(text)
        raise ValueError(f"{shown(text)} is not an integer from {lowest} to {highest}")

    return parse


def seconds(text: str) -> float:
    """A time above zero, such as ``9``, ``0.5``, ``9s`` or ``500ms``."""
    value = seconds_or_zero(text)
    if not value > 0:
        raise ValueError(f"{shown(text)} must be greater than 0")
    return value


def seconds_or_zero(text: str) -> float:
    """A time, zero allowed."""
    try:
        return float(text) if _NUMBER.fullmatch(text) else _duration(text)
    except ValueError:
        raise ValueError(
            f"{shown(text)} is not a duration; use seconds such as 9 or 0.5, or 30s, 5m, 1h30m"
        ) from None


def _duration(text: str) -> float:
    """Prometheus' form: ``30s``, ``1h30m``; each unit once, the larger ones first."""
    order = [list(PROMETHEUS_UNITS).index(unit) for unit in re.findall("[a-z]+", text)]
    value = duration(text, PROMETHEUS_UNITS)
    if order != sorted(set(order), reverse=True):
        raise ValueError("not a duration")
    return value


def duration(text: str, units: Mapping[str, float]) -> float:
    """The sum of numbers with units; ``units`` gives the value of each."""
    names = "|".join(sorted(units, key=len, reverse=True))
    part = rf"([0-9]{{0,9}}\.?[0-9]{{1,9}})({names})"
    if not re.fullmatch(f"({part})+", text):
        raise ValueError("not a duration")
    return sum(float(number) * units[unit] for number, unit in re.findall(part, text))


def size(text: str) -> int:
    """Bytes, such as ``1048576``, ``512KiB``, ``256MiB`` or ``1GiB``."""
    found = _SIZE.fullmatch(text)
    number = int(found[1]) * _BYTES[found[2].lower()] if found else 0
    if not number:
        raise ValueError(f"{shown(text)} is not a size; use bytes or a unit such as 256MiB")
    return number


def path(text: str) -> str:
    """A file's path; nothing is known yet of the file."""
    if "\x00" in text:
        raise ValueError(f"{shown(text)} contains a null character")
    return text


def listen_address(text: str) -> ListenAddress:
    """``host:port``, ``:port``, ``[::1]:port``, ``[fe80::1%eth0]:port`` or ``unix:/path``."""
    if text.startswith("unix:"):
        return _unix(text)
    if "://" in text or "/" in text:
        raise ValueError(f"{shown(text)} is a URL or a path; use HOST:PORT, :PORT or unix:/PATH")
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError(f"{shown(text)} has no port; use HOST:PORT, or :PORT for all interfaces")
    if not _PORT.fullmatch(port) or int(port) > MAX_PORT:
        raise ValueError(f"{shown(port)} is not a port from 0 to {MAX_PORT}")
    return ListenAddress(_host(host), int(port))


def _unix(text: str) -> ListenAddress:
    where = path(text.removeprefix("unix:"))
    if not where.startswith("/") or where.endswith("/"):
        raise ValueError(f"{shown(text)} is not an absolute path; use unix:/run/exporter.sock")
    if len(os.fsencode(where)) > LONGEST_UNIX_PATH:
        raise ValueError(f"{shown(text)} is too long for a Unix socket; use a shorter path")
    return ListenAddress(path=where)


def _host(text: str) -> str:
    if text.startswith("[") and text.endswith("]"):
        return _ipv6(text)
    if ":" in text:
        raise ValueError(f"{shown(text)} contains colons; write an IPv6 address as [::1]:10180")
    if text and not is_host(text):
        raise ValueError(f"{shown(text)} is not a host; use :PORT to listen on all interfaces")
    return text


def _ipv6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text[1:-1])
    except ValueError:
        raise ValueError(f"{shown(text)} is not an IPv6 address in brackets") from None
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)  # which a socket of IPv6 alone cannot be bound to
    if not address.is_link_local and address.scope_id:
        raise ValueError(
            f"{shown(text)} is not a link-local address; remove the % and what follows it"
        )
    if address.is_link_local and not _INTERFACE.fullmatch(address.scope_id or ""):
        raise ValueError(f"{shown(text)} requires an interface, such as [fe80::1%eth0]")
    return str(address)


def telemetry_path(text: str) -> str:
    """A path that a client can ask for as it stands, and that is not one of the exporter's own."""
    if not text.startswith("/"):
        raise ValueError(f"{shown(text)} does not begin with a slash")
    if text in OWN_PATHS or text.startswith(("/-/", "/runbooks/")):
        raise ValueError(f"{shown(text)} is reserved; use another path")
    return _plain_path(text)


def _plain_path(text: str) -> str:
    inner = text.removesuffix("/").split("/")[1:]
    if not _PATH.fullmatch(text) or not {"", ".", ".."}.isdisjoint(inner):
        raise ValueError(
            f"{shown(text)} is not a plain path; use letters, digits, slashes and dashes only"
        )
    return text


def route_prefix(text: str) -> str:
    """A path without a slash at its end; empty for ``/``."""
    if text.strip("/") == "":
        return ""
    return _plain_path(f"/{text.lstrip('/')}").rstrip("/")


def external_url(text: str) -> str:
    """An http or https URL without a slash at its end; empty for none."""
    if not text:
        return ""
    url = base_url(text)
    _plain_path(urlsplit(url).path or "/")
    return url
