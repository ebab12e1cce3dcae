"""The accounts of the configuration file, each with everything that holds for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from exporter.errors import SettingsError
from exporter.settings import parsers, urls
from exporter.settings.account_env import check, id_mistake, is_email, is_usual_id
from exporter.settings.decode_errors import decoded
from exporter.settings.proxies import check_authorities
from exporter.settings.read_file import cause
from exporter.settings.schema import (
    LONGEST_TIME,
    Collectors,
    ConfigFile,
    FileAccount,
    Options,
    ProbeOptions,
)
from exporter.settings.secret_checks import mistake
from exporter.settings.values import Account, Credentials, Listing, Probes, Secret
from exporter.settings.yaml_loader import Document, read

LONGEST_NAME = 100

SECRETS = ("api_token", "api_token_file", "api_key", "api_key_file")


def accounts_from_file(name: str, defaults: Listing) -> tuple[tuple[Account, ...], tuple[str, ...]]:
    """The accounts that the file describes, and what to log about them.

    Args:
        name: of the file.
        defaults: how an account is listed for which the file says nothing else.

    Raises:
        SettingsError: names the file, the place in it, what is wrong and what would be right; it
            holds no part of a secret.
    """
    return _Reading(read(name), Path(name).parent).accounts(defaults)


class _Reading:
    """One file that is read; paths in it begin at ``home``."""

    def __init__(self, document: Document, home: Path) -> None:
        self._document = document
        self._home = home

    def accounts(self, defaults: Listing) -> tuple[tuple[Account, ...], tuple[str, ...]]:
        file = decoded(self._document, self._document.value, ConfigFile)
        common = self._listing(file, "", defaults)
        accounts = tuple(
            self._account(given, f"accounts[{index}]", common)
            for index, given in enumerate(file.accounts)
        )
        self._check_unique(accounts)
        return accounts, tuple(_notices(accounts))

    # --- how an account is listed ---

    def _listing(self, given: Options, place: str, base: Listing) -> Listing:
        changes: dict[str, Any] = {}
        for key, (field, parse) in self._parsers().items():
            value = getattr(given, key)
            if value is not UNSET:
                path = f"{place}.{key}".lstrip(".")
                changes[field] = self._parsed(path, partial(parse, value))
        if given.probes is not UNSET:
            changes["probes"] = self._probes(
                given.probes, f"{place}.probes".lstrip("."), base.probes
            )
        return msgspec.structs.replace(base, **changes)

    def _probes(self, given: ProbeOptions, place: str, base: Probes) -> Probes:
        changes: dict[str, Any] = {}
        for key in ("servers", "portals", "allow_http", "gateway_servers"):
            if (value := getattr(given, key)) is not UNSET:
                changes[key] = value
        for key in ("allow", "deny"):
            if (value := getattr(given, key)) is not UNSET:
                changes[key] = tuple(value)
        if given.min_interval is not UNSET:
            interval = partial(_time, given.min_interval, parsers.seconds)
            changes["min_interval"] = self._parsed(f"{place}.min_interval", interval)
        if given.allow_networks is not UNSET:
            changes["allow_networks"] = tuple(
                self._parsed(f"{place}.allow_networks[{i}]", partial(parsers.network, text))
                for i, text in enumerate(given.allow_networks)
            )
        return msgspec.structs.replace(base, **changes, **self._service_token(given, place))

    def _service_token(self, given: ProbeOptions, place: str) -> dict[str, Any]:
        keys = ("access_client_secret", "access_client_secret_file")
        secrets = [key for key in keys if getattr(given, key) is not UNSET]
        if len(secrets) > 1:
            raise self._document.error(
                f"{place}.{secrets[1]}", f"cannot be used with {secrets[0]}; remove one of them"
            )
        if bool(secrets) != (given.access_client_id is not UNSET):
            raise self._document.error(
                place, "a service token has both access_client_id and access_client_secret"
            )
        if not secrets:
            return {}
        identity = str(given.access_client_id)
        if complaint := mistake(identity, "id") if identity else "is empty; set the client id":
            raise self._document.error(f"{place}.access_client_id", complaint)
        secret = self._secret(getattr(given, secrets[0]), f"{place}.{secrets[0]}", "secret")
        return {
            "access_client_id": identity,
            "access_client_secret": secret,
        }

    def _parsers(self) -> Mapping[str, tuple[str, Callable[[Any], object]]]:
        """By key: the field of `Listing`, and how its value is made."""
        return {
            "base_url": ("base_url", urls.base_url),
            "timeout": ("timeout", lambda value: _time(value, parsers.seconds)),
            "per_page": ("per_page", int),
            "parallel_pages": ("parallel_pages", int),
            "max_response_size": ("max_response_bytes", lambda value: parsers.size(str(value))),
            "collectors": ("collect_servers", _collects_servers),
            "cache_ttl": ("cache_ttl", lambda value: _time(value, parsers.seconds_or_zero)),
            "proxy_url": ("proxy_url", urls.proxy_url),
            "ca_file": ("ca_file", self._ca_file),
        }

    def _parsed(self, path: str, parse: Callable[[], object]) -> object:
        try:
            return parse()
        except (ValueError, SettingsError) as problem:
            raise self._document.error(path, str(problem)) from None

    def _file(self, name: str) -> str:
        """Where a file is that is named in this one.

        Raises:
            ValueError: it is not there; shows the name only where it cannot be a secret.
        """
        path = self._home / name
        try:
            path.stat()
        except (OSError, ValueError) as problem:
            shown = f"the file {name!a}" if name.startswith("/") else "the file that is named"
            raise ValueError(f"{shown} cannot be read: {cause(problem)}") from None
        return str(path)

    def _ca_file(self, name: str) -> str:
        path = self._file(name)
        check_authorities(path)
        return path

    # --- an account ---

    def _account(self, given: FileAccount, place: str, common: Listing) -> Account:
        listing = self._listing(given, place, common)
        credentials = self._credentials(given, place)
        complaint = id_mistake(given.account_id, credentials)
        if not given.account_id or complaint:
            empty = "is empty; set the account's 32 hexadecimal digits"
            raise self._document.error(f"{place}.account_id", complaint or empty)
        name = given.account_id if given.name is UNSET else given.name
        self._parsed(f"{place}.name", lambda: _check_name(name, credentials))
        return Account(
            name=name,
            account_id=given.account_id,
            credentials=credentials,
            **msgspec.structs.asdict(listing),
        )

    def _credentials(self, given: FileAccount, place: str) -> Credentials:
        keys = [key for key in SECRETS if getattr(given, key) is not UNSET]
        if not keys:
            missing = "email is not enough; add api_key or api_key_file"
            none = "has no credentials; add api_token or api_token_file"
            raise self._document.error(place, none if given.email is UNSET else missing)
        if len(keys) > 1:
            raise self._document.error(
                f"{place}.{keys[1]}", f"stands beside {keys[0]}; leave one of the two out"
            )
        kind = "token" if "token" in keys[0] else "key"
        email = self._email(given, place, keys[0])
        secret = self._secret(getattr(given, keys[0]), f"{place}.{keys[0]}", kind)
        if kind == "token":
            return Credentials(token=secret)
        return Credentials(email=email, key=secret)

    def _email(self, given: FileAccount, place: str, secret: str) -> str:
        if "token" in secret:
            if given.email is not UNSET:
                raise self._document.error(
                    f"{place}.email", f"is of no use beside {secret}; leave it out"
                )
            return ""
        if given.email is UNSET:
            raise self._document.error(
                f"{place}.{secret}", "works with email alone; add the one of the key's user"
            )
        if not is_email(given.email):
            raise self._document.error(
                f"{place}.email", "is not an e-mail address; write the one of the key's user"
            )
        return given.email

    def _secret(self, text: str, path: str, kind: str) -> Secret:
        if path.endswith("_file"):
            secret = Secret(file=str(self._parsed(path, lambda: self._file(text))))
        else:
            secret = Secret(text=text)
        try:
            check(secret, kind)
        except SettingsError as problem:
            # The advice is for a shell.
            file = f"{path.rpartition('.')[2].removesuffix('_file')}_file"
            words = str(problem).replace(", such as with $(cat FILE)", f", or use {file}")
            raise self._document.error(path, words) from None
        return secret

    def _check_unique(self, accounts: tuple[Account, ...]) -> None:
        for field in ("account_id", "name"):
            first: dict[str, int] = {}
            for index, account in enumerate(accounts):
                known = first.setdefault(getattr(account, field), index)
                if known != index:
                    raise self._document.error(
                        f"accounts[{index}].{field}",
                        f"is the same as that of accounts[{known}]; each account needs its own",
                    )


def _check_name(name: str, credentials: Credentials) -> None:
    if name in credentials.secrets:
        raise ValueError("holds the credentials; write a name for people")
    if not 1 <= len(name) <= LONGEST_NAME:
        raise ValueError(f"has {len(name)} characters; write a name of 1 to {LONGEST_NAME}")
    if not name.isprintable() or name != name.strip():
        raise ValueError(
            "has a character that cannot be printed, or white space around it; leave that out"
        )


def _notices(accounts: tuple[Account, ...]) -> Iterator[str]:
    for account in accounts:
        if not is_usual_id(account.account_id):
            yield (
                f"the id of account {account.name!r} is not 32 hexadecimal digits; is it the "
                "account's id?"
            )
        if urls.is_plain_remote(account.base_url):
            yield f"base_url of account {account.name!r} is not https: credentials are unencrypted"


def _time(value: float | str, parse: Callable[[str], float]) -> float:
    if not isinstance(value, str):
        return value
    found = parse(value)
    if found > LONGEST_TIME:
        raise ValueError(f"is longer than {LONGEST_TIME} s; use a shorter time")
    return found


def _collects_servers(value: Collectors | list[str]) -> bool:
    return value.servers is True if isinstance(value, Collectors) else "servers" in value
