"""Secrets in files: read again whenever the file changes, checked each time."""

from __future__ import annotations

import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.errors import SettingsError
from exporter.settings.mistakes import mistake

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.settings.values import Secret

SHORTEST_SECRET = 8
"""Shorter ones are no credentials, and would make the log strike out ordinary words."""

LARGEST_FILE = 64 * 1024
"""Bytes: far more than a secret has, far less than what would hurt."""

SETTLED = 1.0
"""Seconds after which a file that changes again has another time of change, on any file system."""

_Look = tuple[int, ...]


def check_secret(text: str, kind: str) -> None:
    """Do nothing, unless ``text`` cannot be a secret.

    ``kind`` is what it should be: ``token`` or ``key``.

    Raises:
        SettingsError: says what is wrong, without a part of ``text``.
    """
    complaint = mistake(text, kind)
    if complaint is None and len(text) < SHORTEST_SECRET:
        complaint = f"is too short for a {kind}; copy it again, whole"
    if complaint:
        raise SettingsError(complaint)


class SecretReader:
    """Gives a secret as it is now; for any thread.

    Args:
        secret: where it is.
        kind: ``token`` or ``key``.
        learn: is told of each text before anybody else sees it.
    """

    def __init__(
        self, secret: Secret, kind: str, learn: Callable[[str], object] = lambda _: None
    ) -> None:
        self._secret = secret
        self._kind = kind
        self._learn = learn
        self._lock = threading.Lock()
        self._look: _Look | None = None
        self._text = secret.text

    def __call__(self) -> str:
        """The secret; a file is read only where it changed since the last call.

        Raises:
            SettingsError: the file cannot be read or holds no secret; names the file.
        """
        if not self._secret.file:
            return self._text
        with self._lock:
            try:
                self._refresh()
            except (OSError, ValueError) as problem:  # the latter for a null in the path
                raise self._error(f"cannot be read: {_cause(problem)}") from None
            except SettingsError as problem:
                raise self._error(str(problem)) from None
            return self._text

    def _refresh(self) -> None:
        look = _look_at(self._secret.file)
        if look == self._look:
            return
        text = _read(self._secret.file, self._kind)
        self._learn(text)
        check_secret(text, self._kind)
        self._text = text
        # A file that changed just now may change again within the same tick of its clock.
        self._look = look if time.time() - look[0] / 1e9 > SETTLED else None

    def _error(self, complaint: str) -> SettingsError:
        file = Path(self._secret.file)
        # What is no path may be the secret itself.
        is_path = file.is_absolute() or self._text or _exists(file)
        return SettingsError(f"the file{f' {str(file)!a}' if is_path else ''} {complaint}")


def _look_at(file: str) -> _Look:
    """What tells whether the file is another one; follows links, as Kubernetes swaps them."""
    found = Path(file).stat()
    if not stat.S_ISREG(found.st_mode):
        raise SettingsError("is not a regular file; name a file that holds the secret alone")
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev, found.st_size)


def _read(file: str, kind: str) -> str:
    with Path(file).open("rb") as opened:
        data = opened.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise SettingsError(f"is too large for a {kind}; name a file that holds the {kind} alone")
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise SettingsError(f"is not text in UTF-8; write the {kind} into it again") from None
    if not text:
        raise SettingsError(f"is empty; write the {kind} into it")
    return text


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except (OSError, ValueError):
        return False


def _cause(problem: OSError | ValueError) -> str:
    known = problem.strerror if isinstance(problem, OSError) else None
    return (known or "it has no usable name").lower()
