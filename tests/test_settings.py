"""Each setting from flag and environment; each mistake by its exact line, which holds no secret."""

from __future__ import annotations

import itertools
import os
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exporter import __version__
from exporter.errors import SettingsError
from exporter.settings import (
    ENVIRONMENT,
    FLAGS,
    Account,
    Credentials,
    Flag,
    ListenAddress,
    Listing,
    Probes,
    Secret,
    Settings,
    load,
)

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
    assert "\n" not in text
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
                probes=Probes(
                    servers=False,
                    portals=False,
                    min_interval=30.0,
                    allow_networks=(),
                    allow_http=False,
                    gateway_servers=False,
                    allow=(),
                    deny=(),
                    access_client_id="",
                    access_client_secret=None,
                ),
            ),
        ),
        defaults=Listing(),
        config_file="",
        config_check=False,
        listen_addresses=(ListenAddress("", 10180),),
        telemetry_path="/metrics",
        web_config_file="",
        enable_lifecycle=False,
        route_prefix="",
        external_url="",
        max_requests=40,
        systemd_socket=False,
        scrape_timeout_offset=0.5,
        once=False,
        textfile="",
        check=False,
        check_format="text",
        check_probe=False,
        demo=False,
        log_level="info",
        log_format="logfmt",
        notices=(),
    )


VALUES = [
    ("--config.check", None, True),
    ("--web.listen-address", "[::1]:0", (ListenAddress("::1", 0),)),
    ("--web.systemd-socket", None, True),
    ("--web.telemetry-path", "/mcp/metrics", "/mcp/metrics"),
    ("--web.route-prefix", "/mcp/", "/mcp"),
    ("--web.external-url", "https://example.com/", "https://example.com"),
    ("--web.config.file", "/etc/exporter/web.yml", "/etc/exporter/web.yml"),
    ("--web.enable-lifecycle", None, True),
    ("--web.max-requests", "0", 0),
    ("--scrape.timeout", "30", 30.0),
    ("--scrape.timeout-offset", "0", 0.0),
    ("--api.per-page", "100", 100),
    ("--api.parallel-pages", "1", 1),
    ("--api.max-response-size", "1GiB", 1024**3),
    ("--collector.servers", None, True),
    ("--cache.ttl", "5m", 300.0),
    ("--probe.servers", None, True),
    ("--probe.portals", None, True),
    ("--probe.min-interval", "1m", 60.0),
    ("--probe.allow-networks", "10.0.0.0/8, fd00::/8", ("10.0.0.0/8", "fd00::/8")),
    ("--probe.allow-http", None, True),
    ("--once", None, True),
    ("--check", None, True),
    ("--demo", None, True),
    ("--log.level", "debug", "debug"),
    ("--log.format", "json", "json"),
]

TRIED_ELSEWHERE = {"--config.file", "--textfile", "--format", "--probe"}


def flag_named(name: str) -> Flag:
    return next(flag for flag in FLAGS if flag.name == name)


def value_of(settings: Settings, flag: Flag) -> object:
    holders = (settings, settings.defaults, settings.defaults.probes)
    fields = (flag.field, flag.field.removeprefix("probe_"))
    return next(
        getattr(holder, field) for holder in holders for field in fields if hasattr(holder, field)
    )


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
    assert load(["--check", "--probe"], ENVIRON).check_probe


def test_listen_addresses_may_be_repeated_or_stand_with_commas_in_the_environment() -> None:
    addresses = (ListenAddress("127.0.0.1", 1), ListenAddress(path="/run/exporter.sock"))
    flags = ["--web.listen-address=127.0.0.1:1", "--web.listen-address=unix:/run/exporter.sock"]
    twin = {f"{PREFIX}WEB_LISTEN_ADDRESS": "127.0.0.1:1, unix:/run/exporter.sock"}
    assert load(flags, ENVIRON).listen_addresses == addresses
    assert load([], {**ENVIRON, **twin}).listen_addresses == addresses


