"""One GET request, bounded in time and bytes; its errors never contain credentials."""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Protocol

import msgspec
import requests
from requests.auth import AuthBase
from requests.structures import CaseInsensitiveDict

from exporter import __version__
from exporter.cloudflare.bounds import as_integer
from exporter.cloudflare.connection_errors import Peers, connection_failure
from exporter.cloudflare.connections import InFlight, InterruptibleAdapter
from exporter.cloudflare.texts import Redact, safe_text
from exporter.deadline import Deadline
from exporter.errors import ListingError, Reason
from exporter.logs import event

LOG = logging.getLogger(__name__)

USER_AGENT = f"cloudflare-mcp-exporter/{__version__}"
PIECE = 1 << 16
"""Bytes read from the socket or the decompressor at a time: small enough for the CPU cache and for
the allocator to reuse without a system call."""

MAX_MEMBERS = 64
"""Maximum members of a gzip body. The format allows any number; servers send one."""


class Answer(msgspec.Struct, frozen=True):
    """A complete response.

    Attributes:
        status: the HTTP status.
        headers: with case-insensitive names.
        body: after decompression; valid until the next request of the same fetcher.
    """

    status: int
    headers: Mapping[str, str]
    body: bytearray


class Observer(Protocol):
    """Receives the result of each request, for the metrics about the API."""

    def request_done(
        self, code: str, seconds: float, size: int, headers: Mapping[str, str]
    ) -> None:
        """A request ended.

        Args:
            code: the HTTP status, or ``error`` if there was no response.
            seconds: from sending to the end of the body.
            size: bytes of the body after decompression.
            headers: of the response; empty if there was none.
        """


class Route(msgspec.Struct, frozen=True):
    """Proxy and certificate authorities for connections to the API.

    Attributes:
        proxy_url: of an HTTP proxy; empty for a direct connection.
        ca_file: certificate authorities, or a directory of them; empty for those of `requests`.
    """

    proxy_url: str = ""
    ca_file: str = ""


class Fetcher:
    """Sends requests one after another over a persistent connection; used by one thread at a time.

    Args:
        max_bytes: maximum body size after decompression, in bytes.
        observer: receives each request.
        route: of its connections.
        redact: removes secrets from a text.
    """

    def __init__(self, max_bytes: int, observer: Observer, route: Route, redact: Redact) -> None:
        self._max_bytes = max_bytes
        self._observer = observer
        self._redact = redact
        self._in_flight = InFlight()
        self._route = route
        self._session = _Session(route)
        adapter = InterruptibleAdapter(self._in_flight)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._is_whole = True
        self._body = bytearray()

    @property
    def reusable(self) -> bool:
        """Whether the last request completed, so that the connection can be reused."""
        return self._is_whole and not self._in_flight.interrupted

    def begin(self) -> None:
        """Called before a request, from any thread."""
        self._is_whole = False

    def interrupt(self) -> None:
        """End the request in flight, from another thread; the fetcher cannot be used afterwards."""
        self._in_flight.interrupt()

    def rest(self) -> None:
        """Keep the connection and free the memory of the body."""
        self._body = bytearray()

    def close(self) -> None:
        """Close the idle connection."""
        self._session.close()

    def get(
        self, url: str, params: Mapping[str, str | int], deadline: Deadline, auth: AuthBase
    ) -> Answer:
        """The response to one GET, whatever its status; ``auth`` adds the credentials.

        Raises:
            ListingError: there was no complete response; the reason says why.
        """
        seen = _Seen()
        try:
            answer = self._get(url, params, deadline, auth, seen)
        except ListingError:
            raise
        except Exception as problem:  # whatever a library raises, the account has failed
            peers = Peers(url, self._route.proxy_url, self._route.ca_file)
            raise connection_failure(problem, deadline, peers) from problem
        finally:
            self._in_flight.clear()
            self._observer.request_done(seen.code, seen.seconds, seen.size, seen.headers)
            event(
                LOG,
                logging.DEBUG,
                "request",
                url=url,
                page=params.get("page"),
                code=seen.code,
                seconds=round(seen.seconds, 3),
                bytes=seen.size,
            )
        self._is_whole = True
        return answer

    def _get(
        self,
        url: str,
        params: Mapping[str, str | int],
        deadline: Deadline,
        auth: AuthBase,
        seen: _Seen,
    ) -> Answer:
        deadline.check()  # requests rejects a timeout of 0
        with self._session.get(
            url,
            params=params,
            auth=auth,
            timeout=deadline.remaining,
            stream=True,
            allow_redirects=False,
        ) as response:
            seen.code, seen.headers = str(response.status_code), response.headers
            self._read_body(response, deadline, seen)
            return Answer(response.status_code, response.headers, self._body)

    def _read_body(self, response: requests.Response, deadline: Deadline, seen: _Seen) -> None:
        """Read the body into the memory of the previous one: new memory is slower than decoding."""
        body = self._body
        for piece in self._pieces(response, deadline):
            start, seen.size = seen.size, seen.size + len(piece)
            if seen.size > self._max_bytes:
                limit = f"--api.max-response-size ({self._max_bytes} bytes)"
                raise _invalid(f"larger than {limit}")
            body[start : seen.size] = piece
        del body[seen.size :]

    def _pieces(self, response: requests.Response, deadline: Deadline) -> Iterator[bytes]:
        """The decompressed body in chunks of bounded size."""
        encoding = response.headers.get("Content-Encoding", "").strip()
        raw = _raw_pieces(response, deadline)
        if encoding.lower() in {"", "identity"}:
            return raw
        if encoding.lower() in {"gzip", "x-gzip"}:
            return _decompressed(raw, deadline)
        shown = safe_text(encoding, self._redact, 60)
        raise _invalid(f"unsupported Content-Encoding '{shown}'")


