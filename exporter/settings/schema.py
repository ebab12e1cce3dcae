"""The shape of the configuration file: each key with its type, its range and its meaning."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from exporter.settings.values import Hidden

LONGEST_TIME = 86_400
"""Seconds: a day."""

DURATION = r"^([0-9]+(\.[0-9]+)?|\.[0-9]+)$|^([0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))+$"
SIZE = r"^[0-9]+ ?([KkMmGg][Ii][Bb])?$"


def _key(
    description: str, right: str, *, examples: list[Any] | None = None, pattern: str = ""
) -> Meta:
    """What a key means, and in an error what would be right.

    The pattern is for editors alone: the program has an error for each way to miss it.
    """
    return Meta(
        description=description,
        examples=examples,
        extra={"right": right},
        extra_json_schema={"pattern": pattern} if pattern else None,
    )


_TIME_RIGHT = "use seconds such as 30, or a duration such as 30s or 5m"
_PATH_RIGHT = "use the path of a file"
_TEXT_RIGHT = "use a string, in quotes"

BaseUrl = Annotated[
    str,
    _key(
        "Base URL of the API, including /client/v4.",
        "use https://HOST/PATH",
        examples=["https://api.cloudflare.com/client/v4"],
    ),
]
Timeout = Annotated[
    Annotated[float, Meta(gt=0, le=LONGEST_TIME)] | Annotated[str, Meta(pattern=DURATION)],
    _key(
        "Timeout for listing the account, shared by all scrapes that wait for it.",
        _TIME_RIGHT,
        examples=[9, "30s"],
    ),
]
PerPage = Annotated[
    Annotated[int, Meta(ge=1, le=100)],
    _key("Portals requested per page.", "use an integer from 1 to 100"),
]
ParallelPages = Annotated[
    Annotated[int, Meta(ge=1, le=16)],
    _key(
        "Maximum number of pages fetched in parallel, after the first.",
        "use an integer from 1 to 16",
    ),
]
MaxResponseSize = Annotated[
    Annotated[int, Meta(ge=1, le=2**40)] | Annotated[str, Meta(pattern=SIZE)],
    _key(
        "Maximum size of an API response, after decompression.",
        "use bytes or a unit such as 256MiB",
        examples=["256MiB"],
    ),
]


class Collectors(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is listed in addition to the portals."""

    servers: Annotated[
        bool | UnsetType,
        _key(
            "Also list the account's servers, to include servers that are not in any portal.",
            "use true or false",
        ),
    ] = UNSET


CollectorsKey = Annotated[
    Collectors | list[Literal["servers"]],
    _key(
        "What to list in addition to the portals, as a mapping or as a list of names.",
        "use servers: true, or the list [servers]",
        examples=[{"servers": True}, ["servers"]],
    ),
]
CacheTtl = Annotated[
    Annotated[float, Meta(ge=0, le=LONGEST_TIME)] | Annotated[str, Meta(pattern=DURATION)],
    _key(
        "How long a listing is cached and served to further scrapes; 0 disables the cache.",
        _TIME_RIGHT,
        examples=[0, "5m"],
    ),
]
ProxyUrl = Annotated[
    str,
    _key(
        "HTTP proxy for API requests; overrides HTTPS_PROXY, HTTP_PROXY and NO_PROXY.",
        "use http://HOST:PORT",
        examples=["http://proxy.example.com:3128"],
    ),
]
CaFile = Annotated[
    str,
    _key(
        "PEM file with the certificate authorities to trust; overrides the environment. Relative "
        "paths are resolved against the directory of the configuration file.",
        _PATH_RIGHT,
    ),
]


MinInterval = Annotated[
    Annotated[float, Meta(gt=0, le=LONGEST_TIME)] | Annotated[str, Meta(pattern=DURATION)],
    _key(
        "Minimum time between two probes of one target, however often it is scraped.",
        _TIME_RIGHT,
        examples=["30s"],
    ),
]
_PATTERNS_RIGHT = "use a list of patterns such as [prod-*, '*.example.com']"


