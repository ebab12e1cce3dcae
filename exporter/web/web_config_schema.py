"""The shape of the web configuration file, which the exporter-toolkit of Prometheus defines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from exporter.settings.decode_errors import decoded
from exporter.settings.values import Hidden
from exporter.settings.yaml_loader import Document

DURATION = "use a duration such as 1s, or 0"


class TlsSection(Hidden, forbid_unknown_fields=True, frozen=True):
    """``tls_server_config``; an empty string is the same as an absent key."""

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

    interval: Annotated[str | int, Meta(extra={"right": DURATION})] = 0
    burst: int = 0


class WebFile(Hidden, forbid_unknown_fields=True, frozen=True):
    """The whole file."""

    tls_server_config: TlsSection | None = None
    http_server_config: HttpSection = HttpSection()
    basic_auth_users: dict[str, str] = msgspec.field(default_factory=dict)
    rate_limit: RateSection = RateSection()


def web_file(document: Document) -> WebFile:
    """The contents of the document.

    Raises:
        SettingsError: an unknown key or a value of the wrong type; never shows the value.
    """
    value = {} if document.value is None else _without_nulls(document.value)
    return decoded(document, value, WebFile)


def _without_nulls(value: object) -> object:
    """A key without a value counts as absent, as in Go."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return value
