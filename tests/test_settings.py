"""Each setting from flag and environment; each mistake by its exact line, which holds no secret."""

from __future__ import annotations

import itertools
import os
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exporter import __version__, revision
from exporter.errors import SettingsError
from exporter.settings import (
    ENVIRONMENT,
    FLAGS,
    Account,
    Credentials,
    Flag,
    ListenAddress,
    Listing,
    Secret,
    Settings,
    load,
)
from exporter.settings.flags import GROUPS

TOKEN = "cZ8kP2mQ7vX4rT9wL1nB6yH3dF5sJ0gA-uE_iOp"
KEY = "9f8e7d6c5b4a39281706f5e4d3c2b1a098765"
ID = "0123456789abcdef0123456789abcdef"
ENVIRON = {"CLOUDFLARE_API_TOKEN": TOKEN, "CLOUDFLARE_ACCOUNT_ID": ID}
LEGACY = {
    "CLOUDFLARE_EMAIL": "ops@example.com",
    "CLOUDFLARE_API_KEY": KEY,
    "CLOUDFLARE_ACCOUNT_ID": ID,
}
PREFIX = "CLOUDFLARE_MCP_EXPORTER_"


def refusal(argv: list[str], environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        load(argv, environ)
    text = str(caught.value)
    assert text.isascii()
    return text


def test_token_and_account_id_are_enough() -> None:
    assert load([], ENVIRON) == Settings(
        accounts=(
            Account(
                name=ID,
                account_id=ID,
                credentials=Credentials(token=Secret(text=TOKEN)),
                base_url="https://api.cloudflare.com/client/v4",
                timeout=9.0,
                per_page=20,
                parallel_pages=4,
                max_response_bytes=256 * 1024**2,
                collect_servers=False,
                cache_ttl=0.0,
                proxy_url="",
                ca_file="",
            ),
        ),
        defaults=Listing(),
        config_file="",
        config_check=False,
        auto_reload_interval=0.0,
        listen_addresses=(ListenAddress("", 10180),),
        telemetry_path="/metrics",
        web_config_file="",
        enable_lifecycle=False,
        route_prefix="",
        external_url="",
        max_requests=40,
        systemd_socket=False,
        stale_after=21_600.0,
        scrape_timeout_offset=0.5,
        once=False,
        textfile="",
        check=False,
        check_format="text",
        demo=False,
        log_level="info",
        log_format="logfmt",
        notices=(),
    )


VALUES = [
    ("--config.check", None, True),
    ("--config.auto-reload-interval", "30s", 30.0),
    ("--web.listen-address", "[::1]:0", (ListenAddress("::1", 0),)),
    ("--web.systemd-socket", None, True),
    ("--web.telemetry-path", "/mcp/metrics", "/mcp/metrics"),
    ("--web.route-prefix", "/mcp/", "/mcp"),
    ("--web.external-url", "https://example.com/", "https://example.com"),
    ("--web.config.file", "/etc/exporter/web.yml", "/etc/exporter/web.yml"),
    ("--web.enable-lifecycle", None, True),
    ("--web.max-requests", "0", 0),
    ("--status.stale-after", "8h", 28_800.0),
    ("--scrape.timeout", "30", 30.0),
    ("--scrape.timeout-offset", "0", 0.0),
    ("--api.per-page", "100", 100),
    ("--api.parallel-pages", "1", 1),
    ("--api.max-response-size", "1GiB", 1024**3),
    ("--collector.servers", None, True),
    ("--cache.ttl", "5m", 300.0),
    ("--once", None, True),
    ("--check", None, True),
    ("--demo", None, True),
    ("--log.level", "debug", "debug"),
    ("--log.format", "json", "json"),
]

TRIED_ELSEWHERE = {"--config.file", "--textfile", "--format"}


def flag_named(name: str) -> Flag:
    return next(flag for flag in FLAGS if flag.name == name)


def value_of(settings: Settings, flag: Flag) -> object:
    holder = settings if hasattr(settings, flag.field) else settings.defaults
    return getattr(holder, flag.field)


def account_of(settings: Settings) -> Account:
    return settings.accounts[0]


def test_every_flag_is_tried_here() -> None:
    tried = {name for name, _, _ in VALUES} | TRIED_ELSEWHERE
    assert sorted(tried) == sorted(flag.name for flag in FLAGS)


@pytest.mark.parametrize(("name", "text", "value"), VALUES, ids=[name for name, _, _ in VALUES])
def test_a_flag_and_its_environment_twin_mean_the_same(
    name: str, text: str | None, value: object
) -> None:
    flag = flag_named(name)
    by_flag = load([name] if text is None else [f"{name}={text}"], ENVIRON)
    by_twin = load([], {**ENVIRON, flag.environment: text or "true"})
    assert value_of(by_flag, flag) == value
    assert by_twin == by_flag


def test_a_flag_that_needs_another_works_beside_it() -> None:
    settings = load(["--once", "--textfile", "/var/lib/x.prom"], ENVIRON)
    assert (settings.once, settings.textfile) == (True, "/var/lib/x.prom")
    settings = load(["--check", "--format", "json"], ENVIRON)
    assert (settings.check, settings.check_format) == (True, "json")


def test_listen_addresses_may_be_repeated_or_stand_with_commas_in_the_environment() -> None:
    addresses = (ListenAddress("127.0.0.1", 1), ListenAddress(path="/run/exporter.sock"))
    flags = ["--web.listen-address=127.0.0.1:1", "--web.listen-address=unix:/run/exporter.sock"]
    twin = {f"{PREFIX}WEB_LISTEN_ADDRESS": "127.0.0.1:1, unix:/run/exporter.sock"}
    assert load(flags, ENVIRON).listen_addresses == addresses
    assert load([], {**ENVIRON, **twin}).listen_addresses == addresses


@pytest.mark.parametrize(
    ("flags", "prefix"),
    [
        ([], ""),
        (["--web.external-url=https://example.com"], ""),
        (["--web.external-url=https://example.com/a/b/"], "/a/b"),
        (["--web.external-url=https://example.com/a", "--web.route-prefix=/b"], "/b"),
        (["--web.external-url=https://example.com/a", "--web.route-prefix=/"], ""),
        (["--web.route-prefix=a"], "/a"),
    ],
)
def test_the_route_prefix_is_the_path_of_the_external_url_unless_given(
    flags: list[str], prefix: str
) -> None:
    assert load(flags, ENVIRON).route_prefix == prefix


def test_the_twin_of_a_flag_is_its_name_in_capitals() -> None:
    assert flag_named("--web.listen-address").environment == f"{PREFIX}WEB_LISTEN_ADDRESS"
    assert len({flag.environment for flag in FLAGS}) == len(FLAGS)


def test_a_flag_beats_its_twin() -> None:
    environ = {**ENVIRON, f"{PREFIX}API_PER_PAGE": "50"}
    assert account_of(load([], environ)).per_page == 50
    assert account_of(load(["--api.per-page", "10"], environ)).per_page == 10


def test_an_empty_variable_counts_as_unset() -> None:
    environ = {f"{PREFIX}API_PER_PAGE": "", "CLOUDFLARE_API_KEY": "", "CLOUDFLARE_BASE_URL": ""}
    assert load([], {**ENVIRON, **environ}) == load([], ENVIRON)


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("1", True), ("YES", True), ("false", False), ("0", False), ("no", False)],
)
def test_a_switch_takes_the_usual_words_from_the_environment(text: str, value: bool) -> None:
    settings = load([], {**ENVIRON, f"{PREFIX}COLLECTOR_SERVERS": text})
    assert account_of(settings).collect_servers is value


