"""An MCP server over real sockets whose every answer a test decides."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Sequence
from typing import Any

from exporter.probes.addresses import AddressPolicy, parse_network
from exporter.probes.exchange import Route
from rawserver import RawServer, answer

ROUTE = Route(AddressPolicy((parse_network("127.0.0.0/8"),)), allow_http=True)
JSON = "Content-Type: application/json\r\n"
SSE = "Content-Type: text/event-stream\r\n"
SESSION = "Mcp-Session-Id: abc\r\n"

Message = dict[str, Any]
Say = Callable[[socket.socket, str, Message], None]
"""Answers one request, given its head and its JSON body."""


class McpServer(RawServer):
    """A server whose requests' bodies are read and decoded."""

    def __init__(self, say: Say) -> None:
        super().__init__(self._handle)
        self._say = say
        self.methods: list[str] = []
        """HTTP method, or the JSON-RPC method of a POST."""

    def _handle(self, connection: socket.socket, head: str) -> None:
        before, _, start = head.partition("\r\n\r\n")
        lengths = [
            int(line.partition(":")[2])
            for line in before.splitlines()
            if line.lower().startswith("content-length:")
        ]
        body = start.encode()
        while lengths and len(body) < lengths[0]:
            body += connection.recv(65536)
        message = json.loads(body) if body else {}
        self.methods.append(str(message.get("method", head.split(" ", 1)[0])))
        self._say(connection, before, message)

    @property
    def host(self) -> str:
        """Host and port."""
        return self.base_url.split("/")[2]

    @property
    def url(self) -> str:
        """Of its MCP endpoint."""
        return f"http://{self.host}/mcp"


def header(head: str, name: str) -> str:
    """The value of a request's header; empty if it has none."""
    for line in head.splitlines()[1:]:
        key, _, value = line.partition(":")
        if key.lower() == name.lower():
            return value.strip()
    return ""


def always(status: str, headers: str = "", body: bytes = b"") -> Say:
    """The same answer to everything."""

    def say(connection: socket.socket, _head: str, _message: Message) -> None:
        connection.sendall(answer(body, status, headers))

    return say


def result(message: Message, **members: object) -> bytes:
    """A response with this result."""
    return json.dumps({"jsonrpc": "2.0", "id": message.get("id"), "result": members}).encode()


def error(message: Message, code: int) -> bytes:
    """A response with an error of this code."""
    fault = {"code": code, "message": "no"}
    return json.dumps({"jsonrpc": "2.0", "id": message.get("id"), "error": fault}).encode()


def modern(tools: Sequence[str]) -> Say:
    """A server of 2026."""

    def say(connection: socket.socket, _head: str, message: Message) -> None:
        if message["method"] == "server/discover":
            body = result(message, supportedVersions=["2026-07-28"], ttlMs=1000)
        else:
            body = result(message, tools=[{"name": name} for name in tools])
        connection.sendall(answer(body, headers=JSON))

    return say


def legacy(tools: Sequence[str], *, stream: bool = False) -> Say:
    """A server of 2025: rejects what is modern, and creates a session even then."""

    def say(connection: socket.socket, head: str, message: Message) -> None:
        method = message.get("method")
        if head.startswith("DELETE"):
            connection.sendall(answer(b"", "204 No Content"))
        elif method == "server/discover":
            headers = f"{JSON}Mcp-Session-Id: early\r\n"
            connection.sendall(answer(error(message, -32600), "400 Bad Request", headers))
        elif method == "initialize":
            body = result(message, protocolVersion="2025-06-18")
            if stream:
                body = b": hello\r\n\r\nevent: message\r\ndata: " + body + b"\r\n\r\n"
            connection.sendall(answer(body, headers=(SSE if stream else JSON) + SESSION))
        elif method == "notifications/initialized":
            connection.sendall(answer(b"", "202 Accepted"))
        else:
            body = result(message, tools=[{"name": name} for name in tools], nextCursor=None)
            connection.sendall(answer(body, headers=JSON))

    return say
