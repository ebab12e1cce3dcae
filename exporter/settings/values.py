"""The settings as frozen values; whoever prints one by accident sees no secret."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from exporter.settings.urls import proxy_secrets

DEFAULT_BASE_URL = "https://api.cloudflare.com/client/v4"


class Hidden(msgspec.Struct, frozen=True):
    """A value that holds secrets: whoever prints it sees the fields named in ``SHOWN`` alone."""

    SHOWN: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        fields = "".join(f"{name}={value!r}, " for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({fields}...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # The base class has one, which pretty printers prefer to __repr__.
        return [(name, getattr(self, name)) for name in self.SHOWN]


class Secret(Hidden, frozen=True):
    """A secret as it is given: its text, or the file that holds it."""

    SHOWN = ("file",)

    text: str = ""
    file: str = ""


class Credentials(Hidden, frozen=True):
    """What the API is asked with: a token, or the legacy pair of e-mail and key."""

    token: Secret | None = None
    email: str = ""
    key: Secret | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown, but for what stands in files."""
        return tuple(one.text for one in (self.token, self.key) if one is not None and one.text)


class Probes(Hidden, frozen=True, kw_only=True):
    """Which servers and portals of an account may be probed, and how.

    Attributes:
        servers: whether servers are probed.
        portals: whether portals are probed.
        min_interval: seconds between two probes of one target.
        allow_networks: in CIDR notation, that may be probed although they are not public.
        allow_http: whether targets without TLS are probed.
        gateway_servers: whether servers behind the Gateway are probed directly, too.
        allow: patterns of ids and hostnames; empty for all.
        deny: patterns of ids and hostnames that are not probed.
        access_client_id: of the service token for portals; empty for none.
        access_client_secret: of the service token.
    """

    SHOWN = ("servers", "portals")

    servers: bool = False
    portals: bool = False
    min_interval: float = 30.0
    allow_networks: tuple[str, ...] = ()
    allow_http: bool = False
    gateway_servers: bool = False
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    access_client_id: str = ""
    access_client_secret: Secret | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown, except what is in files."""
        secret = self.access_client_secret
        return (secret.text,) if secret is not None and secret.text else ()


class Listing(Hidden, frozen=True, kw_only=True):
    """How an account is listed.

    Attributes:
        base_url: of the API, ``/client/v4`` included, without a slash at the end.
        timeout: seconds that a listing may take at most.
        per_page: portals asked for in one page.
        parallel_pages: pages after the first that are fetched at the same time.
        max_response_bytes: of one page, decompressed.
        collect_servers: whether the account's servers are listed besides its portals.
        cache_ttl: seconds for which one listing serves further scrapes.
        proxy_url: of the HTTP proxy; empty for none.
        ca_file: certificate authorities in PEM, a directory of them included; empty for those
            that come with the exporter.
        probes: live probes of its servers and portals.
    """

    base_url: str = DEFAULT_BASE_URL
    timeout: float = 9.0
    per_page: int = 20
    parallel_pages: int = 4
    max_response_bytes: int = 256 * 1024**2
    collect_servers: bool = False
    cache_ttl: float = 0.0
    proxy_url: str = ""
    ca_file: str = ""
    probes: Probes = Probes()


class Account(Listing, frozen=True, kw_only=True):
    """An account whose portals are listed.

    ``name`` is the configured name, or the id where there is none.
    """

    SHOWN = ("name", "account_id")

    name: str
    account_id: str
    credentials: Credentials

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown, but for what stands in files."""
        return (
            *self.credentials.secrets,
            *proxy_secrets(self.proxy_url),
            *self.probes.secrets,
        )


class ListenAddress(msgspec.Struct, frozen=True):
    """Where to listen.

    Attributes:
        host: empty for every interface.
        port: 0 for any free port.
        path: of a unix socket, in place of the other two; empty for TCP.
    """

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set.

    Attributes:
        accounts: what to list; empty with ``demo``.
        defaults: how an account is listed for which nothing else is said.
        config_file: of the accounts; empty where the environment describes the one there is.
        config_check: whether to say only if the settings can be used.
        auto_reload_interval: seconds between checks of `config_file` for a change; 0 for none.
        listen_addresses: at least one.
        telemetry_path: begins with a slash.
        web_config_file: TLS and users in the exporter-toolkit's format; empty for none.
        enable_lifecycle: whether POST to ``/-/reload`` is answered.
        route_prefix: before every path; begins with a slash and does not end with one, or is empty.
        external_url: where users reach the exporter, without a slash at the end; may be empty.
        max_requests: expositions rendered, or waiting to be, at the same time; 0 for no limit.
        systemd_socket: whether systemd hands over the sockets, in place of `listen_addresses`.
        stale_after: seconds without a successful sync after which a server is shown as stale.
        scrape_timeout_offset: seconds kept back from the timeout that Prometheus announces.
        once: whether to print one exposition and end.
        textfile: where `once` writes it; empty for standard output.
        check: whether to try each account and end.
        check_format: ``text`` or ``json``.
        check_probe: whether the check includes live probes.
        demo: whether a simulated API is used in place of the real one.
        log_level: ``debug``, ``info``, ``warn`` or ``error``.
        log_format: ``logfmt`` or ``json``.
        notices: what to log once at the start.
    """

    accounts: tuple[Account, ...]
    defaults: Listing
    config_file: str
    config_check: bool
    auto_reload_interval: float
    listen_addresses: tuple[ListenAddress, ...]
    telemetry_path: str
    web_config_file: str
    enable_lifecycle: bool
    route_prefix: str
    external_url: str
    max_requests: int
    systemd_socket: bool
    stale_after: float
    scrape_timeout_offset: float
    once: bool
    textfile: str
    check: bool
    check_format: str
    check_probe: bool
    demo: bool
    log_level: str
    log_format: str
    notices: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """All secrets of all accounts, but for what stands in files: for the log to strike out."""
        return tuple(secret for account in self.accounts for secret in account.secrets)
