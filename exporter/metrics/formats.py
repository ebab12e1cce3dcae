"""The two text formats of metrics, and which of them a client wants.

The choice follows RFC 9110, section 12.5, and never raises: what cannot be read in a header counts
as not said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple


class Format(Enum):
    """A text format; the value is its content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    @property
    def content_type(self) -> str:
        """As it stands in the header ``Content-Type``."""
        return self.value


# --- negotiation -------------------------------------------------------------------------------

# Each alternative begins with another character, so neither can be matched in two ways.
_ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
_PARAMETER = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
_WEIGHT = re.compile(r"0?\.[0-9]{1,9}|0\.?|1(?:\.0{0,9})?")


class _Offer(NamedTuple):
    format: Format
    type: str
    subtype: str
    version: str


# The first wins where a client likes both alike: people who look with curl or a browser, and
# tools that take anything, read it.
_OFFERS = (
    _Offer(Format.TEXT, "text", "plain", "0.0.4"),
    _Offer(Format.OPENMETRICS, "application", "openmetrics-text", "1.0.0"),
)


class _Range(NamedTuple):
    value: str
    parameters: dict[str, str]
    weight: float


def choose_format(accept: str) -> Format:
    """The format that the header ``Accept`` likes best; text where it likes none or says nothing.

    A range that names another version than the one offered does not match; other parameters, such
    as ``escaping`` and ``charset``, do not matter, since names here need no escaping.
    """
    ranges = tuple(_ranges(accept))
    wishes = [(_wish(offer, ranges), offer.format) for offer in _OFFERS]
    (weight, _), best = max(wishes, key=lambda wish: wish[0])
    return best if weight > 0 else Format.TEXT


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the header ``Accept-Encoding`` takes gzip, and likes it no less than no coding."""
    weights = {coding.value: coding.weight for coding in _ranges(accept_encoding)}
    anything = weights.get("*", 0.0)
    gzip = weights.get("gzip", weights.get("x-gzip", anything))
    return gzip > 0 and gzip >= weights.get("identity", anything)


def _wish(offer: _Offer, ranges: tuple[_Range, ...]) -> tuple[float, int]:
    """The weight that the most specific range gives the offer, and how specific that one is."""
    matches = ((_specificity(offer, one), one.weight) for one in ranges)
    specificity, weight = max(matches, default=(0, 0.0))
    return (weight, specificity) if specificity else (0.0, 0)


def _specificity(offer: _Offer, wanted: _Range) -> int:
    """0 where the range does not match, else the more the more it says."""
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
