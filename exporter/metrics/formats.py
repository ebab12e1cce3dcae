"""The two exposition formats and their content negotiation.

Follows RFC 9110, section 12.5, and never raises: an invalid part of a header is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple


class Format(Enum):
    """An exposition format; the value is its content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    @property
    def content_type(self) -> str:
        """The value of the header ``Content-Type``."""
        return self.value


# --- negotiation -------------------------------------------------------------------------------

# The alternatives start with different characters, so matching is unambiguous and linear.
_ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
_PARAMETER = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
_WEIGHT = re.compile(r"0?\.[0-9]{1,9}|0\.?|1(?:\.0{0,9})?")


class _Offer(NamedTuple):
    format: Format
    type: str
    subtype: str
    version: str


# The first wins if a client accepts both equally: it is for people with curl or a browser, and
# tools that accept anything can read it.
_OFFERS = (
    _Offer(Format.TEXT, "text", "plain", "0.0.4"),
    _Offer(Format.OPENMETRICS, "application", "openmetrics-text", "1.0.0"),
)


class _Range(NamedTuple):
    value: str
    parameters: dict[str, str]
    weight: float


def choose_format(accept: str) -> Format:
    """The format that the header ``Accept`` prefers; text if it accepts none or is absent.

    A range that names another version than the one offered does not match; other parameters, such
    as ``escaping`` and ``charset``, do not matter, since names here need no escaping.
    """
    ranges = tuple(_ranges(accept))
    wishes = [(_wish(offer, ranges), offer.format) for offer in _OFFERS]
    (weight, _), best = max(wishes, key=lambda wish: wish[0])
    return best if weight > 0 else Format.TEXT


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the header ``Accept-Encoding`` accepts gzip, with at least the weight of identity."""
    weights = {coding.value: coding.weight for coding in _ranges(accept_encoding)}
    anything = weights.get("*", 0.0)
    gzip = weights.get("gzip", weights.get("x-gzip", anything))
    return gzip > 0 and gzip >= weights.get("identity", anything)


def _wish(offer: _Offer, ranges: tuple[_Range, ...]) -> tuple[float, int]:
    """The weight of the offer by the most specific matching range, and that range's specificity."""
    matches = ((_specificity(offer, one), one.weight) for one in ranges)
    specificity, weight = max(matches, default=(0, 0.0))
    return (weight, specificity) if specificity else (0.0, 0)


def _specificity(offer: _Offer, wanted: _Range) -> int:
    """0 if the range does not match, else higher the more specific it is."""
    if wanted.value == "*/*":
        return 1
    if wanted.value == f"{offer.type}/*":
        return 2
    if wanted.value != f"{offer.type}/{offer.subtype}":
        return 0
    version = wanted.parameters.get("version")
    if version is None:
        return 3
    return 4 if version == offer.version else 0


def _ranges(header: str) -> Iterator[_Range]:
    for element in _ELEMENT.findall(header):
        value, *rest = (part.strip() for part in _PARAMETER.findall(element) or [""])
        parameters = dict(_parameter(part) for part in rest)
        weight = _weight(parameters.get("q", "1"))
        if value and weight is not None:
            yield _Range(value.lower(), parameters, weight)


def _parameter(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip().lower(), value.strip().strip('"')


def _weight(text: str) -> float | None:
    return float(text) if _WEIGHT.fullmatch(text) else None
