"""Secrets in files: read and checked each time that they are needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from exporter.errors import SettingsError
from exporter.settings import read_file
from exporter.settings.secret_checks import mistake
from exporter.settings.urls import SHORTEST_SECRET

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.settings.values import Secret

_USUAL = {"token": 40, "key": 37}
"""Characters of a secret of each kind."""

MAX_FILE = 64 * 1024
"""Bytes: far more than a secret has, far less than what would hurt."""


def check_secret(text: str, kind: str) -> None:
    """Do nothing, unless ``text`` cannot be a secret.

    ``kind`` is what it should be: ``token`` or ``key``.

    Raises:
        SettingsError: says what is wrong, without a part of ``text``.
    """
    complaint = mistake(text, kind)
    if complaint is None and len(text) < SHORTEST_SECRET:
        complaint = (
            f"is too short for a {kind}: {len(text)} characters, expected about {_USUAL[kind]}"
        )
    if complaint:
        raise SettingsError(complaint)


class SecretReader:
    """Gives a secret as it is now; thread-safe.

    Args:
        secret: where it is.
        kind: ``token`` or ``key``.
        learn: receives each text before anybody else sees it.
    """

    def __init__(
        self, secret: Secret, kind: str, learn: Callable[[str], object] = lambda _: None
    ) -> None:
        self._secret = secret
        self._kind = kind
        self._learn = learn
        self._text = secret.text

    def __call__(self) -> str:
        """The secret; a file is read at each call, so that a new one counts at once.

        Raises:
            SettingsError: the file cannot be read or holds no secret; names the file.
        """
        if not self._secret.file:
            return self._text
        try:
            text = self._read()
            check_secret(text, self._kind)
        except (SettingsError, read_file.UnreadableError) as problem:
            raise self._error(str(problem)) from None
        return text

    def _read(self) -> str:
        data = read_file.read(self._secret.file, MAX_FILE)
        try:
            text = data.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            complaint = f"is not UTF-8; write the {self._kind} to it again"
            raise SettingsError(complaint) from None
        if not text:
            raise SettingsError(f"is empty; write the {self._kind} to it")
        if text != self._text:
            self._learn(text)
            self._text = text
        return text

    def _error(self, complaint: str) -> SettingsError:
        file = Path(self._secret.file)
        # What is no path may be the secret itself.
        is_path = file.is_absolute() or self._text or _exists(file)
        return SettingsError(f"the file{f' {str(file)!a}' if is_path else ''} {complaint}")


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except (OSError, ValueError):
        return False
