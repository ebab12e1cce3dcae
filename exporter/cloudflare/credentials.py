"""How credentials travel: as headers of each request, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from requests import PreparedRequest
from requests.auth import AuthBase

Headers = Callable[[], Mapping[str, str]]
"""The headers with the credentials of now; `SettingsError` where they cannot be read."""


def token_headers(token: Callable[[], str]) -> Headers:
    """An API token as a bearer."""
    return lambda: {"Authorization": f"Bearer {token()}"}


def key_headers(email: str, key: Callable[[], str]) -> Headers:
    """The legacy e-mail address and API key."""
    return lambda: {"X-Auth-Email": email, "X-Auth-Key": key()}


class HeaderAuth(AuthBase):
    """Puts headers on each request of a listing: all its pages have the same credentials."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Called by ``requests`` for each request."""
        request.headers.update(self._headers)
        return request

    def strike(self, text: str) -> str:
        """The text without the credentials: the API may repeat what it refuses."""
        for value in self._headers.values():
            text = text.replace(value.removeprefix("Bearer "), "***")
        return text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeaderAuth) and self._headers == other._headers

    def __hash__(self) -> int:
        return hash(tuple(sorted(self._headers.items())))
