"""The routes, as an ASGI application without a framework.

Nothing here waits in a thread: a scrape waits for its listing in the event loop, and only the
making of the text and its compression go to a few threads of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import weakref
import zlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from exporter.logs import event
from exporter.web.negotiation import accepts_gzip, choose_format
from exporter.web.request import Request
from exporter.web.responses import Response, plain
from exporter.web.status.page import StatusPage

if TYPE_CHECKING:
    from exporter.metrics.formats import Format
    from exporter.scrape import Observed
    from exporter.web.responses import Receive, Scope, Send

LOGGER = logging.getLogger(__name__)

RENDERERS = 2
"""Threads that make text: they compete for one interpreter, so that more would not be faster."""

GZIP_LEVEL = 3
"""Three megabytes of metrics text come down to a twelfth in 14 ms; level 6 takes two and a half
times as long to save another eighth."""

METHODS = ("GET", "HEAD")

_INTERNAL_ERROR = plain(500, "internal error, see the log")
_CLIENT_GONE = plain(503, "the client has gone")  # nobody reads it

S = TypeVar("S")


class Source(Protocol[S]):
    """Where scrapes come from; ``S`` is whatever a listing leaves for the exposition."""

    def begin(self, timeout: float | None) -> Future[S]:
        """Begin a listing or join the one under way; must return at once.

        ``timeout`` is what Prometheus announced, in seconds, if it did.
        """

    def expose(self, scrape: S, format: Format, names: frozenset[str]) -> Iterable[bytes]:  # noqa: A002
        """The exposition, in pieces: the families that ``names`` has, all where it is empty.

        Called from several threads.
        """


class Route(NamedTuple):
    """Who answers a path, to which methods."""

    handler: Callable[[Request], Awaitable[Response]]
    methods: tuple[str, ...] = METHODS


class App(Generic[S]):
    """The application.

    Args:
        source: of scrapes; asked by the telemetry path alone.
        telemetry_path: of the metrics.
        accounts: what the status page shows; must return at once.
    """

    def __init__(
        self,
        source: Source[S],
        *,
        telemetry_path: str = "/metrics",
        accounts: Callable[[], Sequence[Observed]] = tuple,
    ) -> None:
        self._source = source
        self._renderers = ThreadPoolExecutor(RENDERERS, thread_name_prefix="render")
        self._reported: weakref.WeakSet[Future[S]] = weakref.WeakSet()
        self._status = StatusPage(
            accounts,
            {"Metrics": telemetry_path, "Healthy": "/-/healthy", "Ready": "/-/ready"},
            metrics_path=telemetry_path,
        )
        self._routes = {
            "/": Route(self._show_status),
            "/-/healthy": Route(_healthy),
            "/-/ready": Route(_ready),
            telemetry_path: Route(self._scrape),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except asyncio.CancelledError:
            # The server's patience at its end is over: the client hears so before it hangs up.
            response = plain(503, "shutting down")
        except Exception as error:  # noqa: BLE001 - a bug must not take the other scrapes down
            event(LOGGER, logging.ERROR, "request failed", path=request.path, exc_info=error)
            response = _INTERNAL_ERROR
        await response.send(send, head_only=request.method == "HEAD")

    def close(self) -> None:
        """Let the threads end; text that nobody has begun to make is not made."""
        self._renderers.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, request: Request) -> Response:
        route = self._routes.get(request.path)
        if route is None:
            return plain(404, "not found")
        if request.method not in route.methods:
            return plain(405, "method not allowed", ("Allow", ", ".join(route.methods)))
        return await route.handler(request)

    async def _show_status(self, request: Request) -> Response:
        return await asyncio.get_running_loop().run_in_executor(
            self._renderers, self._status.answer, request
        )

    async def _scrape(self, request: Request) -> Response:
        listing = self._source.begin(request.scrape_timeout)
        if not await _ended(listing, request):
            return _CLIENT_GONE
        try:
            scrape = listing.result()
        except Exception:
            if listing in self._reported:
                return _INTERNAL_ERROR
            self._reported.add(listing)
            raise
        return await asyncio.get_running_loop().run_in_executor(
            self._renderers, self._render, scrape, request
        )

    def _render(self, scrape: S, request: Request) -> Response:
        form = choose_format(request.header("Accept"))
        pieces = self._source.expose(scrape, form, request.query("name[]"))
        headers: tuple[tuple[str, str], ...] = (("Vary", "Accept, Accept-Encoding"),)
        if accepts_gzip(request.header("Accept-Encoding")):
            body = _compressed(pieces)
            headers = (*headers, ("Content-Encoding", "gzip"))
        else:
            body = b"".join(pieces)
        return Response(200, body, form.content_type, headers)


def _compressed(pieces: Iterable[bytes]) -> bytes:
    """Gzip of all pieces; none of them is kept, so that a large text is never held whole."""
    packer = zlib.compressobj(GZIP_LEVEL, wbits=31)
    return b"".join((*map(packer.compress, pieces), packer.flush()))


async def _healthy(_request: Request) -> Response:
    return plain(200, "cloudflare-mcp-exporter is healthy")


async def _ready(_request: Request) -> Response:
    return plain(200, "cloudflare-mcp-exporter is ready")


async def _ended(listing: Future[S], request: Request) -> bool:
    """Wait for the end of the listing, without a thread; false if the client went before it.

    The listing goes on whoever leaves: others may wait for it.
    """
    loop = asyncio.get_running_loop()
    end = asyncio.Event()

    def wake(_listing: Future[S]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(end.set)

    listing.add_done_callback(wake)
    waiters = [loop.create_task(end.wait()), loop.create_task(request.abandoned())]
    try:
        await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiters:
            waiter.cancel()
    return listing.done()
