"""The one table of flags and the one of environment variables; parser, help and docs read them."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from typing import NoReturn

import msgspec

from exporter import __version__
from exporter.errors import SettingsError
from exporter.settings import parsers
from exporter.settings.values import DEFAULT_BASE_URL

PROGRAM = "cloudflare-mcp-exporter"
TWIN_PREFIX = "CLOUDFLARE_MCP_EXPORTER_"


class Flag(msgspec.Struct, frozen=True):
    """A flag and its environment twin.

    Attributes:
        name: as it is written, such as ``--web.listen-address``.
        field: of `Settings`.
        parse: from text to value; ``ValueError`` says what is wrong and what would be right.
        default: as a user would write it.
        metavar: stands for the value in the help; empty for a flag that takes none.
        help: one sentence.
        repeatable: whether it may be given several times, its variable with commas; the value is
            then a tuple of what ``parse`` gives.
    """

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
        "--config.file", "config_file", parsers.path, "", "FILE",
        "YAML file with the accounts; without it the environment describes the one there is.",
    ),
    Flag(
        "--config.check", "config_check", parsers.switch, "false", "",
        "Say whether the settings and the configuration file can be used, and end.",
    ),
    Flag(
        "--web.listen-address", "listen_addresses", parsers.listen_address, ":10180", "ADDRESS",
        "Where to listen: host:port, :port for all interfaces, [::1]:port or unix:/path; may be "
        "repeated.",
        repeatable=True,
    ),
    Flag(
        "--web.systemd-socket", "systemd_socket", parsers.switch, "false", "",
        "Listen on the sockets that systemd hands over, not on --web.listen-address.",
    ),
    Flag(
        "--web.telemetry-path", "telemetry_path", parsers.telemetry_path, "/metrics", "PATH",
        "Path under which the metrics are served.",
    ),
    Flag(
        "--web.route-prefix", "route_prefix", parsers.route_prefix, "", "PREFIX",
        "Prefix of every path that is served; the path of --web.external-url if not given.",
    ),
    Flag(
        "--web.external-url", "external_url", parsers.external_url, "", "URL",
        "URL under which users reach the exporter, such as through a proxy.",
    ),
    Flag(
        "--web.config.file", "web_config_file", parsers.path, "", "FILE",
        "YAML file with TLS and basic-auth users, in the exporter-toolkit's format.",
    ),
    Flag(
        "--web.enable-lifecycle", "enable_lifecycle", parsers.switch, "false", "",
        "Reload the configuration on POST to /-/reload.",
    ),
    Flag(
        "--web.max-requests", "max_requests", parsers.whole_number(0, 10_000), "40", "NUMBER",
        "Expositions made at the same time for scrapes that differ, 0 for no limit.",
    ),
    Flag(
        "--scrape.timeout", "timeout", parsers.seconds, "9", "SECONDS",
        "Longest time that a listing may take, whoever waits for it.",
    ),
    Flag(
        "--scrape.timeout-offset", "scrape_timeout_offset", parsers.seconds_or_zero, "0.5",
        "SECONDS", "Time kept back from the timeout that Prometheus announces, for the way back.",
    ),
    Flag(
        "--api.per-page", "per_page", parsers.whole_number(1, 100), "20", "NUMBER",
        "Portals asked for in one page, 1 to 100.",
    ),
    Flag(
        "--api.parallel-pages", "parallel_pages", parsers.whole_number(1, 16), "4", "NUMBER",
        "Pages after the first that are fetched at the same time, 1 to 16.",
    ),
    Flag(
        "--api.max-response-size", "max_response_bytes", parsers.size, "256MiB", "SIZE",
        "Largest page that is read, after decompression: bytes, or a number with KiB, MiB, GiB.",
    ),
    Flag(
        "--collector.servers", "collect_servers", parsers.switch, "false", "",
        "List the account's servers too, so that servers attached to no portal are seen.",
    ),
    Flag(
        "--cache.ttl", "cache_ttl", parsers.seconds_or_zero, "0", "SECONDS",
        "Time for which one listing serves further scrapes; 0 lists at every scrape.",
    ),
    Flag(
        "--probe.servers", "probe_servers", parsers.switch, "false", "",
        "Allow live probes of MCP servers on /probe/server.",
    ),
    Flag(
        "--probe.portals", "probe_portals", parsers.switch, "false", "",
        "Allow live probes of portals on /probe/portal.",
    ),
    Flag(
        "--probe.min-interval", "probe_min_interval", parsers.seconds, "30s", "SECONDS",
        "Minimum time between two probes of one target, however often it is scraped.",
    ),
    Flag(
        "--probe.allow-networks", "probe_allow_networks", parsers.networks, "", "CIDR",
        "Networks that may be probed although they are not public; may be repeated.",
        repeatable=True,
    ),
    Flag(
        "--probe.allow-http", "probe_allow_http", parsers.switch, "false", "",
        "Probe targets whose URL is http, too.",
    ),
    Flag(
        "--once", "once", parsers.switch, "false", "",
        "Print one exposition and end, with status 1 if an account failed.",
    ),
    Flag(
        "--textfile", "textfile", parsers.path, "", "FILE",
        "With --once: write the exposition to this file, for the node_exporter.",
    ),
    Flag(
        "--check", "check", parsers.switch, "false", "",
        "Try each account, say what works and what to mend, and end.",
    ),
    Flag(
        "--probe", "check_probe", parsers.switch, "false", "",
        "With --check: probe the servers and portals that may be probed, too.",
    ),
    Flag(
        "--format", "check_format", parsers.one_of("text", "json"), "text", "FORMAT",
        "With --check: text for people or json for programs.",
    ),
    Flag(
        "--demo", "demo", parsers.switch, "false", "",
        "Use a simulated API on this machine: needs no network and no credentials.",
    ),
    Flag(
        "--log.level", "log_level", parsers.one_of("debug", "info", "warn", "error"), "info",
        "LEVEL", "Lowest level that is logged: debug, info, warn or error.",
    ),
    Flag(
        "--log.format", "log_format", parsers.one_of("logfmt", "json"), "logfmt", "FORMAT",
        "Form of a log line: logfmt or json.",
    ),
)  # fmt: skip
"""Every flag, in the order of the help."""

ENVIRONMENT: tuple[Variable, ...] = (
    Variable(
        "CLOUDFLARE_API_TOKEN",
        "API token with the permission 'MCP Portals Read' on the account.",
    ),
    Variable(
        "CLOUDFLARE_API_TOKEN_FILE",
        "File that holds the token; it is read again when it changes.",
    ),
    Variable("CLOUDFLARE_EMAIL", "Legacy, with CLOUDFLARE_API_KEY: the user's e-mail address."),
    Variable("CLOUDFLARE_API_KEY", "Legacy, with CLOUDFLARE_EMAIL: the user's global API key."),
    Variable(
        "CLOUDFLARE_API_KEY_FILE",
        "Legacy: file that holds the key; it is read again when it changes.",
    ),
    Variable("CLOUDFLARE_ACCOUNT_ID", "Id of the account: 32 hexadecimal digits."),
    Variable(
        "CLOUDFLARE_BASE_URL",
        f"Base URL of the API, /client/v4 included (default: {DEFAULT_BASE_URL}).",
    ),
)
"""Every variable that has no flag, in the order of the help."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage: one line is what a person reads in a unit's log."""
        flag, _, complaint = message.removeprefix("argument ").partition(": ")
        if complaint.startswith("ignored explicit argument"):
            complaint = "takes no value; write the flag alone"  # the original shows the value
        raise SettingsError(f"{flag}: {complaint}; see --help")


