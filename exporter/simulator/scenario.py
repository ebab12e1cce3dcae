"""Schema of a scenario file; the demo's scenario is ``scenario.yaml``.

Times in a scenario are relative: hours and days before the start, seconds after it.
"""

from __future__ import annotations

from importlib import resources
from typing import Any, Literal, TypeAlias

import msgspec
import yaml

AuthType: TypeAlias = Literal["oauth", "bearer", "unauthenticated"]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A mapping in the file; unknown keys are errors."""


class Override(_Part, frozen=True):
    """An override of a tool or prompt."""

    name: str
    enabled: bool | None = None
    alias: str | None = None
    description: str | None = None


class Attachment(_Part, frozen=True):
    """A server in a portal."""

    id: str
    on_behalf: bool = True
    default_disabled: bool = False
    updated_tools: tuple[Override, ...] = ()
    updated_prompts: tuple[Override, ...] = ()


class PortalSpec(_Part, frozen=True):
    """A portal at the start."""

    id: str
    name: str
    hostname: str
    servers: tuple[Attachment, ...]
    description: str | None = None
    code_mode: str | None = None
    allow_code_mode: bool | None = None
    secure_web_gateway: bool | None = False
    created_days_ago: float = 200.0
    modified_days_ago: float = 20.0


class ServerSpec(_Part, frozen=True):
    """A server at the start.

    Attributes:
        nouns: topics of its tools and prompts; they determine the names.
        tools: number of tools; ``None`` for a server that was never authorized.
        condition: a key of the scenario's conditions.
        background_sync: whether the API syncs it in the background.
        last_success_hours_ago: required if the condition or ``background_sync`` does not imply it;
            ``None`` with a failing condition means never.
        absent: members that its records omit.
        protocol: the generation of MCP that it speaks to live probes.
    """

    id: str
    name: str
    hostname: str
    auth_type: AuthType
    nouns: tuple[str, ...]
    tools: int | None
    prompts: int | None = 0
    auth_mode: Literal["dcr", "manual"] | None = None
    description: str | None = None
    condition: str = "ready"
    background_sync: bool = True
    last_success_hours_ago: float | None = None
    secure_web_gateway: bool | None = False
    shared_oauth_callback: bool | None = False
    updated_tools: tuple[Override, ...] = ()
    updated_prompts: tuple[Override, ...] = ()
    created_days_ago: float = 120.0
    modified_days_ago: float = 30.0
    absent: tuple[str, ...] = ()
    protocol: Literal["modern", "legacy"] = "modern"


class Condition(_Part, frozen=True):
    """Result of a sync attempt: ``succeeds``, and the resulting record."""

    succeeds: bool
    status: str
    authentication_status: str | None = None
    error: str | None = None
    error_details: dict[str, Any] | None = None


class Sync(_Part, frozen=True, tag_field="do", tag="sync"):
    """A sync attempt with the given condition, which then persists."""

    at: float
    server: str
    condition: str


class Catalog(_Part, frozen=True, tag_field="do", tag="catalog"):
    """The number of tools or prompts changes."""

    at: float
    server: str
    tools: int | None = None
    prompts: int | None = None


class Detach(_Part, frozen=True, tag_field="do", tag="detach"):
    """A server, or all of them, is detached from a portal."""

    at: float
    portal: str
    server: str | None = None


class Attach(_Part, frozen=True, tag_field="do", tag="attach"):
    """A server, or all of them, is attached again as at the start."""

    at: float
    portal: str
    server: str | None = None


class Remove(_Part, frozen=True, tag_field="do", tag="remove"):
    """The portal is deleted."""

    at: float
    portal: str


class Restore(_Part, frozen=True, tag_field="do", tag="restore"):
    """The portal is restored."""

    at: float
    portal: str


class Edit(_Part, frozen=True, tag_field="do", tag="edit"):
    """Members of the portal change."""

    at: float
    portal: str
    fields: dict[str, Any]


class AddInvalidRecord(_Part, frozen=True, tag_field="do", tag="add_invalid_record"):
    """The portal lists a server without an id, until it is removed."""

    at: float
    portal: str


class RemoveInvalidRecord(_Part, frozen=True, tag_field="do", tag="remove_invalid_record"):
    """The portal lists only valid records again."""

    at: float
    portal: str


class Live(_Part, frozen=True, tag_field="do", tag="live"):
    """What a live probe of the server finds from now on, whatever the API reports.

    Attributes:
        fails: it answers 503.
        login_fails: its authorization server answers 503.
        extra_tools: tools beyond those that the API has stored.
    """

    at: float
    server: str
    fails: bool = False
    login_fails: bool = False
    extra_tools: int = 0


class Hide(_Part, frozen=True, tag_field="do", tag="hide"):
    """The portal hides a server from its users, while the API lists it as attached."""

    at: float
    portal: str
    server: str


class Show(_Part, frozen=True, tag_field="do", tag="show"):
    """The portal shows a server again that it has hidden."""

    at: float
    portal: str
    server: str


Event: TypeAlias = (
    Sync
    | Catalog
    | Detach
    | Attach
    | Remove
    | Restore
    | Edit
    | AddInvalidRecord
    | RemoveInvalidRecord
    | Live
    | Hide
    | Show
)


class OutsideLoad(_Part, frozen=True):
    """Other programs of the same user use up the shared quota.

    Their use grows linearly from ``begins``, the quota is used up from ``exhausted`` on, and they
    stop at ``ends``.
    """

    begins: float
    exhausted: float
    ends: float


class Scenario(_Part, frozen=True):
    """An account and its events.

    Attributes:
        sync_every: seconds between two background syncs of a server.
        repeat_after: repeat the events after this many seconds; the state must be the initial one
            again by then. ``None``: no repetition.
    """

    conditions: dict[str, Condition]
    servers: tuple[ServerSpec, ...]
    portals: tuple[PortalSpec, ...]
    events: tuple[Event, ...] = ()
    outside_load: tuple[OutsideLoad, ...] = ()
    sync_every: float = 7200.0
    repeat_after: float | None = None


def parse_scenario(text: str) -> Scenario:
    """Parses a scenario in YAML.

    Raises:
        yaml.YAMLError: it is not YAML.
        msgspec.ValidationError: an unknown key or an invalid value; the message names it.
    """
    return msgspec.convert(yaml.safe_load(text), Scenario)


def demo_scenario() -> Scenario:
    """The scenario included in the package."""
    path = resources.files(__package__).joinpath("scenario.yaml")
    return parse_scenario(path.read_text(encoding="utf-8"))
