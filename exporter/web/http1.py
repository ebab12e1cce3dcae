"""Requirements of RFC 9112 on requests that h11 and uvicorn do not check."""

from __future__ import annotations

import re
from collections.abc import Callable

import h11

_ABSOLUTE = re.compile(rb"https?://(?P<host>[^/?#]*)(?P<rest>.*)", re.IGNORECASE)
_HOST = re.compile(rb"([A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?")


class Connection(h11.Connection):
    """The server side of a connection; handles invalid requests itself, not in uvicorn.

    Args:
        refuse: receives the error and closes the connection.
    """

    def __init__(self, refuse: Callable[[h11.RemoteProtocolError], None]) -> None:
        super().__init__(h11.SERVER)
        self._refuse = refuse

    def next_event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        """As in the base class; after an error there are no more events."""
        try:
            event = super().next_event()
            return _understood(event) if isinstance(event, h11.Request) else event
        except h11.RemoteProtocolError as problem:
            self._refuse(problem)
            return h11.NEED_DATA


def _understood(request: h11.Request) -> h11.Request:
    """The request with its target in origin-form.

    Raises:
        h11.RemoteProtocolError: it cannot be answered, or its end is ambiguous.
    """
    if not request.http_version.startswith(b"1."):
        raise h11.RemoteProtocolError("not HTTP/1", error_status_hint=505)
    names = {name for name, _ in request.headers}
    if b"transfer-encoding" in names and (
        b"content-length" in names or request.http_version < b"1.1"
    ):
        # RFC 9112, section 6.1: a proxy may have interpreted it differently.
        raise h11.RemoteProtocolError("Transfer-Encoding with Content-Length or in HTTP/1.0")
    found = _ABSOLUTE.fullmatch(request.target)
    return request if found is None else _origin_form(request, found["host"], found["rest"])


def _origin_form(request: h11.Request, host: bytes, rest: bytes) -> h11.Request:
    """Section 3.2.2: the target's host takes precedence over the header's."""
    if not _HOST.fullmatch(host):
        raise h11.RemoteProtocolError("request target without a host or with a user")
    others = [(name, value) for name, value in request.headers if name != b"host"]
    return h11.Request(
        method=request.method,
        target=rest if rest.startswith(b"/") else b"/" + rest,
        headers=[(b"host", host), *others],
        http_version=request.http_version,
    )
