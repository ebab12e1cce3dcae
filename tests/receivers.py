"""What Alertmanager sends its notifications to, on loopback: a webhook and a mail server."""

from __future__ import annotations

import asyncio
import email.policy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope

from watching import submit


class Webhook:
    """Takes what is posted to it, to any path.

    Attributes:
        bodies: each as it came, with the path that it came to.
    """

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:  # noqa: N805 - the webhook is self; the base's name
                body = handler.rfile.read(int(handler.headers["Content-Length"]))
                self.bodies.append((handler.path, body))
                handler.send_response(200)
                handler.send_header("Content-Length", "2")
                handler.end_headers()
                handler.wfile.write(b"ok")  # as Slack says

            def log_message(handler, *_: object) -> None:  # noqa: N805 - as above
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def posted(self, path: str = "/") -> list[Any]:
        """The documents that came to a path."""
        return [json.loads(body) for to, body in self.bodies if to == path]

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """Of all notifications."""
        return [alert for document in self.posted() for alert in document["alerts"]]

    def notified(self, name: str, status: str) -> dict[str, Any] | None:
        return next(
            (a for a in self.alerts if a["labels"]["alertname"] == name and a["status"] == status),
            None,
        )


class Mailbox:
    """Takes mail.

    Attributes:
        address: of the server, ``host:port``.
        messages: as they came.
    """

    address: str

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []

    async def handle_DATA(self, _server: SMTP, _session: object, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        return "250 OK"


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A mail server for as long as the block lasts."""
    box = Mailbox()

    async def listen() -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: SMTP(box, hostname="localhost", loop=loop), "127.0.0.1", 0
        )

    server = submit(listen()).result(10)
    box.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def close() -> None:
        server.close()

    try:
        yield box
    finally:
        submit(close()).result(10)