def test_networks_may_be_repeated_or_stand_with_commas() -> None:
    flags = ["--probe.allow-networks=10.0.0.0/8,127.0.0.1", "--probe.allow-networks=fd00::/8"]
    twin = {f"{PREFIX}PROBE_ALLOW_NETWORKS": "10.0.0.0/8, 127.0.0.1, fd00::/8"}
    networks = ("10.0.0.0/8", "127.0.0.1/32", "fd00::/8")
    assert account_of(load(flags, ENVIRON)).probes.allow_networks == networks
    assert account_of(load([], {**ENVIRON, **twin})).probes.allow_networks == networks


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
            "CLOUDFLARE_EMAIL is set beside a token and is not used",
        ),
        (
            {"CLOUDFLARE_ACCOUNT_ID": "example-account"},
            "CLOUDFLARE_ACCOUNT_ID is not 32 hexadecimal digits; is it the account's id?",
        ),
        (
            {"CLOUDFLARE_BASE_URL": "http://api.example.com"},
            "CLOUDFLARE_BASE_URL is not https: credentials travel unencrypted",
        ),
        (
            {f"{PREFIX}WEB_LISTEN_ADRESS": ":1"},
            f"{PREFIX}WEB_LISTEN_ADRESS is not a setting; is {PREFIX}WEB_LISTEN_ADDRESS meant?",
        ),
    ],
    ids=["e-mail-beside-token", "odd-account-id", "plain-http", "misspelt-twin"],
)
def test_what_is_odd_but_usable_is_a_notice(environ: dict[str, str], notice: str) -> None:
    assert load([], {**ENVIRON, **environ}).notices == (notice,)


def test_the_variables_that_kubernetes_makes_of_a_service_are_not_remarked_on() -> None:
    environ = {
        f"{PREFIX}SERVICE_HOST": "10.0.0.1",
        f"{PREFIX}SERVICE_PORT": "10180",
        f"{PREFIX}PORT": "tcp://10.0.0.1:10180",
        f"{PREFIX}PORT_10180_TCP_ADDR": "10.0.0.1",
    }
    assert load([], {**ENVIRON, **environ}).notices == ()


