"""What people paste where a secret belongs, recognized and named without showing it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_PLACEHOLDER_WORD = re.compile(
    r"((your|my|the|a|insert|paste)[-_ ]?)*"
    r"((cloudflare|cf|global|legacy|api|auth|access|account)[-_ ]?)*"
    r"(token|key|secret|id)([-_ ]?here)?"
    r"|change[-_ ]?(me|it|this)|replace[-_ ]?(me|this)|fill[-_ ]?me[-_ ]?in|placeholder|example"
    r"|redacted|todo|tbd|none|null|undefined|x+|\*+|\.+|-+",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(
    r"\$\{|\$\(|\{\{|\{%|<%|^\$[A-Za-z_]|^%[A-Za-z_]\w*%$|^<.*>$|^\{\w+\}$", re.DOTALL
)
_QUOTED = re.compile(r"^[\"'`\u2018\u2019\u201c\u201d]|[\"'`\u2018\u2019\u201c\u201d]$")
_PATH = re.compile(r"^(/|\./|\.\./|~|file:|[A-Za-z]:\\|[a-z][a-z0-9+.-]*://)", re.IGNORECASE)


def _is_placeholder(text: str) -> bool:
    return bool(_TEMPLATE.search(text) or _PLACEHOLDER_WORD.fullmatch(text))


# Asked in this order: a template has white space and a path has slashes, and the first that fits
# is the one that helps.
_MISTAKES: tuple[tuple[Callable[[str], object], str], ...] = (
    (
        lambda text: _is_placeholder(text.strip()),
        "is a placeholder; replace it with the {kind}",
    ),
    (
        lambda text: _QUOTED.search(text.strip()),
        "is in quotation marks; remove them",
    ),
    (
        lambda text: re.match(r"\s*(proxy-)?authorization\s*[:=]", text, re.IGNORECASE),
        "begins with 'Authorization:'; set only the {kind}, without the header name",
    ),
    (
        lambda text: re.match(r"\s*bearer(\s|$)", text, re.IGNORECASE),
        "begins with 'Bearer '; set only the {kind}",
    ),
    (
        lambda text: _PATH.match(text.strip()),
        "is a path or a URL; set the {kind} itself, for example with $(cat FILE)",
    ),
    (
        lambda text: re.search(r"[\r\n]", text.strip()),
        "contains a line break; set only the {kind}, on one line",
    ),
    (
        lambda text: text != text.rstrip("\r\n"),
        "ends with a line break; remove it, for example with $(cat FILE)",
    ),
    (
        lambda text: text != text.strip(),
        "begins or ends with white space; remove it",
    ),
    (
        lambda text: re.search(r"\s", text),
        "contains white space; copy the {kind} again",
    ),
    (
        lambda text: re.search(r"[\x00-\x1f\x7f-\x9f]", text),
        "contains a control character; copy the {kind} again",
    ),
    (
        lambda text: not text.isascii(),
        "contains non-ASCII characters, such as a typographic dash; copy the {kind} again",
    ),
)


def mistake(text: str, kind: str) -> str | None:
    """What is wrong with ``text`` as a secret and how to fix it; ``None`` if nothing is.

    ``kind`` is what it should be: ``token``, ``key`` or ``account ID``. The answer holds no part of
    ``text``.
    """
    for is_made, advice in _MISTAKES:
        if is_made(text):
            return advice.format(kind=kind)
    return None
