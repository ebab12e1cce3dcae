"""Notifications to systemd: the protocol of sd_notify(3)."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

WATCHDOG_PINGS = 3
"""Watchdog pings per watchdog timeout."""


class Notifier:
    """Sends states to the service manager, if there is one.

    Args:
        environ: has the manager's address.
        pid: of this process.
    """

    def __init__(self, environ: Mapping[str, str], pid: int) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):  # Linux' namespace without files
            self._address = "\0" + self._address[1:]
        self.interval = _interval(environ, pid) if self._address else None

    def ready(self) -> None:
        """The server is ready."""
        self._send("READY=1")

    def stopping(self) -> None:
        """The server is stopping."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Watchdog ping."""
        self._send("WATCHDOG=1")

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """The configuration is being reloaded until the end of the context."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now}")
        try:
            yield
        finally:
            self.ready()

    def _send(self, state: str) -> None:
        if not self._address:
            return
        # An error of the manager must not end the exporter.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(state.encode(), self._address)


def _interval(environ: Mapping[str, str], pid: int) -> float | None:
    """Seconds between watchdog pings; None without a watchdog."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid) or not microseconds.isdecimal():
        return None
    return int(microseconds) / 1e6 / WATCHDOG_PINGS or None