@pytest.mark.parametrize("text", ["warn", "WARN", "Warning", "warning"])
def test_the_log_level_is_taken_in_any_case_and_as_warning(text: str) -> None:
    assert load([f"--log.level={text}"], ENVIRON).log_level == "warn"
    assert load([], {**ENVIRON, f"{PREFIX}LOG_LEVEL": text}).log_level == "warn"


def test_a_switch_is_turned_off_by_its_name_with_no() -> None:
    environ = {**ENVIRON, f"{PREFIX}COLLECTOR_SERVERS": "true"}
    assert account_of(load([], environ)).collect_servers
    assert not account_of(load(["--no-collector.servers"], environ)).collect_servers
    both = ["--no-collector.servers", "--collector.servers"]
    assert account_of(load(both, ENVIRON)).collect_servers, "the last one counts"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (":9100", ListenAddress("", 9100)),
        ("127.0.0.1:0", ListenAddress("127.0.0.1", 0)),
        ("exporter.example.com:65535", ListenAddress("exporter.example.com", 65535)),
        ("[::]:10180", ListenAddress("::", 10180)),
        ("[fe80::1%eth0.5]:10180", ListenAddress("fe80::1%eth0.5", 10180)),
        ("unix:/run/exporter.sock", ListenAddress(path="/run/exporter.sock")),
    ],
)
def test_listen_addresses_take_prometheus_forms(text: str, value: ListenAddress) -> None:
    assert load(["--web.listen-address", text], ENVIRON).listen_addresses == (value,)
    assert load(["--web.listen-address", str(value)], ENVIRON).listen_addresses == (value,)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1048576", 1048576), ("512KiB", 524288), ("2 mib", 2097152), ("1GiB", 1073741824)],
)
def test_sizes_are_bytes_or_binary_units(text: str, value: int) -> None:
    settings = load(["--api.max-response-size", text], ENVIRON)
    assert account_of(settings).max_response_bytes == value


