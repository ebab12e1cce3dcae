"""Files that are read once and looked at ever after."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from exporter.settings import read_file

SETTLED = 1.0
"""Seconds after which a file that changes again has another time of change, on any file system."""

LARGEST = 1 << 20
"""Bytes: more than any certificate bundle has that is meant for a server."""

_Look = tuple[int, ...]


class WatchedFiles:
    """Reads files, and tells whether one of them is another one by now.

    A file may change twice within one tick of the file system's clock and look the same after the
    second change. So once the first `SETTLED` seconds are over, what the files hold is compared
    too, once; and every `SETTLED` seconds where one could not be read. Times of files are compared
    with each other alone, never with a clock.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looks: dict[str, _Look | None] = {}
        self._digests: dict[str, bytes] = {}
        self._compare_at: float | None = clock() + SETTLED

    def read(self, name: str, limit: int = LARGEST) -> bytes:
        """What the file holds; it is watched from now on, even where it cannot be read.

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
        """By name, of all that was read; empty where that failed."""
        return self._digests

    def read_again(self) -> None:
        """Count them as changed in a while: what was read could not be used, and may be then."""
        self._digests = dict.fromkeys(self._digests, b"")

    def changed(self) -> bool:
        """Whether to read them again: one is another one by now. Never raises."""
        if any(_look_at(name) != look for name, look in self._looks.items()):
            return True
        if self._compare_at is None or self._clock() < self._compare_at:
            return False
        found = {name: _digest_of(name) for name in self._digests}
        self._compare_at = None if all(found.values()) else self._clock() + SETTLED
        return found != self._digests


def _look_at(name: str) -> _Look | None:
    """What tells whether the file is another one; follows links, as Kubernetes swaps them."""
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
