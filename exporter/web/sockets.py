"""Listening sockets: on an address, at a path, or handed over by systemd."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from exporter.errors import SettingsError
from exporter.settings import ListenAddress

BACKLOG = 512
SOCKET_MODE = 0o660
"""Of a unix socket: the exporter's user and group may connect."""

_FLAG = "--web.listen-address"
_WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}  # noqa: S104 - see url_of
_CAUSES = {
    errno.EADDRINUSE: "is in use already; stop the other program, or choose another port",
    errno.EACCES: "may not be opened by this user; choose a port from 1024 on",
    errno.EADDRNOTAVAIL: "is not an address of this machine; choose one that is, or leave it out",
}


def listen(addresses: Iterable[ListenAddress]) -> list[socket.socket]:
    """A socket for each address, or none at all.

    Raises:
        SettingsError: one of them cannot be listened on.
    """
    bound: list[socket.socket] = []
    try:
        for address in addresses:
            bound.append(bind(address))  # noqa: PERF401 - those before a failure must be closed
    except SettingsError:
        for one in bound:
            one.close()
        raise
    return bound


def bind(address: ListenAddress) -> socket.socket:
    """A listening socket; without a host on all interfaces, IPv6 included where there is any.

    Raises:
        SettingsError: the address cannot be listened on; the text says why.
    """
    try:
        if address.path:
            return _bind_path(address)
        return _bind_host(address) if address.host else _bind_all(address.port)
    except socket.gaierror:
        raise SettingsError(f"{_FLAG}: {address} has a host that cannot be found") from None
    except OSError as error:
        known = {} if address.path else _CAUSES
        cause = (
            known.get(error.errno or 0) or f"cannot be listened on: {os.strerror(error.errno or 0)}"
        )
        raise SettingsError(f"{_FLAG}: {address} {cause}") from None


def hurried(listening: socket.socket) -> socket.socket:
    """The same socket, whose connections send at once: each inherits it.

    Without this a body waits 40 ms for the acknowledgement of its head. asyncio sets it only on
    sockets that were made with the protocol's number, and Python's are not.
    """
    if listening.family in {socket.AF_INET, socket.AF_INET6}:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def url_of(listening: socket.socket, scheme: str) -> str:
    """Where a client on this machine reaches it, without a slash at the end."""
    if listening.family == socket.AF_UNIX:
        return f"unix:{listening.getsockname()}"
    host, port = listening.getsockname()[:2]
    return f"{scheme}://{ListenAddress(_WILDCARDS.get(host, host), port)}"


def _bind_host(address: ListenAddress) -> socket.socket:
    found = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    # A name with both kinds of address means IPv4 to most clients, as it does to Go's net.Listen.
    family, _, _, _, where = min(found, key=lambda one: one[0] != socket.AF_INET)
    return socket.create_server(where[:2], family=family, backlog=BACKLOG)


def _bind_all(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG
            )
        except OSError as error:
            if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                raise
    return socket.create_server(("", port), backlog=BACKLOG)


# --- at a path ---------------------------------------------------------------------------------


class _UnixSocket(socket.socket):
    """A listening socket that takes its file away when it is closed."""

    _identity: tuple[int, int] | None = None

    def listen_at(self, path: str) -> None:
        """Bind and listen."""
        # Linux gives the file the mode of the socket, less the umask: never more than wanted.
        os.fchmod(self.fileno(), SOCKET_MODE)
        self.bind(path)
        self._identity = _identity(path)
        Path(path).chmod(SOCKET_MODE)
        self.listen(BACKLOG)

    def close(self) -> None:
        """Close it, and remove the file unless it is another's by now."""
        if self._identity is not None and self.fileno() >= 0:
            path = self.getsockname()
            with suppress(OSError):
                if _identity(path) == self._identity:
                    Path(path).unlink()
        super().close()


def _bind_path(address: ListenAddress) -> socket.socket:
    _remove_stale(address)
    listening = _UnixSocket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.listen_at(address.path)
    except OSError:
        listening.close()
        raise
    return listening


def _remove_stale(address: ListenAddress) -> None:
    """Make way where a socket is left over from a process that has ended."""
    path = Path(address.path)
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SettingsError(f"{_FLAG}: {address} is a file and no socket; choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
        asker.settimeout(1)
        try:
            asker.connect(address.path)
        except ConnectionRefusedError:
            path.unlink()
            return
    raise SettingsError(
        f"{_FLAG}: {address} is in use already; stop the other program, or choose another path"
    )


def _identity(path: str) -> tuple[int, int]:
    found = Path(path).lstat()
    return found.st_dev, found.st_ino


# --- from systemd ------------------------------------------------------------------------------

FIRST_DESCRIPTOR = 3
"""Where systemd puts the sockets, see sd_listen_fds(3)."""

_SYSTEMD_FLAG = "--web.systemd-socket"


def handed_over(environ: Mapping[str, str]) -> list[socket.socket]:
    """The sockets of a ``.socket`` unit.

    Raises:
        SettingsError: there are none, or one of them cannot be used.
    """
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal() or not int(count):
        raise SettingsError(
            f"{_SYSTEMD_FLAG}: no socket was handed over; start the unit by its .socket unit"
        )
    return [
        _taken(descriptor) for descriptor in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count))
    ]


def _taken(descriptor: int) -> socket.socket:
    try:
        found = socket.socket(fileno=descriptor)
        found.set_inheritable(False)
        listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:
        raise SettingsError(f"{_SYSTEMD_FLAG}: descriptor {descriptor} is no socket") from None
    if found.type != socket.SOCK_STREAM or not listens:
        raise SettingsError(
            f"{_SYSTEMD_FLAG}: descriptor {descriptor} is no listening stream socket; "
            "use ListenStream= and Accept=no"
        )
    return found
