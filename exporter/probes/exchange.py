"""HTTP requests of one probe: bounded in time and bytes, to checked addresses only.

The connections are those of the API's client, which can be interrupted and try all addresses of a
name. An `InFlight` of our own watches them: it refuses addresses, and times the phases.

Nothing of the API's credentials comes near: the session has no settings from the environment, no
cookies, and only the headers that a caller gives.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec
import requests
from urllib3 import PoolManager

from exporter import __version__
from exporter.cloudflare.connection_errors import with_causes
from exporter.cloudflare.connections import InFlight, InterruptibleAdapter
from exporter.deadline import Deadline
from exporter.probes.addresses import AddressPolicy, RefusedAddressError
from exporter.probes.authorities import tls_context
from exporter.probes.result import Outcome, Phase, ProbeError

USER_AGENT = f"cloudflare-mcp-exporter/{__version__}"
CHUNK = 1 << 14
MAX_BYTES = 8 << 20
"""Maximum bytes of all bodies of one probe: several times the largest list of tools known."""

LINGER_SECONDS = 10.0
"""After the deadline, for the head of a response that may name a session to delete."""

MAX_REDIRECTS = 3
REDIRECTION = 3
"""First digit of an HTTP status."""
PORTS = {"http": 80, "https": 443}


class Route(msgspec.Struct, frozen=True):
    """How connections reach the targets.

    Attributes:
        policy: which addresses may be probed.
        allow_http: whether a target without TLS may be probed.
        proxy_url: of an HTTP proxy; empty for a direct connection.
        ca_file: certificate authorities, or a directory of them; empty for those of `requests`.
    """

    policy: AddressPolicy = AddressPolicy()
    allow_http: bool = False
    proxy_url: str = ""
    ca_file: str = ""


class Reply:
    """A response whose body is read as far as it is needed.

    Attributes:
        status: of HTTP.
        headers: with case-insensitive names.
    """

    def __init__(self, response: requests.Response, chunks: Iterator[bytes]) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._chunks = chunks

    @property
    def content_type(self) -> str:
        """The media type in lower case, without parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def chunks(self) -> Iterator[bytes]:
        """The body, chunk by chunk; the rest of it is dropped with the connection."""
        return self._chunks

    def body(self) -> bytes:
        """The rest of the body."""
        return b"".join(self._chunks)


