"""The one table of flags and the one of environment variables; parser, help and docs read them."""

from __future__ import annotations

import argparse
import platform
import shutil
from collections.abc import Callable
from typing import NoReturn

import msgspec

from exporter import __version__, revision
from exporter.errors import SettingsError
from exporter.settings import parsers
from exporter.settings.values import DEFAULT_BASE_URL

PROGRAM = "cloudflare-mcp-exporter"
TWIN_PREFIX = "CLOUDFLARE_MCP_EXPORTER_"

CONFIGURATION, API, PROBING, WEB = "Configuration", "Cloudflare API", "Live probes", "Web"
ONE_SHOT, LOGGING = "One-shot commands", "Logging"
GROUPS = (CONFIGURATION, API, PROBING, WEB, ONE_SHOT, LOGGING)
"""Of the help, in its order."""


class Flag(msgspec.Struct, frozen=True):
    """A flag and its environment twin.

    Attributes:
        group: of the help.
        name: as it is written, such as ``--web.listen-address``.
        field: of `Settings`.
        parse: from text to value; ``ValueError`` says what is wrong and what would be right.
        default: as a user would write it.
        metavar: stands for the value in the help; empty for a flag that takes none.
        help: one sentence.
        repeatable: whether it may be given several times, its variable with commas; the value is
            then a tuple of what ``parse`` gives.
    """

    group: str
    name: str
    field: str
    parse: Callable[[str], object]
    default: str
    metavar: str
    help: str
    repeatable: bool = False

    @property
    def environment(self) -> str:
        """The environment variable with the same meaning; the flag beats it."""
        return TWIN_PREFIX + self.name[2:].upper().replace(".", "_").replace("-", "_")

    @property
    def is_switch(self) -> bool:
        """Whether it takes no value on the command line."""
        return not self.metavar


class Variable(msgspec.Struct, frozen=True):
    """An environment variable that has no flag."""

    name: str
    help: str


