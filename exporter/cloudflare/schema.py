"""The API's answer as declared types: what the metrics need, and nothing else.

The decoder skips every member that is not declared here, so the schemas of tools and prompts,
which make up nearly all of an answer, are never built. Every optional member may be null as
well as absent. Unknown members are not an error: the API grows.

An answer may be hostile, so what is built is bounded while it is decoded: lists of records refuse
one record too many before it is built, and members of any type or size stay bytes (`msgspec.Raw`,
a view of the body) until somebody has looked at their length.

Source: the reference page of ``GET /accounts/{account_id}/access/ai-controls/mcp/portals`` and
the members that the official SDK has added since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Raw

T = TypeVar("T")

MOST_ITEMS = 100
"""Records of one page: the API's maximum for ``per_page``."""

MOST_SERVERS = 500
"""Servers of one portal; the API allows 80."""

MOST_ENTRIES = 100_000
"""Tools, prompts or overrides of one server; the largest known have some thousands."""

MOST_MESSAGES = 20
"""Entries of ``errors`` that are looked at; the rest is skipped."""


class Limited(
    msgspec.Struct,
    Generic[T],
    frozen=True,
    gc=False,
    array_like=True,
    forbid_unknown_fields=True,
):
    """A JSON array that is refused as soon as it has one member too many.

    msgspec checks the length of a ``list`` when it is built; this is a record whose fields are
    the members, so that the first one without a field ends the decoding.
    """

    @property
    def members(self) -> tuple[T, ...]:
        """The members that were sent."""
        fields: tuple[Any, ...] = msgspec.structs.astuple(self)
        return fields[: len(fields) - fields.count(UNSET)]


def limited(item: Any, most: int, *, skip_rest: bool = False) -> Any:
    """A subtype of `Limited` for ``most`` members of type ``item``.

    ``skip_rest`` skips, rather than refuses, what is beyond.
    """
    return msgspec.defstruct(
        f"UpTo{most}",
        [(f"member_{number}", item, UNSET) for number in range(most)],
        bases=(Limited,),
        forbid_unknown_fields=not skip_rest,
        module=__name__,
    )


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
    error_details: Raw = Raw()
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


class ErrorDetails(msgspec.Struct, frozen=True, gc=False):
    """What ``error_details`` says about the kind of an error."""

    is_upstream: Raw = Raw()
    retryable: Raw = Raw()
    status_code: Raw = Raw()
    mcp_code: Raw = Raw()


if TYPE_CHECKING:
    ServersOfPortal = Limited[ServerRecord]
else:
    ServersOfPortal = limited(ServerRecord, MOST_SERVERS)


class PortalRecord(msgspec.Struct, frozen=True, gc=False):
    """A portal with the servers attached to it."""

    id: str | None = None
    name: str | None = None
    hostname: str | None = None
    servers: ServersOfPortal | None = None
    code_mode: str | None = None
    allow_code_mode: bool | None = None
    secure_web_gateway: bool | None = None
    created_at: str | None = None
    modified_at: str | None = None


class ResultInfo(msgspec.Struct, frozen=True, gc=False):
    """Where a page stands in its listing; undeclared by the API, and often incomplete."""

    per_page: Raw = Raw()
    total_count: Raw = Raw()


if TYPE_CHECKING:
    PortalItems = Limited[PortalRecord]
    ServerItems = Limited[ServerRecord]
    RawItems = Limited[Raw]
    ApiMessages = Limited[Raw]
else:
    PortalItems = limited(PortalRecord, MOST_ITEMS)
    ServerItems = limited(ServerRecord, MOST_ITEMS)
    RawItems = limited(Raw, MOST_ITEMS)
    ApiMessages = limited(Raw, MOST_MESSAGES, skip_rest=True)


class PortalPage(msgspec.Struct, frozen=True, gc=False):
    """An answer of the portals' endpoint."""

    success: bool
    result: PortalItems | None = None
    result_info: Raw = Raw()


class ServerPage(msgspec.Struct, frozen=True, gc=False):
    """An answer of the servers' endpoint."""

    success: bool
    result: ServerItems | None = None
    result_info: Raw = Raw()


class RawPage(msgspec.Struct, frozen=True, gc=False):
    """An answer whose records are read one by one, since not all of them can be read."""

    success: bool
    result: RawItems | None = None
    result_info: Raw = Raw()


class ApiMessage(msgspec.Struct, frozen=True, gc=False):
    """One entry of ``errors``."""

    code: Raw = Raw()
    message: Raw = Raw()


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What every answer has, whatever else it holds."""

    success: bool
    errors: Raw = Raw()
