"""Where the exporter is reached: by its own prefix, and by the URL that users have. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

HOST = re.compile(
    r"(?P<host>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:(?P<port>[0-9]{1,5}))?"
)
_PORTS = {"http": "80", "https": "443"}


class Site(msgspec.Struct, frozen=True):
    """The paths as they are served and as users see them.

    Attributes:
        route_prefix: before every path that is served; without a slash at the end, or empty.
        external_url: where users reach the exporter, without a slash at the end; may be empty.
    """

    route_prefix: str = ""
    external_url: str = ""

    def served(self, path: str) -> str:
        """A path as the server gets it."""
        return self.route_prefix + path

    @property
    def link_prefix(self) -> str:
        """What clients put before every path; a proxy may take it away."""
        return urlsplit(self.external_url).path if self.external_url else self.route_prefix

    def address(self, scheme: str, host: str) -> tuple[str, str] | None:
        """The scheme, and ``host:port``, by which a client of this kind reaches the exporter.

        Args:
            scheme: of the request.
            host: of the request, as its header has it.

        Returns:
            None where neither the URL nor the request says a host.
        """
        if self.external_url:
            url = urlsplit(self.external_url)
            scheme, host = url.scheme, url.netloc
        found = HOST.fullmatch(host)
        if found is None:
            return None
        return scheme, f"{found['host']}:{found['port'] or _PORTS[scheme]}"

    def is_own(self, origin: str, host: str) -> bool:
        """Whether a browser's ``Origin`` is where the exporter is reached.

        Args:
            origin: of the page that sends a request: scheme, host and port.
            host: of the request, as its header has it.
        """
        scheme = origin.partition("://")[0]
        reached = {_origin(self.external_url), _origin(f"{scheme}://{host}")} - {None}
        return _origin(origin) in reached


def _origin(url: str) -> tuple[str, str, str] | None:
    """Scheme, host and port, by which a browser tells origins apart; None where it is no URL."""
    scheme, _, rest = url.lower().partition("://")
    found = HOST.fullmatch(rest.partition("/")[0])
    if scheme not in _PORTS or found is None:
        return None
    return scheme, found["host"], found["port"] or _PORTS[scheme]
