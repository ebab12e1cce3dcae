"""The API's responses as declared types, with only the fields that the metrics need.

The decoder skips every member that is not declared here, so the schemas of tools and prompts,
which make up nearly all of a response, are never built. Every optional member may be null or
absent. Unknown members are not an error: the API adds fields.

A response may be hostile, so memory is bounded while decoding: lists of records fail at the first
record above the maximum, and members of any type or size stay bytes (`msgspec.Raw`, a view of the
body) until their length has been checked.

Source: the reference page of ``GET /accounts/{account_id}/access/ai-controls/mcp/portals`` and
the members that the official SDK has added since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Raw

T = TypeVar("T")

MAX_ITEMS = 100
"""Maximum records of one page: the API's maximum for ``per_page``."""

MAX_SERVERS = 500
"""Maximum servers of one portal; the API allows 80."""

MAX_ENTRIES = 100_000
"""Maximum tools, prompts or overrides of one server; the largest known have some thousands."""

MAX_MESSAGES = 20
"""Maximum entries of ``errors`` that are read; the rest is skipped."""


class Limited(
    msgspec.Struct,
    Generic[T],
    frozen=True,
    gc=False,
    array_like=True,
    forbid_unknown_fields=True,
):
    """A JSON array with a maximum length that is checked while decoding.

    msgspec checks the length of a ``list`` after building it; this is a record whose fields are the
    members, so decoding ends at the first member without a field.
    """

    @property
    def members(self) -> tuple[T, ...]:
        """The members that are present."""
        fields: tuple[Any, ...] = msgspec.structs.astuple(self)
        return fields[: len(fields) - fields.count(UNSET)]


def limited(item: Any, most: int, *, skip_rest: bool = False) -> Any:
    """A subtype of `Limited` for ``most`` members of type ``item``.

    ``skip_rest`` skips further members instead of failing.
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
    """How a server's OAuth client was registered: ``dcr`` or ``manual``."""

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
    # Any member that is not null means an error, including unknown ones.
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
    ServersOfPortal = limited(ServerRecord, MAX_SERVERS)


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
    """Position of a page in its listing; not declared by the API and often incomplete."""

    per_page: Raw = Raw()
    total_count: Raw = Raw()


if TYPE_CHECKING:
    PortalItems = Limited[PortalRecord]
    ServerItems = Limited[ServerRecord]
    RawItems = Limited[Raw]
    ApiMessages = Limited[Raw]
else:
    PortalItems = limited(PortalRecord, MAX_ITEMS)
    ServerItems = limited(ServerRecord, MAX_ITEMS)
    RawItems = limited(Raw, MAX_ITEMS)
    ApiMessages = limited(Raw, MAX_MESSAGES, skip_rest=True)


class PortalPage(msgspec.Struct, frozen=True, gc=False):
    """A response of the portals endpoint."""

    success: bool
    result: PortalItems | None = None
    result_info: Raw = Raw()


class ServerPage(msgspec.Struct, frozen=True, gc=False):
    """A response of the servers endpoint."""

    success: bool
    result: ServerItems | None = None
    result_info: Raw = Raw()


class RawPage(msgspec.Struct, frozen=True, gc=False):
    """A response whose records are decoded one by one, since some of them are invalid."""

    success: bool
    result: RawItems | None = None
    result_info: Raw = Raw()


class ApiMessage(msgspec.Struct, frozen=True, gc=False):
    """One entry of ``errors``."""

    code: Raw = Raw()
    message: Raw = Raw()


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """The members that every response has."""

    success: bool
    errors: Raw = Raw()
