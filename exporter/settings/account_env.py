"""The account and its credentials, from the variables that its users have already."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from exporter.errors import SettingsError
from exporter.settings.secret_checks import mistake
from exporter.settings.secret_files import SecretReader, check_secret
from exporter.settings.values import Account, Credentials, Listing, Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TOKEN = "CLOUDFLARE_API_TOKEN"  # noqa: S105 - the variable's name, not a token
TOKEN_FILE = "CLOUDFLARE_API_TOKEN_FILE"  # noqa: S105 - as above
EMAIL = "CLOUDFLARE_EMAIL"
KEY = "CLOUDFLARE_API_KEY"
KEY_FILE = "CLOUDFLARE_API_KEY_FILE"
ACCOUNT_ID = "CLOUDFLARE_ACCOUNT_ID"

ACCOUNT_VARIABLES = (TOKEN, TOKEN_FILE, EMAIL, KEY, KEY_FILE, ACCOUNT_ID)

_EMAIL = re.compile(r"[^@\s<>\"'`,;$]+@[^@\s<>\"'`,;$]+\.[^@\s<>\"'`,;$.]+")
ID_LENGTH = 32
_ID = re.compile(r"[0-9a-fA-F]*")
_RIGHT = "the account ID (32 hexadecimal digits)"

_NO_CREDENTIALS = (
    f"{TOKEN}: not set; set it to an API token with the permission 'MCP Portals Read', or try "
    "--demo"
)
_NO_ACCOUNT = f"{ACCOUNT_ID}: not set; set it to the account ID (32 hexadecimal digits)"


def account_from(
    variables: Mapping[str, str], defaults: Listing
) -> tuple[Account, tuple[str, ...]]:
    """The one account that the environment describes, and what to log about it.

    Raises:
        SettingsError: names the variable, never its value.
    """
    problems: list[str] = []
    account_id = variables.get(ACCOUNT_ID, "")
    credentials, notices = Credentials(), tuple[str, ...]()
    try:
        credentials, notices = _credentials(variables)
    except SettingsError as problem:
        problems.extend(problem.problems)
    complaint = id_mistake(account_id, {variables.get(name, "") for name in (TOKEN, KEY)})
    if not account_id:
        problems.append(_NO_ACCOUNT)
    elif complaint:
        problems.append(f"{ACCOUNT_ID}: {complaint}")
    if problems:
        raise SettingsError(*problems)
    account = Account(
        name=account_id,
        account_id=account_id,
        credentials=credentials,
        **msgspec.structs.asdict(defaults),
    )
    return account, notices


def _credentials(variables: Mapping[str, str]) -> tuple[Credentials, tuple[str, ...]]:
    has_token, has_key = (_one_of(variables, TOKEN, TOKEN_FILE), _one_of(variables, KEY, KEY_FILE))
    email = variables.get(EMAIL, "")
    if has_token and has_key:
        raise SettingsError(f"{has_token}, {has_key}: both are set; unset one, preferably the key")
    if has_token:
        unused = f"{EMAIL} is ignored, because a token is set"
        token = _secret(variables, has_token, TOKEN_FILE, "token")
        return Credentials(token=token), (unused,) if email else ()
    if not email and not has_key:
        raise SettingsError(_NO_CREDENTIALS)
    return _legacy(variables, email, has_key), ()


def _one_of(variables: Mapping[str, str], name: str, file_name: str) -> str:
    """Which of the two is set; empty for none."""
    if name in variables and file_name in variables:
        raise SettingsError(f"{name}, {file_name}: both are set; unset one")
    return next((one for one in (name, file_name) if one in variables), "")


def _legacy(variables: Mapping[str, str], email: str, has_key: str) -> Credentials:
    if not has_key:
        raise SettingsError(f"{KEY}: not set, but {EMAIL} is; set both, or preferably only {TOKEN}")
    if not email:
        raise SettingsError(
            f"{EMAIL}: not set, but {has_key} is; set both, or preferably only {TOKEN}"
        )
    if not is_email(email):
        raise SettingsError(f"{EMAIL}: is not an email address; use the one of the key's user")
    return Credentials(email=email, key=_secret(variables, has_key, KEY_FILE, "key"))


def _secret(variables: Mapping[str, str], name: str, file_name: str, kind: str) -> Secret:
    text = variables[name]
    secret = Secret(file=text) if name == file_name else Secret(text=text)
    try:
        check(secret, kind)
    except SettingsError as problem:
        raise SettingsError(f"{name}: {problem}") from None
    return secret


# --- rules for the environment and for the configuration file ----------------------------------


def check(secret: Secret, kind: str) -> None:
    """Do nothing, unless the secret cannot be used as it is now.

    Raises:
        SettingsError: says what is wrong, and with which file.
    """
    if secret.file:
        SecretReader(secret, kind)()
    else:
        check_secret(secret.text, kind)


def is_email(text: str) -> bool:
    """Whether it can be the address of a user."""
    return bool(_EMAIL.fullmatch(text)) and text.isascii()


def id_mistake(text: str, secrets: Iterable[str]) -> str | None:
    """What is wrong with an account's ID and how to fix it; None if nothing is."""
    if text in secrets:
        return f"contains the API token or key; use {_RIGHT}"
    complaint = mistake(text, "account ID")
    if complaint:
        return complaint
    if len(text) != ID_LENGTH:
        return f"has {len(text)} characters; use {_RIGHT}"
    if not _ID.fullmatch(text):
        return f"contains characters other than hexadecimal digits; use {_RIGHT}"
    return None