@pytest.mark.parametrize(
    ("text", "value"), [("9", 9.0), ("0.75", 0.75), (".6s", 0.6), ("1500ms", 1.5), ("2m", 120.0)]
)
def test_times_are_seconds_unless_they_say_otherwise(text: str, value: float) -> None:
    settings = load(["--scrape.timeout", text], ENVIRON)
    assert account_of(settings).timeout == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("https://api.cloudflare.com/client/v4/", "https://api.cloudflare.com/client/v4"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/client/v4", "http://[::1]:8080/client/v4"),
        ("http://localhost/v4", "http://localhost/v4"),
    ],
)
def test_the_base_url_is_taken_without_its_last_slash(text: str, value: str) -> None:
    settings = load([], {**ENVIRON, "CLOUDFLARE_BASE_URL": text})
    assert account_of(settings).base_url == value
    assert settings.notices == ()


def test_e_mail_and_key_are_credentials() -> None:
    account = load([], LEGACY).accounts[0]
    assert account.credentials == Credentials(email="ops@example.com", key=Secret(text=KEY))


def test_the_demo_needs_no_credentials_and_ignores_those_there_are() -> None:
    assert load(["--demo"], {}).accounts == ()
    settings = load(["--demo"], {**LEGACY, **ENVIRON, "CLOUDFLARE_BASE_URL": "nonsense"})
    assert settings == load(["--demo"], {})


@pytest.mark.parametrize(
    ("environ", "notice"),
    [
        (
            {"CLOUDFLARE_EMAIL": "ops@example.com"},
            "CLOUDFLARE_EMAIL is ignored, because a token is set",
        ),
        (
            {"CLOUDFLARE_BASE_URL": "http://api.example.com"},
            "CLOUDFLARE_BASE_URL is not https: credentials are unencrypted",
        ),
        (
            {f"{PREFIX}WEB_LISTEN_ADRESS": ":1"},
            (
                f"{PREFIX}WEB_LISTEN_ADRESS is not a known environment variable; did you mean "
                f"{PREFIX}WEB_LISTEN_ADDRESS?"
            ),
        ),
        (
            {f"{PREFIX}LOG_LEVLE": "debug"},
            (
                f"{PREFIX}LOG_LEVLE is not a known environment variable; did you mean "
                f"{PREFIX}LOG_LEVEL?"
            ),
        ),
        (
            {f"{PREFIX}FROBNICATE": "1"},
            f"{PREFIX}FROBNICATE is not a known environment variable; see --help",
        ),
        (
            {"CLOUDFLARE_MCP_EXPORTR_LOG_LEVEL": "debug"},
            (
                "CLOUDFLARE_MCP_EXPORTR_LOG_LEVEL is not a known environment variable; did you "
                f"mean {PREFIX}LOG_LEVEL?"
            ),
        ),
        (
            {"CLOUDFLARE_API_BASE_URL": "https://api.example.com"},
            (
                "CLOUDFLARE_API_BASE_URL is not a known environment variable; did you mean "
                "CLOUDFLARE_BASE_URL?"
            ),
        ),
    ],
    ids=[
        "email with token",
        "plain http",
        "misspelled",
        "swapped letters",
        "like nothing",
        "misspelled prefix",
        "no flag",
    ],
)
def test_what_is_odd_but_usable_is_a_notice(environ: dict[str, str], notice: str) -> None:
    assert load([], {**ENVIRON, **environ}).notices == (notice,)


def test_a_misspelled_variable_is_named_where_the_right_one_is_missing() -> None:
    assert refusal([], {"CLOUDFLARE_API_TOKENS": TOKEN, "CLOUDFLARE_ACCOUNT_ID": ID}) == (
        "CLOUDFLARE_API_TOKEN: not set; set it to an API token with the permission "
        "'MCP Portals Read', or try --demo\n"
        "CLOUDFLARE_API_TOKENS is not a known environment variable; did you mean "
        "CLOUDFLARE_API_TOKEN?"
    )


