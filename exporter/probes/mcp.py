"""The client side of MCP, as far as a probe needs it.

Three generations of the protocol are in use:

- **modern** (2026-07-28): stateless. One POST of ``server/discover`` is enough.
- **legacy** (2025-11-25 and before): ``initialize`` may create a session, which must be deleted in
  every case, since some servers keep sessions for ever.
- **SSE** (2024-11-05): a GET opens an event stream whose first event names the address for POSTs.

A probe tries them in this order, unless it remembers what the target spoke. What proves a modern
server is a result, or an error code that only modern servers have. Authorization, rate limits and
failures of the server look the same in all three and end the search.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import StrEnum
from http import HTTPStatus
from urllib.parse import urljoin

from exporter.probes import messages
from exporter.probes.exchange import Exchange, Reply, origin
from exporter.probes.messages import Message
from exporter.probes.result import Outcome, Phase, ProbeError

MAX_PAGES = 20
MAX_EVENTS = 200
"""Maximum events of other kinds before the response."""

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
ACCEPT = f"{JSON}, {EVENT_STREAM}"
SESSION = "Mcp-Session-Id"
VERSION = "MCP-Protocol-Version"

CLEANUP_SECONDS = 2.0
"""For deleting sessions, also after the time of the probe is over."""

MAX_RETRY_AFTER = 3600.0

TRY_OLDER = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.NOT_ACCEPTABLE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
)
"""Responses of older servers to a request that they do not understand."""


class Era(StrEnum):
    """The generation of the protocol that a target speaks."""

    MODERN = "modern"
    LEGACY = "legacy"
    SSE = "sse"


class Challenge(Exception):  # noqa: N818 - a response, not an error of the target's
    """The target requires a login.

    Attributes:
        header: ``WWW-Authenticate``; empty if it has none.
    """

    def __init__(self, header: str) -> None:
        super().__init__("authorization required")
        self.header = header


class McpClient:
    """One probe's conversation with a target.

    Args:
        exchange: sends the requests.
        url: of the target.
        headers: with credentials for this target alone; empty for none.

    Attributes:
        era: that the target speaks; None until it has answered as an MCP server.
        version: of the protocol; empty until then.
        ttl: seconds for which the target asks not to be asked again; 0 for none.
        status: of HTTP, of the last response to a message; None if there was none.
    """

    def __init__(self, exchange: Exchange, url: str, headers: Mapping[str, str]) -> None:
        self._exchange = exchange
        self._url = url
        self._headers = dict(headers)
        self._session = ""
        self._protocol = messages.LEGACY_VERSION
        self._sessions: set[str] = set()
        self._number = 0
        self.era: Era | None = None
        self.version = ""
        self.status: int | None = None
        self.ttl = 0.0

    def open(self, era: Era | None) -> None:
        """Find out that the target speaks MCP, starting with the era that it spoke last time.

        Raises:
            Challenge: it requires a login.
            ProbeError: it does not speak MCP, or did not answer.
        """
        if era is not Era.SSE and (era is Era.LEGACY or not self._discover()):
            era = Era.SSE if not self._initialize() else Era.LEGACY
        if era is Era.SSE and self.era is None:
            self._open_stream()

    def list_tools(self) -> list[str]:
        """The names of all tools.

        Raises:
            Challenge: listing requires a login.
            ProbeError: it cannot be listed.
        """
        names: list[str] = []
        params: dict[str, object] = {}
        for _ in range(MAX_PAGES):
            message = self._call("tools/list", params)
            if message.error is not None:
                if message.error.code == messages.METHOD_NOT_FOUND:
                    return names  # a server without tools
                raise ProbeError(
                    Outcome.PROTOCOL_ERROR, f"tools/list failed with code {message.error.code}"
                )
            result = message.result
            if result is None or result.tools is None:
                raise ProbeError(Outcome.PROTOCOL_ERROR, "tools/list has no tools in its result")
            names += [tool.name for tool in result.tools]
            if len(names) > messages.MAX_TOOLS:
                raise ProbeError(
                    Outcome.TOO_LARGE, f"it lists more than {messages.MAX_TOOLS} tools"
                )
            if result.next_cursor is None:
                return names
            params = {"cursor": result.next_cursor}
        raise ProbeError(Outcome.TOO_LARGE, f"its tools have more than {MAX_PAGES} pages")

    def close(self) -> None:
        """Delete every session that the target has created, whatever happened before."""
        if not self._sessions:
            return
        exchange = self._exchange.with_time(CLEANUP_SECONDS)
        # A response that arrives byte by byte never times out by itself.
        timer = threading.Timer(CLEANUP_SECONDS, exchange.interrupt)
        timer.start()
        try:
            for session in self._sessions:
                headers = {**self._headers, SESSION: session}
                with suppress(ProbeError):
                    exchange.send("DELETE", self._url, {**headers, VERSION: self._protocol})
        finally:
            timer.cancel()
            if exchange is not self._exchange:
                exchange.close()
        self._sessions.clear()

    # --- the three eras ---

    def _discover(self) -> bool:
        """Whether it is a modern server."""
        reply, message = self._post(
            "server/discover", {}, self._modern_headers("server/discover"), modern=True
        )
        if message is not None and message.error is not None:
            code = message.error.code
            is_modern = code in messages.MODERN_CODES or (
                reply.status == HTTPStatus.NOT_FOUND and code == messages.METHOD_NOT_FOUND
            )
            if is_modern:
                self.era, self.version = Era.MODERN, messages.OTHER_VERSION
                if code == messages.METHOD_NOT_FOUND:
                    self.version = messages.MODERN_VERSION
            return is_modern
        if message is not None and message.result is not None:
            supported = message.result.supported_versions
            if not supported and not message.result.protocol_version:
                return False
            self.era = Era.MODERN
            self.version = (
                messages.MODERN_VERSION
                if messages.MODERN_VERSION in supported
                else messages.OTHER_VERSION
            )
            self.ttl = max(0.0, (message.result.ttl_ms or 0.0) / 1000)
            return True
        if reply.status not in TRY_OLDER and reply.status != HTTPStatus.OK:
            raise _status_error(reply)
        return False

    def _initialize(self) -> bool:
        """Whether it is a legacy server."""
        params: dict[str, object] = {
            "protocolVersion": messages.LEGACY_VERSION,
            "capabilities": {},
            "clientInfo": messages.CLIENT,
        }
        reply, message = self._post("initialize", params, {})
        if message is None:
            if reply.status in TRY_OLDER[:3]:
                return False
            raise _status_error(reply)
        if message.error is not None or message.result is None:
            raise ProbeError(Outcome.PROTOCOL_ERROR, "it rejects initialize")
        self.era = Era.LEGACY
        self.version = messages.known_version(message.result.protocol_version)
        self._protocol = message.result.protocol_version or messages.LEGACY_VERSION
        body = messages.notification("notifications/initialized")
        self._read_status(self._exchange.send("POST", self._url, self._post_headers({}), body))
        return True

    def _open_stream(self) -> None:
        """The transport of 2024: the first event of the stream names the address for POSTs."""
        headers = {**self._headers, "Accept": EVENT_STREAM}
        reply = self._send("GET", headers)
        self._raise_for(reply)
        if reply.status != HTTPStatus.OK:
            raise _status_error(reply)
        if reply.content_type != EVENT_STREAM:
            raise ProbeError(Outcome.NOT_MCP, "it answers, but not as an MCP server")
        for kind, data in _bounded(messages.events(reply.chunks())):
            if kind == "endpoint":
                endpoint = urljoin(self._url, data.decode("utf-8", "replace"))
                if not _same_origin(endpoint, self._url):
                    raise ProbeError(Outcome.REDIRECTED, "its endpoint event leads elsewhere")
                self.era, self.version = Era.SSE, messages.VERSIONS[0]
                return
            break
        raise ProbeError(Outcome.NOT_MCP, "its event stream does not begin with an endpoint")

    # --- requests ---

    def _call(self, method: str, params: dict[str, object]) -> Message:
        if self.era is Era.MODERN:
            reply, message = self._post(method, params, self._modern_headers(method), modern=True)
        else:
            reply, message = self._post(method, params, {})
        if message is None:
            raise _status_error(reply)
        return message

    def _modern_headers(self, method: str) -> dict[str, str]:
        return {VERSION: messages.MODERN_VERSION, "Mcp-Method": method}

    def _post_headers(self, extra: Mapping[str, str]) -> dict[str, str]:
        headers = {**self._headers, "Content-Type": JSON, "Accept": ACCEPT, **extra}
        if self.era is Era.LEGACY:
            headers[VERSION] = self._protocol
        if self._session:
            headers[SESSION] = self._session
        return headers

    def _post(
        self,
        method: str,
        params: dict[str, object],
        extra: Mapping[str, str],
        *,
        modern: bool = False,
    ) -> tuple[Reply, Message | None]:
        """The response, and its message where it has one of ours.

        Raises:
            Challenge: it requires a login.
            ProbeError: there is no response, or one that is final in every era.
        """
        self._number += 1
        full = {**params, "_meta": messages.modern_metadata()} if modern else params
        body = messages.request(self._number, method, full)
        reply = self._send("POST", self._post_headers(extra), body)
        self._note_session(reply, keep=not modern)
        self._exchange.check()
        self._raise_for(reply)
        if reply.content_type == EVENT_STREAM:
            return reply, self._from_stream(reply)
        if reply.content_type != JSON:
            if reply.status == HTTPStatus.OK:
                raise ProbeError(Outcome.NOT_MCP, "it answers, but not as an MCP server")
            return reply, None
        try:
            return reply, messages.decode(reply.body(), self._number)
        except ProbeError as problem:
            if problem.outcome is Outcome.NOT_MCP and reply.status != HTTPStatus.OK:
                return reply, None  # an error page in JSON
            raise

    def _send(self, method: str, headers: Mapping[str, str], body: bytes | None = None) -> Reply:
        try:
            # A modern server has no sessions.
            linger = body is not None and self.era is not Era.MODERN
            return self._exchange.send(method, self._url, headers, body, linger=linger)
        finally:
            self.status = self._exchange.status

    def _from_stream(self, reply: Reply) -> Message:
        """The response among the events; the rest of the stream may never end and is dropped."""
        for kind, data in _bounded(messages.events(reply.chunks())):
            if kind != "message":
                continue
            found = messages.decode(data, self._number)
            if found is not None:
                return found
        raise ProbeError(Outcome.PROTOCOL_ERROR, "its event stream ended without a response")

    def _note_session(self, reply: Reply, *, keep: bool) -> None:
        """A legacy server may create a session even for a request that it rejects."""
        session = reply.headers.get(SESSION, "")
        if session and len(session) <= 1024 and session.isascii() and session.isprintable():  # noqa: PLR2004 - no real one is longer
            self._sessions.add(session)
            if keep:
                self._session = session

    def _raise_for(self, reply: Reply) -> None:
        """Raise for what is final in every era."""
        if reply.status == HTTPStatus.UNAUTHORIZED:
            raise Challenge(reply.headers.get("WWW-Authenticate", ""))
        if reply.status in {HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}:
            raise _status_error(reply)
        if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _status_error(reply)

    def _read_status(self, reply: Reply) -> None:
        self._raise_for(reply)
        if reply.status // 100 != 2:  # noqa: PLR2004 - the class of success
            raise _status_error(reply)


def _bounded(found: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    for number, one in enumerate(found):
        if number >= MAX_EVENTS:
            raise ProbeError(Outcome.TOO_LARGE, f"more than {MAX_EVENTS} events came first")
        yield one


def _same_origin(one: str, other: str) -> bool:
    try:
        return origin(one) == origin(other)
    except ValueError:
        return False


def _status_error(reply: Reply) -> ProbeError:
    status = reply.status
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ProbeError(Outcome.THROTTLED, "it answers 429, too many requests", _wait(reply))
    if status == HTTPStatus.FORBIDDEN:
        challenged = reply.headers.get("cf-mitigated", "") == "challenge"
        by = "a bot check" if challenged else "a firewall or an access rule"
        return ProbeError(Outcome.BLOCKED, f"{by} blocks the probe (HTTP 403)")
    if status == HTTPStatus.NOT_FOUND:
        return ProbeError(Outcome.NOT_FOUND, "there is nothing at its URL (HTTP 404)")
    if status == HTTPStatus.OK:
        return ProbeError(Outcome.NOT_MCP, "it answers, but not as an MCP server")
    return ProbeError(Outcome.HTTP_ERROR, f"it answers HTTP {status}")


def _wait(reply: Reply) -> float:
    text = reply.headers.get("Retry-After", "").strip()
    seconds = float(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0.0  # noqa: PLR2004 - three months
    return min(seconds, MAX_RETRY_AFTER)


@contextmanager
def timed(exchange: Exchange, phase: Phase) -> Iterator[None]:
    """Adds the time of the block to the phase, without the time of a new connection."""
    phases = exchange.watch.phases
    start, before = time.perf_counter(), sum(phases.values())
    exchange.watch.start()
    try:
        yield
    finally:
        connecting = sum(phases.values()) - before
        phases[phase] = phases.get(phase, 0.0) + max(0.0, time.perf_counter() - start - connecting)
