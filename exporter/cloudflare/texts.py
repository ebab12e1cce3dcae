"""Texts of an answer for people: error messages, header values."""

from __future__ import annotations

from collections.abc import Callable

from exporter.cloudflare.bounds import cut

Redact = Callable[[str], str]
"""Takes secrets out of a text: `exporter.redaction.KnownSecrets.strike`."""

MAX_STRUCK = 16 * 1024
"""Characters of a text that are looked at: many times what is shown of one."""

PICTURES = 0x2400
"""Where Unicode has a picture of each control character below space."""


def presentable(text: str, strike: Redact, most: int) -> str:
    """What is shown of a text that came from upstream, in a log line or on a page.

    Struck first, since a secret that is cut or changed is harder to tell. Then without what a
    terminal, a browser or a reader of lines acts on: control characters become their pictures;
    marks of direction, characters without a width, odd spaces and lone surrogates the replacement
    character. Then cut.

    Args:
        text: as it came.
        strike: takes the secrets out.
        most: characters of the result.
    """
    struck = strike(text[:MAX_STRUCK])
    shown = struck if struck.isprintable() else "".join(map(_printable, struck))
    return cut(shown, most)


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    if character in "\t\n\r":
        return " "
    return chr(PICTURES + ord(character)) if character < " " else "\ufffd"
