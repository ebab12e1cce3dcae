"""The account and its credentials, from the variables that its users have already."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from exporter.errors import SettingsError
from exporter.settings.mistakes import mistake
from exporter.settings.values import Account, Credentials

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN = "CLOUDFLARE_API_TOKEN"  # noqa: S105 - the variable's name, not a token
EMAIL = "CLOUDFLARE_EMAIL"
KEY = "CLOUDFLARE_API_KEY"
ACCOUNT_ID = "CLOUDFLARE_ACCOUNT_ID"

SHORTEST_SECRET = 8
"""Shorter ones are no credentials, and would make the log strike out ordinary words."""

_EMAIL = re.compile(r"[^@\s<>\"'`,;$]+@[^@\s<>\"'`,;$]+\.[^@\s<>\"'`,;$.]+")
_NOT_AN_ID = re.compile(r"[^A-Za-z0-9._-]")
_ID = re.compile(r"[0-9a-fA-F]{32}")

_NO_CREDENTIALS = (
    f"{TOKEN}: is not set; set it to an API token with the permission 'MCP Portals Read' "
    f"(or set {EMAIL} and {KEY}), or try --demo"
)
_NO_ACCOUNT = f"{ACCOUNT_ID}: is not set; set it to the account's 32 hexadecimal digits"


def account_from(variables: Mapping[str, str]) -> tuple[Account, tuple[str, ...]]:
    """The one account that the environment describes, and what to log about it.

    Raises:
        SettingsError: names the variable, never its value.
    """
    credentials, notices = _credentials(variables)
    account_id = variables.get(ACCOUNT_ID, "")
    complaint = _id_mistake(account_id, credentials)
    if complaint:
        raise SettingsError(complaint)
    if not _ID.fullmatch(account_id):
        notices = (*notices, f"{ACCOUNT_ID} is not 32 hexadecimal digits; is it the account's id?")
    return Account(account_id, account_id, credentials), notices


def _credentials(variables: Mapping[str, str]) -> tuple[Credentials, tuple[str, ...]]:
    token, email, key = (variables.get(name, "") for name in (TOKEN, EMAIL, KEY))
    if token and key:
        raise SettingsError(f"{TOKEN}, {KEY}: both are set; unset one, the key if in doubt")
    if token:
        _check_secret(TOKEN, token, "token")
        unused = f"{EMAIL} is set beside a token and is not used"
        return Credentials(token=token), (unused,) if email else ()
    if not email and not key:
        raise SettingsError(_NO_CREDENTIALS)
    return _legacy(email, key), ()


def _legacy(email: str, key: str) -> Credentials:
    if not key:
        raise SettingsError(f"{KEY}: is not set beside {EMAIL}; set it, or better {TOKEN} alone")
    if not email:
        raise SettingsError(f"{EMAIL}: is not set beside {KEY}; set it, or better {TOKEN} alone")
    if not _EMAIL.fullmatch(email) or not email.isascii():
        raise SettingsError(f"{EMAIL}: is not an e-mail address; set the one of the key's user")
    _check_secret(KEY, key, "key")
    return Credentials(email=email, key=key)


def _check_secret(name: str, text: str, kind: str) -> None:
    complaint = mistake(text, kind)
    if complaint is None and len(text) < SHORTEST_SECRET:
        complaint = f"is too short for a {kind}; copy it again, whole"
    if complaint:
        raise SettingsError(f"{name}: {complaint}")


def _id_mistake(text: str, credentials: Credentials) -> str | None:
    if not text:
        return _NO_ACCOUNT
    if text in credentials.secrets:
        return f"{ACCOUNT_ID}: holds the credentials; set the account's 32 hexadecimal digits"
    complaint = mistake(text, "id")
    if complaint:
        return f"{ACCOUNT_ID}: {complaint}"
    if _NOT_AN_ID.search(text):
        return (
            f"{ACCOUNT_ID}: has characters that no id has, such as a slash or an @; set the "
            "account's 32 hexadecimal digits"
        )
    return None
