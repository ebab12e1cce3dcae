"""Whether a login at a server is possible: the metadata that its challenge names must answer.

A server that requires OAuth names its protected resource metadata in ``WWW-Authenticate``, or has
it at a well-known path; that names its authorization servers, one of which must serve its own
metadata. Nothing is registered and no login is started.

Source: RFC 9728, RFC 8414, and the authorization part of the MCP specification.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec

from exporter.probes.exchange import Exchange
from exporter.probes.result import ProbeError

T = TypeVar("T", bound=msgspec.Struct)

MAX_SERVERS = 3
_RESOURCE = re.compile(r'\bresource_metadata\s*=\s*"([^"\\]{1,2000})"')


class _Resource(msgspec.Struct, frozen=True):
    authorization_servers: list[str] = []


class _Issuer(msgspec.Struct, frozen=True):
    issuer: str


def login_possible(exchange: Exchange, url: str, challenge: str) -> bool:
    """Whether the metadata of the resource and of an authorization server answer.

    Args:
        exchange: sends the requests, under its address policy.
        url: of the server.
        challenge: its header ``WWW-Authenticate``.
    """
    resource = _first(exchange, _resource_addresses(url, challenge), _Resource)
    if resource is None:
        return False
    # Before 2025-06-18 the server itself was its authorization server.
    issuers = resource.authorization_servers or [_at(url, "")]
    return any(
        _first(exchange, _issuer_addresses(issuer), _Issuer) is not None
        for issuer in issuers[:MAX_SERVERS]
    )


def _resource_addresses(url: str, challenge: str) -> list[str]:
    named = _RESOURCE.search(challenge)
    if named:
        return [named[1]]
    name, path = "/.well-known/oauth-protected-resource", urlsplit(url).path.rstrip("/")
    return list(dict.fromkeys([_at(url, name + path), _at(url, name)]))


def _issuer_addresses(issuer: str) -> list[str]:
    try:
        path = urlsplit(issuer).path.rstrip("/")
    except ValueError:
        return []
    found = [
        _at(issuer, f"/.well-known/oauth-authorization-server{path}"),
        _at(issuer, f"/.well-known/openid-configuration{path}"),
        _at(issuer, f"{path}/.well-known/openid-configuration"),
    ]
    return list(dict.fromkeys(found))


def _at(url: str, path: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _first(exchange: Exchange, urls: Iterable[str], kind: type[T]) -> T | None:
    for url in urls:
        try:
            reply = exchange.send("GET", url, {"Accept": "application/json"})
            if reply.status == HTTPStatus.OK:
                return msgspec.json.decode(reply.body(), type=kind)
        except (ProbeError, msgspec.DecodeError, RecursionError):
            continue
    return None
