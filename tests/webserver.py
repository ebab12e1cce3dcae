"""Serves the web application on a free loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trustme

from exporter.metrics.formats import Format
from exporter.scrape_result import AccountState
from exporter.settings import ListenAddress
from exporter.web.access import OPEN
from exporter.web.routes import App
from exporter.web.server import Server, bind
from exporter.web.web_config import WebConfigFile
from watching import submit


class Outcome:
    """A unique scrape result, so that each is rendered separately."""

    def __init__(self, body: Any) -> None:
        self.body = body

    @property
    def identity(self) -> object:
        return id(self)


class Source:
    """A source whose scrapes return ``body`` at once, or the result of ``next``."""

    names: tuple[str, ...] = ("a", "b")

    def __init__(self, body: bytes = b"up 1\n") -> None:
        self.body = body
        self.begun: list[tuple[float | None, str | None]] = []
        self.next: Callable[[], Future[Any]] = lambda: done(self.body)

    def observed(self) -> tuple[AccountState, ...]:
        return ()

    async def scrape(self, announced: float | None, name: str | None = None) -> Outcome:
        self.begun.append((announced, name))
        return Outcome(await asyncio.shield(asyncio.wrap_future(self.next())))

    def expose(self, scrapes: Outcome, form: Format, names: frozenset[str]) -> list[bytes]:
        return [scrapes.body]


def done(scrape: bytes) -> Future[bytes]:
    future: Future[bytes] = Future()
    future.set_result(scrape)
    return future


class WebServer:
    """A server in a thread, listening on ``port``."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = server.url
        self.scheme = server.url.partition(":")[0]
        self.port = int(server.url.rsplit(":", 1)[1])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def ask(
        self,
        path: str = "/metrics",
        method: str = "GET",
        *,
        context: ssl.SSLContext | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = 20,
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a new connection, over TLS if there is a context."""
        connection: http.client.HTTPConnection
        if context is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        else:
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=timeout, context=context
            )
        with contextlib.closing(connection):
            connection.request(method, path, headers=headers or {})
            response = connection.getresponse()
            heads = {name.lower(): value for name, value in response.getheaders()}
            return response.status, heads, response.read()


@contextmanager
def site(
    source: Source,
    *,
    web_config: Path | None = None,
    server: Any = None,
    send_buffer: int = 0,
    **options: Any,
) -> Iterator[WebServer]:
    """Serve it; ``server`` are options of the server, the rest those of the application.

    ``send_buffer`` are the bytes that the kernel takes for a reader, many on loopback.
    """
    web = WebConfigFile(str(web_config)) if web_config else None
    app = App(source, guard=web.guard if web else lambda: OPEN, **options)
    listening = bind(ListenAddress("127.0.0.1", 0))
    if send_buffer:  # accepted connections inherit it
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    running = Server(
        app,
        [listening],
        tls=web.tls if web else lambda: None,
        grace=2,
        **(server or {}),
    )
    ended = submit(running.serve())
    try:
        yield WebServer(running)
    finally:
        running.stop()
        ended.result(15)


def write_chain(leaf: trustme.LeafCert, home: Path) -> None:
    """Replace ``server.pem`` and ``server.key`` as a renewal tool would."""
    (home / "server.pem").write_bytes(b"".join(one.bytes() for one in leaf.cert_chain_pems))
    (home / "server.key").write_bytes(leaf.private_key_pem.bytes())


def trusting(authority: trustme.CA, client: trustme.LeafCert | None = None) -> ssl.SSLContext:
    """A client's TLS context, with a client certificate if one is given."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if client is not None:
        client.configure_cert(context)
    return context
