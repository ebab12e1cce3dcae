"""What an exception of the HTTP client means: what failed, and what a person can do about it.

The text of a library's exception may quote a URL with a password, or a header. None is shown: the
sentences are made here, from the type, the error numbers, and the host names of the settings.
"""

from __future__ import annotations

import errno
import http.client
import os
import re
import resource
import socket
import ssl
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import requests
from urllib3 import exceptions as urllib3

from exporter.deadline import Deadline, timed_out
from exporter.errors import ListingError, Reason


class Peers(NamedTuple):
    """Whom a request goes to.

    Attributes:
        url: of the request.
        proxy_url: of the HTTP proxy; empty for none.
        ca_file: certificate authorities that are trusted; empty for those of `requests`.
    """

    url: str
    proxy_url: str
    ca_file: str

    @property
    def api(self) -> str:
        """The API's host, with its port where the URL has one."""
        return _host(self.url)

    @property
    def proxy(self) -> str:
        """The proxy, for a sentence."""
        return f"the proxy {_host(self.proxy_url)}"


def connection_failure(problem: Exception, deadline: Deadline, peers: Peers) -> ListingError:
    """The account's failure that an exception of a library means."""
    errors = tuple(with_causes(problem))
    if deadline.expired or any(isinstance(one, TimeoutError | requests.Timeout) for one in errors):
        return timed_out()
    explained = _explained(errors, peers)
    if explained is None:
        return ListingError.internal(problem)
    return ListingError(
        Reason.CONNECTION, explained.error, transient=explained.transient, hint=explained.hint
    )


class _Explained(NamedTuple):
    error: str
    hint: str | None = None
    transient: bool = True


def _explained(errors: tuple[BaseException, ...], peers: Peers) -> _Explained | None:
    if _no_descriptor_left(errors):
        return _Explained("too many open files", _hint_descriptors())
    if peers.ca_file and (problem := _unusable_authorities(peers.ca_file)):
        return _Explained(f"the CA file {peers.ca_file} {problem}", _HINT_CA_FILE)
    for error in errors:
        if isinstance(error, OSError) and (tunnel := _TUNNEL.search(str(error))):
            return _refused_by_proxy(int(tunnel[1]), peers)
    at_proxy = any(
        isinstance(one, urllib3.ProxyError | requests.exceptions.ProxyError) for one in errors
    )
    for error in errors:
        found = _named(error, peers.proxy if at_proxy else peers.api, at_proxy=at_proxy)
        if found is not None:
            return found
    if any(isinstance(one, urllib3.HTTPError | http.client.HTTPException) for one in errors):
        who = peers.proxy if at_proxy else peers.api
        return _Explained(f"{who} closed the connection, or did not answer in HTTP", _HINT_CLOSED)
    return None


def _named(error: BaseException, who: str, *, at_proxy: bool) -> _Explained | None:
    found: _Explained | None = None
    match error:
        case ssl.SSLError():
            found = _tls_failure(error, who)
        case socket.gaierror():
            cause = (error.strerror or "unknown").lower()
            hint = _HINT_PROXY_NAME if at_proxy else _HINT_NAME
            found = _Explained(f"cannot resolve the name of {who}: {cause}", hint)
        case ConnectionRefusedError():
            hint = _HINT_PROXY_REFUSED if at_proxy else _HINT_REFUSED
            found = _Explained(f"{who} refused the connection", hint)
        case ConnectionError(errno=int()):  # reset, aborted, broken pipe
            found = _Explained(f"{who} closed the connection", _HINT_CLOSED)
        case OSError(errno=errno.ENETUNREACH | errno.EHOSTUNREACH):
            found = _Explained(f"there is no route to {who}", _HINT_ROUTE)
        case OSError(errno=int(), strerror=str(cause)):
            found = _Explained(f"cannot connect to {who}: {cause.lower()}")
    return found


# --- the proxy ---------------------------------------------------------------------------------

_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})\b")

PROXY_LOGIN = "set the proxy's user and password in its URL: http://USER:PASSWORD@HOST:PORT"


def _refused_by_proxy(status: int, peers: Peers) -> _Explained:
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return _Explained(f"{peers.proxy} requires authentication (HTTP 407)", PROXY_LOGIN)
    return _Explained(
        f"{peers.proxy} did not connect to {peers.api} (HTTP {status})",
        "check that the proxy can reach this host and that its rules allow it",
    )


