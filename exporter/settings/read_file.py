"""Files that the settings name: read whole, and every problem in words."""

from __future__ import annotations

import stat
from pathlib import Path


class UnreadableError(Exception):
    """A file cannot be used; the text says why, and holds neither its name nor its content."""


def read(name: str, limit: int) -> bytes:
    """What the file holds.

    Args:
        name: of a regular file; links are followed.
        limit: bytes that it may have.

    Raises:
        UnreadableError: for whatever reason.
    """
    try:
        kind = Path(name).stat().st_mode
        if stat.S_ISDIR(kind):
            raise UnreadableError("is a directory, not a file")
        if not stat.S_ISREG(kind):  # a pipe would block, and could not be read again
            raise UnreadableError("is not a regular file")
        with Path(name).open("rb") as opened:
            data = opened.read(limit + 1)
    except (OSError, ValueError) as problem:
        raise UnreadableError(f"cannot be read: {cause(problem)}") from None
    if len(data) > limit:
        raise UnreadableError(f"is larger than {limit} bytes; is it the right file?")
    return data


def cause(problem: OSError | ValueError) -> str:
    """Why a file cannot be opened; an error of another kind is about the name itself."""
    if isinstance(problem, OSError):
        return (problem.strerror or "unknown").lower()
    return "the name contains an invalid character"