FLAGS: tuple[Flag, ...] = (
    Flag(
        CONFIGURATION, "--config.file", "config_file", parsers.path, "", "FILE",
        "Path to the YAML configuration file. Without it, a single account is read from the "
        "environment.",
    ),
    Flag(
        CONFIGURATION, "--config.check", "config_check", parsers.switch, "false", "",
        "Validate the settings and the configuration file, then exit. Sends no request.",
    ),
    Flag(
        CONFIGURATION, "--config.auto-reload-interval", "auto_reload_interval",
        parsers.seconds_or_zero, "0", "SECONDS",
        "Interval at which to check the configuration file and reload it if it has changed. "
        "0 disables it.",
    ),
    Flag(
        CONFIGURATION, "--demo", "demo", parsers.switch, "false", "",
        "Use a simulated account: no network, no credentials.",
    ),
    Flag(
        API, "--scrape.timeout", "timeout", parsers.seconds, "9", "SECONDS",
        "Timeout for listing an account, shared by all scrapes that wait for it.",
    ),
    Flag(
        API, "--scrape.timeout-offset", "scrape_timeout_offset", parsers.seconds_or_zero, "0.5",
        "SECONDS",
        "Time subtracted from the timeout that Prometheus sends with a scrape.",
    ),
    Flag(
        API, "--cache.ttl", "cache_ttl", parsers.seconds_or_zero, "0", "SECONDS",
        "How long a listing is cached and served to further scrapes. 0 disables the cache.",
    ),
    Flag(
        API, "--collector.servers", "collect_servers", parsers.switch, "false", "",
        "Also list the account's servers, to include servers that are not in any portal.",
    ),
    Flag(
        API, "--api.per-page", "per_page", parsers.whole_number(1, 100), "20", "NUMBER",
        "Portals requested per page, 1 to 100.",
    ),
    Flag(
        API, "--api.parallel-pages", "parallel_pages", parsers.whole_number(1, 16), "4", "NUMBER",
        "Maximum number of pages fetched in parallel, after the first, 1 to 16.",
    ),
    Flag(
        API, "--api.max-response-size", "max_response_bytes", parsers.size, "256MiB", "SIZE",
        "Maximum size of an API response, after decompression.",
    ),
    Flag(
        PROBING, "--probe.servers", "probe_servers", parsers.switch, "false", "",
        "Enable live probes of MCP servers on /probe/server.",
    ),
    Flag(
        PROBING, "--probe.portals", "probe_portals", parsers.switch, "false", "",
        "Enable live probes of portals on /probe/portal.",
    ),
    Flag(
        PROBING, "--probe.min-interval", "probe_min_interval", parsers.seconds, "30s", "SECONDS",
        "Minimum time between two probes of a target, however often it is scraped.",
    ),
    Flag(
        PROBING, "--probe.allow-networks", "probe_allow_networks", parsers.networks, "", "CIDR",
        "Networks that may be probed although they are not public. Repeatable.",
        repeatable=True,
    ),
    Flag(
        PROBING, "--probe.allow-http", "probe_allow_http", parsers.switch, "false", "",
        "Also probe targets whose URL is http.",
    ),
    Flag(
        WEB, "--web.listen-address", "listen_addresses", parsers.listen_address, ":10180",
        "ADDRESS",
        "Address to listen on: HOST:PORT, :PORT for all interfaces, [::1]:PORT or unix:/PATH. "
        "Repeatable.",
        repeatable=True,
    ),
    Flag(
        WEB, "--web.systemd-socket", "systemd_socket", parsers.switch, "false", "",
        "Use systemd socket activation instead of --web.listen-address.",
    ),
    Flag(
        WEB, "--web.config.file", "web_config_file", parsers.path, "", "FILE",
        "Path to the web configuration file (TLS, basic authentication) in the format of the "
        "Prometheus exporter-toolkit.",
    ),
    Flag(
        WEB, "--web.telemetry-path", "telemetry_path", parsers.telemetry_path, "/metrics", "PATH",
        "Path under which to expose metrics.",
    ),
    Flag(
        WEB, "--web.external-url", "external_url", parsers.external_url, "", "URL",
        "URL under which the exporter is reachable, for example through a reverse proxy.",
    ),
    Flag(
        WEB, "--web.route-prefix", "route_prefix", parsers.route_prefix, "", "PREFIX",
        "Prefix for all paths. Defaults to the path of --web.external-url.",
    ),
    Flag(
        WEB, "--web.enable-lifecycle", "enable_lifecycle", parsers.switch, "false", "",
        "Enable reloads by POST to /-/reload.",
    ),
    Flag(
        WEB, "--web.max-requests", "max_requests", parsers.whole_number(0, 10_000), "40", "NUMBER",
        "Maximum number of different metrics responses rendered at the same time. 0 for no limit.",
    ),
    Flag(
        WEB, "--status.stale-after", "stale_after", parsers.seconds, "6h", "SECONDS",
        "Time without a successful sync after which the status page shows a server as stale. The "
        "threshold of the alerts is sync_stale_seconds.",
    ),
    Flag(
        ONE_SHOT, "--check", "check", parsers.switch, "false", "",
        "Check access to every account, print the result and exit.",
    ),
    Flag(
        ONE_SHOT, "--probe", "check_probe", parsers.switch, "false", "",
        "With --check: also probe the servers and portals that may be probed.",
    ),
    Flag(
        ONE_SHOT, "--format", "check_format", parsers.one_of("text", "json"), "text", "FORMAT",
        "Output format of --check: text or json.",
    ),
    Flag(
        ONE_SHOT, "--once", "once", parsers.switch, "false", "",
        "List every account once, print the metrics and exit.",
    ),
    Flag(
        ONE_SHOT, "--textfile", "textfile", parsers.path, "", "PATH",
        "With --once: write to this .prom file for the textfile collector of node_exporter.",
    ),
    Flag(
        LOGGING, "--log.level", "log_level",
        parsers.one_of("debug", "info", "warn", "error", also={"warning": "warn"}), "info",
        "LEVEL", "Only log messages with this severity or above: debug, info, warn or error.",
    ),
    Flag(
        LOGGING, "--log.format", "log_format", parsers.one_of("logfmt", "json"), "logfmt",
        "FORMAT", "Output format of log messages: logfmt or json.",
    ),
)  # fmt: skip
"""Every flag, in the order of the help."""

