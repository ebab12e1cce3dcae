"""A recording proxy on loopback between a scraper and the exporter."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit


class Passed(NamedTuple):
    """One request with its response; header names in lower case."""

    request: dict[str, str]
    status: int
    response: dict[str, str]
    body: bytes


class Relay(NamedTuple):
    """Its address (``host:port``), and everything recorded so far."""

    address: str
    passed: list[Passed]


@contextmanager
def relay(url: str, **instead: str) -> Iterator[Relay]:
    """Relay GETs to the server at ``url``, with the request headers of ``instead`` put in place."""
    target = urlsplit(url).netloc
    passed: list[Passed] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()} | instead
            seen = _fetch(target, self.path, headers)
            passed.append(seen)
            self.send_response_only(seen.status)
            for name, value in seen.response.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(seen.body)

        def log_message(self, *arguments: object) -> None:
            """Silent: a test's output is for failures."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield Relay(f"127.0.0.1:{server.server_port}", passed)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _fetch(target: str, path: str, headers: Mapping[str, str]) -> Passed:
    connection = http.client.HTTPConnection(target, timeout=20)
    try:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        received = {name.lower(): value for name, value in answer.getheaders()}
        return Passed(dict(headers), answer.status, received, answer.read())
    finally:
        connection.close()
