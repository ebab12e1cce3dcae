"""One GET: bounded in time and in bytes, its failure told without a word of the credentials."""

from __future__ import annotations

import logging
import os
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import msgspec
import requests
from requests.auth import AuthBase
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError, ReadTimeoutError

from exporter import __version__
from exporter.budget import Budget
from exporter.cloudflare.connections import InterruptibleAdapter
from exporter.errors import ListingError, Reason
from exporter.logs import event

LOG = logging.getLogger(__name__)

USER_AGENT = f"cloudflare-mcp-exporter/{__version__}"
PIECE = 1 << 20
"""Bytes asked of the socket at a time."""


class Answer(msgspec.Struct, frozen=True):
    """An answer, whole.

    Attributes:
        status: the HTTP status.
        headers: with case-insensitive names.
        body: after decompression.
    """

    status: int
    headers: Mapping[str, str]
    body: bytearray


class Observer(Protocol):
    """Is told of each request: for the metrics about the API."""

    def request_done(
        self, code: str, seconds: float, size: int, headers: Mapping[str, str]
    ) -> None:
        """A request ended.

        Args:
            code: the HTTP status, or ``error`` where no answer came.
            seconds: from sending to the end of the body.
            size: bytes of the body after decompression.
            headers: of the answer; empty where none came.
        """


class Route(msgspec.Struct, frozen=True):
    """How connections reach the API.

    Attributes:
        proxy_url: of an HTTP proxy. Where it is empty, ``HTTPS_PROXY``, ``HTTP_PROXY`` and
            ``NO_PROXY`` say.
        ca_file: certificate authorities. Where it is empty, ``REQUESTS_CA_BUNDLE``,
            ``CURL_CA_BUNDLE`` or ``SSL_CERT_FILE``, in this order, says.
    """

    proxy_url: str = ""
    ca_file: str = ""

    @property
    def options(self) -> dict[str, Any]:
        """For a request, not for its session: the environment would win over that."""
        proxies = {"http": self.proxy_url, "https": self.proxy_url} if self.proxy_url else None
        return {"proxies": proxies, "verify": self.ca_file or None}


class Transport:
    """Sends requests one after the other over kept connections; not for threads that overlap.

    Args:
        max_bytes: the largest body that is taken, after decompression.
        observer: is told of each request.
        route: of its connections.
    """

    def __init__(self, max_bytes: int, observer: Observer, route: Route) -> None:
        self._adapter = InterruptibleAdapter()
        self._options = route.options
        self._max_bytes = max_bytes
        self._observer = observer
        self._session = requests.Session()
        self._session.mount("https://", self._adapter)
        self._session.mount("http://", self._adapter)
        self._session.verify = os.environ.get("SSL_CERT_FILE") or True
        # What the decoder below can bound in memory; nothing else is asked for.
        self._session.headers.update(
            {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"}
        )

    def close(self) -> None:
        """Close the kept connections."""
        self._session.close()

    def get(
        self, url: str, params: Mapping[str, str | int], budget: Budget, auth: AuthBase
    ) -> Answer:
        """The answer to one GET, whatever its status; ``auth`` puts the credentials on it.

        Raises:
            ListingError: ``timeout``, ``connection`` or ``invalid_response``.
        """
        seen = _Seen()
        with budget.interruptible(self._adapter.interrupt):
            try:
                return self._get(url, params, budget, auth, seen)
            except (requests.RequestException, HTTPError, OSError) as problem:
                # A socket that was shut down, or waited as long as it may, fails in many ways.
                raise _failure(problem, budget) from problem
            finally:
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

    def _get(
        self,
        url: str,
        params: Mapping[str, str | int],
        budget: Budget,
        auth: AuthBase,
        seen: _Seen,
    ) -> Answer:
        seconds = budget.remaining
        if not seconds:  # requests would call that a mistake of its caller
            raise _timed_out()
        with self._session.get(
            url,
            params=params,
            auth=auth,  # as auth=, or a line in ~/.netrc would replace it
            timeout=seconds,
            stream=True,
            allow_redirects=False,
            **self._options,
        ) as response:
            seen.code, seen.headers = str(response.status_code), response.headers
            body = bytearray()
            for piece in _pieces(response, budget):
                body += piece
                seen.size = len(body)
                if seen.size > self._max_bytes:
                    raise _too_large(self._max_bytes)
            return Answer(response.status_code, response.headers, body)


class _Seen:
    """What became of a request, for the observer, also when it fails half-way."""

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


def _pieces(response: requests.Response, budget: Budget) -> Iterator[bytes]:
    """The decompressed body in pieces of bounded size."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in {"", "identity"}:
        yield from _raw_pieces(response, budget)
    elif encoding in {"gzip", "x-gzip"}:
        yield from _gunzipped(_raw_pieces(response, budget))
    else:
        raise _invalid(f"it is compressed as {encoding[:30]!r}, which was not asked for")


def _raw_pieces(response: requests.Response, budget: Budget) -> Iterator[bytes]:
    while piece := response.raw.read1(PIECE, decode_content=False):
        if budget.expired:
            raise _timed_out()
        yield piece
    expected = response.raw.length_remaining
    if expected:
        raise ListingError(
            Reason.CONNECTION, f"the body ended {expected} bytes too early", transient=True
        )


def _gunzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Decompresses without ever holding more than a piece: a bomb is noticed, not built."""
    decoder = zlib.decompressobj(wbits=31)
    started = False
    for piece in pieces:
        pending, started = piece, True
        while pending:
            if decoder.eof:  # gzip allows several members in a row
                decoder = zlib.decompressobj(wbits=31)
            try:
                yield decoder.decompress(pending, PIECE)
            except zlib.error as problem:
                raise _invalid("it is not the gzip that its header says") from problem
            pending = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
    if started and not decoder.eof:
        raise _invalid("its gzip ends too early")


# --- failures ----------------------------------------------------------------------------------


TIMEOUTS = (requests.Timeout, ReadTimeoutError, TimeoutError)


def _timed_out() -> ListingError:
    return ListingError(Reason.TIMEOUT, "the scrape's time ran out before the API had answered")


def _invalid(problem: str) -> ListingError:
    return ListingError(Reason.INVALID_RESPONSE, f"the answer cannot be read: {problem}")


def _too_large(limit: int) -> ListingError:
    return _invalid(f"it is larger than --api.max-response-size allows ({limit} bytes)")


def _failure(problem: BaseException, budget: Budget) -> ListingError:
    if budget.expired or isinstance(problem, TIMEOUTS):
        return _timed_out()
    return ListingError(
        Reason.CONNECTION, f"no answer from the API: {_root_cause(problem)}", transient=True
    )


def _root_cause(problem: BaseException) -> str:
    """What lies under a chain of wrapped errors, in words that hold no URL and no header."""
    for error in _chain(problem):
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({error.verify_message})"
        if isinstance(error, ssl.SSLError):
            return f"TLS failed ({error.reason or 'no reason given'})"
        if isinstance(error, socket.gaierror):
            return f"its name cannot be resolved ({error.strerror})"
        if isinstance(error, OSError) and error.errno and error.strerror:
            return error.strerror.lower()
    return type(problem).__name__


def _chain(problem: BaseException) -> Iterator[BaseException]:
    """The error and all that it wraps: as cause, as context, or among its arguments."""
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