def test_the_variables_of_kubernetes_and_of_other_programs_are_not_remarked_on() -> None:
    environ = {
        "CLOUDFLARE_ZONE_ID": "0",
        "CLOUDFLARE_API_TOKEN_OF_TERRAFORM": "0",
        f"{PREFIX}METRICS_SERVICE_PORT_HTTP": "10180",
        f"{PREFIX}SERVICE_HOST": "10.0.0.1",
        f"{PREFIX}SERVICE_PORT": "10180",
        f"{PREFIX}PORT": "tcp://10.0.0.1:10180",
        f"{PREFIX}PORT_10180_TCP_ADDR": "10.0.0.1",
    }
    assert load([], {**ENVIRON, **environ}).notices == ()


FLAG_MISTAKES = [
    (
        ["--web.listen-adress", ":1"],
        "--web.listen-adress: unknown flag; did you mean --web.listen-address?",
    ),
    (["--frobnicate=1"], "--frobnicate: unknown flag; see --help"),
    (["serve"], "serve: unexpected argument; see --help"),
    (["once"], "once: unexpected argument; did you mean --once?"),
    (
        ["localhost:9100"],
        "localhost:9100: unexpected argument; did you mean --web.listen-address=localhost:9100?",
    ),
    (
        ["config.yml"],
        "config.yml: unexpected argument; did you mean --config.file=config.yml?",
    ),
    (["a7Fh2"], "unexpected argument (not shown, it may be a secret); see --help"),
    (["--check", "true"], "--check: takes no value; use --check or --no-check"),
    (["--log.lev=debug"], "--log.lev: unknown flag; did you mean --log.level?"),
    (
        ["-web.listen-address=:1"],
        "-web.listen-address: unknown flag; did you mean --web.listen-address?",
    ),
    (["-demo"], "-demo: unknown flag; did you mean --demo?"),
    (["-help"], "-help: unknown flag; did you mean --help?"),
    (["-x"], "-x: unknown flag; see --help"),
    (["--no-log.level"], "--no-log.level: unknown flag; did you mean --log.level?"),
    (
        ["--webconfig.file=x", "--cachettl=1"],
        (
            "--webconfig.file: unknown flag; did you mean --web.config.file?\n"
            "--cachettl: unknown flag; did you mean --cache.ttl?"
        ),
    ),
    (
        ["--log.level=loud", "--cache.ttl=soon"],
        (
            "--cache.ttl: 'soon' is not a duration; use seconds such as 9 or 0.5, or 30s, 5m, "
            "1h30m\n--log.level: 'loud' is not one of debug, info, warn, error"
        ),
    ),
    (["--log.level"], "--log.level: requires a value; see --help"),
    (["--demo=yes"], "--demo: takes no value; use --demo or --no-demo"),
    (["--log.level=loud"], "--log.level: 'loud' is not one of debug, info, warn, error"),
    (["--log.format=xml"], "--log.format: 'xml' is not one of logfmt, json"),
    (
        ["--web.listen-address=10180"],
        "--web.listen-address: '10180' has no port; use HOST:PORT, or :PORT for all interfaces",
    ),
    (
        ["--web.listen-address=:65536"],
        "--web.listen-address: '65536' is not a port from 0 to 65535",
    ),
    (
        ["--web.listen-address=::1:10180"],
        "--web.listen-address: '::1' contains colons; write an IPv6 address as [::1]:10180",
    ),
    (
        ["--web.listen-address=[nope]:1"],
        "--web.listen-address: '[nope]' is not an IPv6 address in brackets",
    ),
    (
        ["--web.listen-address=[fe80::1]:1"],
        ("--web.listen-address: '[fe80::1]' requires an interface, such as [fe80::1%eth0]"),
    ),
    (
        ["--web.listen-address=[fe80::1%a b]:1"],
        ("--web.listen-address: '[fe80::1%a b]' requires an interface, such as [fe80::1%eth0]"),
    ),
    (
        ["--web.listen-address=[::1%lo]:1"],
        (
            "--web.listen-address: '[::1%lo]' is not a link-local address; remove the % and what "
            "follows it"
        ),
    ),
    (
        ["--web.listen-address=http://localhost:1"],
        (
            "--web.listen-address: 'http://localhost:1' is a URL or a path; use HOST:PORT, :PORT "
            "or unix:/PATH"
        ),
    ),
    (
        ["--web.listen-address=*:1"],
        "--web.listen-address: '*' is not a host; use :PORT to listen on all interfaces",
    ),
    (
        ["--web.telemetry-path=metrics"],
        "--web.telemetry-path: 'metrics' does not begin with a slash",
    ),
    (
        ["--web.telemetry-path=/-/healthy"],
        "--web.telemetry-path: '/-/healthy' is reserved; use another path",
    ),
    *(
        (
            [f"--web.telemetry-path={path}"],
            f"--web.telemetry-path: {path!r} is reserved; use another path",
        )
        for path in ("/-/x", "/probe", "/sd", "/config", "/exporter", "/runbooks", "/runbooks/x")
    ),
    *(
        (
            [f"--web.telemetry-path={path}"],
            (
                f"--web.telemetry-path: {path!r} is not a plain path; use letters, digits, slashes "
                "and dashes only"
            ),
        )
        for path in ("/a?b", "/a#b", "/a b", "/a%20b", "//a", "/a/../b")
    ),
    (
        ["--web.listen-address=unix:exporter.sock"],
        (
            "--web.listen-address: 'unix:exporter.sock' is not an absolute path; use "
            "unix:/run/exporter.sock"
        ),
    ),
    (
        ["--web.listen-address=unix:/" + "x" * 107],
        (
            "--web.listen-address: 'unix:/" + "x" * 54 + "...' is too long for a Unix socket; use "
            "a shorter path"
        ),
    ),
    (
        ["--web.route-prefix=/a//b"],
        (
            "--web.route-prefix: '/a//b' is not a plain path; use letters, digits, slashes and "
            "dashes only"
        ),
    ),
    (
        ["--web.external-url=example.com"],
        "--web.external-url: is not an http or https URL with a host; use https://HOST/PATH",
    ),
    (
        ["--web.max-requests=-1"],
        "--web.max-requests: '-1' is not an integer from 0 to 10000",
    ),
    (["--textfile=x.prom"], "--textfile: requires --once"),
    (["--format=json"], "--format: requires --check"),
    (["--once", "--check"], "--check: cannot be combined with --once; remove one of them"),
    (
        ["--config.check", "--once"],
        "--once: cannot be combined with --config.check; remove one of them",
    ),
    (
        ["--demo", "--config.file=config.yml"],
        "--config.file: cannot be combined with --demo; remove one of them",
    ),
    (
        ["--scrape.timeout=0"],
        "--scrape.timeout: '0' must be greater than 0",
    ),
    *(
        (
            [f"--scrape.timeout={text}"],
            (
                f"--scrape.timeout: {text!r} is not a duration; use seconds such as 9 or 0.5, or "
                "30s, 5m, 1h30m"
            ),
        )
        for text in ("-1", "nan", "inf", "1e3", "nine", "", "1_0", "9 parsecs")
    ),
    (
        ["--scrape.timeout=2", "--scrape.timeout-offset=2"],
        (
            "--scrape.timeout-offset: 2 s is not below the timeout of 2 s; lower it, or raise "
            "--scrape.timeout"
        ),
    ),
    *(
        (
            [f"--api.per-page={text}"],
            f"--api.per-page: {text!r} is not an integer from 1 to 100",
        )
        for text in ("0", "101", "-5", "2.5", "", "99999999999999999999")
    ),
    (["--api.parallel-pages=17"], "--api.parallel-pages: '17' is not an integer from 1 to 16"),
    *(
        (
            [f"--api.max-response-size={text}"],
            (
                f"--api.max-response-size: {text!r} is not a size; use bytes or a unit such as "
                "256MiB"
            ),
        )
        for text in ("0", "5MB", "-1", "1.5GiB", "lots")
    ),
]


