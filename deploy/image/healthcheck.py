"""The health check of the image: asks the exporter in this container whether it is healthy.

It finds where to ask as the exporter itself does: in the command line of process 1, else in the
environment. An exporter that wants certificates from its clients cannot be asked so: give such a
container a health check of your own.
"""
# ruff: noqa: INP001 - copied into the image by itself

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from exporter.settings.flags import FLAGS, argument_parser
from exporter.settings.parsers import listen_address

TIMEOUT = 4.0
"""Seconds; the Dockerfile allows five in all."""

ANY_HOST = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound here
"""Where to reach an exporter that listens on all interfaces."""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: str) -> None:
        """Args: path: of the socket."""
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self._path)


def told(arguments: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """What the exporter was told, by the field of its settings; of several values the first."""
    # An init program may stand before the exporter, and a bare -- behind it.
    flags = vars(argument_parser().parse_known_args([a for a in arguments if a != "--"])[0])
    values = {}
    for flag in FLAGS:
        given = flags[flag.field] or environ.get(flag.environment) or flag.default
        first = given[0] if isinstance(given, list) else given
        values[flag.field] = first.split(",")[0].strip() if flag.repeatable else first
    return values


def connection(values: Mapping[str, str]) -> http.client.HTTPConnection:
    """To where the exporter listens, not yet opened."""
    address = listen_address(values["listen_addresses"])
    if address.path:
        return UnixConnection(address.path)
    host = ANY_HOST.get(address.host, address.host)
    if not speaks_tls(values["web_config_file"]):
        return http.client.HTTPConnection(host, address.port, timeout=TIMEOUT)
    # This asks whether the exporter lives, not who it is: its certificate names another host.
    trusting = ssl._create_unverified_context()  # noqa: S323, SLF001 - see above
    return http.client.HTTPSConnection(host, address.port, timeout=TIMEOUT, context=trusting)


def speaks_tls(web_config_file: str) -> bool:
    """Whether the file asks for TLS."""
    if not web_config_file:
        return False
    text = Path(web_config_file).read_text(encoding="utf-8")
    return re.search(r"^\s*[\"']?tls_server_config\b", text, re.MULTILINE) is not None


def main() -> int:
    """Ask once: 0 where the answer is 200, else 1, with a line that says why."""
    try:
        command = Path("/proc/1/cmdline").read_bytes().decode(errors="replace")
        values = told(command.rstrip("\0").split("\0")[1:], os.environ)
        prefix = values["route_prefix"] or urlsplit(values["external_url"]).path.rstrip("/")
        asked = connection(values)
        asked.request("GET", f"{prefix}/-/healthy")
        status = asked.getresponse().status
    except Exception as problem:  # noqa: BLE001 - whatever it is, nobody answered 200
        sys.stdout.write(f"unhealthy: {type(problem).__name__}: {problem}\n")
        return 1
    sys.stdout.write(f"status {status}\n")
    return 0 if status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main())
