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


def _key(description: str, right: str, *, examples: list[Any] | None = None) -> Meta:
    """What a key means, and in an error what would be right."""
    return Meta(description=description, examples=examples, extra={"right": right})


_TIME_RIGHT = "use a number of seconds such as 30, or a duration such as 30s or 5m"
_PATH_RIGHT = "use the path of a file, as text"
_TEXT_RIGHT = "write it as text, in quotes"

BaseUrl = Annotated[
    str,
    _key(
        "Base URL of the API, /client/v4 included.",
        "use https://HOST/PATH",
        examples=["https://api.cloudflare.com/client/v4"],
    ),
]
Timeout = Annotated[
    Annotated[float, Meta(gt=0, le=LONGEST_TIME)] | Annotated[str, Meta(pattern=DURATION)],
    _key(
        "Longest time that a listing may take, whoever waits for it.",
        _TIME_RIGHT,
        examples=[9, "30s"],
    ),
]
PerPage = Annotated[
    Annotated[int, Meta(ge=1, le=100)],
    _key("Portals asked for in one page.", "use a whole number from 1 to 100"),
]
ParallelPages = Annotated[
    Annotated[int, Meta(ge=1, le=16)],
    _key(
        "Pages after the first that are fetched at the same time.",
        "use a whole number from 1 to 16",
    ),
]
MaxResponseSize = Annotated[
    Annotated[int, Meta(ge=1, le=2**40)] | Annotated[str, Meta(pattern=SIZE)],
    _key(
        "Largest page that is read, after decompression.",
        "use a number of bytes, or a number with KiB, MiB or GiB",
        examples=["256MiB"],
    ),
]


class Collectors(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is listed besides the portals."""

    servers: Annotated[
        bool | UnsetType,
        _key(
            "List the account's servers too, so that servers attached to no portal are seen.",
            "use true or false",
        ),
    ] = UNSET


CollectorsKey = Annotated[
    Collectors | list[Literal["servers"]],
    _key(
        "What is listed besides the portals, as a mapping or as a list of names.",
        "use servers: true, or the list [servers]",
        examples=[{"servers": True}, ["servers"]],
    ),
]
CacheTtl = Annotated[
    Annotated[float, Meta(ge=0, le=LONGEST_TIME)] | Annotated[str, Meta(pattern=DURATION)],
    _key(
        "Time for which one listing serves further scrapes; 0 lists at every scrape.",
        _TIME_RIGHT,
        examples=[0, "5m"],
    ),
]
ProxyUrl = Annotated[
    str,
    _key(
        "HTTP proxy on the way to the API, in place of HTTPS_PROXY, HTTP_PROXY and NO_PROXY.",
        "use http://HOST:PORT",
        examples=["http://proxy.example.com:3128"],
    ),
]
CaFile = Annotated[
    str,
    _key(
        "File of certificate authorities in PEM to trust, in place of those that the environment "
        "names; a relative path begins at the configuration file.",
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
            "How people call the account, 1 to 100 printable characters; its id if not given.",
            _TEXT_RIGHT,
            examples=["production"],
        ),
    ] = UNSET
    account_id: Annotated[
        str,
        _key(
            "Id of the account: 32 hexadecimal digits.",
            "write the account's 32 hexadecimal digits, in quotes",
        ),
    ]
    api_token: Annotated[
        str | UnsetType,
        _key("API token with the permission 'MCP Portals Read' on the account.", _TEXT_RIGHT),
    ] = UNSET
    api_token_file: Annotated[
        str | UnsetType,
        _key(
            "File that holds the token; it is read again when it changes. A relative path begins "
            "at the configuration file.",
            _PATH_RIGHT,
            examples=["/run/secrets/production-token"],
        ),
    ] = UNSET
    email: Annotated[
        str | UnsetType,
        _key("Legacy, with api_key or api_key_file: the user's e-mail address.", _TEXT_RIGHT),
    ] = UNSET
    api_key: Annotated[
        str | UnsetType, _key("Legacy, with email: the user's global API key.", _TEXT_RIGHT)
    ] = UNSET
    api_key_file: Annotated[
        str | UnsetType,
        _key("Legacy, with email: file that holds the key, as for api_token_file.", _PATH_RIGHT),
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
        _key("The accounts to list.", "list at least one account, with account_id and api_token"),
    ]


def json_schema() -> bytes:
    """The JSON Schema of the file, for editors."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **msgspec.json.schema(ConfigFile),
    }
    return msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"