def argument_parser() -> argparse.ArgumentParser:
    """The parser of the command line.

    Each flag's value stays text, or a list of texts; it is ``None`` where not given.
    """
    parser = _Parser(
        prog=PROGRAM,
        usage="%(prog)s [FLAG ...]",
        description="Prometheus exporter for Cloudflare MCP portals and the MCP servers in them.",
        epilog=_environment_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for flag in FLAGS:
        default = flag.default or "none"
        text = f"{flag.help} (default: {default}) [{flag.environment}]".replace("%", "%%")
        if flag.is_switch:
            parser.add_argument(
                flag.name, dest=flag.field, action="store_const", const="true", help=text
            )
        else:
            action = "append" if flag.repeatable else "store"
            parser.add_argument(
                flag.name, dest=flag.field, action=action, metavar=flag.metavar, help=text
            )
    parser.add_argument(
        "--version",
        action="version",
        version=f"{PROGRAM}, version {__version__} (Python {platform.python_version()})",
    )
    return parser


def _environment_help() -> str:
    lines = [f"  {variable.name:<28}{variable.help}" for variable in ENVIRONMENT]
    return "\n".join(
        (
            "environment variables:",
            *lines,
            "",
            "The variable in brackets does what its flag does; the flag wins where both are set.",
            "Secrets are read from the environment or from files, since a command line is public.",
        )
    )
