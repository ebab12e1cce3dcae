"""What a scenario file may say, as declared types; the demo's own story is ``scenario.yaml``.

Times in a scenario are relative: hours and days before the start, seconds after it.
"""

from __future__ import annotations

from importlib import resources
from typing import Any, Literal, TypeAlias

import msgspec
import yaml

AuthType: TypeAlias = Literal["oauth", "bearer", "unauthenticated"]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A mapping of the file; a key that is not declared is an error."""


class Override(_Part, frozen=True):
    """What an administrator changed about one tool or prompt."""

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
    """A portal as it stands at the start."""

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
    """A server as it stands at the start.

    Attributes:
        nouns: what its tools and prompts are about; decides their names.
        tools: how many; ``None`` for a server that was never authorized.
        condition: a key of the scenario's conditions.
        background_sync: whether the API syncs it by itself from time to time.
        last_success_hours_ago: needed where the condition or ``background_sync`` does not tell;
            ``None`` with a failing condition: there never was a success.
        absent: members that its records leave out.
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


class Condition(_Part, frozen=True):
    """What a sync attempt finds: ``succeeds``, and how the record then looks."""

    succeeds: bool
    status: str
    authentication_status: str | None = None
    error: str | None = None
    error_details: dict[str, Any] | None = None


class Sync(_Part, frozen=True, tag_field="do", tag="sync"):
    """A sync attempt that meets the given condition, which then lasts."""

    at: float
    server: str
    condition: str


class Catalog(_Part, frozen=True, tag_field="do", tag="catalog"):
    """The server offers another number of tools or prompts from now on."""

    at: float
    server: str
    tools: int | None = None
    prompts: int | None = None


class Detach(_Part, frozen=True, tag_field="do", tag="detach"):
    """Somebody takes a server out of a portal; out of it all, where none is named."""

    at: float
    portal: str
    server: str | None = None


class Attach(_Part, frozen=True, tag_field="do", tag="attach"):
    """Somebody puts a server, or all of them, back as they stood at the start."""

    at: float
    portal: str
    server: str | None = None


class Remove(_Part, frozen=True, tag_field="do", tag="remove"):
    """The portal is deleted."""

    at: float
    portal: str


class Restore(_Part, frozen=True, tag_field="do", tag="restore"):
    """The portal is there again."""

    at: float
    portal: str


class Edit(_Part, frozen=True, tag_field="do", tag="edit"):
    """Somebody changes members of the portal."""

    at: float
    portal: str
    fields: dict[str, Any]


class Garble(_Part, frozen=True, tag_field="do", tag="garble"):
    """The portal lists a server without an id, until it is mended."""

    at: float
    portal: str


class Mend(_Part, frozen=True, tag_field="do", tag="mend"):
    """The portal lists whole records only."""

    at: float
    portal: str


Event: TypeAlias = Sync | Catalog | Detach | Attach | Remove | Restore | Edit | Garble | Mend


class OutsideLoad(_Part, frozen=True):
    """Other tools of the same user use up the quota that they share.

    From ``begins`` on their share of it grows evenly, from ``exhausted`` on nothing is left, at
    ``ends`` they stop.
    """

    begins: float
    exhausted: float
    ends: float


class Scenario(_Part, frozen=True):
    """An account and its story.

    Attributes:
        sync_every: seconds between two background syncs of a server.
        repeat_after: the story starts over after so many seconds; it must have led back to where
            it began by then. ``None``: it is told once.
    """

    conditions: dict[str, Condition]
    servers: tuple[ServerSpec, ...]
    portals: tuple[PortalSpec, ...]
    events: tuple[Event, ...] = ()
    outside_load: tuple[OutsideLoad, ...] = ()
    sync_every: float = 7200.0
    repeat_after: float | None = None


def parse_scenario(text: str) -> Scenario:
    """Reads a scenario in YAML.

    Raises:
        yaml.YAMLError: it is not YAML.
        msgspec.ValidationError: a key or a value is not what is declared here; says which.
    """
    return msgspec.convert(yaml.safe_load(text), Scenario)


def demo_scenario() -> Scenario:
    """The story that comes with the package."""
    path = resources.files(__package__).joinpath("scenario.yaml")
    return parse_scenario(path.read_text(encoding="utf-8"))
