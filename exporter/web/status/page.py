"""Answers with the page or its JSON twin."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from importlib import resources
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from exporter.metrics.formats import accepts_gzip
from exporter.scrape_result import AccountState
from exporter.web.compression import compress
from exporter.web.html import load_template, page_headers
from exporter.web.request import Request
from exporter.web.responses import Response
from exporter.web.status import words
from exporter.web.status.icons import icon
from exporter.web.status.moments import Moments
from exporter.web.status.query import Query, read_query
from exporter.web.status.report import (
    PortalStatus,
    Probed,
    ServerStatus,
    Status,
    report,
    time_of,
    with_probes,
)
from exporter.web.status.selection import selected
from exporter.web.status.states import SERVER_STATES
from exporter.web.status.view import page_view

if TYPE_CHECKING:
    import jinja2

REFRESH = 30
"""Seconds after which the page loads itself again."""

STALE_AFTER = 21_600.0
"""Seconds without a successful sync: three background syncs missed, as in the alert rules."""

API = "/api/v1/status"
"""Where the JSON is served."""

MAX_KEPT = 16
"""Answers that are kept until the next listing, compressed, for clients that ask the same."""

_TEMPLATES = resources.files("exporter.web.status") / "templates"
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")


class _Kept(msgspec.Struct, frozen=True):
    """An answer, and what it was made of: equal only as long as these are the same objects."""

    accounts: tuple[AccountState, ...]
    now: float
    tag: str
    packed: bytes
    size: int


class ProbeNotes(Protocol):
    """What live probes found last; both must return at once, in any thread."""

    @property
    def version(self) -> int:
        """Changes whenever a probe ends."""

    def latest(self, kind: str, account_id: str, identity: str) -> Probed | None:
        """Of one of the ``servers`` or ``portals``; None if it was not probed."""


class StatusPage:
    """The page at ``/``, and its JSON at `API`.

    Args:
        accounts: what is known of each account; must return at once.
        links: what else is served, path by name; a path begins with a slash.
        metrics_path: where Prometheus scrapes.
        runbooks: path under which each runbook is served by the name of its alert.
        prefix: what clients put before every path, such as ``/exporter``. Without one links are
            relative, so that they hold behind a proxy that adds a prefix of its own.
        stale_after: seconds without a successful sync after which a server is stale.
        probes: what live probes found; None without them.
        clock: Unix seconds.
    """

    def __init__(
        self,
        accounts: Callable[[], Sequence[AccountState]],
        links: Mapping[str, str],
        *,
        metrics_path: str = "/metrics",
        runbooks: str = "/runbooks",
        prefix: str = "",
        stale_after: float = STALE_AFTER,
        probes: ProbeNotes | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._probes = probes
        self._accounts = accounts
        self._links = {name: (prefix or ".") + path for name, path in links.items()}
        self._runbooks = f"{prefix or '.'}{runbooks}/"
        self._metrics_path = prefix + metrics_path
        self._stale_after = stale_after
        self._clock = clock
        self._kept: OrderedDict[tuple[object, ...], _Kept] = OrderedDict()

    def page(self, request: Request) -> Response:
        """The page; takes its time, so that it belongs into a thread, one at a time."""
        query = _query(request)
        host = request.header("Host")
        target = host if _HOST.fullmatch(host) else "localhost:10180"
        return self._answer(
            request,
            ("page", query, target),
            "text/html; charset=utf-8",
            partial(self._html, query, target),
            self._headers(query.refreshes),
        )

    def json(self, request: Request) -> Response:
        """The same as JSON; as for `page`."""
        query = _query(request)
        return self._answer(
            request, ("json", query), "application/json; charset=utf-8", partial(_json, query)
        )

    def _answer(
        self,
        request: Request,
        wanted: tuple[object, ...],
        content_type: str,
        make: Callable[[Status, float], str],
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Response:
        """What is wanted, or 304 where the client has it already."""
        version = 0 if self._probes is None else self._probes.version
        kept = self._made((*wanted, version), make)
        headers = (
            *headers,
            ("ETag", kept.tag),
            # It may be kept, but not shown without asking here: see `Response`.
            ("Cache-Control", "private, no-cache"),
            ("Vary", "Accept-Encoding"),
        )
        if _matches(request.header("If-None-Match"), kept.tag):
            return Response(304, b"", content_type, headers)
        if accepts_gzip(request.header("Accept-Encoding")):
            return Response(
                200, kept.packed, content_type, (*headers, ("Content-Encoding", "gzip"))
            )
        return Response(200, kept.packed, content_type, headers, unpacked_size=kept.size)

    def _made(self, wanted: tuple[object, ...], make: Callable[[Status, float], str]) -> _Kept:
        """The answer, as long as nothing was listed or probed since it was made."""
        accounts = tuple(self._accounts())
        now = time_of(accounts, self._clock())
        kept = self._kept.pop(wanted, None)
        if kept is None or not _same(kept, accounts, now):
            # A name may hold half a surrogate pair, which no encoding has.
            text = make(self._status(accounts, now), now).encode("utf-8", "replace")
            packed, size = compress([text])
            tag = f'W/"{hashlib.sha256(text).hexdigest()[:32]}"'
            kept = _Kept(accounts, now, tag, packed, size)
        self._kept[wanted] = kept
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return kept

    def _status(self, accounts: Sequence[AccountState], now: float) -> Status:
        status = report(accounts, now, self._stale_after)
        if self._probes is None or not self._probes.version:
            return status
        return with_probes(status, self._probes.latest)

    def _html(self, query: Query, target: str, status: Status, now: float) -> str:
        view = page_view(status, query, now)
        return self._template.render(
            view=view,
            moments=Moments(status, now),
            icon_url=icon(view.level),
            json=self._links.get("Status as JSON", ""),
            links=self._links,
            runbooks=self._runbooks,
            metrics_path=self._metrics_path,
            target=target,
            refresh=REFRESH,
            probed=_probed,
            unanswered=_unanswered(status),
            style=self._style,
        )

    def _headers(self, refreshes: bool) -> tuple[tuple[str, str], ...]:
        # As a header, since nothing in the document then keeps a reader from pausing it.
        refresh = (("Refresh", str(REFRESH)),) if refreshes else ()
        return (*page_headers(self._style), *refresh)

    @cached_property
    def _template(self) -> jinja2.Template:
        template = load_template(_TEMPLATES, "status.html")
        template.globals.update(words=words, server_states=SERVER_STATES)
        return template

    @cached_property
    def _style(self) -> str:
        return (_TEMPLATES / "status.css").read_text("utf-8")


def _probed(row: ServerStatus | PortalStatus) -> str:
    """What the last probe of a row found, and when; empty without one."""
    found = row.probe
    if found is None or found.ended is None:
        return ""
    took = f" in {found.seconds:.2f} s" if found.success else ""
    return f"probe: {found.outcome.replace('_', ' ')}{took}, {found.ended:%H:%M:%S} UTC"


def _unanswered(status: Status) -> list[tuple[ServerStatus | PortalStatus, str]]:
    """Portals and servers whose last probe failed, with what it found."""
    rows: tuple[ServerStatus | PortalStatus, ...] = (*status.portals, *status.servers)
    return [(row, _probed(row)) for row in rows if row.probe is not None and not row.probe.success]


def _query(request: Request) -> Query:
    return read_query(lambda name: min(request.query(name), default=""))


def _json(query: Query, status: Status, now: float) -> str:  # noqa: ARG001 - as for the page
    document: Any = msgspec.to_builtins(selected(status, query))
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"


def _same(kept: _Kept, accounts: tuple[AccountState, ...], now: float) -> bool:
    return (
        kept.now == now
        and len(kept.accounts) == len(accounts)
        and all(one is other for one, other in zip(kept.accounts, accounts, strict=True))
    )


def _matches(header: str, tag: str) -> bool:
    """Whether ``If-None-Match`` names the tag; strength does not matter for it."""
    wanted = tag.removeprefix("W/")
    named = {one.strip().removeprefix("W/") for one in header.split(",")}
    return wanted in named or "*" in named
