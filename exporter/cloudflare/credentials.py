"""How credentials travel: as headers of each request, and nowhere else."""

from __future__ import annotations

from requests import PreparedRequest
from requests.auth import AuthBase


class TokenAuth(AuthBase):
    """An API token as a bearer."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Called by ``requests`` for each request."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class KeyAuth(AuthBase):
    """The legacy e-mail address and API key."""

    def __init__(self, email: str, key: str) -> None:
        self._email = email
        self._key = key

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Called by ``requests`` for each request."""
        request.headers["X-Auth-Email"] = self._email
        request.headers["X-Auth-Key"] = self._key
        return request
