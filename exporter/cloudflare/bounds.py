"""Bounds on values from API responses, applied before they are shown anywhere.

A response can hold a number with hundreds of digits or a string of megabytes, through a bug of the
API or of a proxy, or on purpose.
"""

from __future__ import annotations

MAX_WHOLE = 2**53
"""Above this a JSON number is not exact everywhere, and no code or count of the API comes near."""

LONGEST_LABEL = 2048
"""Maximum characters of a name or a URL; the API allows 350 for a name."""


def as_integer(value: object) -> int | None:
    """A JSON number as an integer; None if it is not one or is too large."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Infinity and NaN fail the comparison too.
    return int(value) if -MAX_WHOLE <= value <= MAX_WHOLE else None


def as_count(value: object) -> int | None:
    """A count if the API sent one, capped at the maximum."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return min(value, MAX_WHOLE)


def truncate(text: str, most: int) -> str:
    """The text, truncated with an ellipsis if it is longer."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
