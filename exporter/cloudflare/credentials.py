"""Credentials as request headers, and nowhere else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from requests import PreparedRequest
from requests.auth import AuthBase

ReadSecret = Callable[[], Awaitable[str]]
Headers = Callable[[], Awaitable[Mapping[str, str]]]
"""The headers with the current credentials; `SettingsError` if they cannot be read."""


def token_headers(token: ReadSecret) -> Headers:
    """An API token as a bearer."""

    async def headers() -> Mapping[str, str]:
        return {"Authorization": f"Bearer {await token()}"}

    return headers


def key_headers(email: str, key: ReadSecret) -> Headers:
    """The legacy e-mail address and API key."""

    async def headers() -> Mapping[str, str]:
        return {"X-Auth-Email": email, "X-Auth-Key": await key()}

    return headers


class HeaderAuth(AuthBase):
    """Adds headers to each request of a listing, so that all pages use the same credentials."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Called by `requests` for each request."""
        request.headers.update(self._headers)
        return request

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeaderAuth) and self._headers == other._headers

    def __hash__(self) -> int:
        return hash(tuple(sorted(self._headers.items())))
