"""Encoded pages of the accounts' lists, cached while the lists stay the same."""

from __future__ import annotations

import gzip
import re
import threading
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

from exporter.simulator.account import Account
from exporter.simulator.messages import envelope

_SEARCHED = {"portals": ("id", "name", "hostname"), "servers": ("id", "name")}
_GZIP_LEVEL = 4
_CACHE_BYTES = 1 << 30


class Asked(NamedTuple):
    """One page of one list."""

    kind: str
    """``portals`` or ``servers``."""
    search: str
    page: int
    per_page: int
    zipped: bool


class Pages:
    """Encoded pages of each account, cached by its revision."""

    def __init__(self) -> None:
        self._kept: dict[Account, tuple[Hashable, dict[Asked, bytes]]] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def body(self, account: Account, now: float, asked: Asked) -> bytes:
        """The body of the page, compressed if requested."""
        revision = account.revision(now)
        with self._lock:
            kept_revision, bodies = self._kept.get(account, (None, {}))
            if kept_revision == revision and asked in bodies:
                return bodies[asked]
        body = _encode(account, now, asked)
        with self._lock:
            self._keep(account, revision, asked, body)
        return body

    def _keep(self, account: Account, revision: Hashable, asked: Asked, body: bytes) -> None:
        if self._bytes + len(body) > _CACHE_BYTES:
            self._kept.clear()
            self._bytes = 0
        kept_revision, bodies = self._kept.get(account, (None, {}))
        if kept_revision != revision:
            self._bytes -= sum(map(len, bodies.values()))
            bodies = {}
        self._bytes += len(body) - len(bodies.get(asked, b""))
        bodies[asked] = body
        self._kept[account] = (revision, bodies)


def _encode(account: Account, now: float, asked: Asked) -> bytes:
    records = account.portals(now) if asked.kind == "portals" else account.servers(now)
    found = [record for record in records if _matches(record, asked)]
    begin = (asked.page - 1) * asked.per_page
    shown = found[begin : begin + asked.per_page]
    info = {
        "count": len(shown),
        "page": asked.page,
        "per_page": asked.per_page,
        "total_count": len(found),
    }
    body = envelope(shown, result_info=info)
    return gzip.compress(body, _GZIP_LEVEL, mtime=0) if asked.zipped else body


def _matches(record: Mapping[str, Any], asked: Asked) -> bool:
    search = asked.search.lower()
    return any(search in str(record.get(name, "")).lower() for name in _SEARCHED[asked.kind])


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an ``Accept-Encoding`` header allows gzip; respects a zero weight."""
    weights = {}
    for part in accept_encoding.lower().split(","):
        coding, *parameters = (piece.strip() for piece in part.split(";"))
        weights[coding] = not any(re.fullmatch(r"q=0(\.0*)?", piece) for piece in parameters)
    return weights.get("gzip", weights.get("*", False))
