"""Proxies and certificate authorities of file and environment: used, hidden or refused."""

from __future__ import annotations

import base64
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
import trustme
import yaml
from hypothesis import given
from hypothesis import settings as tried_with
from hypothesis import strategies as st

from exporter.errors import SettingsError
from exporter.redaction import KnownSecrets
from exporter.settings import Account, Settings, effective, load
from exporter.simulator.server import Simulator
from processes import RunningExporter, bare_environment, eventually, get

ID = "0123456789abcdef0123456789abcdef"
TOKEN = "cZ8kP2mQ7vX4rT9wL1nB6yH3dF5sJ0gA-uE_iOp"
ENVIRON = {"CLOUDFLARE_API_TOKEN": TOKEN, "CLOUDFLARE_ACCOUNT_ID": ID}
PROXY = "http://proxy.example.com:3128"
SUCCESSFUL = "cloudflare_mcp_exporter_config_last_reload_successful"
HTTPS = "https://api.example.com/client/v4"
HTTP = "http://api.example.com:8080/client/v4"


def account(base_url: str = HTTPS, **environ: str) -> Account:
    return load([], {**ENVIRON, "CLOUDFLARE_BASE_URL": base_url, **environ}).accounts[0]


def refusal(base_url: str = HTTPS, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        account(base_url, **environ)
    return str(caught.value)


# --- which proxy -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "used"),
    [
        ({}, ""),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": PROXY}, PROXY),
        ({"HTTPS_PROXY": f"{PROXY}/"}, PROXY),
        ({"HTTPS_PROXY": "proxy.example.com:3128"}, PROXY),
        ({"HTTPS_PROXY": "user:word@proxy.example.com:3128"}, f"http://user:word@{PROXY[7:]}"),
        ({"HTTPS_PROXY": "https://[2001:db8::1]:443"}, "https://[2001:db8::1]:443"),
        ({"HTTPS_PROXY": ""}, ""),
        ({"HTTPS_PROXY": "", "ALL_PROXY": PROXY}, PROXY),
        ({"all_proxy": PROXY}, PROXY),
        ({"HTTPS_PROXY": PROXY, "ALL_PROXY": "http://other.example.com"}, PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other.example.com"}, PROXY),
        ({"https_proxy": "", "HTTPS_PROXY": PROXY}, ""),
        ({"HTTP_PROXY": PROXY}, ""),
        ({"FTP_PROXY": PROXY, "PROXY": PROXY}, ""),
        ({"HTTPS_PROXY": PROXY, "ALL_PROXY": "socks5://other.example.com"}, PROXY),
    ],
)
def test_the_proxy_of_the_environment_is_that_of_the_scheme_or_the_one_for_all(
    environ: dict[str, str], used: str
) -> None:
    assert account(**environ).proxy_url == used


def test_plain_http_has_a_proxy_of_its_own() -> None:
    environ = {"HTTP_PROXY": PROXY, "HTTPS_PROXY": "http://other.example.com"}
    assert account(HTTP, **environ).proxy_url == PROXY


@pytest.mark.parametrize(
    ("base_url", "exceptions"),
    [
        (HTTPS, "api.example.com"),
        (HTTPS, "API.Example.Com"),
        (HTTPS, "example.com"),
        (HTTPS, ".example.com"),
        (HTTPS, "*.example.com"),
        (HTTPS, "other.example.org, example.com"),
        (HTTPS, "other.example.org example.com"),
        (HTTPS, "*"),
        (HTTPS, "other.example.org,*"),
        (HTTP, "api.example.com:8080"),
        ("https://192.0.2.7/v4", "192.0.2.7"),
        ("https://192.0.2.7/v4", "192.0.2.0/24"),
        ("https://192.0.2.7/v4", "192.0.2.9/24"),
        ("https://192.0.2.7:81/v4", "192.0.2.7:81"),
        ("https://[2001:db8::7]/v4", "2001:db8::7"),
        ("https://[2001:db8::7]/v4", "[2001:db8::7]"),
        ("https://[2001:db8::7]:81/v4", "[2001:db8::7]:81"),
        ("https://[2001:db8::7]/v4", "2001:db8::/32"),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_a_host_that_no_proxy_names_is_reached_directly_even_past_a_proxy_that_is_none(
    name: str, base_url: str, exceptions: str
) -> None:
    environ = {name: exceptions, "ALL_PROXY": "http://user:[@nonsense"}
    assert account(base_url, **environ).proxy_url == ""


@pytest.mark.parametrize(
    ("base_url", "exceptions"),
    [
        (HTTPS, ""),
        (HTTPS, ","),
        (HTTPS, "."),
        (HTTPS, "ample.com"),
        (HTTPS, "api.example.com.org"),
        (HTTPS, "www.api.example.com"),
        (HTTPS, "api.example.com:8080"),
        (HTTPS, "192.0.2.0/99, [, ::/x, \udcff"),
        ("https://192.0.2.7/v4", "192.0.3.0/24"),
        ("https://192.0.2.7/v4", "2001:db8::/32"),
    ],
)
def test_other_hosts_are_reached_through_it(base_url: str, exceptions: str) -> None:
    assert account(base_url, ALL_PROXY=PROXY, NO_PROXY=exceptions).proxy_url == PROXY


def test_the_file_beats_the_environment_account_by_account(tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    config.write_text(
        "accounts:\n"
        f"- {{account_id: {ID}, api_token: {TOKEN}, proxy_url: 'http://own.example.com'}}\n"
        f"- {{account_id: {'b' * 32}, api_token: {TOKEN}, base_url: 'https://in.example.com'}}\n"
        f"- {{account_id: {'c' * 32}, api_token: {TOKEN}}}\n"
    )
    environ = {"HTTPS_PROXY": PROXY, "NO_PROXY": ".example.com"}
    found = load(["--config.file", str(config)], environ)
    assert [one.proxy_url for one in found.accounts] == ["http://own.example.com", "", PROXY]
    assert found.defaults.proxy_url == ""


def test_the_demo_goes_through_no_proxy_and_asks_for_no_authorities() -> None:
    environ = {"HTTP_PROXY": "http://u:[@x", "ALL_PROXY": PROXY, "SSL_CERT_FILE": "/nowhere.pem"}
    assert load(["--demo"], environ) == load(["--demo"], {})


# --- what cannot be used -----------------------------------------------------------------------

SECRET = "Hunter2Word"
RESERVED = (
    r"contains one of / ? # @ [ ] \ in the user or the password; write it as %2F, %3F, %23, %40, "
    "%5B, %5D, %5C"
)
NOT_SENT = (
    "contains a character in the user or the password that cannot be sent in HTTP; use Latin-1 "
    "characters only"
)
NO_PROXY_URL = "is not the URL of an HTTP proxy; use http://HOST:PORT"
OUTSIDE = (
    "contains a space or a non-ASCII character in the user or the password; percent-encode it "
    "(%20 for a space)"
)
UNUSABLE = {
    **{
        f"{character} in the password": (f"http://user:{SECRET}{character}@x:1", RESERVED)
        for character in "[]/?#@\\"
    },
    "bracket in the user": (f"http://[{SECRET}:x@x:1", RESERVED),
    "euro sign": (f"http://user:{SECRET}\u20ac@x:1", OUTSIDE),
    "encoded euro sign": (f"http://user:{SECRET}%E2%82%AC@x:1", NOT_SENT),
    "encoded as Latin-1": (f"http://user:{SECRET}%E4@x:1", NOT_SENT),
    "encoded line end": (f"http://user:{SECRET}%0A@x:1", NOT_SENT),
    "byte that is no text": (f"http://user:{SECRET}\udcff@x:1", OUTSIDE),
    "space": (f"http://user:{SECRET} @x:1", OUTSIDE),
    "colon in the user": (
        f"http://a%3A{SECRET}:x@x:1",
        "contains a colon in the user, which HTTP cannot send; use another user",
    ),
    "bracket in the host": (f"http://user:{SECRET}@x[y:1", NO_PROXY_URL),
    "percent sign in the host": (f"http://user:{SECRET}@x%y:1", NO_PROXY_URL),
    "empty label": (f"http://user:{SECRET}@x..y:1", NO_PROXY_URL),
    "long label": (f"http://user:{SECRET}@{'x' * 64}.y:1", NO_PROXY_URL),
    "port beyond all": (f"http://user:{SECRET}@x:65536", NO_PROXY_URL),
    "port that is none": (f"http://user:{SECRET}@x:port", NO_PROXY_URL),
    "no host": (f"http://user:{SECRET}@", NO_PROXY_URL),
    "path": (f"http://user:{SECRET}@x:1/path", NO_PROXY_URL),
    "other scheme": (f"ftp://user:{SECRET}@x:1", NO_PROXY_URL),
    **{
        scheme: (
            f"{scheme}://user:{SECRET}@x:1",
            "is a SOCKS proxy, which is not supported; use an HTTP proxy",
        )
        for scheme in ("socks4", "socks5", "socks5h", "SOCKS5")
    },
}


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize(("url", "complaint"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_variable_that_cannot_be_used_is_named_and_not_shown(
    name: str, url: str, complaint: str
) -> None:
    said = refusal(**{name: url})
    assert said == f"{name}: {complaint}"
    assert SECRET not in said


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_the_variable_of_plain_http_is_checked_where_it_counts(name: str) -> None:
    url, complaint = UNUSABLE["[ in the password"]
    assert refusal(HTTP, **{name: url}) == f"{name}: {complaint}"
    assert account(HTTPS, **{name: url}).proxy_url == ""


@pytest.mark.parametrize(
    ("url", "complaint"),
    [one for one in UNUSABLE.values() if one[0].isprintable()],
    ids=[name for name, one in UNUSABLE.items() if one[0].isprintable()],
)
def test_a_proxy_of_the_file_is_held_to_the_same(tmp_path: Path, url: str, complaint: str) -> None:
    config = tmp_path / "config.yml"
    text = {"proxy_url": url, "accounts": [{"account_id": ID, "api_token": TOKEN}]}
    config.write_text(yaml.safe_dump(text, sort_keys=False, width=1000))
    with pytest.raises(SettingsError) as caught:
        load(["--config.file", str(config)], {})
    assert str(caught.value) == f"{config}:1: proxy_url: {complaint}"


FLAGS = (["--config.check"], ["--once"], ["--check"], ["--web.listen-address=127.0.0.1:0"])


@pytest.mark.parametrize("flags", FLAGS, ids=lambda flags: flags[0])
@pytest.mark.parametrize("source", ["file", "HTTPS_PROXY", "http_proxy"])
def test_the_command_says_so_in_one_line_and_ends(
    tmp_path: Path, source: str, flags: list[str]
) -> None:
    url, complaint = UNUSABLE["[ in the password"]
    config = tmp_path / "config.yml"
    base_url = HTTP if source == "http_proxy" else HTTPS
    proxy = f"proxy_url: '{url}'\n" if source == "file" else ""
    config.write_text(
        f"base_url: {base_url}\n{proxy}accounts: [{{account_id: {ID}, api_token: {TOKEN}}}]\n"
    )
    variables = {} if source == "file" else {source: url}
    ended = subprocess.run(
        [sys.executable, "-m", "exporter", f"--config.file={config}", *flags],
        env={**bare_environment(tmp_path), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    where = f"{config}:2: proxy_url" if source == "file" else source
    assert ended.stderr == f"cloudflare-mcp-exporter: error: {where}: {complaint}\n"
    assert (ended.stdout, ended.returncode) == ("", 2)


@pytest.mark.parametrize(
    "bad",
    [
        f"proxy_url: '{UNUSABLE['[ in the password'][0]}'\n",
        "per_page: !!int ''\n",
        f'proxy_url: "{SECRET}\\UFFFFFFFF"\n',
        f"proxy_url: !!binary {SECRET}\n",
    ],
    ids=["bracket", "tag of a number", "escape", "tag"],
)
def test_a_reload_of_what_no_library_can_read_changes_nothing_and_the_next_one_works(
    tmp_path: Path, bad: str, simulator: Simulator, run_exporter: Callable[..., RunningExporter]
) -> None:
    config = tmp_path / "config.yml"
    good = (
        f"base_url: {simulator.base_url}\n"
        f"accounts: [{{account_id: {simulator.account_id}, api_token: {simulator.token}}}]\n"
    )
    config.write_text(good)
    exporter = run_exporter(f"--config.file={config}", "--web.enable-lifecycle")

    def exposes(line: str) -> bool:
        return line in get(f"{exporter.url}/metrics").text.splitlines()

    for _ in range(2):
        config.write_text(bad + good)
        answer = requests.post(f"{exporter.url}/-/reload", timeout=10)
        assert answer.status_code == 500
        assert f"{config}:1: " in answer.text
        exporter.process.send_signal(signal.SIGHUP)
        eventually(lambda: exporter.log.count("reload failed") % 2 == 0, "reload by SIGHUP")
        assert exposes(f"{SUCCESSFUL} 0.0")
        assert exposes(f'cloudflare_mcp_up{{account_id="{simulator.account_id}"}} 1.0')
        config.write_text(good)
        assert requests.post(f"{exporter.url}/-/reload", timeout=10).ok
        assert exposes(f"{SUCCESSFUL} 1.0")
    assert SECRET not in exporter.log + answer.text
    assert "Traceback" not in exporter.log


texts = st.text(st.sampled_from("[]@:/?#%2\\ a.\u20ac\udcff\x00\n*,-")) | st.text()


@tried_with(deadline=None, max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from(["HTTPS_PROXY", "all_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE"]),
        st.builds("{}{}".format, st.sampled_from(["", "http://", "//", "socks5://u:", "@"]), texts),
    )
)
def test_any_environment_gives_an_account_or_one_line(environ: dict[str, str]) -> None:
    said = ""
    try:
        found = account(**environ)
    except SettingsError as problem:
        said = str(problem)
    else:
        assert found.proxy_url.isascii()
    assert said.isascii()
    assert said.isprintable()
    assert "internal error" not in said


# --- what is hidden ----------------------------------------------------------------------------


def settings_with(proxy: str) -> Settings:
    return load([], {**ENVIRON, "HTTPS_PROXY": proxy})


@pytest.mark.parametrize(
    ("user", "hidden"),
    [
        (f"me:{SECRET}", {SECRET, f"me:{SECRET}"}),
        (f"me:{SECRET}%5B", {f"{SECRET}%5B", f"{SECRET}[", f"me:{SECRET}["}),
        (SECRET, {SECRET}),
    ],
    ids=["plain", "encoded", "user alone"],
)
def test_the_password_of_a_proxy_is_a_secret_in_each_form_that_it_takes(
    user: str, hidden: set[str]
) -> None:
    settings = settings_with(f"{user}@proxy.example.com:1")
    assert hidden <= set(settings.secrets)
    assert SECRET not in f"{settings!r}{effective(settings)}"
    assert "proxy_url: http://<hidden>@proxy.example.com:1" in effective(settings)


def test_a_short_user_without_a_password_is_a_word_like_others() -> None:
    assert settings_with("proxy@proxy.example.com").secrets == (TOKEN,)
    assert "//<hidden>@proxy" in effective(settings_with("proxy@proxy.example.com"))


def test_the_header_that_goes_to_the_proxy_is_struck_out_of_the_log() -> None:
    known = KnownSecrets(settings_with(f"me:{SECRET}%C3%A4@proxy.example.com").secrets)
    header = base64.b64encode(f"me:{SECRET}\u00e4".encode("latin-1")).decode()
    assert known.redact(f"Proxy-Authorization: Basic {header}") == "Proxy-Authorization: Basic ***"
    assert SECRET not in known.redact(f"{SECRET}%C3%A4 {SECRET}\u00e4 me:{SECRET}\u00e4")


# --- certificate authorities -------------------------------------------------------------------


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    file.write_bytes("# Autorit\u00e9\n".encode() + trustme.CA().cert_pem.bytes())
    return file


VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


def test_the_first_variable_that_names_authorities_counts(bundle: Path) -> None:
    environ = dict.fromkeys(VARIABLES, "/nowhere.pem")
    for name in VARIABLES:
        assert account(**{**environ, name: str(bundle)}).ca_file == str(bundle)
        environ[name] = ""
    assert account(**environ).ca_file == ""


def test_authorities_may_stand_in_a_directory_by_their_hashes(bundle: Path) -> None:
    (bundle.parent / "0a1b2c3d.0").symlink_to(bundle)
    assert account(SSL_CERT_FILE=str(bundle.parent)).ca_file == str(bundle.parent)


@pytest.mark.parametrize("name", VARIABLES)
def test_authorities_that_cannot_be_used_are_one_line(name: str, tmp_path: Path) -> None:
    def said(path: Path) -> str:
        return refusal(**{name: str(path)}).removeprefix(f"{name}: ")

    file = tmp_path / "ca.pem"
    assert said(file) == "the file cannot be read: no such file or directory"
    assert said(tmp_path) == "the file is a directory, not a file"
    for text in ("", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        file.write_text(text)
        assert said(file) == "contains no PEM certificate"
    assert said(Path("/dev/zero")) == "the file is not a regular file"


def test_authorities_of_the_environment_matter_where_tls_is_spoken_alone(bundle: Path) -> None:
    assert account(HTTP, SSL_CERT_FILE="/nowhere.pem").ca_file == ""
    through = {"HTTP_PROXY": "https://proxy.example.com", "SSL_CERT_FILE": str(bundle)}
    assert account(HTTP, **through).ca_file == str(bundle)


def test_the_authorities_of_the_file_beat_those_of_the_environment(bundle: Path) -> None:
    config = bundle.parent / "config.yml"
    config.write_text(f"ca_file: ca.pem\naccounts: [{{account_id: {ID}, api_token: {TOKEN}}}]\n")
    found = load(["--config.file", str(config)], {"SSL_CERT_FILE": "/nowhere.pem"})
    assert found.accounts[0].ca_file == str(bundle)