FLAG_MISTAKES = [
    (
        ["--web.listen-adress", ":1"],
        "--web.listen-adress: there is no such flag; did you mean --web.listen-address?",
    ),
    (
        ["--frobnicate=1"],
        "--frobnicate: there is no such flag; see --help for those that there are",
    ),
    (
        ["serve"],
        "the command line has an argument that belongs to no flag; remove it, or see --help",
    ),
    (["--log.lev=debug"], "--log.lev: there is no such flag; did you mean --log.level?"),
    (["--log.level"], "--log.level: expected one argument; see --help"),
    (["--demo=yes"], "--demo: takes no value; write the flag alone; see --help"),
    (["--log.level=loud"], "--log.level: 'loud' is not known; use one of debug, info, warn, error"),
    (["--log.format=xml"], "--log.format: 'xml' is not known; use one of logfmt, json"),
    (
        ["--web.listen-address=10180"],
        "--web.listen-address: '10180' has no port; use host:port, or :port for all interfaces",
    ),
    (
        ["--web.listen-address=:65536"],
        "--web.listen-address: '65536' is not a port; use a number from 0 to 65535",
    ),
    (
        ["--web.listen-address=::1:10180"],
        "--web.listen-address: '::1' has colons; put an IPv6 address in brackets: [::1]:10180",
    ),
    (
        ["--web.listen-address=[nope]:1"],
        "--web.listen-address: '[nope]' is not an IPv6 address in brackets",
    ),
    (
        ["--web.listen-address=[fe80::1]:1"],
        (
            "--web.listen-address: '[fe80::1]' needs the name of an interface, such as "
            "[fe80::1%eth0]"
        ),
    ),
    (
        ["--web.listen-address=[fe80::1%a b]:1"],
        (
            "--web.listen-address: '[fe80::1%a b]' needs the name of an interface, such as "
            "[fe80::1%eth0]"
        ),
    ),
    (
        ["--web.listen-address=[::1%lo]:1"],
        (
            "--web.listen-address: '[::1%lo]' is no link-local address; leave out the % and what "
            "follows"
        ),
    ),
    (
        ["--web.listen-address=http://localhost:1"],
        (
            "--web.listen-address: 'http://localhost:1' is a URL or a path; use host:port or :port "
            "alone"
        ),
    ),
    (
        ["--web.listen-address=*:1"],
        "--web.listen-address: '*' is not a host; leave it out to listen on all interfaces",
    ),
    (
        ["--web.telemetry-path=metrics"],
        "--web.telemetry-path: 'metrics' does not begin with a slash; use a path such as /metrics",
    ),
    (
        ["--web.telemetry-path=/-/healthy"],
        "--web.telemetry-path: '/-/healthy' is kept for the exporter itself; use another path",
    ),
    *(
        (
            [f"--web.telemetry-path={path}"],
            f"--web.telemetry-path: {path!r} is kept for the exporter itself; use another path",
        )
        for path in ("/-/x", "/probe", "/sd", "/config", "/runbooks", "/runbooks/x")
    ),
    *(
        (
            [f"--web.telemetry-path={path}"],
            (
                f"--web.telemetry-path: {path!r} cannot be asked for as it stands; use letters, "
                "digits, slashes, dashes"
            ),
        )
        for path in ("/a?b", "/a#b", "/a b", "/a%20b", "//a", "/a/../b")
    ),
    (
        ["--web.listen-address=unix:exporter.sock"],
        (
            "--web.listen-address: 'unix:exporter.sock' has no absolute path; use "
            "unix:/run/exporter.sock"
        ),
    ),
    (
        ["--web.listen-address=unix:/" + "x" * 107],
        (
            "--web.listen-address: 'unix:/" + "x" * 54 + "...' is too long for a socket; use a "
            "shorter path"
        ),
    ),
    (
        ["--web.route-prefix=/a//b"],
        (
            "--web.route-prefix: '/a//b' cannot be asked for as it stands; use letters, digits, "
            "slashes, dashes"
        ),
    ),
    (
        ["--web.external-url=example.com"],
        "--web.external-url: is not an http or https URL with a host; use https://HOST/PATH",
    ),
    (
        ["--web.max-requests=-1"],
        "--web.max-requests: '-1' is not a whole number from 0 to 10000",
    ),
    (["--textfile=x.prom"], "--textfile: works with --once alone; add --once"),
    (["--format=json"], "--format: works with --check alone; add --check"),
    (["--probe"], "--probe: works with --check alone; add --check"),
    (["--once", "--check"], "--check: cannot be used together with --once; leave one out"),
    (
        ["--config.check", "--once"],
        "--once: cannot be used together with --config.check; leave one out",
    ),
    (
        ["--demo", "--config.file=config.yml"],
        "--config.file: the demo has an account of its own; leave out this or --demo",
    ),
    (
        ["--scrape.timeout=0"],
        "--scrape.timeout: '0' is not above 0; use a number of seconds such as 9",
    ),
    *(
        (
            [f"--scrape.timeout={text}"],
            f"--scrape.timeout: {text!r} is not a time; use a number of seconds such as 9 or 0.5",
        )
        for text in ("-1", "nan", "inf", "1e3", "nine", "", "1_0", "9 parsecs")
    ),
    (
        ["--scrape.timeout=2", "--scrape.timeout-offset=2"],
        (
            "--scrape.timeout-offset: 2 s is not below the scrape timeout of 2 s; lower it, or "
            "raise --scrape.timeout"
        ),
    ),
    *(
        (
            [f"--api.per-page={text}"],
            f"--api.per-page: {text!r} is not a whole number from 1 to 100",
        )
        for text in ("0", "101", "-5", "2.5", "", "99999999999999999999")
    ),
    (["--api.parallel-pages=17"], "--api.parallel-pages: '17' is not a whole number from 1 to 16"),
    *(
        (
            [f"--api.max-response-size={text}"],
            (
                f"--api.max-response-size: {text!r} is not a size; use bytes, or a number with "
                "KiB, MiB, GiB"
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
        "CLOUDFLARE_MCP_EXPORTER_DEMO: 'maybe' is neither true nor false; set true or false"
    )
    assert refusal([], {**ENVIRON, f"{PREFIX}SCRAPE_TIMEOUT_OFFSET": "10"}).startswith(
        "CLOUDFLARE_MCP_EXPORTER_SCRAPE_TIMEOUT_OFFSET: 10 s is not below"
    )


def test_a_wrong_value_is_shown_on_one_line_and_not_endlessly() -> None:
    assert refusal(["--log.level=a\nb\u2028" + "x" * 500], ENVIRON) == (
        "--log.level: 'a\\nb\\u2028" + "x" * 56 + "...' is not known; "
        "use one of debug, info, warn, error"
    )


SETS = {
    "nothing": (
        {},
        (
            "CLOUDFLARE_API_TOKEN: is not set; set it to an API token with the permission "
            "'MCP Portals Read' (or set CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY), or try --demo"
        ),
    ),
    "no account": (
        {"CLOUDFLARE_API_TOKEN": TOKEN},
        "CLOUDFLARE_ACCOUNT_ID: is not set; set it to the account's 32 hexadecimal digits",
    ),
    "both sets": (
        {**ENVIRON, **LEGACY},
        "CLOUDFLARE_API_TOKEN, CLOUDFLARE_API_KEY: both are set; unset one, the key if in doubt",
    ),
    "token and key": (
        {**ENVIRON, "CLOUDFLARE_API_KEY": KEY},
        "CLOUDFLARE_API_TOKEN, CLOUDFLARE_API_KEY: both are set; unset one, the key if in doubt",
    ),
    "key alone": (
        {"CLOUDFLARE_API_KEY": KEY, "CLOUDFLARE_ACCOUNT_ID": ID},
        (
            "CLOUDFLARE_EMAIL: is not set beside CLOUDFLARE_API_KEY; set it, or better "
            "CLOUDFLARE_API_TOKEN alone"
        ),
    ),
    "e-mail alone": (
        {"CLOUDFLARE_EMAIL": "ops@example.com", "CLOUDFLARE_ACCOUNT_ID": ID},
        (
            "CLOUDFLARE_API_KEY: is not set beside CLOUDFLARE_EMAIL; set it, or better "
            "CLOUDFLARE_API_TOKEN alone"
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
            "CLOUDFLARE_API_TOKEN, CLOUDFLARE_API_KEY_FILE: both are set; unset one, the key if in "
            "doubt"
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
        "CLOUDFLARE_EMAIL: is not an e-mail address; set the one of the key's user",
    ),
    "the token as account id": (
        {**ENVIRON, "CLOUDFLARE_ACCOUNT_ID": TOKEN},
        "CLOUDFLARE_ACCOUNT_ID: holds the credentials; set the account's 32 hexadecimal digits",
    ),
    "an e-mail as account id": (
        {**ENVIRON, "CLOUDFLARE_ACCOUNT_ID": "ops@example.com"},
        (
            "CLOUDFLARE_ACCOUNT_ID: has characters that no id has, such as a slash or an @; set "
            "the account's 32 hexadecimal digits"
        ),
    ),
    "a path as account id": (
        {**ENVIRON, "CLOUDFLARE_ACCOUNT_ID": f"accounts/{ID}"},
        (
            "CLOUDFLARE_ACCOUNT_ID: has characters that no id has, such as a slash or an @; set "
            "the account's 32 hexadecimal digits"
        ),
    ),
    "a placeholder as account id": (
        {**ENVIRON, "CLOUDFLARE_ACCOUNT_ID": "<account id>"},
        "CLOUDFLARE_ACCOUNT_ID: holds a placeholder that nothing has replaced; set the id itself",
    ),
    "white space after the account id": (
        {**ENVIRON, "CLOUDFLARE_ACCOUNT_ID": f"{ID} "},
        "CLOUDFLARE_ACCOUNT_ID: has white space before or after the id; remove it",
    ),
}


@pytest.mark.parametrize(("environ", "line"), SETS.values(), ids=SETS.keys())
def test_credentials_must_be_one_whole_set(environ: dict[str, str], line: str) -> None:
    assert refusal([], environ) == line


PLACEHOLDER = "holds a placeholder that nothing has replaced; set the {kind} itself"
QUOTES = "has quotation marks around the {kind}; leave them out"
PATH = "is a path or a URL; set the {kind} itself, such as with $(cat FILE)"
HEADER = "begins with 'Authorization:'; set the {kind} alone, without the header's name"
BEARER = "begins with 'Bearer '; set the {kind} alone, that word is added for you"
AROUND = "has white space before or after the {kind}; remove it"
INSIDE = "has white space inside; copy the {kind} again, it has none"
LINE_END = "ends with a line end; remove it, such as with $(cat FILE)"

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
    (f"{TOKEN}\n{TOKEN}", "has a line end inside; set the {kind} alone, on one line"),
    *((text, AROUND) for text in (f" {TOKEN}", f"{TOKEN} ", f"\t{TOKEN}", "   ", f"\n{TOKEN}")),
    *((text, INSIDE) for text in (f"{TOKEN[:20]} {TOKEN[20:]}", f"{TOKEN[:20]}\u00a0{TOKEN[20:]}")),
    (f"{TOKEN}\x00", "has a control character inside; copy the {kind} again"),
    (
        TOKEN.replace("-", "\u2013"),
        "has characters outside ASCII, such as a typographic dash; copy the {kind} again",
    ),
    ("a1b2c3", "is too short for a {kind}; copy it again, whole"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "complaint"), SECRET_MISTAKES, ids=[ascii(text) for text, _ in SECRET_MISTAKES]
)
def test_a_mistake_in_a_secret_is_named_and_the_secret_is_not_shown(
    text: str, complaint: str
) -> None:
    by_token = refusal([], {**ENVIRON, "CLOUDFLARE_API_TOKEN": text})
    by_key = refusal([], {**LEGACY, "CLOUDFLARE_API_KEY": text})
    assert by_token == f"CLOUDFLARE_API_TOKEN: {complaint.format(kind='token')}"
    assert by_key == f"CLOUDFLARE_API_KEY: {complaint.format(kind='key')}"


URL_MISTAKES = {
    "no scheme": ("api.example.com/v4", "is not an http or https URL with a host"),
    "other scheme": ("ftp://api.example.com", "is not an http or https URL with a host"),
    "no host": ("https:///client/v4", "is not an http or https URL with a host"),
    "user info": (f"https://me:{TOKEN}@example.com", "has a user or password before the host"),
    "query": (f"https://example.com/v4?key={TOKEN}", "has a query or a fragment"),
    "empty query": ("https://example.com/v4?", "has a query or a fragment"),
    "fragment": (f"https://example.com/v4#{TOKEN}", "has a query or a fragment"),
    "white space": (f"https://example.com/ {TOKEN}", "has white space or characters outside ASCII"),
    "line end": ("https://example.com/\n", "has white space or characters outside ASCII"),
    "bad port": (f"https://example.com:{TOKEN}/", "is not a URL that can be read"),
    "bad brackets": (f"https://[{TOKEN}/", "is not a URL that can be read"),
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
    text = re.sub(r"-\s+", "-", " ".join(capsys.readouterr().out.split()))
    for flag in FLAGS:
        assert f"{flag.name} {flag.metavar}".strip() in text
        assert f"(default: {flag.default or 'none'}) [{flag.environment}]" in text
    for variable in ENVIRONMENT:
        assert variable.name in text


def test_version_is_printed_in_the_usual_form(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        load(["--version"], {})
    assert caught.value.code == 0
    assert re.fullmatch(
        rf"cloudflare-mcp-exporter, version {re.escape(__version__)} \(Python 3\.\d+\.\d+\)\n",
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
def test_any_input_gives_settings_or_one_line(environ: dict[str, str], argv: list[str]) -> None:
    assume(not any(one.startswith("-h") for one in argv))
    try:
        outcome = repr(load(argv, {**ENVIRON, **environ}))
    except SettingsError as error:
        outcome = str(error)
    assert len(outcome.splitlines()) == 1
    assert "internal error" not in outcome
