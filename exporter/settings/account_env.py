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
    from collections.abc import Mapping

TOKEN = "CLOUDFLARE_API_TOKEN"  # noqa: S105 - the variable's name, not a token
TOKEN_FILE = "CLOUDFLARE_API_TOKEN_FILE"  # noqa: S105 - as above
EMAIL = "CLOUDFLARE_EMAIL"
KEY = "CLOUDFLARE_API_KEY"
KEY_FILE = "CLOUDFLARE_API_KEY_FILE"
ACCOUNT_ID = "CLOUDFLARE_ACCOUNT_ID"

ACCOUNT_VARIABLES = (TOKEN, TOKEN_FILE, EMAIL, KEY, KEY_FILE, ACCOUNT_ID)

_EMAIL = re.compile(r"[^@\s<>\"'`,;$]+@[^@\s<>\"'`,;$]+\.[^@\s<>\"'`,;$.]+")
_NOT_AN_ID = re.compile(r"[^A-Za-z0-9._-]")
_ID = re.compile(r"[0-9a-fA-F]{32}")

_NO_CREDENTIALS = (
    f"{TOKEN}: is not set; set it to an API token with the permission 'MCP Portals Read' "
    f"(or set {EMAIL} and {KEY}), or try --demo"
)
_NO_ACCOUNT = f"{ACCOUNT_ID}: is not set; set it to the account's 32 hexadecimal digits"


def account_from(
    variables: Mapping[str, str], defaults: Listing
) -> tuple[Account, tuple[str, ...]]:
    """The one account that the environment describes, and what to log about it.

    Raises:
        SettingsError: names the variable, never its value.
    """
    credentials, notices = _credentials(variables)
    account_id = variables.get(ACCOUNT_ID, "")
    complaint = id_mistake(account_id, credentials) if account_id else None
    if not account_id:
        raise SettingsError(_NO_ACCOUNT)
    if complaint:
        raise SettingsError(f"{ACCOUNT_ID}: {complaint}")
    if not is_usual_id(account_id):
        notices = (*notices, f"{ACCOUNT_ID} is not 32 hexadecimal digits; is it the account's id?")
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
        raise SettingsError(f"{has_token}, {has_key}: both are set; unset one, the key if in doubt")
    if has_token:
        unused = f"{EMAIL} is set beside a token and is not used"
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
        raise SettingsError(f"{KEY}: is not set beside {EMAIL}; set it, or better {TOKEN} alone")
    if not email:
        raise SettingsError(
            f"{EMAIL}: is not set beside {has_key}; set it, or better {TOKEN} alone"
        )
    if not is_email(email):
        raise SettingsError(f"{EMAIL}: is not an e-mail address; set the one of the key's user")
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


def is_usual_id(text: str) -> bool:
    """Whether it looks as ids of accounts do."""
    return bool(_ID.fullmatch(text))


def id_mistake(text: str, credentials: Credentials) -> str | None:
    """What is wrong with an account's id and how to mend it; None if nothing is."""
    if text in credentials.secrets:
        return "holds the credentials; set the account's 32 hexadecimal digits"
    complaint = mistake(text, "id")
    if complaint:
        return complaint
    if _NOT_AN_ID.search(text):
        return (
            "has characters that no id has, such as a slash or an @; set the "
            "account's 32 hexadecimal digits"
        )
    return None
