"""Requests, responses, errors and credentials of the simulated API: plain values."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

TOKEN_ALPHABET = frozenset(string.ascii_letters + string.digits + "_-")
TOKEN_LENGTH = 40

DEMO_ACCOUNT_ID = "51301a7ed51301a7ed51301a7ed51301"
DEMO_TOKEN = "demo-token-of-the-simulator-not-a-secret"  # noqa: S105 - only valid for the simulator
ACCESS_CLIENT_ID = "demo51301a7ed0000000000000000000000.access"
ACCESS_CLIENT_SECRET = "demo-service-token-of-the-simulator-not-a-secret"  # noqa: S105 - as above
DEMO_EMAIL = "demo@example.com"
DEMO_API_KEY = "de30de30de30de30de30de30de30de30de300"
NO_PERMISSION_TOKEN = "demo-token-that-lacks-the-permission-000"  # noqa: S105 - as above


@dataclass(frozen=True)
class Request:
    """A request.

    Attributes:
        path: as sent, without the query.
        query: decoded; of a repeated name the last value.
        headers: names in lower case; hidden from ``repr`` since they hold credentials.
        body: empty if it is longer than the simulator reads.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Response:
    """A response; the server adds ``Content-Length``."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Credentials:
    """Valid credentials; may be changed while it serves."""

    tokens: set[str] = field(default_factory=lambda: {DEMO_TOKEN}, repr=False)
    tokens_without_permission: set[str] = field(
        default_factory=lambda: {NO_PERMISSION_TOKEN}, repr=False
    )
    email: str = DEMO_EMAIL
    api_key: str = field(default=DEMO_API_KEY, repr=False)


class Refusal(Exception):  # noqa: N818 - an answer of the API, not an error of the simulator
    """An error response: status, code, message and headers."""

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(message)
        self.response = failure(status, code, message, headers=headers, **members)


def envelope(result: object, *, success: bool = True, **members: object) -> bytes:
    """A body in the API's envelope; ``members`` come beside or instead of the usual ones."""
    usual = {"success": success, "errors": [], "messages": [], "result": result}
    return msgspec.json.encode(usual | members)


def failure(
    status: int,
    code: int,
    message: str,
    *,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Response:
    """An error in the API's envelope; ``members`` belong to the one entry of ``errors``."""
    errors = [{"code": code, "message": message, **members}]
    body = envelope(None, success=False, errors=errors)
    return Response(status, body, {"Content-Type": "application/json", **(headers or {})})
