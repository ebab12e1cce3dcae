"""From the command line, the environment and the configuration file to `Settings`."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from exporter.errors import SettingsError
from exporter.settings.account_env import ACCOUNT_VARIABLES, account_from
from exporter.settings.arguments import parsed_arguments
from exporter.settings.flags import FLAGS, Flag
from exporter.settings.internal_errors import foreseen
from exporter.settings.misspelled import misspelled
from exporter.settings.proxies import routed
from exporter.settings.urls import api_url, is_plain_remote
from exporter.settings.values import DEFAULT_BASE_URL, Account, Listing, Probes, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_BASE_URL = "CLOUDFLARE_BASE_URL"


def load(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """The settings that ``argv`` (without the program's name) and ``environ`` make.

    An empty variable counts as unset. ``--help`` and ``--version`` print and raise ``SystemExit``.

    Raises:
        SettingsError: a line for each setting that cannot be used: its name, what is wrong with it
            and how to fix it, without any part of a secret.
    """
    with foreseen("the settings"):
        variables = {name: value for name, value in environ.items() if value}
        try:
            return _load(argv, environ, variables)
        except SettingsError as problem:
            # What is not set may be misspelled.
            raise SettingsError(*problem.problems, *misspelled(variables)) from problem.__cause__


def _load(
    argv: Sequence[str], environ: Mapping[str, str], variables: Mapping[str, str]
) -> Settings:
    given = _Given(parsed_arguments(argv), variables)
    values = given.values()
    _check_combinations(values, given)
    listing = {name: values.pop(name) for name in _LISTING & values.keys()}
    listing["probes"] = _probes(values)
    if not given.has("route_prefix"):
        values["route_prefix"] = _path_of(values["external_url"])
    if values["demo"]:
        return _settings(values, (), Listing(**listing), misspelled(variables))
    url, url_notices = _base_url(variables)
    defaults = Listing(base_url=url, **listing)
    accounts, notices = _accounts(values["config_file"], variables, defaults)
    accounts = routed(accounts, environ)
    _check_offset(accounts, values, given)
    return _settings(values, accounts, defaults, (*misspelled(variables), *notices, *url_notices))


_LISTING = frozenset(Listing.__struct_fields__)
_PROBES = {
    "probe_servers": "servers",
    "probe_portals": "portals",
    "probe_min_interval": "min_interval",
    "probe_allow_networks": "allow_networks",
    "probe_allow_http": "allow_http",
}
"""Fields of `Probes` by the fields of their flags."""


def _probes(values: dict[str, Any]) -> Probes:
    """Takes the flags of probes out of all of them."""
    given = {field: values.pop(name) for name, field in _PROBES.items()}
    given["allow_networks"] = tuple(chain.from_iterable(given["allow_networks"]))
    return Probes(**given)


def _settings(
    values: Mapping[str, Any],
    accounts: tuple[Account, ...],
    defaults: Listing,
    notices: tuple[str, ...],
) -> Settings:
    return Settings(accounts=accounts, defaults=defaults, notices=notices, **values)


def _accounts(
    file: str, variables: Mapping[str, str], defaults: Listing
) -> tuple[tuple[Account, ...], tuple[str, ...]]:
    if not file:
        account, notices = account_from(variables, defaults)
        return (account,), notices
    from exporter.settings.config_file import accounts_from_file  # noqa: PLC0415 - YAML is for its users

    accounts, notices = accounts_from_file(file, defaults)
    unused = [name for name in ACCOUNT_VARIABLES if name in variables]
    if unused:
        beside = f"{', '.join(unused)} ignored: the accounts are read from the configuration file"
        notices = (beside, *notices)
    return accounts, notices


class _Given:
    """The texts of the flags, by the command line or else by their variables."""

    def __init__(self, arguments: Mapping[str, Any], variables: Mapping[str, str]) -> None:
        self._arguments = arguments
        self._variables = variables

    def values(self) -> dict[str, Any]:
        """The value of each flag, by field.

        Raises:
            SettingsError: with a line for each that cannot be used.
        """
        values: dict[str, Any] = {}
        problems: list[str] = []
        for flag in FLAGS:
            try:
                values[flag.field] = self.value(flag)
            except SettingsError as problem:
                problems.extend(problem.problems)
        if problems:
            raise SettingsError(*problems)
        return values

    def value(self, flag: Flag) -> object:
        """The flag's value, its default where it is not given."""
        text = self._arguments[flag.field]
        if text is None:
            text = self._variables.get(flag.environment, flag.default)
            text = text.split(",") if flag.repeatable else text
        try:
            if flag.repeatable:
                return tuple(flag.parse(one.strip()) for one in text)
            return flag.parse(text)
        except ValueError as error:
            raise SettingsError(f"{self.origin(flag.field)}: {error}") from None

    def origin(self, field: str) -> str:
        """The flag or the variable that a person gave, as it is to be named."""
        flag = next(flag for flag in FLAGS if flag.field == field)
        by_variable = self._arguments[field] is None and flag.environment in self._variables
        return flag.environment if by_variable else flag.name

    def has(self, field: str) -> bool:
        """Whether a person gave it."""
        flag = next(flag for flag in FLAGS if flag.field == field)
        return self._arguments[field] is not None or flag.environment in self._variables


def _check_combinations(values: Mapping[str, Any], given: _Given) -> None:
    modes = [mode for mode in ("config_check", "once", "check") if values[mode]]
    if len(modes) > 1:
        first, second = (given.origin(mode) for mode in modes[:2])
        raise SettingsError(f"{second}: cannot be combined with {first}; remove one of them")
    if values["textfile"] and not values["once"]:
        raise SettingsError(f"{given.origin('textfile')}: requires --once")
    if given.has("check_format") and not values["check"]:
        raise SettingsError(f"{given.origin('check_format')}: requires --check")
    if values["check_probe"] and not values["check"]:
        raise SettingsError(f"{given.origin('check_probe')}: requires --check")
    if values["demo"] and values["config_file"]:
        name, demo = given.origin("config_file"), given.origin("demo")
        raise SettingsError(f"{name}: cannot be combined with {demo}; remove one of them")


def _check_offset(accounts: Sequence[Account], values: Mapping[str, Any], given: _Given) -> None:
    offset = values["scrape_timeout_offset"]
    for account in accounts:
        if offset >= account.timeout:
            name = given.origin("scrape_timeout_offset")
            whose = f" of account {account.name!a}" if values["config_file"] else ""
            raise SettingsError(
                f"{name}: {offset:g} s is not below the timeout of {account.timeout:g} s{whose}; "
                "lower it, or raise --scrape.timeout"
            )


def _path_of(url: str) -> str:
    return "/" + url.split("/", 3)[3] if url.count("/") > 2 else ""  # noqa: PLR2004 - after the host


def _base_url(variables: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    try:
        url = api_url(variables.get(_BASE_URL, DEFAULT_BASE_URL))
    except ValueError as error:
        raise SettingsError(f"{_BASE_URL}: {error}") from None
    if is_plain_remote(url):
        return url, (f"{_BASE_URL} is not https: credentials are unencrypted",)
    return url, ()