ENVIRONMENT: tuple[Variable, ...] = (
    Variable(
        "CLOUDFLARE_API_TOKEN",
        "API token with the permission 'MCP Portals Read'.",
    ),
    Variable(
        "CLOUDFLARE_API_TOKEN_FILE",
        "File with the API token, read again at every listing.",
    ),
    Variable("CLOUDFLARE_ACCOUNT_ID", "Account ID: 32 hexadecimal digits."),
    Variable(
        "CLOUDFLARE_BASE_URL",
        f"Base URL of the API (default: {DEFAULT_BASE_URL}).",
    ),
    Variable("CLOUDFLARE_EMAIL", "Legacy, with CLOUDFLARE_API_KEY: the user's email address."),
    Variable("CLOUDFLARE_API_KEY", "Legacy, with CLOUDFLARE_EMAIL: the user's global API key."),
    Variable(
        "CLOUDFLARE_API_KEY_FILE",
        "Legacy: file with the API key, read again at every listing.",
    ),
)
"""Every variable that has no flag, in the order of the help."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage: one line is what a person reads in a unit's log."""
        names, _, complaint = message.removeprefix("argument ").partition(": ")
        flag = names.split("/")[-1]
        if complaint.startswith("ignored explicit argument"):  # the original shows the value
            complaint = f"takes no value; use {flag} or {negated(flag)}"
        elif complaint.startswith("expected one argument"):
            complaint = "requires a value; see --help"
        raise SettingsError(f"{flag}: {complaint}")


def negated(flag: str) -> str:
    """The flag that switches this one off."""
    return f"--no-{flag[2:]}"


def argument_parser() -> argparse.ArgumentParser:
    """The parser of the command line.

    Each flag's value stays text, or a list of texts; it is ``None`` where not given.
    """
    parser = _Parser(
        prog=PROGRAM,
        usage="%(prog)s [flags]",
        description=(
            "Prometheus exporter for Cloudflare MCP portals and the MCP servers in them.\n\n"
            + _environment_help()
        ),
        epilog=_EPILOG,
        formatter_class=_Formatter,
        allow_abbrev=False,
        add_help=False,
    )
    for group in GROUPS:
        section = parser.add_argument_group(group)
        for flag in (one for one in FLAGS if one.group == group):
            _add(section, flag)
    other = parser.add_argument_group("Other")
    other.add_argument("-h", "--help", action="help", help="Print this help and exit.")
    other.add_argument(
        "--version",
        action="version",
        version=(
            f"{PROGRAM}, version {__version__} (revision: {revision()}, "
            f"Python {platform.python_version()})"
        ),
        help="Print the version and the revision, and exit.",
    )
    return parser


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        width = min(max(shutil.get_terminal_size().columns - 2, 60), 100)
        super().__init__(prog, max_help_position=34, width=width)


def _add(section: argparse._ArgumentGroup, flag: Flag) -> None:
    if flag.is_switch:
        for name, word, text in (
            (flag.name, "true", flag.help),
            (negated(flag.name), "false", argparse.SUPPRESS),
        ):
            section.add_argument(name, dest=flag.field, action="store_const", const=word, help=text)
        return
    default = f" (default: {flag.default})" if flag.default else ""
    section.add_argument(
        flag.name,
        dest=flag.field,
        action="append" if flag.repeatable else "store",
        metavar=flag.metavar,
        help=f"{flag.help}{default}".replace("%", "%%"),
    )


def _environment_help() -> str:
    lines = (f"  {variable.name:<27}{variable.help}" for variable in ENVIRONMENT)
    return "\n".join(("Environment variables:", *lines))


_EPILOG = f"""\
Every flag can also be set by an environment variable: --log.level is {TWIN_PREFIX}LOG_LEVEL.
The flag overrides the variable. Switches such as --collector.servers take no value on the command
line; --no-collector.servers turns one off. Secrets are read only from the environment and files."""