@pytest.mark.parametrize(
    ("argv", "line"), FLAG_MISTAKES, ids=[" ".join(argv) for argv, _ in FLAG_MISTAKES]
)
def test_a_mistake_in_a_flag_is_one_line_that_names_it(argv: list[str], line: str) -> None:
    assert refusal(argv, ENVIRON) == line


def test_a_mistake_in_a_twin_names_the_variable() -> None:
    assert refusal([], {**ENVIRON, f"{PREFIX}DEMO": "maybe"}) == (
        "CLOUDFLARE_MCP_EXPORTER_DEMO: 'maybe' is not a boolean; use true or false"
    )
    assert refusal([], {**ENVIRON, f"{PREFIX}SCRAPE_TIMEOUT_OFFSET": "10"}).startswith(
        "CLOUDFLARE_MCP_EXPORTER_SCRAPE_TIMEOUT_OFFSET: 10 s is not below"
    )


def test_a_wrong_value_is_shown_on_one_line_and_not_endlessly() -> None:
    assert refusal(["--log.level=a\nb\u2028" + "x" * 500], ENVIRON) == (
        "--log.level: 'a\\nb\\u2028" + "x" * 56 + "...' is not one of debug, info, warn, error"
    )


SETS = {
    "nothing": (
        {},
        (
            "CLOUDFLARE_API_TOKEN: not set; set it to an API token with the permission "
            "'MCP Portals Read', or try --demo\n"
            "CLOUDFLARE_ACCOUNT_ID: not set; set it to the account ID (32 hexadecimal digits)"
        ),
    ),
    "no account": (
        {"CLOUDFLARE_API_TOKEN": TOKEN},
        "CLOUDFLARE_ACCOUNT_ID: not set; set it to the account ID (32 hexadecimal digits)",
    ),
    "both sets": (
        {**ENVIRON, **LEGACY},
        "CLOUDFLARE_API_TOKEN, CLOUDFLARE_API_KEY: both are set; unset one, preferably the key",
    ),
    "token and key": (
        {**ENVIRON, "CLOUDFLARE_API_KEY": KEY},
        "CLOUDFLARE_API_TOKEN, CLOUDFLARE_API_KEY: both are set; unset one, preferably the key",
    ),
    "key alone": (
        {"CLOUDFLARE_API_KEY": KEY, "CLOUDFLARE_ACCOUNT_ID": ID},
        (
            "CLOUDFLARE_EMAIL: not set, but CLOUDFLARE_API_KEY is; set both, or preferably only "
            "CLOUDFLARE_API_TOKEN"
        ),
    ),
    "e-mail alone": (
        {"CLOUDFLARE_EMAIL": "ops@example.com", "CLOUDFLARE_ACCOUNT_ID": ID},
        (
            "CLOUDFLARE_API_KEY: not set, but CLOUDFLARE_EMAIL is; set both, or preferably only "
            "CLOUDFLARE_API_TOKEN"
        ),
    ),
    "token and its file": (
        {**ENVIRON, "CLOUDFLARE_API_TOKEN_FILE": "/run/secrets/token"},
        "CLOUDFLARE_API_TOKEN, CLOUDFLARE_API_TOKEN_FILE: both are set; unset one",
    ),
    "key and its file": (
        {**LEGACY, "CLOUDFLARE_API_KEY_FILE": "/run/secrets/key"},
        "CLOUDFLARE_API_KEY, CLOUDFLARE_API_KEY_FILE: both are set; unset one",
    ),
    "token and file of a key": (
        {**ENVIRON, "CLOUDFLARE_API_KEY_FILE": "/run/secrets/key"},
        (
            "CLOUDFLARE_API_TOKEN, CLOUDFLARE_API_KEY_FILE: both are set; unset one, preferably "
            "the key"
        ),
    ),
    "file that is not there": (
        {"CLOUDFLARE_API_TOKEN_FILE": "/nowhere/token", "CLOUDFLARE_ACCOUNT_ID": ID},
        (
            "CLOUDFLARE_API_TOKEN_FILE: the file '/nowhere/token' cannot be read: no such file or "
            "directory"
        ),
    ),
    "the token as its file": (
        {"CLOUDFLARE_API_TOKEN_FILE": TOKEN, "CLOUDFLARE_ACCOUNT_ID": ID},
        "CLOUDFLARE_API_TOKEN_FILE: the file cannot be read: no such file or directory",
    ),
    "no e-mail address": (
        {**LEGACY, "CLOUDFLARE_EMAIL": TOKEN},
        "CLOUDFLARE_EMAIL: is not an email address; use the one of the key's user",
    ),
    "the token as account id": (
        {**ENVIRON, "CLOUDFLARE_ACCOUNT_ID": TOKEN},
        (
            "CLOUDFLARE_ACCOUNT_ID: contains the API token or key; use the account ID "
            "(32 hexadecimal digits)"
        ),
    ),
    "an e-mail as account id": (
        {**ENVIRON, "CLOUDFLARE_ACCOUNT_ID": "ops@example.com"},
        ("CLOUDFLARE_ACCOUNT_ID: has 15 characters; use the account ID (32 hexadecimal digits)"),
    ),
    "a path as account id": (
        {**ENVIRON, "CLOUDFLARE_ACCOUNT_ID": f"accounts/{ID}"},
        ("CLOUDFLARE_ACCOUNT_ID: has 41 characters; use the account ID (32 hexadecimal digits)"),
    ),
    "a placeholder as account id": (
        {**ENVIRON, "CLOUDFLARE_ACCOUNT_ID": "<account id>"},
        "CLOUDFLARE_ACCOUNT_ID: is a placeholder; replace it with the account ID",
    ),
    "white space after the account id": (
        {**ENVIRON, "CLOUDFLARE_ACCOUNT_ID": f"{ID} "},
        "CLOUDFLARE_ACCOUNT_ID: begins or ends with white space; remove it",
    ),
}


