"""The web configuration file: TLS, users, headers and a rate limit, reloaded when it changes."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from exporter.errors import SettingsError
from exporter.logs import event
from exporter.settings.internal_errors import UnforeseenError, foreseen
from exporter.settings.parsers import duration
from exporter.settings.read_file import UnreadableError
from exporter.settings.values import Hidden
from exporter.settings.yaml_loader import Document, read
from exporter.web.access import AccessControl, TokenBucket
from exporter.web.basic_auth import Passwords
from exporter.web.tls import Pem, Tls, build
from exporter.web.watched_files import WatchedFiles
from exporter.web.web_config_schema import (
    DURATION,
    HttpSection,
    RateSection,
    TlsSection,
    WebFile,
    web_file,
)

LOGGER = logging.getLogger(__name__)

T = TypeVar("T")

MAX_COST = 18
"""Maximum cost of a bcrypt hash: above it a check takes many seconds."""

_HASH = re.compile(r"\$2[abxy]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53}")
_GO_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_HEADERS: Mapping[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}


class WebConfig(Hidden, frozen=True, eq=False):
    """The validated contents of the file.

    Attributes:
        tls: None for plain HTTP.
        users: bcrypt hashes by name.
        headers: of every answer.
        interval: seconds after which another request may come; 0 for no limit.
        burst: requests that may come at once.
    """

    tls: Tls | None
    users: Mapping[str, str]
    headers: tuple[tuple[str, str], ...]
    interval: float
    burst: int

    def protections(self) -> Iterator[tuple[str, int]]:
        """The protections, to detect a weakened configuration."""
        yield "tls_server_config", self.tls is not None
        yield "tls_server_config.client_auth_type", 0 if self.tls is None else self.tls.verifies
        yield (
            "tls_server_config.client_allowed_sans",
            bool(self.tls is not None and self.tls.allowed_names),
        )
        yield "basic_auth_users", bool(self.users)


class WebConfigFile:
    """The file in use; for one event loop.

    Args:
        name: of the file.

    Raises:
        SettingsError: it cannot be used.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._files = WatchedFiles()
        with foreseen("the web configuration"):
            self._config = _read(name, self._files)
            self._guard = self._new_guard(self._config, None)
        self._digests = self._files.digests
        self._told = ""

    def tls(self) -> Tls | None:
        """What a connection that begins now is encrypted with; None for plain HTTP.

        Never raises: where the files cannot be used, the previous contents stay in use.
        """
        self._refresh()
        return self._config.tls

    def guard(self) -> AccessControl:
        """Access control for a new request; never raises, as `tls`."""
        self._refresh()
        return self._guard

    def _refresh(self) -> None:
        if not self._files.changed():
            return
        self._files = WatchedFiles()
        try:
            with foreseen("the web configuration"):
                config = _read(self._name, self._files)
                self._refuse_less(config)
                self._use(config, self._files.digests)
        except UnforeseenError as problem:
            self._files.read_again()
            self._tell(problem)
        except SettingsError as problem:
            self._tell(problem)

    def _use(self, config: WebConfig, digests: dict[str, bytes]) -> None:
        if digests != self._digests:
            self._guard = self._new_guard(config, self._config)
            self._config, self._digests = config, digests
            event(LOGGER, logging.INFO, "web configuration reloaded", file=self._name)
        elif self._told:
            event(LOGGER, logging.INFO, "web configuration unchanged", file=self._name)
        self._told = ""

    def _tell(self, problem: SettingsError) -> None:
        if str(problem) == self._told:
            return
        self._told = str(problem)
        event(
            LOGGER,
            logging.ERROR,
            "web configuration reload failed, keeping the previous configuration",
            error=self._told,
        )
        if problem.__cause__ is not None:
            event(LOGGER, logging.DEBUG, "traceback", exc_info=problem.__cause__)

    def _refuse_less(self, config: WebConfig) -> None:
        """A half-written file may look like one without any protection."""
        for (key, old), (_, new) in zip(
            self._config.protections(), config.protections(), strict=True
        ):
            if new < old:
                raise SettingsError(
                    f"{self._name}: {key}: was removed or weakened; restore it, or restart"
                )

    def _new_guard(self, config: WebConfig, before: WebConfig | None) -> AccessControl:
        """Access control of the configuration; unchanged parts keep their state."""
        if before is None or before.users != config.users:
            self._passwords = Passwords(config.users) if config.users else None
        if before is None or (before.interval, before.burst) != (config.interval, config.burst):
            self._bucket = TokenBucket(config.interval, config.burst) if config.interval else None
        return AccessControl(self._passwords, self._bucket, config.headers)


