"""From the command line and the environment to `Settings`."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

from exporter.errors import SettingsError
from exporter.settings.accounts import account_from
from exporter.settings.flags import FLAGS, TWIN_PREFIX, Flag, argument_parser
from exporter.settings.parsers import base_url, is_plain_remote
from exporter.settings.values import DEFAULT_BASE_URL, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_FLAG_LIKE = re.compile(r"--[a-z]+([._-][a-z]+)*")


def load(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """The settings that ``argv`` (without the program's name) and ``environ`` make.

    An empty variable counts as unset. ``--help`` and ``--version`` print and raise ``SystemExit``.

    Raises:
        SettingsError: one line that names the setting, what is wrong with it and how to mend it;
            it holds no part of a secret.
    """
    given = _parse_arguments(argv)
    variables = {name: value for name, value in environ.items() if value}
    values: dict[str, Any] = {flag.field: _value(flag, given, variables) for flag in FLAGS}
    _check_offset(values, given, variables)
    notices = _misspelt(variables)
    if values["demo"]:
        return Settings(accounts=(), base_url=DEFAULT_BASE_URL, notices=notices, **values)
    account, account_notices = account_from(variables)
    url, url_notices = _base_url(variables)
    return Settings(
        accounts=(account,),
        base_url=url,
        notices=(*notices, *account_notices, *url_notices),
        **values,
    )


def _parse_arguments(argv: Sequence[str]) -> dict[str, str | None]:
    given, unknown = argument_parser().parse_known_args(argv)
    if unknown:
        raise SettingsError(_unknown(unknown[0]))
    return vars(given)


def _unknown(argument: str) -> str:
    # What follows an equals sign, or stands alone, may be a secret that was put in a wrong place.
    name = argument.partition("=")[0]
    if not _FLAG_LIKE.fullmatch(name):
        return "the command line has an argument that belongs to no flag; remove it, or see --help"
    close = difflib.get_close_matches(name, [flag.name for flag in FLAGS], n=1)
    advice = f"did you mean {close[0]}?" if close else "see --help for those that there are"
    return f"{name}: there is no such flag; {advice}"


def _value(flag: Flag, given: Mapping[str, str | None], variables: Mapping[str, str]) -> object:
    text = given[flag.field]
    if text is None:
        text = variables.get(flag.environment, flag.default)
    try:
        return flag.parse(text)
    except ValueError as error:
        raise SettingsError(f"{_origin(flag, given, variables)}: {error}") from None


def _origin(flag: Flag, given: Mapping[str, str | None], variables: Mapping[str, str]) -> str:
    by_variable = given[flag.field] is None and flag.environment in variables
    return flag.environment if by_variable else flag.name


def _check_offset(
    values: Mapping[str, Any], given: Mapping[str, str | None], variables: Mapping[str, str]
) -> None:
    if values["scrape_timeout_offset"] >= values["scrape_timeout"]:
        offset = next(flag for flag in FLAGS if flag.field == "scrape_timeout_offset")
        raise SettingsError(
            f"{_origin(offset, given, variables)}: {values['scrape_timeout_offset']:g} s is not "
            f"below the scrape time-out of {values['scrape_timeout']:g} s; lower it, or raise "
            "--scrape.timeout"
        )


def _base_url(variables: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    try:
        url = base_url(variables.get("CLOUDFLARE_BASE_URL", DEFAULT_BASE_URL))
    except ValueError as error:
        raise SettingsError(f"CLOUDFLARE_BASE_URL: {error}") from None
    if is_plain_remote(url):
        return url, ("CLOUDFLARE_BASE_URL is not https: credentials travel unencrypted",)
    return url, ()


def _misspelt(variables: Mapping[str, str]) -> tuple[str, ...]:
    # Not an error: Kubernetes sets variables of its own under this prefix, from a service's name.
    twins = [flag.environment for flag in FLAGS]
    strangers = sorted(
        name for name in variables if name.startswith(TWIN_PREFIX) and name not in twins
    )
    close = ((name, difflib.get_close_matches(name, twins, n=1, cutoff=0.93)) for name in strangers)
    return tuple(f"{name} is not a setting; is {twin[0]} meant?" for name, twin in close if twin)
