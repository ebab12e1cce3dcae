"""The settings as frozen values; whoever prints one by accident sees no secret."""

from __future__ import annotations

from typing import Any

import msgspec

DEFAULT_BASE_URL = "https://api.cloudflare.com/client/v4"


class Credentials(msgspec.Struct, frozen=True):
    """What the API is asked with: a token, or the legacy pair of e-mail and key."""

    token: str | None = None
    email: str | None = None
    key: str | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown: for the log to strike out."""
        return tuple(secret for secret in (self.token, self.key) if secret)

    def __repr__(self) -> str:
        return f"Credentials({'token' if self.token else 'email and key'}: hidden)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # The base class has one, which pretty printers prefer to __repr__.
        return [("credentials", "hidden")]


class Account(msgspec.Struct, frozen=True):
    """An account whose portals are listed.

    ``name`` is the configured name, or the id where there is none.
    """

    name: str
    account_id: str
    credentials: Credentials


class ListenAddress(msgspec.Struct, frozen=True):
    """Where to listen: an empty host is every interface, port 0 any free port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set.

    Attributes:
        accounts: what to list; empty with ``demo``.
        base_url: of the API, ``/client/v4`` included, without a slash at the end.
        telemetry_path: begins with a slash.
        log_level: ``debug``, ``info``, ``warn`` or ``error``.
        log_format: ``logfmt`` or ``json``.
        scrape_timeout: seconds that a listing may take at most.
        scrape_timeout_offset: seconds kept back from the time-out that Prometheus announces.
        per_page: portals asked for in one page.
        parallel_pages: pages after the first that are fetched at the same time.
        max_response_bytes: of one page, decompressed.
        collect_servers: whether the account's servers are listed besides its portals.
        demo: whether a simulated API is used in place of the real one.
        notices: what to log once at the start.
    """

    accounts: tuple[Account, ...]
    base_url: str
    listen_address: ListenAddress
    telemetry_path: str
    log_level: str
    log_format: str
    scrape_timeout: float
    scrape_timeout_offset: float
    per_page: int
    parallel_pages: int
    max_response_bytes: int
    collect_servers: bool
    demo: bool
    notices: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """All secrets of all accounts: for the log to strike out."""
        return tuple(secret for account in self.accounts for secret in account.credentials.secrets)