@pytest.mark.parametrize(("environ", "line"), SETS.values(), ids=SETS.keys())
def test_credentials_must_be_one_whole_set(environ: dict[str, str], line: str) -> None:
    assert refusal([], environ) == line


PLACEHOLDER = "is a placeholder; replace it with the {kind}"
QUOTES = "is in quotation marks; remove them"
PATH = "is a path or a URL; set the {kind} itself, for example with $(cat FILE)"
HEADER = "begins with 'Authorization:'; set only the {kind}, without the header name"
BEARER = "begins with 'Bearer '; set only the {kind}"
AROUND = "begins or ends with white space; remove it"
INSIDE = "contains white space; copy the {kind} again"
LINE_END = "ends with a line break; remove it, for example with $(cat FILE)"

SECRET_MISTAKES = [
    *((text, PLACEHOLDER) for text in (
        "${TOKEN}", "$TOKEN", "$(cat /run/secrets/token)", "{{ token }}", "{{token}}", "<token>",
        "%TOKEN%", "{token}", "YOUR_API_TOKEN", "your-api-token-here", "CLOUDFLARE_API_TOKEN",
        "changeme", "CHANGE_ME", "xxxxxxxx", "********", "...", "null", "${TOKEN}\n",
    )),
    *((text, QUOTES) for text in (f'"{TOKEN}"', f"'{TOKEN}'", f'"{TOKEN}', f"\u201c{TOKEN}\u201d")),
    *((text, PATH) for text in (
        "/run/secrets/token", "./token", "../token", "~/token", "~root/token", "file:/x",
        "C:\\token", "op://vault/item/token", "https://example.com/x",
    )),
    *((text, HEADER) for text in (f"Authorization: Bearer {TOKEN}", f"authorization:{TOKEN}")),
    *((text, BEARER) for text in (f"Bearer {TOKEN}", f"bearer\t{TOKEN}", "Bearer")),
    *((text, LINE_END) for text in (f"{TOKEN}\n", f"{TOKEN}\r\n")),
    (f"{TOKEN}\n{TOKEN}", "contains a line break; set only the {kind}, on one line"),
    *((text, AROUND) for text in (f" {TOKEN}", f"{TOKEN} ", f"\t{TOKEN}", "   ", f"\n{TOKEN}")),
    *((text, INSIDE) for text in (f"{TOKEN[:20]} {TOKEN[20:]}", f"{TOKEN[:20]}\u00a0{TOKEN[20:]}")),
    (f"{TOKEN}\x00", "contains a control character; copy the {kind} again"),
    (
        TOKEN.replace("-", "\u2013"),
        "contains non-ASCII characters, such as a typographic dash; copy the {kind} again",
    ),
    ("a1b2c3", "is too short for a {kind}: 6 characters, expected about {usual}"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "complaint"), SECRET_MISTAKES, ids=[ascii(text) for text, _ in SECRET_MISTAKES]
)
def test_a_mistake_in_a_secret_is_named_and_the_secret_is_not_shown(
    text: str, complaint: str
) -> None:
    by_token = refusal([], {**ENVIRON, "CLOUDFLARE_API_TOKEN": text})
    by_key = refusal([], {**LEGACY, "CLOUDFLARE_API_KEY": text})
    assert by_token == f"CLOUDFLARE_API_TOKEN: {complaint.format(kind='token', usual=40)}"
    assert by_key == f"CLOUDFLARE_API_KEY: {complaint.format(kind='key', usual=37)}"


