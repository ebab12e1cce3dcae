"""Files that are read again when they change."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from exporter.settings import read_file

SETTLED = 1.0
"""Seconds after which another change has another mtime, on any file system."""

LARGEST = 1 << 20
"""Maximum bytes of a file; no server certificate bundle is larger."""

_Look = tuple[int, ...]


class WatchedFiles:
    """Reads files and detects changes.

    A file may change twice within the resolution of mtime. So after `SETTLED` seconds the contents
    are compared too, once; and every `SETTLED` seconds if a file could not be read. mtimes are only
    compared with each other, never with a clock.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looks: dict[str, _Look | None] = {}
        self._digests: dict[str, bytes] = {}
        self._compare_at: float | None = clock() + SETTLED

    def read(self, name: str, limit: int = LARGEST) -> bytes:
        """The contents of the file; it is watched from now on, even if it cannot be read.

        Raises:
            UnreadableError: for whatever reason.
        """
        self._looks[name] = _look_at(name)
        self._digests[name] = b""
        data = read_file.read(name, limit)
        self._digests[name] = hashlib.sha256(data).digest()
        return data

    @property
    def digests(self) -> dict[str, bytes]:
        """Digests of the files by name; empty for those that could not be read."""
        return self._digests

    def read_again(self) -> None:
        """Report a change again later: the contents could not be used, and may be then."""
        self._digests = dict.fromkeys(self._digests, b"")

    def changed(self) -> bool:
        """Whether a file has changed. Never raises."""
        if any(_look_at(name) != look for name, look in self._looks.items()):
            return True
        if self._compare_at is None or self._clock() < self._compare_at:
            return False
        found = {name: _digest_of(name) for name in self._digests}
        self._compare_at = None if all(found.values()) else self._clock() + SETTLED
        return found != self._digests


def _look_at(name: str) -> _Look | None:
    """The file's identity; follows symbolic links, which Kubernetes swaps."""
    try:
        found = Path(name).stat()
    except (OSError, ValueError):
        return None
    return (found.st_ctime_ns, found.st_mtime_ns, found.st_ino, found.st_dev, found.st_size)


def _digest_of(name: str) -> bytes:
    try:
        return hashlib.sha256(read_file.read(name, LARGEST)).digest()
    except read_file.UnreadableError:
        return b""
