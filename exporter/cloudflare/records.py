"""The API's answer as declared types: what the metrics need, and nothing else.

The decoder skips every member that is not declared here, so the schemas of tools and prompts,
which make up nearly all of an answer, are never built. Every optional member may be null as
well as absent. Unknown members are not an error: the API grows.

Source: the reference page of ``GET /accounts/{account_id}/access/ai-controls/mcp/portals`` and
the members that the official SDK has added since.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Capability(msgspec.Struct, frozen=True, gc=False):
    """A tool or a prompt that a server offers."""

    name: str | None = None


class Override(msgspec.Struct, frozen=True, gc=False):
    """What a portal changes about one tool or prompt of a server."""

    name: str
    enabled: bool | None = None


class AuthConfigSummary(msgspec.Struct, frozen=True, gc=False):
    """How a server's OAuth client came about: ``dcr`` or ``manual``."""

    auth_mode: str | None = None


class ServerRecord(msgspec.Struct, frozen=True, gc=False):
    """A server, in a portal or in the account's own list of servers."""

    id: str | None = None
    server_id: str | None = None
    name: str | None = None
    hostname: str | None = None
    auth_type: str | None = None
    status: str | None = None
    authentication_status: str | None = None
    auth_config_summary: AuthConfigSummary | None = None
    error: str | None = None
    # Any member that is not null means an error, also one that is not known here.
    error_details: dict[str, Any] | None = None
    created_at: str | None = None
    modified_at: str | None = None
    last_synced: str | None = None
    last_successful_sync: str | None = None
    default_disabled: bool | None = None
    on_behalf: bool | None = None
    secure_web_gateway: bool | None = None
    is_shared_oauth_callback_enabled: bool | None = None
    tools: list[Capability] | None = None
    prompts: list[Capability] | None = None
    updated_tools: list[Override] | None = None
    updated_prompts: list[Override] | None = None


class PortalRecord(msgspec.Struct, frozen=True, gc=False):
    """A portal with the servers attached to it."""

    id: str | None = None
    name: str | None = None
    hostname: str | None = None
    servers: list[ServerRecord] | None = None
    code_mode: str | None = None
    allow_code_mode: bool | None = None
    secure_web_gateway: bool | None = None
    created_at: str | None = None
    modified_at: str | None = None


class ResultInfo(msgspec.Struct, frozen=True, gc=False):
    """Where a page stands in its listing; undeclared by the API, and often incomplete."""

    count: Any = None
    page: Any = None
    per_page: Any = None
    total_count: Any = None


class PortalPage(msgspec.Struct, frozen=True, gc=False):
    """An answer of the portals' endpoint."""

    success: bool
    result: list[PortalRecord] | None = None
    result_info: ResultInfo | None = None


class ServerPage(msgspec.Struct, frozen=True, gc=False):
    """An answer of the servers' endpoint."""

    success: bool
    result: list[ServerRecord] | None = None
    result_info: ResultInfo | None = None


class RawPage(msgspec.Struct, frozen=True, gc=False):
    """An answer whose records are read one by one, since not all of them can be read."""

    success: bool
    result: list[Any] | None = None
    result_info: Any = None


class ApiMessage(msgspec.Struct, frozen=True, gc=False):
    """One entry of ``errors``."""

    code: Any = None
    message: Any = None


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What every answer has, whatever else it holds."""

    success: Any = None
    errors: list[ApiMessage] | None = None
