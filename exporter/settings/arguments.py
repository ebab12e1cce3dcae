"""The command line: from arguments to the text of each flag, and what is wrong with the others."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exporter.errors import SettingsError
from exporter.settings.flags import FLAGS, argument_parser, negated

# What follows an equals sign, or stands alone, may be a secret in a wrong place: so only what
# cannot be one is shown.
_FLAG = re.compile(r"--?[a-z]+([._-][a-z]+)*")
_SINGLE_DASH = re.compile(r"-[a-z]+([._-][a-z]+)+(=.*)?|-[a-z]{2,}(=.*)?", re.DOTALL)
_WORD = re.compile(r"[a-z]{1,16}(-[a-z]{1,16}){0,2}")
_ADDRESS = re.compile(r"(localhost|\d{1,3}(\.\d{1,3}){3})?:\d{1,5}")
_YAML = re.compile(r"[a-z0-9_./-]{1,60}\.ya?ml", re.IGNORECASE)

_NAMES = [flag.name for flag in FLAGS]
_SWITCHES = {flag.name: negated(flag.name) for flag in FLAGS if flag.is_switch}
_OTHERS = ["--help", "--version"]


def parsed_arguments(argv: Sequence[str]) -> dict[str, Any]:
    """By field: the text of each flag, None where it is not given; a list where it may repeat.

    Raises:
        SettingsError: with a line for each argument that has no meaning.
    """
    # argparse takes -help for the flag -h with a value.
    single = [argument for argument in argv if _SINGLE_DASH.fullmatch(argument)]
    if single:
        raise SettingsError(*(_unknown(argument, "") for argument in single))
    given, unknown = argument_parser().parse_known_args(argv)
    if unknown:
        raise SettingsError(*_complaints(unknown, argv))
    return vars(given)


def given_log_format(argv: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """The log format that a person chose, even where the other settings cannot be used."""
    flag = next(flag for flag in FLAGS if flag.field == "log_format")
    text = environ.get(flag.environment, "")
    for index, argument in enumerate(argv):
        if argument == flag.name:
            text = "".join(argv[index + 1 : index + 2])
        elif argument.startswith(f"{flag.name}="):
            text = argument.partition("=")[2]
    try:
        return str(flag.parse(text))
    except ValueError:
        return None


def _complaints(unknown: Sequence[str], argv: Sequence[str]) -> Iterator[str]:
    for argument in unknown:
        at = list(argv).index(argument) if argument in argv else 0
        yield _unknown(argument, argv[at - 1] if at else "")
        if argument.startswith("-") and "=" not in argument:
            return  # what comes next may be its value


def _unknown(argument: str, before: str) -> str:
    name = argument.partition("=")[0]
    if not name.startswith("-"):
        return _stray(argument, before)
    if not _FLAG.fullmatch(name):
        return "unknown flag (not shown, it may contain a secret); see --help"
    wanted = f"-{name}" if not name.startswith("--") else name
    close = difflib.get_close_matches(
        wanted, [*_NAMES, *_SWITCHES.values(), *_OTHERS], n=1, cutoff=0.7
    )
    advice = f"did you mean {close[0]}?" if close else "see --help"
    return f"{name}: unknown flag; {advice}"


def _stray(argument: str, before: str) -> str:
    """About an argument that is neither a flag nor the value of one."""
    if before in _SWITCHES:
        return f"{before}: takes no value; use {before} or {_SWITCHES[before]}"
    if _ADDRESS.fullmatch(argument):
        return f"{argument}: unexpected argument; did you mean --web.listen-address={argument}?"
    if _YAML.fullmatch(argument):
        return f"{argument}: unexpected argument; did you mean --config.file={argument}?"
    if not _WORD.fullmatch(argument):
        return "unexpected argument (not shown, it may be a secret); see --help"
    close = difflib.get_close_matches(argument, [name[2:] for name in [*_NAMES, *_OTHERS]], n=1)
    advice = f"did you mean --{close[0]}?" if close else "see --help"
    return f"{argument}: unexpected argument; {advice}"