# --- from the file to what it means ------------------------------------------------------------


def _read(name: str, files: WatchedFiles) -> WebConfig:
    document = read(name, files.read)
    file = web_file(document)
    complaints = [
        *_http_complaints(file.http_server_config),
        *_user_complaints(file.basic_auth_users),
    ]
    problems = [str(document.error(place, text)) for place, text in complaints]
    rate = _collected(problems, lambda: _rate(file.rate_limit, document))
    tls = _collected(problems, lambda: _tls(file, document, files, Path(name).parent))
    if problems or rate is None:
        raise SettingsError(*problems)
    return WebConfig(
        tls=tls,
        users=file.basic_auth_users,
        headers=tuple(one for one in file.http_server_config.headers.items() if one[1]),
        interval=rate[0],
        burst=rate[1],
    )


def _collected(problems: list[str], read_part: Callable[[], T]) -> T | None:
    """The part; None where it cannot be used, which is added to the problems."""
    try:
        return read_part()
    except SettingsError as problem:
        problems.extend(problem.problems)
        return None


def _http_complaints(section: HttpSection) -> Iterator[tuple[str, str]]:
    place = "http_server_config"
    if section.http2:
        yield f"{place}.http2", "HTTP/2 is not supported; set it to false"
    for name, value in section.headers.items():
        right = _HEADERS.get(name)
        if right is None:
            yield f"{place}.headers", f"unsupported header; use one of {', '.join(_HEADERS)}"
        elif right and value not in right:
            yield f"{place}.headers.{name}", f"use {' or '.join(right)}"
        elif not re.fullmatch(r"[ -~]*", value) or value != value.strip():
            yield f"{place}.headers.{name}", "contains characters that are not allowed in a header"


def _user_complaints(users: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    place = "basic_auth_users"
    for user, hashed in users.items():
        found = _HASH.fullmatch(hashed)
        if not user or ":" in user:
            yield place, "a user name is empty or contains a colon; rename the user"
        elif found is None:
            yield (
                f"{place}.{user}",
                "is not a bcrypt hash; create one with htpasswd -nBC 10 ''",
            )
        elif not 4 <= int(found["cost"]) <= MAX_COST:  # noqa: PLR2004 - bcrypt's own lowest
            yield f"{place}.{user}", f"the bcrypt cost is not from 4 to {MAX_COST}; use 10"


def _rate(section: RateSection, document: Document) -> tuple[float, int]:
    text = str(section.interval)
    try:
        interval = 0.0 if text == "0" else duration(text, _GO_UNITS)
    except ValueError:
        raise document.error("rate_limit.interval", f"is not a duration; {DURATION}") from None
    if interval and section.burst < 1:
        raise document.error("rate_limit.burst", "must be at least 1")
    if section.burst and not interval:
        raise document.error(
            "rate_limit.interval", "is required with burst; use a duration such as 1s"
        )
    return interval, section.burst


def _tls(file: WebFile, document: Document, files: WatchedFiles, home: Path) -> Tls | None:
    section = file.tls_server_config
    if section is None or section == TlsSection():
        return None

    def complain(key: str, complaint: str) -> SettingsError:
        return document.error(f"tls_server_config.{key}", complaint)

    pem = partial(_pem, section, files=files, home=home, document=document)
    cert, key = pem("cert"), pem("key")
    if cert is None:
        raise complain("cert_file", "is missing; set it to the file with the certificate")
    if key is None:
        raise complain("key_file", "is missing; set it to the file with the private key")
    return build(section, cert, key, pem("client_ca"), complain)


def _pem(
    section: TlsSection, key: str, *, files: WatchedFiles, home: Path, document: Document
) -> Pem | None:
    """The inline value of the key, or the contents of the file named beside it."""
    inline, named = getattr(section, key), getattr(section, f"{key}_file")
    place = f"tls_server_config.{key}_file"
    if inline and named:
        raise document.error(place, f"cannot be combined with {key}; remove one of them")
    if inline:
        return Pem(key, inline.encode())
    if not named:
        return None
    try:
        return Pem(f"{key}_file", files.read(str(home / named)))
    except UnreadableError as problem:
        raise document.error(place, str(problem)) from None
