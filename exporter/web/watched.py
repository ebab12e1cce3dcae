"""Files that are read once and looked at ever after."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

SETTLED = 1.0
"""Seconds after which a file that changes again has another time of change, on any file system."""

LARGEST = 1 << 20
"""Bytes: more than any certificate bundle has that is meant for a server."""

_Look = tuple[int, ...]


class WatchedFiles:
    """Reads files, and tells whether one of them is another one by now."""

    def __init__(self) -> None:
        self._looks: dict[str, _Look | None] = {}
        self._settled = True
        self._digest = hashlib.sha256()

    def read(self, name: str) -> bytes:
        """What the file holds; it is watched from now on, even where it cannot be read.

        Raises:
            OSError: as reading does.
            ValueError: the file is too large or no regular file, or its name can be none.
        """
        self._looks[name] = look = _look_at(name)
        # A file that changed just now may change again within the same tick of its clock.
        self._settled &= look is None or time.time() - look[0] / 1e9 > SETTLED
        if look is not None and not Path(name).is_file():
            raise ValueError("it is not a regular file")
        with Path(name).open("rb") as opened:
            data = opened.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ValueError("it is too large")
        self._digest.update(f"{name!a}:{len(data)}:".encode())
        self._digest.update(data)
        return data

    @property
    def digest(self) -> bytes:
        """Of all that was read: two that are alike read the same."""
        return self._digest.digest()

    def changed(self) -> bool:
        """Whether to read them again: where one changed, or may have unseen."""
        return not self._settled or any(
            _look_at(name) != look for name, look in self._looks.items()
        )


def _look_at(name: str) -> _Look | None:
    """What tells whether the file is another one; follows links, as Kubernetes swaps them."""
    try:
        found = Path(name).stat()
    except (OSError, ValueError):
        return None
    return (found.st_ctime_ns, found.st_mtime_ns, found.st_ino, found.st_dev, found.st_size)
