"""Listening sockets: on an address, at a path, or handed over by systemd."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from exporter.errors import SettingsError
from exporter.settings import ListenAddress

BACKLOG = 512
SOCKET_MODE = 0o660
"""Mode of a unix socket: the exporter's user and group may connect."""

_FLAG = "--web.listen-address"
_ALL_IPV4, _ALL = "0.0.0.0", "::"  # noqa: S104 - recognized, not bound to
_CAUSES = {
    errno.EADDRINUSE: "is already in use; stop the other program, or use another port",
    errno.EACCES: "permission denied; use a port of 1024 or above",
    errno.EADDRNOTAVAIL: "is not an address of this machine; use one that is, or :PORT",
}


class Endpoint(NamedTuple):
    """The address of a listening socket.

    Attributes:
        address: as reported by the kernel, such as ``[::]:10180`` for all interfaces.
        url: URL for a client on this machine, without a trailing slash; empty for a unix
            socket.
        bound_url: the same with the address itself; differs where that stands for all interfaces.
    """

    address: str
    url: str
    bound_url: str


def listen(addresses: Sequence[ListenAddress]) -> list[socket.socket]:
    """One socket per address, or none at all.

    Raises:
        SettingsError: one of them cannot be used.
    """
    bound: list[socket.socket] = []
    try:
        for address in addresses:
            one = bind(address, ipv6_only=_is_for_ipv6(address, addresses))
            bound.append(one)
    except SettingsError:
        for one in bound:
            one.close()
        raise
    return bound


def _is_for_ipv6(address: ListenAddress, addresses: Sequence[ListenAddress]) -> bool:
    """Whether it is ``[::]``, with an IPv4 address of the same port beside it."""
    beside = {one.host for one in addresses if one.port == address.port != 0 and one.host}
    return address.host == _ALL and any(":" not in host for host in beside)


def bind(address: ListenAddress, *, ipv6_only: bool = False) -> socket.socket:
    """A listening socket; without a host or with ``[::]`` on all interfaces, IPv4 and IPv6.

    Args:
        address: where.
        ipv6_only: do not accept IPv4: another socket has the same port.

    Raises:
        SettingsError: the address cannot be used; the message says why.
    """
    try:
        if address.path:
            return _bind_path(address)
        if address.host in {"", _ALL} and not ipv6_only:
            return _bind_all(address.port)
        return _bind_host(address.host, address.port)
    except socket.gaierror:
        what = (
            "the interface does not exist" if "%" in address.host else "the host does not resolve"
        )
        raise SettingsError(f"{_FLAG}: {address}: {what}") from None
    except OSError as error:
        known = {} if address.path else _CAUSES
        cause = (
            known.get(error.errno or 0) or f"cannot listen: {os.strerror(error.errno or 0).lower()}"
        )
        raise SettingsError(f"{_FLAG}: {address}: {cause}") from None


def without_delay(listening: socket.socket) -> socket.socket:
    """The same socket with TCP_NODELAY, which its connections inherit.

    Without it a body waits 40 ms for the ACK of its head. asyncio sets it only on sockets created
    with an explicit protocol number, and Python's are not.
    """
    if listening.family in {socket.AF_INET, socket.AF_INET6}:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def endpoint_of(listening: socket.socket, scheme: str) -> Endpoint:
    """Its address."""
    name = listening.getsockname()
    if listening.family == socket.AF_UNIX:
        path = os.fsdecode(name)
        return Endpoint(f"unix:{path}".replace("\0", "@", 1), "", "")
    host, port, *rest = name
    zone = f"%{socket.if_indextoname(rest[1])}" if any(rest[1:]) else ""
    address = ListenAddress(host + zone, port)
    reached = ListenAddress(_local(listening, host) + zone.replace("%", "%25"), port)  # RFC 6874
    url = f"{scheme}://{reached}"
    is_wildcard = host in {_ALL, _ALL_IPV4}
    return Endpoint(str(address), url, f"{scheme}://{address}" if is_wildcard else url)


def _local(listening: socket.socket, host: str) -> str:
    """The host, or loopback for all interfaces."""
    if host == _ALL and listening.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
        return "::1"
    return "127.0.0.1" if host in {_ALL, _ALL_IPV4} else host


def _bind_host(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # A name with both address families means IPv4 to most clients, as it does to Go's net.Listen.
    family, _, _, _, where = min(found, key=lambda one: one[0] != socket.AF_INET)
    # All of it: a link-local address has its interface at the end.
    return socket.create_server(where, family=family, backlog=BACKLOG)


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
    """A listening socket that removes its file when it is closed."""

    _identity: tuple[int, int] | None = None

    def listen_at(self, path: str) -> None:
        """Bind and listen."""
        # Linux applies the socket's mode, less the umask, to the file: never too permissive.
        os.fchmod(self.fileno(), SOCKET_MODE)
        self.bind(path)
        self._identity = _identity(path)
        Path(path).chmod(SOCKET_MODE)
        self.listen(BACKLOG)

    def close(self) -> None:
        """Close it, and remove the file unless it has been replaced."""
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
    """Remove a socket file that is left over from a process that has ended."""
    path = Path(address.path)
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SettingsError(
            f"{_FLAG}: {address}: the file exists and is not a socket; use another path"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
        asker.settimeout(1)
        try:
            asker.connect(address.path)
        except ConnectionRefusedError:
            path.unlink()
            return
    raise SettingsError(
        f"{_FLAG}: {address}: is already in use; stop the other program, or use another path"
    )


def _identity(path: str) -> tuple[int, int]:
    found = Path(path).lstat()
    return found.st_dev, found.st_ino


# --- from systemd ------------------------------------------------------------------------------

FIRST_DESCRIPTOR = 3
"""First descriptor passed by systemd, see sd_listen_fds(3)."""

_SYSTEMD_FLAG = "--web.systemd-socket"


def handed_over(environ: Mapping[str, str]) -> list[socket.socket]:
    """The sockets of a ``.socket`` unit.

    Raises:
        SettingsError: there are none, or one of them cannot be used.
    """
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal() or not int(count):
        raise SettingsError(
            f"{_SYSTEMD_FLAG}: no socket was passed; start the service through its .socket unit"
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
        raise SettingsError(
            f"{_SYSTEMD_FLAG}: file descriptor {descriptor} is not a socket"
        ) from None
    if found.type != socket.SOCK_STREAM or not listens:
        raise SettingsError(
            f"{_SYSTEMD_FLAG}: file descriptor {descriptor} is not a listening stream socket; "
            "use ListenStream= and Accept=no"
        )
    return found
