"""The API: answers with the expected state, or injects a fault and records when."""

from __future__ import annotations

import gzip
import json
import math
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from soak.truth import ACCOUNTS, PER_PAGE, Account, Versions, portals

LATENCY = 0.02
HUNG = 4.0
"""Seconds: longer than the exporter waits."""


@dataclass
class Committed:
    """A fault that was injected: its start and end in monotonic seconds."""

    name: str
    began: float
    over: float = math.inf


class Refused(Exception):  # noqa: N818 - a credential, not an error of this program
    """The token does not belong to the account."""


Answering = Callable[["Request", list[dict[str, Any]]], None]


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Attributes:
        reasons: of the account's failure that it can cause.
        commit: answers the request, given the correct page.
        felt: seconds for which the account may be down afterwards.
    """

    reasons: frozenset[str]
    commit: Answering
    felt: float = 0.0


class Api:
    """Serves all accounts on loopback; `tokens` may change at any time."""

    def __init__(self, seed: int) -> None:
        self.versions = Versions()
        self.faults: dict[str, list[Committed]] = {name: [] for name in ACCOUNTS}
        self.requests: Counter[str] = Counter()
        self.most_at_once: Counter[str] = Counter()
        self.complaints: list[str] = []
        self.tokens: dict[str, set[str]] = {name: set() for name in ACCOUNTS}
        self._at_once: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.over = threading.Event()
        api = self

        class Handler(Request):
            owner = api

        self._server = _Server(("127.0.0.1", 0), Handler)

    @property
    def base_url(self) -> str:
        """For the exporter's configuration."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/client/v4"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()

    def choose(self, account: Account) -> tuple[str, Fault] | None:
        """The fault for the next request of this account, if any."""
        with self._lock:
            if self._random.random() >= account.faults:
                return None
            name = self._random.choice(list(FAULTS))
        return name, FAULTS[name]

    @contextmanager
    def counted(self, account: Account) -> Iterator[None]:
        """While a request of the account is being answered."""
        with self._lock:
            self.requests[account.name] += 1
            self._at_once[account.name] += 1
            most = max(self.most_at_once[account.name], self._at_once[account.name])
            self.most_at_once[account.name] = most
        try:
            yield
        finally:
            with self._lock:
                self._at_once[account.name] -= 1

    @contextmanager
    def remembered(self, account: Account, name: str, began: float, felt: float) -> Iterator[None]:
        """While a fault is injected; ``felt`` is how many seconds its effect lasts afterwards."""
        committed = Committed(name, began)
        self.faults[account.name].append(committed)
        try:
            yield
        finally:
            committed.over = time.monotonic() + felt


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """The exporter disconnected: its timeout was over."""


