"""Builds the API's records from the state of a replay."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from exporter.simulator.replay import DAY, PortalState, ServerState
from exporter.simulator.scenario import Attachment, Override, ServerSpec

Record = dict[str, Any]

CREATOR = "admin@example.com"
EDITOR = "operations@example.com"


def rfc3339(moment: float) -> str:
    """Such as ``2026-03-11T16:06:01.767Z``: most timestamps."""
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def without_zone(moment: float) -> str:
    """Such as ``2026-03-11 15:00:58``: the form of ``created_at``."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S}"


def server_record(
    state: ServerState, tools: list[Record], prompts: list[Record], start: float
) -> Record:
    """The part of a server record that both lists have; the caller adds overrides.

    ``error`` and ``error_details`` are null if there is none; a time that never was is absent.
    """
    spec, condition = state.spec, state.condition
    record: Record = {
        "id": spec.id,
        "name": spec.name,
        "description": spec.description,
        "hostname": spec.hostname,
        "auth_type": spec.auth_type,
        "status": condition.status,
        "authentication_status": condition.authentication_status or authentication_status(spec),
        "error": condition.error,
        "error_details": condition.error_details,
        "tools": None if state.tools is None else tools[: state.tools],
        "prompts": None if state.prompts is None else prompts[: state.prompts],
        "secure_web_gateway": spec.secure_web_gateway,
        "is_shared_oauth_callback_enabled": spec.shared_oauth_callback,
        "created_at": without_zone(start - spec.created_days_ago * DAY),
        "created_by": CREATOR,
        "modified_at": rfc3339(start - spec.modified_days_ago * DAY),
        "modified_by": EDITOR,
    }
    if state.last_synced is not None:
        record["last_synced"] = rfc3339(state.last_synced)
    if state.last_success is not None:
        record["last_successful_sync"] = rfc3339(state.last_success)
    if spec.auth_mode is not None:
        record["auth_config_summary"] = auth_config_summary(spec)
    for member in spec.absent:
        record.pop(member, None)
    return record


def authentication_status(spec: ServerSpec) -> str:
    """The status while there is no failure."""
    if spec.auth_type == "unauthenticated":
        return "not_required"
    return "manual" if spec.auth_mode == "manual" else "connected"


def auth_config_summary(spec: ServerSpec) -> Record:
    """The OAuth client registration; never a secret."""
    issuer = "https://login.example.com"
    return {
        "auth_mode": spec.auth_mode,
        "has_client_secret": spec.auth_mode == "manual",
        "client_secret_version": 1,
        "config": {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "revocation_endpoint": f"{issuer}/revoke",
            "resource": spec.hostname,
        },
        "registration_info": {
            "client_id": f"portal-{spec.id}",
            "redirect_uris": ["https://portal.example.com/callback"],
            "scope": "read write",
            "token_endpoint_auth_method": "client_secret_post",
        },
    }


def listed_server(record: Record, spec: ServerSpec) -> Record:
    """A server as the list of servers shows it."""
    return record | {
        "updated_tools": [_given(override) for override in spec.updated_tools],
        "updated_prompts": [_given(override) for override in spec.updated_prompts],
    }


def attached_server(record: Record, spec: ServerSpec, attachment: Attachment) -> Record:
    """A server as a portal shows it."""
    return record | {
        "server_id": spec.id,
        "on_behalf": attachment.on_behalf,
        "default_disabled": attachment.default_disabled,
        "updated_tools": _merged(spec.updated_tools, attachment.updated_tools),
        "updated_prompts": _merged(spec.updated_prompts, attachment.updated_prompts),
    }


def invalid_server() -> Record:
    """A record without an id."""
    return {
        "name": "Half-deleted server",
        "hostname": "https://gone.mcp.example.com/mcp",
        "auth_type": "bearer",
        "status": "error",
        "tools": [],
        "prompts": [],
    }


def portal_record(state: PortalState, servers: list[Record], start: float) -> Record:
    """A portal; members that the scenario does not set are absent."""
    spec = state.spec
    record: Record = {
        "id": spec.id,
        "name": spec.name,
        "description": spec.description,
        "hostname": spec.hostname,
        "secure_web_gateway": spec.secure_web_gateway,
        "created_at": without_zone(start - spec.created_days_ago * DAY),
        "created_by": CREATOR,
        "modified_at": rfc3339(state.modified),
        "modified_by": EDITOR,
        "servers": servers,
    }
    modes = {"code_mode": spec.code_mode, "allow_code_mode": spec.allow_code_mode}
    record |= {name: value for name, value in modes.items() if value is not None}
    return record | state.edits


def _given(override: Override) -> Record:
    members = {
        "name": override.name,
        "enabled": override.enabled,
        "alias": override.alias,
        "description": override.description,
    }
    return {name: value for name, value in members.items() if value is not None}


def _merged(of_server: Iterable[Override], of_portal: Iterable[Override]) -> list[Record]:
    """Both levels' overrides by name; where both say ``enabled``, the portal decides."""
    merged: dict[str, Record] = {}
    for level, overrides in (("server", of_server), ("portal", of_portal)):
        for override in overrides:
            entry = merged.setdefault(override.name, {"name": override.name})
            for name, value in _given(override).items():
                entry[f"{level}_{name}" if name in {"alias", "description"} else name] = value
    return list(merged.values())