# --- certificates ------------------------------------------------------------------------------

_HINT_UNTRUSTED = (
    "if a proxy inspects TLS, add its certificate authority with ca_file or SSL_CERT_FILE"
)
_HINT_CLOCK = "check the clock of this machine"
_HINT_EXPIRED = (
    "check the clock of this machine; if it is right, the certificate must be renewed by whoever "
    "runs the server, or the proxy that inspects TLS"
)
_HINT_OTHER_NAME = "use the host name that the certificate was issued for in the URL"
_OTHER_NAME = ("was issued for another name", _HINT_OTHER_NAME)

_BY_VERIFY_CODE = {
    9: ("is not valid yet", _HINT_CLOCK),
    10: ("has expired", _HINT_EXPIRED),
    62: _OTHER_NAME,  # for a name
    64: _OTHER_NAME,  # for an address
}
"""What is wrong with a certificate, and the hint, by OpenSSL's X509_V_ERR_ numbers."""

_HINT_CA_FILE = "restore the file, or change ca_file, SSL_CERT_FILE or REQUESTS_CA_BUNDLE"
_PLAIN = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})
_HINT_PLAIN = "the port does not serve TLS: check the scheme (http or https) and the port"


def _tls_failure(error: ssl.SSLError, who: str) -> _Explained:
    if not isinstance(error, ssl.SSLCertVerificationError):
        hint = _HINT_PLAIN if error.reason in _PLAIN else None
        cause = (error.reason or "no reason given").lower().replace("_", " ")
        return _Explained(f"the TLS handshake with {who} failed: {cause}", hint)
    known = _BY_VERIFY_CODE.get(error.verify_code)
    if known is None:
        cause = error.verify_message.rstrip(".")
        known = (f"is not trusted: {cause}", _HINT_UNTRUSTED)
    return _Explained(f"the certificate of {who} {known[0]}", known[1])


def _unusable_authorities(path: str) -> str:
    """What is wrong with the file or directory by now; empty for nothing. It is read each time."""
    try:
        if not Path(path).is_dir():
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return "contains no PEM certificate"
    except OSError as problem:
        return f"cannot be read: {(problem.strerror or 'unknown').lower()}"
    return ""


# --- hints -------------------------------------------------------------------------------------

_HINT_NAME = "check the host in the base URL, and DNS on this machine"
_HINT_PROXY_NAME = "check the host in the proxy's URL (HTTPS_PROXY or proxy_url), and DNS"
_HINT_REFUSED = (
    "check the host and the port in the base URL; if they are right, a firewall rejects the "
    "connection, or the server is down"
)
_HINT_PROXY_REFUSED = (
    "check the host and the port in the proxy's URL (HTTPS_PROXY or proxy_url), and that the "
    "proxy is running"
)
_HINT_ROUTE = "check the network of this machine, and that its egress rules allow the connection"
_HINT_CLOSED = (
    "retry later; if it persists, check for a firewall or proxy that interrupts connections, and "
    "that the base URL's port serves HTTP"
)


def _hint_descriptors() -> str:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        f"the limit of {limit} open files is used up; raise it (LimitNOFILE= in systemd, ulimit -n)"
    )


def _no_descriptor_left(errors: tuple[BaseException, ...]) -> bool:
    """Whether the limit of open files is behind it: name lookups fail of it in other words."""
    if any(
        isinstance(one, OSError) and one.errno in {errno.EMFILE, errno.ENFILE} for one in errors
    ):
        return True
    if not any(isinstance(one, socket.gaierror) for one in errors):
        return False
    try:
        os.close(os.dup(0))
    except OSError as problem:
        return problem.errno in {errno.EMFILE, errno.ENFILE}
    return False


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def with_causes(problem: BaseException) -> Iterator[BaseException]:
    """The error and everything it wraps: cause, context and arguments."""
    seen: list[BaseException] = []
    waiting = [problem]
    while waiting:
        error = waiting.pop(0)
        if error in seen:
            continue
        seen.append(error)
        yield error
        inner = (error.__cause__, error.__context__, getattr(error, "reason", None), *error.args)
        waiting.extend(item for item in inner if isinstance(item, BaseException))
