"""What an answer of the API says, bounded before anybody is shown it.

An answer can hold a number of hundreds of digits as well as a text of megabytes, by a fault of
the API, of a proxy in between, or by ill will.
"""

from __future__ import annotations

MAX_WHOLE = 2**53
"""Beyond it a JSON number is not exact everywhere, and no code or count of the API comes near."""

LONGEST_LABEL = 2048
"""Characters of a name or a URL; the API allows 350 for a name."""


def whole(value: object) -> int | None:
    """A JSON number as a whole one; None where it is none, or absurdly large."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Infinity and NaN fail the comparison too.
    return int(value) if -MAX_WHOLE <= value <= MAX_WHOLE else None


def counted(value: object) -> int | None:
    """A count, where the API sent one; an absurdly large one as the largest number."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return min(value, MAX_WHOLE)


def cut(text: str, most: int) -> str:
    """The text, its end replaced by an ellipsis where it has more characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
