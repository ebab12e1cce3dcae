"""JSON-RPC messages of MCP, as JSON bodies and as server-sent events (SSE).

Only what a probe needs is declared; everything else is skipped without being built. Nothing of a
message's text is kept, except names that are compared with stored ones.

Source: the MCP specification, 2025-11-25 and 2026-07-28, and the SSE format of the HTML standard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from exporter import __version__
from exporter.probes.result import Outcome, ProbeError

MODERN_VERSION = "2026-07-28"
LEGACY_VERSION = "2025-11-25"
VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", LEGACY_VERSION, MODERN_VERSION)
OTHER_VERSION = "other"

MAX_LINE = 4 << 20
"""Maximum bytes of one line of an event stream."""

MAX_TOOLS = 10_000
"""Maximum tools of one listing."""

METHOD_NOT_FOUND = -32601
MODERN_CODES = (-32020, -32021, -32022)
"""Wrong method header, missing metadata, unsupported version: only a modern server has these."""

CLIENT = {"name": "cloudflare-mcp-exporter", "version": __version__}


class RpcError(msgspec.Struct, frozen=True):
    """The member ``error`` of a response."""

    code: int = 0


class Tool(msgspec.Struct, frozen=True):
    """A tool of a listing."""

    name: str = ""


class Result(msgspec.Struct, frozen=True, rename="camel"):
    """The members of all results that a probe reads."""

    protocol_version: str = ""
    supported_versions: list[str] = []
    ttl_ms: float | None = None
    tools: list[Tool] | None = None
    next_cursor: str | None = None


class Message(msgspec.Struct, frozen=True):
    """A response to one of our requests: one of ``result`` and ``error`` is set."""

    result: Result | None = None
    error: RpcError | None = None


class _AnyMessage(msgspec.Struct, frozen=True):
    """Any message of a server: only responses have an id and no method."""

    id: int | str | None = None
    method: str | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: RpcError | None = None


_ANY = msgspec.json.Decoder(_AnyMessage)
_RESULT = msgspec.json.Decoder(Result)


def request(number: int, method: str, params: dict[str, object]) -> bytes:
    """A request with this id."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def notification(method: str) -> bytes:
    """A notification: it has no id, and gets no response."""
    return msgspec.json.encode({"jsonrpc": "2.0", "method": method})


def modern_metadata() -> dict[str, object]:
    """The member ``_meta`` that each request of a modern client has."""
    return {
        "io.modelcontextprotocol/protocolVersion": MODERN_VERSION,
        "io.modelcontextprotocol/clientInfo": CLIENT,
        "io.modelcontextprotocol/clientCapabilities": {},
    }


def known_version(version: str) -> str:
    """The version if it is known, `OTHER_VERSION` if it is not, empty if there is none."""
    if not version:
        return ""
    return version if version in VERSIONS else OTHER_VERSION


def decode(body: bytes, number: int | None) -> Message | None:
    """The response with this id (None for any), or None if the body is another message.

    Raises:
        ProbeError: it is not a JSON-RPC message.
    """
    try:
        found = _ANY.decode(body)
        if found.method is not None or (found.error is None and not bytes(found.result)):
            return None
        if number is not None and found.id not in {number, None}:
            return None
        if found.error is not None:
            return Message(error=found.error)
        return Message(result=_RESULT.decode(found.result))
    except (msgspec.DecodeError, RecursionError):
        raise ProbeError(Outcome.NOT_MCP, "its response is not a JSON-RPC message") from None


def events(chunks: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Type and data of each event with data, as they arrive.

    Raises:
        ProbeError: a line is too long.
    """
    kind, data = "", bytearray()
    for line in _lines(chunks):
        if not line:
            if data:
                yield kind or "message", bytes(data[:-1])
            kind, data = "", bytearray()
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data += value + b"\n"
            if len(data) > MAX_LINE:
                raise _too_long()
        elif field == b"event":
            kind = value.decode("utf-8", "replace")


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines without their ends: CR LF, LF or CR."""
    pending = b""
    for chunk in chunks:
        pending += chunk
        # A CR at the end may be the first half of CR LF.
        held = pending.endswith(b"\r")
        *whole, pending = (
            pending.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        )
        if held:
            pending += b"\r"
        if len(pending) > MAX_LINE:
            raise _too_long()
        yield from whole
    if pending.endswith(b"\r"):
        yield pending[:-1]


def _too_long() -> ProbeError:
    return ProbeError(Outcome.TOO_LARGE, f"an event has more than {MAX_LINE} bytes")