class ProbeOptions(Hidden, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Live probes of servers and portals; a key of an account replaces the one at the top."""

    servers: Annotated[
        bool | UnsetType, _key("Allow probes of MCP servers.", "use true or false")
    ] = UNSET
    portals: Annotated[bool | UnsetType, _key("Allow probes of portals.", "use true or false")] = (
        UNSET
    )
    min_interval: MinInterval | UnsetType = UNSET
    allow_networks: Annotated[
        list[str] | UnsetType,
        _key(
            "Networks that may be probed although they are not public, in CIDR notation.",
            "use a list of networks such as [10.0.0.0/8]",
            examples=[["10.0.0.0/8"]],
        ),
    ] = UNSET
    allow_http: Annotated[
        bool | UnsetType, _key("Probe targets whose URL is http, too.", "use true or false")
    ] = UNSET
    gateway_servers: Annotated[
        bool | UnsetType,
        _key(
            "Probe servers that are routed through the Gateway directly, too: their hostnames may "
            "be private.",
            "use true or false",
        ),
    ] = UNSET
    allow: Annotated[
        list[str] | UnsetType,
        _key(
            "Patterns of the ids and hostnames that are probed; all if not given.",
            _PATTERNS_RIGHT,
        ),
    ] = UNSET
    deny: Annotated[
        list[str] | UnsetType,
        _key("Patterns of the ids and hostnames that are not probed.", _PATTERNS_RIGHT),
    ] = UNSET
    access_client_id: Annotated[
        str | UnsetType,
        _key("Client id of an Access service token, to list a portal's tools.", _TEXT_RIGHT),
    ] = UNSET
    access_client_secret: Annotated[
        str | UnsetType, _key("Client secret of the service token.", _TEXT_RIGHT)
    ] = UNSET
    access_client_secret_file: Annotated[
        str | UnsetType,
        _key(
            "File that holds the client secret, as for api_token_file.",
            _PATH_RIGHT,
        ),
    ] = UNSET


class Options(Hidden, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How accounts are listed: at the top for all of them, in an account for this one."""

    base_url: BaseUrl | UnsetType = UNSET
    timeout: Timeout | UnsetType = UNSET
    per_page: PerPage | UnsetType = UNSET
    parallel_pages: ParallelPages | UnsetType = UNSET
    max_response_size: MaxResponseSize | UnsetType = UNSET
    collectors: CollectorsKey | UnsetType = UNSET
    cache_ttl: CacheTtl | UnsetType = UNSET
    proxy_url: ProxyUrl | UnsetType = UNSET
    ca_file: CaFile | UnsetType = UNSET
    probes: Annotated[
        ProbeOptions | UnsetType,
        _key("Live probes of servers and portals.", "use a mapping such as {servers: true}"),
    ] = UNSET


class FileAccount(Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An account, with one set of credentials."""

    name: Annotated[
        str | UnsetType,
        _key(
            "Display name of the account, 1 to 100 printable characters (default: its ID).",
            _TEXT_RIGHT,
            examples=["production"],
        ),
    ] = UNSET
    account_id: Annotated[
        str,
        _key(
            "Account ID: 32 hexadecimal digits.",
            "use the account ID (32 hexadecimal digits), in quotes",
            pattern="^[0-9a-fA-F]{32}$",
        ),
    ]
    api_token: Annotated[
        str | UnsetType,
        _key("API token with the permission 'MCP Portals Read'.", _TEXT_RIGHT),
    ] = UNSET
    api_token_file: Annotated[
        str | UnsetType,
        _key(
            "File with the API token; read again at every listing. Relative paths are resolved "
            "against the directory of the configuration file.",
            _PATH_RIGHT,
            examples=["/run/secrets/production-token"],
        ),
    ] = UNSET
    email: Annotated[
        str | UnsetType,
        _key("Legacy, with api_key or api_key_file: the user's email address.", _TEXT_RIGHT),
    ] = UNSET
    api_key: Annotated[
        str | UnsetType, _key("Legacy, with email: the user's global API key.", _TEXT_RIGHT)
    ] = UNSET
    api_key_file: Annotated[
        str | UnsetType,
        _key("Legacy, with email: file with the API key, like api_token_file.", _PATH_RIGHT),
    ] = UNSET


_ONE_SET = {
    "oneOf": [
        {"required": ["api_token"]},
        {"required": ["api_token_file"]},
        {"required": ["email", "api_key"]},
        {"required": ["email", "api_key_file"]},
    ]
}


class ConfigFile(Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Configuration file of cloudflare-mcp-exporter."""

    accounts: Annotated[
        list[Annotated[FileAccount, Meta(extra_json_schema=_ONE_SET)]],
        Meta(min_length=1),
        _key("The accounts to list.", "add at least one account with account_id and api_token"),
    ]


def json_schema() -> bytes:
    """The JSON Schema of the file, for editors."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **msgspec.json.schema(ConfigFile),
    }
    return msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"
