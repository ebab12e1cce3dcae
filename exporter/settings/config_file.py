"""The accounts of the configuration file, each with everything that holds for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from exporter.errors import SettingsError
from exporter.settings import parsers, urls
from exporter.settings.account_env import check, id_mistake, is_email
from exporter.settings.decode_errors import Complaint, decoded_leniently
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

T = TypeVar("T")

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
    """One file that is read; paths in it are resolved against ``home``."""

    def __init__(self, document: Document, home: Path) -> None:
        self._document = document
        self._home = home
        self._complaints: list[Complaint] = []

    def accounts(self, defaults: Listing) -> tuple[tuple[Account, ...], tuple[str, ...]]:
        file, misshaped = decoded_leniently(self._document.value, ConfigFile)
        self._complaints += misshaped
        accounts: dict[int, Account] = {}
        if file is not None:
            common = self._listing(file, "", defaults)
            for index, given in enumerate(file.accounts):
                place = f"accounts[{index}]"
                if _is_checkable(place, misshaped):
                    accounts |= self._checked(index, given, place, common)
            self._check_unique(accounts)
        if self._complaints:
            raise self._document.errors(self._complaints)
        return tuple(accounts.values()), tuple(_notices(accounts.values()))

    def _checked(
        self, index: int, given: FileAccount, place: str, common: Listing
    ) -> dict[int, Account]:
        """The account by its index; nothing where it cannot be used."""
        known = len(self._complaints)
        account = self._account(given, place, common)
        return {index: account} if len(self._complaints) == known else {}

    def _complain(self, path: str, text: str) -> None:
        self._complaints.append(Complaint(path, text))

    # --- how an account is listed ---

    def _listing(self, given: Options, place: str, base: Listing) -> Listing:
        changes: dict[str, Any] = {}
        for key, (field, parse) in self._parsers().items():
            value = getattr(given, key)
            if value is not UNSET:
                path = f"{place}.{key}".lstrip(".")
                parsed = self._parsed(path, partial(parse, value))
                changes |= {} if parsed is None else {field: parsed}
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
            parse = partial(_time, given.min_interval, parsers.seconds)
            interval = self._parsed(f"{place}.min_interval", parse)
            changes |= {} if interval is None else {"min_interval": interval}
        if given.allow_networks is not UNSET:
            networks = [
                self._parsed(f"{place}.allow_networks[{i}]", partial(parsers.network, text))
                for i, text in enumerate(given.allow_networks)
            ]
            changes["allow_networks"] = tuple(one for one in networks if one is not None)
        return msgspec.structs.replace(base, **changes, **self._service_token(given, place))

    def _service_token(self, given: ProbeOptions, place: str) -> dict[str, Any]:
        keys = ("access_client_secret", "access_client_secret_file")
        secrets = [key for key in keys if getattr(given, key) is not UNSET]
        for other in secrets[1:]:
            self._complain(
                f"{place}.{other}", f"cannot be combined with {secrets[0]}; remove one of them"
            )
        if bool(secrets) != (given.access_client_id is not UNSET):
            self._complain(
                place, "a service token requires access_client_id and access_client_secret"
            )
            return {}
        if not secrets:
            return {}
        identity = str(given.access_client_id)
        if complaint := mistake(identity, "ID") if identity else "is empty; set the client ID":
            self._complain(f"{place}.access_client_id", complaint)
        secret = self._secret(getattr(given, secrets[0]), f"{place}.{secrets[0]}", "secret")
        return {
            "access_client_id": identity,
            "access_client_secret": secret,
        }

    def _parsers(self) -> Mapping[str, tuple[str, Callable[[Any], object]]]:
        """By key: the field of `Listing`, and how its value is made."""
        return {
            "base_url": ("base_url", urls.api_url),
            "timeout": ("timeout", lambda value: _time(value, parsers.seconds)),
            "per_page": ("per_page", int),
            "parallel_pages": ("parallel_pages", int),
            "max_response_size": ("max_response_bytes", lambda value: parsers.size(str(value))),
            "collectors": ("collect_servers", _collects_servers),
            "cache_ttl": ("cache_ttl", lambda value: _time(value, parsers.seconds_or_zero)),
            "proxy_url": ("proxy_url", urls.proxy_url),
            "ca_file": ("ca_file", self._ca_file),
        }

    def _parsed(self, path: str, parse: Callable[[], T]) -> T | None:
        """The value; None where it cannot be used, which is noted."""
        try:
            return parse()
        except (ValueError, SettingsError) as problem:
            self._complain(path, str(problem))
            return None

    def _file(self, name: str) -> str:
        """Where a file is that is named in this one.

        Raises:
            ValueError: it is not there; shows the name only where it cannot be a secret.
        """
        path = self._home / name
        try:
            path.stat()
        except (OSError, ValueError) as problem:
            shown = f"the file {name!a}" if name.startswith("/") else "the file"
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
        secrets = {one for one in (given.api_token, given.api_key) if one is not UNSET}
        complaint = id_mistake(given.account_id, secrets)
        if complaint:
            empty = "is empty; use the account ID (32 hexadecimal digits)"
            self._complain(f"{place}.account_id", complaint if given.account_id else empty)
        name = given.account_id if given.name is UNSET else given.name
        if given.name is not UNSET:
            self._parsed(f"{place}.name", lambda: _check_name(name, secrets))
        return Account(
            name=name,
            account_id=given.account_id,
            credentials=credentials,
            **msgspec.structs.asdict(listing),
        )

    def _credentials(self, given: FileAccount, place: str) -> Credentials:
        keys = [key for key in SECRETS if getattr(given, key) is not UNSET]
        if not keys:
            missing = "email requires api_key or api_key_file; add one of them"
            none = "has no credentials; add api_token or api_token_file"
            self._complain(place, none if given.email is UNSET else missing)
            return Credentials()
        for other in keys[1:]:
            self._complain(
                f"{place}.{other}", f"cannot be combined with {keys[0]}; remove one of them"
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
                self._complain(f"{place}.email", f"is not used with {secret}; remove it")
        elif given.email is UNSET:
            self._complain(f"{place}.{secret}", "requires email; add the one of the key's user")
        elif not is_email(given.email):
            self._complain(
                f"{place}.email", "is not an email address; use the one of the key's user"
            )
        return "" if given.email is UNSET else given.email

    def _secret(self, text: str, path: str, kind: str) -> Secret:
        secret = Secret(text=text)
        if path.endswith("_file"):
            file = self._parsed(path, lambda: self._file(text))
            if file is None:
                return Secret()
            secret = Secret(file=file)
        try:
            check(secret, kind)
        except SettingsError as problem:
            # The advice is for a shell.
            file = f"{path.rpartition('.')[2].removesuffix('_file')}_file"
            words = str(problem).replace(", for example with $(cat FILE)", f", or use {file}")
            self._complain(path, words)
        return secret

    def _check_unique(self, accounts: Mapping[int, Account]) -> None:
        for field in ("account_id", "name"):
            first: dict[str, int] = {}
            for index, account in accounts.items():
                known = first.setdefault(getattr(account, field), index)
                same_id = accounts[known].account_id == account.account_id
                if known != index and (field == "account_id" or not same_id):
                    self._complain(
                        f"accounts[{index}].{field}",
                        f"duplicate of accounts[{known}].{field}; each account needs its own",
                    )


def _is_checkable(place: str, misshaped: Iterable[Complaint]) -> bool:
    """Whether only options are missing in what is left of an account: more can be said of it."""
    options = {f"{place}.{key}" for key in (*Options.__struct_fields__, "name")}
    return all(
        one.path in options and not one.text.startswith("unknown key")
        for one in misshaped
        if one.path.startswith(place)
    )


def _check_name(name: str, secrets: Iterable[str]) -> None:
    if name in secrets:
        raise ValueError("contains the API token or key; use a display name")
    if not 1 <= len(name) <= LONGEST_NAME:
        raise ValueError(f"has {len(name)} characters; use 1 to {LONGEST_NAME}")
    if not name.isprintable() or name != name.strip():
        raise ValueError(
            "contains an unprintable character, or begins or ends with white space; remove it"
        )


def _notices(accounts: Iterable[Account]) -> Iterator[str]:
    for account in accounts:
        if urls.is_plain_remote(account.base_url):
            yield f"base_url of account {account.name!r} is not https: credentials are unencrypted"


def _time(value: float | str, parse: Callable[[str], float]) -> float:
    if not isinstance(value, str):
        return value
    found = parse(value)
    if found > LONGEST_TIME:
        raise ValueError(f"is longer than {LONGEST_TIME} s (one day)")
    return found


def _collects_servers(value: Collectors | list[str]) -> bool:
    return value.servers is True if isinstance(value, Collectors) else "servers" in value
