"""Makes texts from responses safe to show: error messages, header values."""

from __future__ import annotations

from collections.abc import Callable

from exporter.cloudflare.bounds import truncate

Redact = Callable[[str], str]
"""Takes secrets out of a text: `exporter.redaction.KnownSecrets.redact`."""

MAX_STRUCK = 16 * 1024
"""Maximum characters of a text that are read: many times what is shown."""

PICTURES = 0x2400
"""Start of Unicode's pictures of the control characters."""


def safe_text(text: str, redact: Redact, most: int) -> str:
    """A text from upstream as it is shown in a log line or on a page.

    Secrets are removed first, since a truncated or changed one is harder to recognize. Then
    characters that a terminal, a browser or a line reader interprets are replaced: control
    characters by their Unicode pictures; bidirectional marks, zero-width characters, unusual spaces
    and lone surrogates by the replacement character. Truncation is last.

    Args:
        text: as it came.
        redact: removes the secrets.
        most: maximum characters of the result.
    """
    struck = redact(text[:MAX_STRUCK])
    shown = struck if struck.isprintable() else "".join(map(_printable, struck))
    return truncate(shown, most)


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    if character in "\t\n\r":
        return " "
    return chr(PICTURES + ord(character)) if character < " " else "\ufffd"