class Request(BaseHTTPRequestHandler):
    """One connection of the exporter."""

    owner: Api
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        """Called by the base class."""
        began = time.monotonic()
        url = urlsplit(self.path)
        account_id = url.path.split("/accounts/")[1].split("/")[0]
        account = next(one for one in ACCOUNTS.values() if one.account_id == account_id)
        with self.owner.counted(account), suppress(OSError):
            token = str(self.headers["Authorization"]).removeprefix("Bearer ")
            if token not in self.owner.tokens[account.name]:
                self.owner.complaints.append(f"{account.name}: asked with a token of another")
            self.owner.over.wait(LATENCY)
            page = self._page(account, int(parse_qs(url.query)["page"][0]))
            chosen = self.owner.choose(account)
            if chosen is None:
                self.say(listed(page))
                return
            name, fault = chosen
            self.close_connection = True
            with self.owner.remembered(account, name, began, fault.felt):
                fault.commit(self, page)

    def _page(self, account: Account, number: int) -> list[dict[str, Any]]:
        start = (number - 1) * PER_PAGE
        return list(portals(account, self.owner.versions.now)[start : start + PER_PAGE])

    def say(
        self,
        body: bytes,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        size: int | None = None,
    ) -> None:
        """A complete response; ``size`` sets a wrong Content-Length."""
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if size is None else size))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Quiet."""


def listed(page: list[Any], **info: int) -> bytes:
    """The envelope around a page."""
    return json.dumps({"success": True, "errors": [], "result": page, "result_info": info}).encode()


def refused(code: int) -> bytes:
    """The envelope around an error."""
    return json.dumps({"success": False, "errors": [{"code": code, "message": "no"}]}).encode()


# --- the faults --------------------------------------------------------------------------------


def _reset(request: Request, _: list[dict[str, Any]]) -> None:
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.connection.shutdown(socket.SHUT_RD)


def _hang(request: Request, _: list[dict[str, Any]]) -> None:
    request.owner.over.wait(HUNG)


def _delay(request: Request, page: list[dict[str, Any]]) -> None:
    request.owner.over.wait(1.0)
    request.say(listed(page))


def _drip(request: Request, page: list[dict[str, Any]]) -> None:
    body = listed(page)
    request.say(b"", size=len(body))
    for byte in body[:80]:
        request.wfile.write(bytes([byte]))
        request.wfile.flush()
        if request.owner.over.wait(HUNG / 80):
            return


def _interim(request: Request, page: list[dict[str, Any]]) -> None:
    request.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    request.say(listed(page))


def _status(status: int, body: bytes, **headers: str) -> Answering:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request, _: request.say(body, status, named)


def _body(change: Callable[[list[dict[str, Any]]], bytes], **headers: str) -> Answering:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request, page: request.say(change(page), headers=named)


PASSING = frozenset({"connection", "timeout"})
SERVER = frozenset({"upstream_5xx", "timeout"})
SLOW = frozenset({"timeout"})
INVALID = frozenset({"invalid_response"})
BOMB = gzip.compress(bytes(64 << 20))
NONE: frozenset[str] = frozenset()

FAULTS: dict[str, Fault] = {
    "reset": Fault(PASSING, _reset),
    "cut short": Fault(
        PASSING, lambda request, page: request.say(listed(page)[:-9], size=len(listed(page)))
    ),
    "too much": Fault(PASSING | INVALID, lambda request, page: request.say(listed(page), size=9)),
    "hung": Fault(SLOW, _hang),
    "slow": Fault(SLOW, _delay),
    "dripped": Fault(SLOW, _drip),
    "interim answer": Fault(NONE, _interim),
    "502 in HTML": Fault(SERVER, _status(502, b"<html>", Content_Type="text/html")),
    "503 with Retry-After in HTML": Fault(SERVER, _status(503, b"<html>", Retry_After="999")),
    "429": Fault(
        frozenset({"rate_limited"}), _status(429, refused(971), Retry_After="1"), felt=1.0
    ),
    "404": Fault(frozenset({"not_found"}), _status(404, refused(7003))),
    "400": Fault(frozenset({"upstream_4xx"}), _status(400, refused(7001))),
    "success false": Fault(frozenset({"api_error"}), _status(200, refused(1234))),
    "redirect": Fault(INVALID, _status(302, b"", Location="http://[")),
    "HTML": Fault(INVALID, _status(200, b"<html>Sign in</html>", Retry_After="999")),
    "half of the JSON": Fault(INVALID, _body(lambda page: listed(page)[:-3])),
    "not gzip": Fault(INVALID, _body(listed, Content_Encoding="gzip")),
    "gzip bomb": Fault(INVALID, _body(lambda _: BOMB, Content_Encoding="gzip")),
    "many objects": Fault(INVALID, _body(lambda _: listed([{}] * 100_000))),
    "an unreadable record": Fault(NONE, _body(lambda page: listed([*page, 7]))),
    "missing items": Fault(
        frozenset({"incomplete"}), _body(lambda page: listed(page, total_count=len(page) + 50))
    ),
}
