"""Unexpected exceptions, as errors of the settings."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.errors import SettingsError

PACKAGE = Path(__file__).parent.parent


class UnforeseenError(SettingsError):
    """Reading failed for a reason that may pass, or that is the exporter's own fault.

    Its cause has the traceback of what happened and not its text, which may quote a secret.
    """


@contextmanager
def foreseen(what: str) -> Iterator[None]:
    """Let nothing but `SettingsError` out.

    Args:
        what: is read meanwhile, such as ``the web configuration``.

    Raises:
        UnforeseenError: in place of any other exception.
    """
    try:
        yield
    except SettingsError:
        raise
    except Exception as fault:  # noqa: BLE001 - libraries raise more than they document
        nameless = RuntimeError(type(fault).__name__).with_traceback(fault.__traceback__)
        raise UnforeseenError(_words(what, fault)) from nameless


def _words(what: str, fault: Exception) -> str:
    if isinstance(fault, OSError) and fault.errno and fault.strerror:
        return f"{what} cannot be read: {fault.strerror.lower()}"
    kind = type(fault).__name__
    return f"internal error while reading {what} ({kind} in {_place(fault)}); please report it"


def _place(fault: Exception) -> str:
    """The last line of the exporter's own that was reached."""
    own = [
        f"{Path(frame.filename).relative_to(PACKAGE)}:{frame.lineno}"
        for frame in traceback.extract_tb(fault.__traceback__)
        if Path(frame.filename).is_relative_to(PACKAGE)
    ]
    return own[-1] if own else "a library"