class Exchange:
    """All requests of one probe; for one thread.

    Args:
        route: of the connections.
        deadline: of the probe.

    Attributes:
        watch: the connections, with their phases.
        status: of HTTP, of the last response; None if there was none.
    """

    def __init__(self, route: Route, deadline: Deadline) -> None:
        self._route = route
        self._deadline = deadline
        self.watch = _Watch(route)
        self._session: _Session | None = None
        self._bytes_left = MAX_BYTES
        self._open: requests.Response | None = None
        self._lingers = False
        self.status: int | None = None

    def interrupt(self) -> None:
        """End the request in flight, unless it lingers, from another thread."""
        if not self._lingers:
            self.watch.interrupt()

    def abort(self) -> None:
        """End the request in flight in any case, from another thread."""
        self.watch.interrupt()

    def check(self) -> None:
        """Raise if the time is over.

        Raises:
            ProbeError: with the outcome ``timeout``.
        """
        if self.is_over:
            raise ProbeError(Outcome.TIMEOUT, "no answer in time")

    def with_time(self, seconds: float) -> Exchange:
        """This exchange if it has so much time left, else another one that has."""
        if self._deadline.remaining >= seconds and not self.watch.interrupted:
            return self
        return Exchange(self._route, Deadline(seconds))

    def close(self) -> None:
        """Close all connections."""
        self._drop()
        if self._session is not None:
            self._session.close()
        self.watch.clear()

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        linger: bool = False,
    ) -> Reply:
        """The response to one request; redirects are followed within the same origin only.

        Args:
            method: of HTTP.
            url: of the target.
            headers: with credentials for this target alone.
            body: of the request.
            linger: wait for the head of the response beyond the deadline: it may name a session
                that must be deleted.

        Raises:
            ProbeError: there was no response, or one that leads elsewhere.
        """
        for _ in range(MAX_REDIRECTS + 1):
            self._lingers = linger
            try:
                reply = self._send(method, url, headers, body)
            finally:
                self._lingers = False
            if reply.status // 100 != REDIRECTION:
                return reply
            url = _redirected(url, reply)
        raise ProbeError(Outcome.REDIRECTED, "it redirects in a circle")

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        self._drop()
        self._check_url(url)
        self.check()
        if self._session is None:
            self._session = _Session(self._route, self.watch)
        try:
            response = self._session.request(
                method,
                url,
                headers=dict(headers),
                data=body,
                timeout=(self._deadline.remaining, self._read_timeout),
                stream=True,
                allow_redirects=False,
            )
        except Exception as problem:  # noqa: BLE001 - whatever a library raises, it was not reached
            raise _failure(problem, is_over=self.is_over) from None
        self._open = response
        self.status = response.status_code
        return Reply(response, self._chunks(response))

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        return self._deadline.expired or self.watch.interrupted

    @property
    def _read_timeout(self) -> float:
        return self._deadline.remaining + (LINGER_SECONDS if self._lingers else 0.0)

    def _check_url(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            scheme, host = parts.scheme, parts.hostname or ""
        except ValueError:
            raise ProbeError(Outcome.DNS, "its URL cannot be used") from None
        if scheme != "https" and not (scheme == "http" and self._route.allow_http):
            raise ProbeError(
                Outcome.REFUSED_ADDRESS, "its URL is not https; see --probe.allow-http"
            )
        if self._route.proxy_url:
            try:
                self._route.policy.check_host(host)
            except RefusedAddressError as refused:
                raise ProbeError(Outcome.REFUSED_ADDRESS, str(refused)) from None

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        if response.headers.get("Content-Encoding", "").strip().lower() not in {"", "identity"}:
            raise ProbeError(
                Outcome.PROTOCOL_ERROR, "its response is compressed, which was not asked for"
            )
        while True:
            try:
                chunk = response.raw.read1(CHUNK, decode_content=False)
            except Exception as problem:  # noqa: BLE001 - as in _send
                raise _failure(problem, is_over=self.is_over) from None
            if self.is_over:  # an interrupted body looks like one that has ended
                raise ProbeError(Outcome.TIMEOUT, "no complete answer in time")
            if not chunk:
                return
            self._bytes_left -= len(chunk)
            if self._bytes_left < 0:
                raise ProbeError(
                    Outcome.TOO_LARGE, f"its responses have more than {MAX_BYTES} bytes"
                )
            yield chunk

    def _drop(self) -> None:
        """Close the response before: what is left of it may never end."""
        if self._open is not None:
            self._open.close()
            self._open = None


class _Watch(InFlight):
    """Checks the addresses of each connection, and times its phases."""

    def __init__(self, route: Route) -> None:
        super().__init__()
        self._policy = route.policy
        self._is_proxied = bool(route.proxy_url)
        self._last = time.perf_counter()
        self._is_connected = False
        self.phases: dict[Phase, float] = {}
        self.certificate_expiry: float | None = None

    def start(self) -> None:
        """A request begins now."""
        self._last = time.perf_counter()

    def resolved(self, addresses: Sequence[str]) -> None:
        """The name is resolved: through a proxy, that is the proxy's name."""
        self._note(Phase.RESOLVE)
        if not self._is_proxied:
            self._policy.check(addresses)

    def add(self, connected: socket.socket) -> None:
        """Connected."""
        super().add(connected)
        self._note(Phase.CONNECT)

    def secured(self, connected: ssl.SSLSocket) -> None:
        """The handshake is done."""
        self._note(Phase.TLS)
        if self.certificate_expiry is None:
            self.certificate_expiry = _earliest_end(connected)

    def _note(self, phase: Phase) -> None:
        """Keep the times of the first connection: it is the target's own."""
        now = time.perf_counter()
        self.phases.setdefault(phase, now - self._last)
        self._last = now


class _Adapter(InterruptibleAdapter):
    """Shares the certificate authorities with all other probes."""

    def __init__(self, watch: _Watch, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(watch)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Called by `requests`: see there."""
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> PoolManager:
        """Called by `requests`: see there."""
        contexts = {"ssl_context": self._context, "proxy_ssl_context": self._context}
        return super().proxy_manager_for(proxy, **contexts, **kwargs)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Called by `requests` to load authorities: the context has them."""


class _Session(requests.Session):
    """A session without redirects, cookies, or settings and credentials from the environment."""

    def __init__(self, route: Route, watch: _Watch) -> None:
        super().__init__()
        self.trust_env = False
        if route.proxy_url:
            self.proxies = {"http": route.proxy_url, "https": route.proxy_url}
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self.headers.clear()
        self.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
        self.adapters.clear()
        try:
            context = tls_context(route.ca_file)
        except OSError:
            raise ProbeError(
                Outcome.TLS, "the certificate authorities of the exporter cannot be loaded"
            ) from None
        self.mount("http", _Adapter(watch, context))

    def get_redirect_target(self, _resp: requests.Response) -> None:
        """None: `requests` parses the target even with redirects disabled."""
        return


def _redirected(url: str, reply: Reply) -> str:
    """Where a redirect leads, within the same origin.

    Raises:
        ProbeError: it leads elsewhere, or is of a kind that changes the request.
    """
    location = reply.headers.get("Location", "")
    try:
        target = urljoin(url, location)
        is_own = origin(target) == origin(url)
    except ValueError:
        is_own = False
    if reply.status not in {307, 308} or not location or not is_own:
        raise ProbeError(Outcome.REDIRECTED, f"it redirects elsewhere (HTTP {reply.status})")
    return target


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL.

    Raises:
        ValueError: it has none.
    """
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in PORTS:
        raise ValueError("not an HTTP URL")
    return parts.scheme, parts.hostname.lower(), parts.port or PORTS[parts.scheme]


def _earliest_end(connected: ssl.SSLSocket) -> float | None:
    """Unix time of the earliest end in the chain that the server sent; None if it is unreadable.

    Python 3.13 made the chain public, but as DER, which the standard library cannot parse. The
    object underneath has parsed certificates in all versions.
    """
    ends: list[str] = []
    try:
        chain: list[Any] = connected._sslobj.get_unverified_chain()  # type: ignore[attr-defined]  # noqa: SLF001 - see above
        ends = [certificate.get_info()["notAfter"] for certificate in chain]
    except Exception:  # noqa: BLE001 - private: any version may change it
        leaf = connected.getpeercert() or {}
        ends = [str(leaf["notAfter"])] if "notAfter" in leaf else []
    return min((ssl.cert_time_to_seconds(end) for end in ends), default=None)


def _failure(problem: Exception, *, is_over: bool) -> ProbeError:
    """Converts a library's exception; its text is not kept, since it may quote the target."""
    errors = list(with_causes(problem))
    refused = next((one for one in errors if isinstance(one, RefusedAddressError)), None)
    if refused is not None:
        return ProbeError(Outcome.REFUSED_ADDRESS, str(refused))
    if is_over or any(isinstance(one, TimeoutError | requests.Timeout) for one in errors):
        return ProbeError(Outcome.TIMEOUT, "no answer in time")
    found = next((named for one in errors if (named := _named(one)) is not None), None)
    return found or ProbeError(Outcome.CONNECT, "the connection failed or was closed")


def _named(error: BaseException) -> ProbeError | None:
    match error:
        case ssl.SSLCertVerificationError():
            why = f"its certificate is not trusted ({error.verify_message})"
            return ProbeError(Outcome.TLS, why)
        case ssl.SSLError():
            return ProbeError(Outcome.TLS, f"TLS failed ({error.reason or 'no reason given'})")
        case socket.gaierror():
            return ProbeError(Outcome.DNS, "its name does not resolve")
        case requests.exceptions.InvalidURL():
            return ProbeError(Outcome.DNS, "its URL cannot be used")
        case _:
            return None
