"""The shape of the web configuration file, which the exporter-toolkit of Prometheus defines."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

import msgspec

from exporter.settings.values import Hidden
from exporter.settings.yaml_file import Document, shown_key


class TlsSection(Hidden, forbid_unknown_fields=True, frozen=True):
    """``tls_server_config``; an empty text stands for a key that is not given."""

    cert: str = ""
    key: str = ""
    client_ca: str = ""
    cert_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""
    client_auth_type: str = ""
    client_allowed_sans: tuple[str, ...] = ()
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[str, ...] = ()


class HttpSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """``http_server_config``."""

    http2: bool = False
    headers: dict[str, str] = {}


class RateSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """``rate_limit``."""

    interval: str | int = 0
    burst: int = 0


class WebFile(Hidden, forbid_unknown_fields=True, frozen=True):
    """The whole file."""

    tls_server_config: TlsSection | None = None
    http_server_config: HttpSection = HttpSection()
    basic_auth_users: dict[str, str] = msgspec.field(default_factory=dict)
    rate_limit: RateSection = RateSection()


def decoded(document: Document) -> WebFile:
    """What the document says.

    Raises:
        SettingsError: a key that there is not, or a value of another type; never shows the value.
    """
    try:
        value = {} if document.value is None else _without_nulls(document.value)
        return msgspec.convert(value, WebFile)
    except msgspec.ValidationError as problem:
        raise document.error(*_in_words(str(problem))) from None


def _without_nulls(value: object) -> object:
    """A key without a value counts as not given, as it does in Go."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return value


_SECTIONS: Mapping[str, tuple[str, ...]] = {
    "": WebFile.__struct_fields__,
    "tls_server_config": TlsSection.__struct_fields__,
    "http_server_config": HttpSection.__struct_fields__,
    "rate_limit": RateSection.__struct_fields__,
}
_TYPES = {
    "array": "a list",
    "bool": "true or false",
    "int": "a whole number",
    "int | str": "a duration such as 1s",
    "object": "a mapping",
    "object | null": "a mapping",
    "str": "text, in quotes where it looks like something else",
}
_PLACE = re.compile(r" - at `\$?\.?(.*?)`$")


def _in_words(problem: str) -> tuple[str, str]:
    """The place of a decoder's error, and what is wrong and right there."""
    if "- at `key` in" in problem:
        return "", "has a key that is not text; put it in quotes"
    found = _PLACE.search(problem)
    place, text = (found[1], problem[: found.start()]) if found else ("", problem)
    unknown = re.search(r"unknown field `(.*)`$", text, re.DOTALL)
    if unknown:
        return _unknown_key(place, unknown[1])
    wanted = re.match(r"Expected `([^`]*)`", text)
    right = _TYPES.get(wanted[1], "another value") if wanted else "another value"
    return place, f"is of the wrong type; write {right}"


def _unknown_key(place: str, key: str) -> tuple[str, str]:
    known = _SECTIONS.get(place, ())
    close = difflib.get_close_matches(key, known, n=1)
    advice = f"did you mean {close[0]}?" if close else f"use one of {', '.join(known)}"
    if not shown_key(key).startswith("'"):
        return place, f"has a key that there is not; {advice}"
    return f"{place}.{key}".lstrip("."), f"there is no such key; {advice}"
