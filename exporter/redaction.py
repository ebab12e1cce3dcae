"""Removes known secrets from texts, in any encoding and even if only a part of one is left.

A secret does not always come back as it was sent: a library shows its ``repr``, a proxy URL-encodes
or lowercases it, a peer echoes a truncated one. So every run of `MIN_RUN` characters of each form
is removed, ignoring case.

How a run is found: every fourth substring of nine characters of each form is in one index, and any
run of twelve contains such a substring. A text is scanned once, one lookup per character, whatever
the number of secrets; a match is extended to both sides as far as it goes.
"""

from __future__ import annotations

import html
import json
import string
import threading
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, quote_plus

REDACTED = "***"

MIN_RUN = 12
"""Minimum consecutive characters of a secret to remove; fewer occur elsewhere by chance."""

STEP = 4
PIECE = MIN_RUN - STEP + 1

MIN_ENCODED = 8
"""Minimum characters of a secret whose base64 is removed too; a shorter one could be any word."""

MAX_LEARNT = 1_000
"""Maximum secrets remembered from files that are read repeatedly."""

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

Span = tuple[int, int]


class KnownSecrets:
    """Secrets that must not be shown; more can be added later. Thread-safe.

    Args:
        texts: known from the start.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._held: set[str] = set()
        self._learnt: dict[str, None] = {}
        self._index = _Index()
        self.hold(texts)

    def hold(self, texts: Iterable[str]) -> None:
        """Remove these from now on."""
        with self._lock:
            for text in set(texts) - self._held:
                self._held.add(text)
                if text not in self._learnt:
                    self._index.add(text)

    def learn(self, text: str) -> None:
        """Remove this too; only the newest of these are remembered."""
        with self._lock:
            if text in self._learnt or text in self._held:
                return
            self._learnt[text] = None
            if len(self._learnt) <= MAX_LEARNT:
                self._index.add(text)
                return
            for oldest in list(self._learnt)[: MAX_LEARNT // 10]:
                del self._learnt[oldest]
            index = _Index()
            for known in {*self._held, *self._learnt}:
                index.add(known)
            self._index = index

    def redact(self, text: str) -> str:
        """The text without the secrets. Idempotent."""
        spans = self._index.spans(_lowered(text))
        if not spans:
            return text
        kept, done = [], 0
        for start, end in _joined(spans):
            kept.append(text[done:start])
            done = end
        return REDACTED.join([*kept, text[done:]])


class _Index:
    """Index of the forms of all secrets."""

    def __init__(self) -> None:
        self._pieces: dict[str, list[tuple[str, int]]] = {}
        self._short: set[str] = set()

    def add(self, secret: str) -> None:
        for form in _forms(secret):
            if len(form) < MIN_RUN:
                # A new set, since another thread may be iterating over this one.
                self._short = {*self._short, form}
                continue
            for start in range(0, len(form) - PIECE + 1, STEP):
                self._pieces.setdefault(form[start : start + PIECE], []).append((form, start))

    def spans(self, text: str) -> list[Span]:
        """Spans to remove; unordered, may overlap."""
        found = [span for form in self._short for span in _occurrences(text, form)]
        pieces = self._pieces
        hits = [at for at in range(len(text) - PIECE + 1) if text[at : at + PIECE] in pieces]
        if hits:
            found += self._runs(text, hits)
        return found

    def _runs(self, text: str, hits: list[int]) -> Iterator[Span]:
        struck: dict[str, int] = {}
        for at in hits:
            for form, start in self._pieces[text[at : at + PIECE]]:
                if at + PIECE <= struck.get(form, 0):
                    continue  # another substring of the same run
                first, end = _run(text, at, form, start)
                if end - first >= MIN_RUN:
                    struck[form] = end
                    yield first, end


def _occurrences(text: str, form: str) -> Iterator[Span]:
    at = text.find(form)
    while at >= 0:
        yield at, at + len(form)
        at = text.find(form, at + 1)


def _run(text: str, at: int, form: str, start: int) -> Span:
    """The common run of text and form around a common substring."""
    before = 0
    while before < min(at, start) and text[at - before - 1] == form[start - before - 1]:
        before += 1
    after = PIECE
    most = min(len(text) - at, len(form) - start)
    while after < most and text[at + after] == form[start + after]:
        after += 1
    return at - before, at + after


def _joined(spans: list[Span]) -> Iterator[Span]:
    """Sorted, with overlapping and adjacent spans merged."""
    start, end = -1, -1
    for first, last in sorted(spans):
        if first > end:
            if end > 0:
                yield start, end
            start = first
        end = max(end, last)
    yield start, end


def _lowered(text: str) -> str:
    """Lowercase with the same length, which ``str.lower`` does not guarantee outside ASCII."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


ENCODINGS: tuple[Callable[[str], str], ...] = (
    str,
    lambda secret: repr(secret)[1:-1],
    lambda secret: json.dumps(secret)[1:-1],
    lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    lambda secret: json.dumps(secret).replace("/", "\\/")[1:-1],
    lambda secret: quote(secret, safe="", errors="surrogatepass"),
    lambda secret: quote(secret, errors="surrogatepass"),
    lambda secret: quote_plus(secret, errors="surrogatepass"),
    html.escape,
)
"""Ways in which a text may be encoded inside another."""


def _forms(secret: str) -> set[str]:
    """Forms in which the secret may be shown, in lowercase."""
    forms = {encode(secret) for encode in ENCODINGS}
    if len(secret) >= MIN_ENCODED:
        forms.update(_in_base64(secret.encode("utf-8", "surrogatepass")))
    return {_lowered(form) for form in forms} - {""}


def _in_base64(secret: bytes) -> Iterator[str]:
    """What base64 makes of the secret inside something longer, such as ``user:password``.

    That depends on how many bytes stand in front of it, modulo three, but for the characters at
    both ends that hold bits of the neighbors.
    """
    for before in range(3):
        data = bytes(before) + secret
        first, last = -(-before * 8 // 6), len(data) * 8 // 6
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(data).decode()[first:last]
