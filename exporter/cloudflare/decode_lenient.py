"""Decodes a record that the strict decoder rejects, member by member.

The types are the same; each member stays bytes until its size is known. One invalid tool among
twenty, or an ``error_details`` that is a string, must not hide that a server is failing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from exporter.cloudflare.json_size import Allowance, size
from exporter.cloudflare.schema import (
    MAX_ENTRIES,
    AuthConfigSummary,
    Capability,
    Override,
    PortalRecord,
    ServerRecord,
)

UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)

R = TypeVar("R", PortalRecord, ServerRecord)
Members = dict[str, Raw]


class _Named(msgspec.Struct, frozen=True, gc=False):
    """A tool, a prompt or an override with members of any type."""

    name: Raw = Raw()
    enabled: Raw = Raw()


_RECORDS: tuple[type[msgspec.Struct], ...] = (PortalRecord, ServerRecord)
_RAW = {
    record: msgspec.json.Decoder(
        msgspec.defstruct(
            f"Raw{record.__name__}",
            [(name, Raw, Raw()) for name in record.__struct_fields__],
            frozen=True,
            gc=False,
        )
    )
    for record in _RECORDS
}
_MEMBERS = {
    record: {one.name: msgspec.json.Decoder(one.type) for one in msgspec.structs.fields(record)}
    for record in _RECORDS
}
_LIST = msgspec.json.Decoder(list[Raw] | None)
_NAMED = msgspec.json.Decoder(_Named)
_TEXT = msgspec.json.Decoder(str)
_TRUTH = msgspec.json.Decoder(bool)
_SUMMARY = msgspec.json.Decoder(AuthConfigSummary | None)


def members(raw: Raw, record: type[R]) -> Members:
    """The declared members of a JSON object, undecoded; absent ones are empty.

    Raises:
        one of `UNREADABLE`: it is not an object.
    """
    return dict(
        zip(
            record.__struct_fields__, msgspec.structs.astuple(_RAW[record].decode(raw)), strict=True
        )
    )


class Lenient:
    """Builds records from members.

    Args:
        allowance: of the body.
    """

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._special: dict[str, Callable[[Raw], Any]] = {
            "tools": self._capabilities,
            "prompts": self._capabilities,
            "updated_tools": self._overrides,
            "updated_prompts": self._overrides,
            "error_details": _as_sent,
            "auth_config_summary": self._summary,
        }

    def record(self, found: Members, record: type[R]) -> R:
        """The record.

        Raises:
            one of `UNREADABLE`: a required member has the wrong type.
        """
        decoders = _MEMBERS[record]
        return record(
            **{name: self._member(name, raw, decoders[name]) for name, raw in found.items() if raw}
        )

    def text(self, raw: Raw) -> str | None:
        """A non-empty string, else None."""
        if size(raw) > self._allowance.text:
            return None
        try:
            return _TEXT.decode(raw) or None
        except UNREADABLE:
            return None

    def _member(self, name: str, raw: Raw, decoder: msgspec.json.Decoder[Any]) -> Any:
        special = self._special.get(name)
        if special is not None:
            return special(raw)
        if size(raw) > self._allowance.text:
            raise msgspec.ValidationError(f"{size(raw)} bytes exceed the limit - at `$.{name}`")
        try:
            return decoder.decode(raw)
        except msgspec.ValidationError as problem:
            raise msgspec.ValidationError(f"{problem} - at `$.{name}`") from None

    def _entries(self, raw: Raw) -> list[_Named] | None:
        # Each member of the list takes some 70 bytes, whatever it is.
        if bytes(raw).count(b",") > self._allowance.objects:
            raise msgspec.ValidationError("a list has too many members")
        listed = _LIST.decode(raw)
        if listed is None:
            return None
        if len(listed) > MAX_ENTRIES:
            raise msgspec.ValidationError(f"a list has more than {MAX_ENTRIES} members")
        return [_named(entry) for entry in listed]

    def _capabilities(self, raw: Raw) -> list[Capability] | None:
        entries = self._entries(raw)
        return None if entries is None else [Capability(self.text(one.name)) for one in entries]

    def _overrides(self, raw: Raw) -> list[Override] | None:
        entries = self._entries(raw)
        if entries is None:
            return None
        named = ((self.text(one.name), one) for one in entries)
        return [Override(name, _truth(one.enabled)) for name, one in named if name is not None]

    def _summary(self, raw: Raw) -> AuthConfigSummary | None:
        try:
            return _SUMMARY.decode(raw) if size(raw) <= self._allowance.text else None
        except UNREADABLE:
            return None


def _as_sent(raw: Raw) -> Raw:
    return raw


def _named(raw: Raw) -> _Named:
    try:
        return _NAMED.decode(raw)
    except UNREADABLE:
        return _Named()


def _truth(raw: Raw) -> bool | None:
    try:
        return _TRUTH.decode(raw)
    except UNREADABLE:
        return None