class _Session(requests.Session):
    """A session without redirects, cookies or settings from the environment."""

    def __init__(self, route: Route) -> None:
        super().__init__()
        self.trust_env = False
        self.verify = route.ca_file or True
        if route.proxy_url:
            self.proxies = {"http": route.proxy_url, "https": route.proxy_url}
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        # The only encoding whose decompression can be bounded in memory.
        self.headers.update(
            {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"}
        )

    def get_redirect_target(self, _resp: requests.Response) -> None:
        """None: `requests` parses the target and reads the body even with redirects disabled.

        A malformed host or encoding in the target can raise any kind of exception.
        """
        return


class _Seen:
    """The result of a request for the observer, including a request that fails midway."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._start = clock()
        self.code = "error"
        self.size = 0
        self.headers: Mapping[str, str] = CaseInsensitiveDict()

    @property
    def seconds(self) -> float:
        return self._clock() - self._start


# --- the body ----------------------------------------------------------------------------------


def _raw_pieces(response: requests.Response, deadline: Deadline) -> Iterator[bytes]:
    while piece := response.raw.read1(PIECE, decode_content=False):
        deadline.check()
        yield piece
    expected = response.raw.length_remaining
    if expected:
        raise ListingError(
            Reason.CONNECTION,
            f"the response body is truncated: {_bytes(expected)} are missing",
            transient=True,
        )


def _bytes(number: int) -> str:
    """A header may hold a number with thousands of digits."""
    return "many bytes" if as_integer(number) is None else f"{number} bytes"


def _decompressed(pieces: Iterator[bytes], deadline: Deadline) -> Iterator[bytes]:
    """Decompresses gzip in bounded chunks: a gzip bomb is detected before it is expanded."""
    members = 0
    decoder = None
    for piece in pieces:
        pending = piece
        while pending:
            if decoder is None or decoder.eof:
                members += 1
                decoder = zlib.decompressobj(wbits=31)
            if members > MAX_MEMBERS:
                raise _invalid("too many gzip members")
            deadline.check()
            try:
                yield decoder.decompress(pending, PIECE)
            except zlib.error as problem:
                raise _invalid("invalid gzip") from problem
            pending = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
    if decoder is not None and not decoder.eof:
        raise _invalid("truncated gzip")


def _invalid(problem: str) -> ListingError:
    return ListingError(Reason.INVALID_RESPONSE, f"cannot read the response: {problem}")
