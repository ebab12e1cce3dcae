"""The way to the API, which the environment names where the configuration file does not.

It is read once, when the settings are loaded, and checked then: nothing in it can surprise a
scrape later. The variables are those that curl and ``requests`` know.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from exporter.errors import SettingsError
from exporter.settings import read_file
from exporter.settings.urls import proxy_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.settings.values import Account

AUTHORITIES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that name certificate authorities; the first that is set counts."""

MAX_BUNDLE = 16 << 20
"""Bytes: the public authorities of the web are 0.3 MB."""

# What `openssl rehash` names the certificates of a directory.
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")


def routed(accounts: Iterable[Account], environ: Mapping[str, str]) -> tuple[Account, ...]:
    """The accounts, each with a proxy and certificate authorities if any are to be used.

    Raises:
        SettingsError: names the variable that cannot be used, and nothing of what it holds.
    """
    authorities = functools.cache(lambda: _authorities(environ))  # checked once, if at all

    def route(account: Account) -> Account:
        proxy = account.proxy_url or _proxy(account.base_url, environ)
        has_tls = any(url.lower().startswith("https:") for url in (account.base_url, proxy))
        ca_file = account.ca_file or (authorities() if has_tls else "")
        return msgspec.structs.replace(account, proxy_url=proxy, ca_file=ca_file)

    return tuple(route(account) for account in accounts)


def _proxy(base_url: str, environ: Mapping[str, str]) -> str:
    parts = urlsplit(base_url)
    _, exceptions = _variable("no_proxy", environ)
    name, text = next(
        (
            found
            for found in (_variable(f"{one}_proxy", environ) for one in (parts.scheme, "all"))
            if found[1]
        ),
        ("", ""),
    )
    if not text or is_exempt(parts.hostname or "", parts.port, exceptions):
        return ""
    try:
        return proxy_url(text if "://" in text else f"http://{text}")
    except ValueError as problem:
        raise SettingsError(f"{name}: {problem}") from None


def _variable(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Its name as it is written and its value; the one in lower case counts, even if empty."""
    name = name if name in environ else name.upper()
    return name, environ.get(name, "").strip()


def is_exempt(host: str, port: int | None, exceptions: str) -> bool:
    """Whether ``NO_PROXY`` names the host: itself, its domain, its network, or ``*`` for all."""
    entries = re.split(r"[\s,]+", exceptions.lower())
    return any(entry == "*" or _names(entry, host, port) for entry in entries)


def _names(entry: str, host: str, port: int | None) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass  # one of the two is a name
    name = entry.removeprefix("*").lstrip(".")
    names = (host, f"{host}:{port}", f"[{host}]:{port}")
    return bool(name) and any(one == name or one.endswith(f".{name}") for one in names)


def _authorities(environ: Mapping[str, str]) -> str:
    name = next((one for one in AUTHORITIES if environ.get(one)), None)
    if name is None:
        return ""
    try:
        check_authorities(environ[name])
    except ValueError as problem:
        raise SettingsError(f"{name}: {problem}") from None
    return environ[name]


def check_authorities(path: str) -> None:
    """Do nothing, unless the path names no certificate authorities.

    A file holds them in PEM; a directory holds one in each file, named by its hash.

    Raises:
        ValueError: says what is wrong, without the path.
    """
    if _has_hashed_files(path):
        return
    try:
        read_file.read(path, MAX_BUNDLE)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except read_file.UnreadableError as problem:
        raise ValueError(f"the file {problem}") from None
    except OSError:  # that of ssl is one
        raise ValueError("contains no PEM certificate") from None


def _has_hashed_files(path: str) -> bool:
    try:
        return any(_HASHED.fullmatch(one.name) for one in Path(path).iterdir())
    except (OSError, ValueError):
        return False