URL_MISTAKES = {
    "no scheme": ("api.example.com/v4", "is not an http or https URL with a host"),
    "other scheme": ("ftp://api.example.com", "is not an http or https URL with a host"),
    "no host": ("https:///client/v4", "is not an http or https URL with a host"),
    "user info": (f"https://me:{TOKEN}@example.com", "contains a user or a password"),
    "query": (f"https://example.com/v4?key={TOKEN}", "contains a query or a fragment"),
    "empty query": ("https://example.com/v4?", "contains a query or a fragment"),
    "fragment": (f"https://example.com/v4#{TOKEN}", "contains a query or a fragment"),
    "white space": (
        f"https://example.com/ {TOKEN}",
        "contains white space or non-ASCII characters",
    ),
    "line end": ("https://example.com/\n", "contains white space or non-ASCII characters"),
    "bad port": (f"https://example.com:{TOKEN}/", "is not a valid URL"),
    "bad brackets": (f"https://[{TOKEN}/", "is not a valid URL"),
    "a token": (TOKEN, "is not an http or https URL with a host"),
}


@pytest.mark.parametrize(("url", "start"), URL_MISTAKES.values(), ids=URL_MISTAKES.keys())
def test_a_mistake_in_the_base_url_is_named_and_the_url_is_not_shown(url: str, start: str) -> None:
    line = refusal([], {**ENVIRON, "CLOUDFLARE_BASE_URL": url})
    assert line.startswith(f"CLOUDFLARE_BASE_URL: {start}; ")
    assert TOKEN not in line
    assert "example.com" not in line


