"""The exporter's public address: route prefix and external URL. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

HOST = re.compile(
    r"(?P<host>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:(?P<port>[0-9]{1,5}))?"
)
_PORTS = {"http": "80", "https": "443"}


class PublicAddress(msgspec.Struct, frozen=True):
    """Paths as they are served and as clients see them.

    Attributes:
        route_prefix: prefix of every served path; without a trailing slash, or empty.
        external_url: URL of the exporter for clients, without a trailing slash; may be empty.
    """

    route_prefix: str = ""
    external_url: str = ""

    def served(self, path: str) -> str:
        """A path as the server receives it."""
        return self.route_prefix + path

    @property
    def link_prefix(self) -> str:
        """Prefix of every path for clients; a proxy may strip it."""
        return urlsplit(self.external_url).path if self.external_url else self.route_prefix

    def address(self, scheme: str, host: str) -> tuple[str, str] | None:
        """The scheme and ``host:port`` under which a client reaches the exporter.

        Args:
            scheme: of the request.
            host: the request's ``Host`` header.

        Returns:
            None if neither the external URL nor the request has a host.
        """
        if self.external_url:
            url = urlsplit(self.external_url)
            scheme, host = url.scheme, url.netloc
        found = HOST.fullmatch(host)
        if found is None:
            return None
        return scheme, f"{found['host']}:{found['port'] or _PORTS[scheme]}"

    def is_own(self, origin: str, host: str) -> bool:
        """Whether a browser's ``Origin`` is the exporter's public address.

        Args:
            origin: the ``Origin`` header: scheme, host and port.
            host: the request's ``Host`` header.
        """
        scheme = origin.partition("://")[0]
        reached = {_origin(self.external_url), _origin(f"{scheme}://{host}")} - {None}
        return _origin(origin) in reached


def _origin(url: str) -> tuple[str, str, str] | None:
    """An origin as scheme, host and port; None if it is not a URL."""
    scheme, _, rest = url.lower().partition("://")
    found = HOST.fullmatch(rest.partition("/")[0])
    if scheme not in _PORTS or found is None:
        return None
    return scheme, found["host"], found["port"] or _PORTS[scheme]
