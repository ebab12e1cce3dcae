"""The routes, as an ASGI application without a framework.

Nothing here blocks: a scrape awaits its listing in the event loop, and CPU-bound work (rendering,
compression, the status page) runs in threads, a few at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from exporter.logs import event
from exporter.metrics.formats import accepts_gzip, choose_format
from exporter.threads import in_thread
from exporter.web.access import OPEN, AccessControl
from exporter.web.admin import Control, ControlRoutes
from exporter.web.compression import compress
from exporter.web.discovery import targets
from exporter.web.public_address import PublicAddress
from exporter.web.request import Request
from exporter.web.responses import Response, plain
from exporter.web.runbooks import RunbookPages
from exporter.web.send_limit import MAX_BYTES, SendLimit
from exporter.web.status.page import API, STALE_AFTER, StatusPage

if TYPE_CHECKING:
    from exporter.metrics.formats import Format
    from exporter.scrape_result import AccountState
    from exporter.web.responses import Receive, Scope, Send

LOGGER = logging.getLogger(__name__)

RENDERERS = 2
"""Expositions rendered at a time: they compete for one interpreter, so more would not be faster."""

METHODS = ("GET", "HEAD")

MAX_PENDING_PAGES = 16
"""Maximum queued status pages, rendered one at a time so that scrapes go first."""

HEALTHY, READY, PROBE, DISCOVERY = "/-/healthy", "/-/ready", "/probe", "/sd"
EXPORTER = "/exporter"
CONFIG, RELOAD = "/config", "/-/reload"
RUNBOOKS = "/runbooks"

_INTERNAL_ERROR = plain(500, "internal error, see the log")
_CLIENT_GONE = plain(503, "client closed the connection")  # nobody reads it

T = TypeVar("T")


class Outcome(Protocol):
    """The result of a scrape, for the exposition."""

    @property
    def identity(self) -> object:
        """Equal for scrapes that got the same listings, as long as they are in memory."""


class Source(Protocol):
    """Interface of `exporter.accounts.Accounts`."""

    @property
    def names(self) -> Sequence[str]:
        """Names of the accounts."""

    def observed(self) -> Sequence[AccountState]:
        """The state of each account; does not block."""

    async def scrape(self, announced: float | None, name: str | None = None) -> Any:
        """The `Outcome` for all accounts, the named one, or none if the name is empty.

        KeyError for an unknown name.
        """

    def expose(self, scrapes: Any, form: Format, names: frozenset[str]) -> Iterable[bytes]:
        """The exposition, in chunks; called from several threads."""


class Route(NamedTuple):
    """Handler, methods and access control of a path."""

    handler: Callable[[Request], Awaitable[Response]]
    methods: tuple[str, ...] = METHODS
    is_open: bool = False


class App:
    """The application.

    Args:
        source: of scrapes.
        telemetry_path: of the metrics.
        control: owner of the configuration; without it there is no ``/config`` or ``/-/reload``.
        lifecycle: whether ``/-/reload`` may be used.
        site: the exporter's public address.
        max_requests: maximum expositions queued or being rendered; 0 for no limit.
        guard: access control for a request; must not block.
        stale_after: seconds without a successful sync after which the page shows a server as stale.
        most_bytes: maximum bytes of all responses being sent; the oldest are aborted above it.
    """

    def __init__(
        self,
        source: Source,
        *,
        telemetry_path: str = "/metrics",
        control: Control | None = None,
        lifecycle: bool = False,
        site: PublicAddress = PublicAddress(),  # noqa: B008 - a frozen value
        max_requests: int = 0,
        guard: Callable[[], AccessControl] = lambda: OPEN,
        stale_after: float = STALE_AFTER,
        most_bytes: int = MAX_BYTES,
    ) -> None:
        self._source = source
        self._control = None if control is None else ControlRoutes(control, site, lifecycle)
        self._site = site
        self._max_requests = max_requests
        self._guard = guard
        self._sending = SendLimit(most_bytes)
        self._renderings: dict[object, asyncio.Task[Response]] = {}
        self._renderers = asyncio.Semaphore(RENDERERS)
        self._pages = 0
        self._page_maker = asyncio.Lock()
        self._runbooks = RunbookPages()
        self._status = StatusPage(
            source.observed,
            self._links(telemetry_path),
            metrics_path=telemetry_path,
            runbooks=RUNBOOKS,
            prefix=site.link_prefix,
            stale_after=stale_after,
        )
        self._routes = self._all_routes(telemetry_path)

    def _links(self, telemetry_path: str) -> dict[str, str]:
        config = {"Configuration": CONFIG} if self._control else {}
        return {
            "Metrics": telemetry_path,
            "Status as JSON": API,
            "Service discovery": DISCOVERY,
            **config,
            "Runbooks": f"{RUNBOOKS}/",
            "Healthy": HEALTHY,
            "Ready": READY,
        }

    def _all_routes(self, telemetry_path: str) -> dict[str, Route]:
        routes = {
            "/": Route(partial(self._show, self._status.page)),
            API: Route(partial(self._show, self._status.json)),
            HEALTHY: Route(_healthy, is_open=True),
            READY: Route(_ready, is_open=True),
            PROBE: Route(self._scrape_one),
            DISCOVERY: Route(self._discover),
            EXPORTER: Route(self._scrape_own),
            RUNBOOKS: Route(partial(self._redirect, f"{RUNBOOKS}/"), is_open=True),
        }
        for name in self._runbooks.names:
            routes[f"{RUNBOOKS}/{name}"] = Route(self._runbooks.answer, is_open=True)
        if self._control is not None:
            routes |= {
                CONFIG: Route(self._control.config),
                RELOAD: Route(self._control.reload, ("POST",)),
            }
        routes[telemetry_path] = Route(self._scrape_all)
        served = {self._site.served(path): route for path, route in routes.items()}
        ways_in = ("/", self._site.route_prefix) if self._site.route_prefix else ()
        return {path: Route(partial(self._redirect, "/")) for path in ways_in} | served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        request = Request(scope, receive)
        guard = self._guard()
        try:
            response = await self._answer(request, guard)
        except asyncio.CancelledError:
            # The server is stopping: the client gets a response before the connection closes.
            response = plain(503, "shutting down")
        except Exception as error:  # noqa: BLE001 - a bug must not affect other scrapes
            event(LOGGER, logging.ERROR, "request failed", path=request.path[:200], exc_info=error)
            response = _INTERNAL_ERROR
        head_only = request.method == "HEAD"
        await self._sending.send(
            response.send(send, head_only=head_only, headers=guard.headers), len(response.body)
        )

    async def _answer(self, request: Request, guard: AccessControl) -> Response:
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

    async def _redirect(self, path: str, _request: Request) -> Response:
        return plain(302, "found", ("Location", f"{self._site.link_prefix}{path}"))

    async def _show(self, answer: Callable[[Request], Response], request: Request) -> Response:
        if self._pages >= MAX_PENDING_PAGES:
            return plain(503, "too many requests for the status page, retry later")
        self._pages += 1
        try:
            async with self._page_maker:
                return await in_thread(partial(answer, request))
        finally:
            self._pages -= 1

    async def _discover(self, request: Request) -> Response:
        reached = self._site.address(request.scheme, request.header("Host"))
        if reached is None:
            return plain(400, "missing or invalid Host header; see --web.external-url")
        prefix = self._site.link_prefix
        document = targets(self._source.names, *reached, prefix + PROBE, prefix + EXPORTER)
        return Response(200, document, "application/json; charset=utf-8")

    async def _scrape_all(self, request: Request) -> Response:
        return await self._metrics(request, self._source.scrape(request.scrape_timeout))

    async def _scrape_own(self, request: Request) -> Response:
        return await self._metrics(request, self._source.scrape(None, ""))

    async def _scrape_one(self, request: Request) -> Response:
        names = request.values("account")
        if len(names) != 1 or not names[0]:
            return plain(
                400,
                "use /probe?account=NAME with one account name; see /sd for the names",
            )
        if names[0] not in self._source.names:
            return plain(404, "unknown account; see /sd for the names")
        return await self._metrics(request, self._source.scrape(request.scrape_timeout, names[0]))

    async def _metrics(self, request: Request, scrape: Coroutine[Any, Any, Outcome]) -> Response:
        outcome = await _unless_gone(request, scrape)
        return _CLIENT_GONE if outcome is None else await self._exposition(request, outcome)

    async def _exposition(self, request: Request, outcome: Outcome) -> Response:
        """The text of a scrape, rendered once for all requests that want the same."""
        form = choose_format(request.header("Accept"))
        gzip = accepts_gzip(request.header("Accept-Encoding"))
        names = request.query("name[]")
        key = (outcome.identity, form, gzip, names)
        rendering = self._renderings.get(key)
        if rendering is None:
            if 0 < self._max_requests <= len(self._renderings):
                return plain(
                    503,
                    f"already rendering {self._max_requests} metrics responses, retry later",
                )
            call = partial(self._render, outcome, form, gzip, names)
            rendering = asyncio.get_running_loop().create_task(self._rendered(call))
            self._renderings[key] = rendering
            rendering.add_done_callback(lambda _: self._renderings.pop(key))
        return await asyncio.shield(rendering)

    async def _rendered(self, call: Callable[[], Response]) -> Response:
        async with self._renderers:
            return await in_thread(call)

    def _render(
        self, outcome: Outcome, form: Format, gzip: bool, names: frozenset[str]
    ) -> Response:
        headers: tuple[tuple[str, str], ...] = (("Vary", "Accept, Accept-Encoding"),)
        body, size = compress(self._source.expose(outcome, form, names))
        if gzip:
            packed = (*headers, ("Content-Encoding", "gzip"))
            return Response(200, body, form.content_type, packed)
        return Response(200, body, form.content_type, headers, unpacked_size=size)


async def _unless_gone(request: Request, waiting: Coroutine[Any, Any, T]) -> T | None:
    """The result; None if the client disconnects first.

    A listing continues when a client disconnects: others may wait for it.
    """
    loop = asyncio.get_running_loop()
    result, gone = loop.create_task(waiting), loop.create_task(request.abandoned())
    try:
        await asyncio.wait((result, gone), return_when=asyncio.FIRST_COMPLETED)
        return result.result() if result.done() else None
    finally:
        result.cancel()
        gone.cancel()


async def _healthy(_request: Request) -> Response:
    return plain(200, "cloudflare-mcp-exporter is healthy")


async def _ready(_request: Request) -> Response:
    return plain(200, "cloudflare-mcp-exporter is ready")
