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
from exporter.web.control import Control, ControlRoutes
from exporter.web.discovery import targets
from exporter.web.guard import OPEN, Guard
from exporter.web.negotiation import accepts_gzip, choose_format
from exporter.web.outgoing import MOST_BYTES, Outgoing
from exporter.web.request import Request
from exporter.web.responses import Response, plain
from exporter.web.site import Site
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

MOST_PAGES = 16
"""Status pages that wait to be made; they have a thread of their own, so that scrapes go first."""

HEALTHY, READY, PROBE, DISCOVERY = "/-/healthy", "/-/ready", "/probe", "/sd"
CONFIG, RELOAD = "/config", "/-/reload"

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


Probe = Callable[[float | None, str], "Future[S]"]
"""Begins a listing of one account by its name, as `Source.begin` does of all; KeyError for a name
that there is not."""


class Route(NamedTuple):
    """Who answers a path, to which methods, and whether to anybody."""

    handler: Callable[[Request], Awaitable[Response]]
    methods: tuple[str, ...] = METHODS
    is_open: bool = False


class App(Generic[S]):
    """The application.

    Args:
        source: of scrapes; asked by the telemetry path alone.
        telemetry_path: of the metrics.
        accounts: what the status page shows; must return at once.
        probe: of scrapes of one account; without it there is no ``/probe`` and no ``/sd``.
        control: has the configuration; without it there is no ``/config`` and no ``/-/reload``.
        lifecycle: whether ``/-/reload`` may be used.
        site: where the exporter is reached.
        max_requests: scrapes that may wait or be made at the same time; 0 for no limit.
        guard: who may come in, as of now; must return at once.
        most_bytes: of all answers that wait for their readers; the oldest are cut off beyond.
    """

    def __init__(
        self,
        source: Source[S],
        *,
        telemetry_path: str = "/metrics",
        accounts: Callable[[], Sequence[Observed]] = tuple,
        probe: Probe[S] | None = None,
        control: Control | None = None,
        lifecycle: bool = False,
        site: Site = Site(),  # noqa: B008 - a frozen value
        max_requests: int = 0,
        guard: Callable[[], Guard] = lambda: OPEN,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._source = source
        self._accounts = accounts
        self._probe = probe
        self._control = None if control is None else ControlRoutes(control, lifecycle=lifecycle)
        self._site = site
        self._max_requests = max_requests
        self._guard = guard
        self._outgoing = Outgoing(most_bytes)
        self._scrapes = 0
        self._pages = 0
        self._renderers = ThreadPoolExecutor(RENDERERS, thread_name_prefix="render")
        self._page_maker = ThreadPoolExecutor(1, thread_name_prefix="page")
        self._reported: weakref.WeakSet[Future[S]] = weakref.WeakSet()
        self._status = StatusPage(
            accounts,
            self._links(telemetry_path),
            metrics_path=telemetry_path,
            prefix=site.link_prefix,
        )
        self._routes = self._all_routes(telemetry_path)

    def _links(self, telemetry_path: str) -> dict[str, str]:
        discovery = {"Service discovery": DISCOVERY} if self._probe else {}
        config = {"Configuration": CONFIG} if self._control else {}
        return {
            "Metrics": telemetry_path,
            **discovery,
            **config,
            "Healthy": HEALTHY,
            "Ready": READY,
        }

    def _all_routes(self, telemetry_path: str) -> dict[str, Route]:
        routes = {
            "/": Route(self._show_status),
            HEALTHY: Route(_healthy, is_open=True),
            READY: Route(_ready, is_open=True),
        }
        if self._probe is not None:
            routes |= {PROBE: Route(self._scrape_one), DISCOVERY: Route(self._discover)}
        if self._control is not None:
            routes |= {
                CONFIG: Route(self._control.config),
                RELOAD: Route(self._control.reload, ("POST",)),
            }
        routes[telemetry_path] = Route(self._scrape_all)
        served = {self._site.served(path): route for path, route in routes.items()}
        ways_in = ("/", self._site.route_prefix) if self._site.route_prefix else ()
        return {path: Route(self._redirect) for path in ways_in} | served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        guard = self._guard()
        try:
            response = await self._answer(request, guard)
        except asyncio.CancelledError:
            # The server's patience at its end is over: the client hears so before it hangs up.
            response = plain(503, "shutting down")
        except Exception as error:  # noqa: BLE001 - a bug must not take the other scrapes down
            event(LOGGER, logging.ERROR, "request failed", path=request.path, exc_info=error)
            response = _INTERNAL_ERROR
        head_only = request.method == "HEAD"
        await self._outgoing.send(
            response.send(send, head_only=head_only, headers=guard.headers), len(response.body)
        )

    def close(self) -> None:
        """Let the threads end; text that nobody has begun to make is not made."""
        self._renderers.shutdown(wait=False, cancel_futures=True)
        self._page_maker.shutdown(wait=False, cancel_futures=True)
        if self._control is not None:
            self._control.close()

    async def _answer(self, request: Request, guard: Guard) -> Response:
        route = self._routes.get(request.path)
        if route is None or not route.is_open:
            refusal = await guard.refusal(request)
            if refusal is not None:
                return refusal
        if route is None:
            return plain(404, "not found")
        if request.method not in route.methods:
            return plain(405, "method not allowed", ("Allow", ", ".join(route.methods)))
        return await route.handler(request)

    async def _redirect(self, _request: Request) -> Response:
        return plain(302, "found", ("Location", f"{self._site.link_prefix}/"))

    async def _show_status(self, request: Request) -> Response:
        if self._pages >= MOST_PAGES:
            return plain(503, "too many status pages are asked for, try again later")
        self._pages += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._page_maker, self._status.answer, request
            )
        finally:
            self._pages -= 1

    async def _discover(self, request: Request) -> Response:
        reached = self._site.address(request.scheme, request.header("Host"))
        if reached is None:
            return plain(400, "the header Host is missing or names no host; see --web.external-url")
        names = [account.account_name for account in self._accounts()]
        path = self._site.link_prefix + PROBE
        return Response(200, targets(names, *reached, path), "application/json; charset=utf-8")

    async def _scrape_all(self, request: Request) -> Response:
        return await self._limited(request, lambda: self._source.begin(request.scrape_timeout))

    async def _scrape_one(self, request: Request) -> Response:
        begin = self._probe
        names = request.values("account")
        if begin is None or len(names) != 1 or not names[0]:
            return plain(400, "say once which account: /probe?account=NAME; /sd lists the names")
        try:
            return await self._limited(request, lambda: _begun(begin, request, names[0]))
        except _UnknownAccountError:
            return plain(404, "there is no account of this name; /sd lists the names")

    async def _limited(self, request: Request, begin: Callable[[], Future[S]]) -> Response:
        """A scrape, unless too many others are under way; a reader's pace does not count."""
        if 0 < self._max_requests <= self._scrapes:
            return plain(
                503, f"{self._max_requests} scrapes are being answered already, try again later"
            )
        self._scrapes += 1
        try:
            return await self._scrape(request, begin)
        finally:
            self._scrapes -= 1

    async def _scrape(self, request: Request, begin: Callable[[], Future[S]]) -> Response:
        listing = begin()
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
        body, size = _packed(pieces)
        if accepts_gzip(request.header("Accept-Encoding")):
            packed = (*headers, ("Content-Encoding", "gzip"))
            return Response(200, body, form.content_type, packed)
        return Response(200, body, form.content_type, headers, unpacked_size=size)


def _packed(pieces: Iterable[bytes]) -> tuple[bytes, int]:
    """Gzip of all pieces, and their bytes; a large text is never held whole."""
    packer = zlib.compressobj(GZIP_LEVEL, wbits=31)
    size = 0
    packed = bytearray()
    for piece in pieces:
        size += len(piece)
        packed += packer.compress(piece)
    packed += packer.flush()
    return bytes(packed), size


class _UnknownAccountError(Exception):
    """Nothing is configured under this name."""


def _begun(begin: Probe[S], request: Request, name: str) -> Future[S]:
    try:
        return begin(request.scrape_timeout, name)
    except KeyError:
        raise _UnknownAccountError from None


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
