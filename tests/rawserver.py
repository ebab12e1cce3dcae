"""A TCP server for responses that no HTTP library would send: slow, truncated, endless."""

from __future__ import annotations

import json
import socket
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

Handler = Callable[[socket.socket, str], None]
"""Handles one request, given its head as text; the connection is closed afterwards."""


class RawServer:
    """Listens on loopback; each connection is handled by ``handler`` in its own thread."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self.heads: list[str] = []
        """The head of each request, in order of arrival."""
        self.closed = threading.Event()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/client/v4"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closed.set()
        for sock in (self._listener, *self._open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.add(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(65536)
                if not piece:
                    return
                head += piece
            self.heads.append(head.decode())
            self._handler(connection, self.heads[-1])

    def drip(self, connection: socket.socket, data: bytes, seconds: float = 0.05) -> None:
        """Send one byte at a time until the data, the test or the peer ends."""
        for byte in data:
            connection.sendall(bytes([byte]))
            if self.closed.wait(seconds):
                return


def answer(
    body: bytes, status: str = "200 OK", headers: str = "", length: int | None = None
) -> bytes:
    """A complete response; ``length`` sets a wrong Content-Length."""
    size = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\nConnection: close\r\n{headers}\r\n"
    return head.encode() + body


def sends(data: bytes) -> Handler:
    """A handler that always sends the same bytes."""

    def handle(connection: socket.socket, head: str) -> None:
        connection.sendall(data)

    return handle


def listing(result: Any, **info: int) -> bytes:
    """The API's envelope around a result."""
    return json.dumps(
        {"success": True, "errors": [], "messages": [], "result": result, "result_info": info}
    ).encode()


def refusal(code: int, text: str = "no") -> bytes:
    """The API's envelope around an error."""
    return json.dumps(
        {
            "success": False,
            "errors": [{"code": code, "message": text}],
            "messages": [],
            "result": None,
        }
    ).encode()


def portal(identity: str, servers: Any = ()) -> dict[str, Any]:
    """A portal with what the API requires of one."""
    return {
        "id": identity,
        "name": identity,
        "hostname": f"{identity}.example.com",
        "servers": list(servers) if isinstance(servers, tuple) else servers,
    }


def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Whether the condition becomes true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


def bomb(megabytes: int) -> bytes:
    """Gzip of white space, a thousandth of its size. Its checksum is wrong."""
    packer = zlib.compressobj(9, wbits=31)
    head = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    # Blocks after a full flush are independent, so compressing one is enough.
    block = packer.compress(b" " * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * megabytes + packer.flush()