def chunks(secret: str) -> set[str]:
    return {secret[start : start + 6] for start in range(len(secret) - 5)}


@pytest.mark.parametrize(
    "argv",
    [[TOKEN], [f"--api.token={TOKEN}"], [f"--{TOKEN}"], [f"--demo={TOKEN}"], ["-t", TOKEN]],
    ids=["alone", "own flag", "as flag", "switch", "short flag"],
)
def test_a_secret_in_the_wrong_place_of_the_command_line_is_not_repeated(argv: list[str]) -> None:
    line = refusal(argv, ENVIRON)
    assert not any(chunk in line for chunk in chunks(TOKEN))


@pytest.mark.parametrize(
    ("name", "value"),
    list(itertools.product([variable.name for variable in ENVIRONMENT], [f"{TOKEN} ", f"{KEY}/@"])),
)
def test_no_variable_shows_its_value_in_an_error(name: str, value: str) -> None:
    for environ in (ENVIRON, LEGACY):
        try:
            text = str(load([], {**environ, name: value}).notices)
        except SettingsError as error:
            text = str(error)
        assert not any(chunk in text for chunk in chunks(value))


@pytest.mark.parametrize("environ", [ENVIRON, LEGACY], ids=["token", "key"])
def test_printing_settings_shows_no_secret(environ: dict[str, str]) -> None:
    settings = load([], environ)
    for shown in (repr(settings), str(settings), f"{settings.accounts[0].credentials}"):
        assert TOKEN not in shown
        assert KEY not in shown
        assert "ops@" not in shown
    assert repr(settings.accounts[0].credentials) == "Credentials(...)"
    assert settings.accounts[0].credentials.__rich_repr__() == []


def test_settings_name_their_secrets_for_the_log() -> None:
    assert load([], ENVIRON).secrets == (TOKEN,)
    assert load([], LEGACY).secrets == (KEY,)


def test_help_lists_every_setting_with_default_and_variable(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        load(["--help"], {})
    assert caught.value.code == 0
    out = capsys.readouterr().out
    text = re.sub(r"-\s+", "-", " ".join(out.split()))
    for flag in FLAGS:
        default = f" (default: {flag.default})" if flag.metavar and flag.default else ""
        said = f"{flag.name} {flag.metavar}".strip() + f" {flag.help}{default}"
        assert re.sub(r"-\s+", "-", said) in text
    for variable in ENVIRONMENT:
        assert f"{variable.name} {variable.help}" in text
    heads = re.findall(r"^(\w[\w -]*):$", out, re.MULTILINE)
    assert heads == ["Environment variables", *GROUPS, "Other"]


def test_each_group_of_the_help_fits_on_a_screen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        load(["--help"], {})
    for group in capsys.readouterr().out.split("\n\n"):
        assert len(group.splitlines()) <= 24
        assert all(len(line) <= 105 for line in group.splitlines())


def test_version_is_printed_in_the_usual_form(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        load(["--version"], {})
    assert caught.value.code == 0
    assert re.fullmatch(
        rf"cloudflare-mcp-exporter, version {re.escape(__version__)} "
        rf"\(revision: {re.escape(revision())}, Python 3\.\d+\.\d+\)\n",
        capsys.readouterr().out,
    )


names = st.sampled_from([flag.name for flag in FLAGS])
# What the operating system hands over that is not UTF-8 has lone surrogates in Python.
inputs = st.text(max_size=20) | st.binary(max_size=20).map(os.fsdecode)
inputs |= st.builds(
    "{}{}".format, st.sampled_from(["unix:/", "/", "[::1%", "https://", ":"]), inputs
)


@given(
    st.dictionaries(
        st.sampled_from([one.name for one in ENVIRONMENT] + [one.environment for one in FLAGS]),
        inputs,
    ),
    st.lists(names | inputs | st.builds("{}={}".format, names, inputs), max_size=3),
)
def test_any_input_gives_settings_or_one_line_a_problem(
    environ: dict[str, str], argv: list[str]
) -> None:
    assume(not any(one.startswith("-h") for one in argv))
    try:
        outcome = repr(load(argv, {**ENVIRON, **environ}))
    except SettingsError as error:
        outcome = str(error)
    assert all(line.isprintable() for line in outcome.split("\n"))
    assert "internal error" not in outcome
