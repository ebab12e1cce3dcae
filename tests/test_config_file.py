"""The configuration file: what it means, each mistake in it by its exact line, its schema."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import trustme
import yaml
from hypothesis import given
from hypothesis import settings as tried_with
from hypothesis import strategies as st
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from exporter.errors import SettingsError
from exporter.settings import (
    Account,
    Credentials,
    Listing,
    Probes,
    Secret,
    Settings,
    effective,
    load,
)
from processes import ROOT, bare_environment
from rawserver import RawServer, answer, listing, portal, sends
from watching import accounts_of, scrape, value

FOLDER = Path(__file__).parent / "config"
BAD = sorted((FOLDER / "bad").glob("*.yml"))
TOKEN = (FOLDER / "token").read_text().strip()
ID = "0123456789abcdef0123456789abcdef"
OTHER_ID = "f123456789abcdef0123456789abcdef"
MINIMAL = f"accounts: [{{account_id: {ID}, api_token: {TOKEN}}}]\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.yml"


def load_file(file: Path, *flags: str, **environ: str) -> Settings:
    return load(["--config.file", str(file), *flags], environ)


def refusal(file: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        load_file(file)
    text = str(caught.value)
    assert text.isascii()
    return text


# --- mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_a_mistake_is_one_line_that_names_the_place_and_what_would_be_right(file: Path) -> None:
    expected = file.read_text().split("\n", 1)[0].removeprefix("# ").split(" | ")
    said = [line.removeprefix(f"{file}:").strip() for line in refusal(file).split("\n")]
    assert said == [line.replace("FOLDER", str(file.parent)) for line in expected]


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_no_mistake_shows_a_part_of_a_secret(file: Path) -> None:
    said = refusal(file)
    assert not any(TOKEN[start : start + 6] in said for start in range(len(TOKEN) - 5))


def test_a_file_that_cannot_be_read_says_why(config: Path, tmp_path: Path) -> None:
    assert refusal(config) == f"{config}: cannot be read: no such file or directory"
    assert refusal(tmp_path) == f"{tmp_path}: is a directory, not a file"
    os.mkfifo(config)
    assert refusal(config) == f"{config}: is not a regular file"


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"accounts:\n  - name: \xff\n", ":2: is not UTF-8; save it as UTF-8"),
        (b"accounts:\n  - name: \x01\n", ":2: contains a control character; remove it"),
        (b"#" * (1 << 20) + b"\n", ": is larger than 1048576 bytes; is it the right file?"),
        (b"[" * 50_000, ": is nested too deeply; see the documentation"),
    ],
    ids=["not UTF-8", "control character", "too large", "too deep"],
)
def test_a_file_that_is_no_text_for_people_is_refused(
    data: bytes, complaint: str, config: Path
) -> None:
    config.write_bytes(data)
    assert refusal(config) == f"{config}{complaint}"


BOMBS = {
    "merges": "".join(
        f"b{n}: &b{n} {{<<: [*b{n - 1}, *b{n - 1}, *b{n - 1}, *b{n - 1}]}}\n" for n in range(1, 60)
    ),
    "lists": "".join(
        f"b{n}: &b{n} [*b{n - 1}, *b{n - 1}, *b{n - 1}, *b{n - 1}]\n" for n in range(1, 60)
    ),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_aliases_that_multiply_are_refused_at_once(bomb: str, config: Path) -> None:
    config.write_text(f"b0: &b0 {{a: 1, b: 2}}\n{bomb}{MINIMAL}")
    start = time.monotonic()
    assert "aliases expand to too many values; write them out" in refusal(config)
    assert time.monotonic() - start < 5


UNUSUAL: dict[str, tuple[bytes, str]] = {
    "no whole number": (b"per_page: !!int ''", "1: the value does not match its YAML tag"),
    "no number": (b"timeout: !!float ''", "1: the value does not match its YAML tag"),
    "no truth value": (b"\ncollectors: !!bool secret", "2: the value does not match its YAML tag"),
    "no digits": (b"per_page: 0b_", "1: the value does not match its YAML tag"),
    "endless digits": (b"per_page: " + b"9" * 5000, "1: the value does not match its YAML tag"),
    "endless sexagesimal": (
        b"per_page: 1" + b":0" * 100_000,
        "1: the value does not match its YAML tag",
    ),
    "date": (b"timeout: !!timestamp secret", "1: unsupported YAML tag; remove it"),
    "binary": (b"timeout: !!binary secret", "1: unsupported YAML tag; remove it"),
    "set": (b"accounts: !!set {secret}", "1: unsupported YAML tag; remove it"),
    "pairs": (b"accounts: !!pairs [secret]", "1: unsupported YAML tag; remove it"),
    "merge": (b"timeout: !!merge secret", "1: unsupported YAML tag; remove it"),
    "tag by another name": (
        b"%TAG ! tag:yaml.org,2002:python/\n---\na: !name:os.system secret",
        "3: unsupported YAML tag; remove it",
    ),
    "quoted tag": (b"a: !it's-secret x", "1: unsupported YAML tag; remove it"),
    "list of another kind": (
        b"accounts: !!seq {secret: 1}",
        "1: invalid YAML: expected a sequence node, but found mapping",
    ),
    "merge of text": (
        b"<<: secret",
        "1: invalid YAML: expected a mapping or list of mappings for merging, but found scalar",
    ),
    "merge of a mapping with text": (
        b"<<: [{}, secret]",
        "1: invalid YAML: expected a mapping for merging, but found scalar",
    ),
    "list as a key": (b"? [secret]\n: 1", "1: invalid YAML: found unhashable key"),
    "mapping as a key": (b"? {secret: 1}\n: 1", "1: invalid YAML: found unhashable key"),
    "itself": (b"accounts: &a [*a]", "1: an alias refers to itself; write the value out"),
    "itself merged": (
        b"accounts:\n- &a\n  <<: *a",
        "2: an alias refers to itself; write the value out",
    ),
    "itself as a value": (
        b"a: !!str &a {=: *a}",
        "1: an alias refers to itself; write the value out",
    ),
    "half a character": (
        b'base_url: "secret\\ud800"',
        "1: contains an unpaired surrogate; remove it",
    ),
    "half a character in a key": (
        b'"secret\\ud800": 1',
        "1: contains an unpaired surrogate; remove it",
    ),
    "character beyond all": (
        b'\nbase_url: "secret\\UFFFFFFFF"',
        "2: invalid YAML: invalid escape or number",
    ),
    "character just beyond": (
        b'base_url: "secret\\U00110000"',
        "1: invalid YAML: invalid escape or number",
    ),
    "version beyond all": (
        b"%YAML " + b"9" * 5000 + b".1\n--- secret",
        "1: invalid YAML: invalid escape or number",
    ),
}


@pytest.mark.parametrize(("text", "complaint"), UNUSUAL.values(), ids=UNUSUAL.keys())
def test_whatever_yaml_can_do_beyond_plain_values_is_one_line_with_its_place(
    text: bytes, complaint: str, config: Path
) -> None:
    config.write_bytes(text)
    said = refusal(config)
    assert said == f"{config}:{complaint}"
    assert "secret" not in said.removeprefix(str(config))


def test_escapes_of_json_make_a_character(config: Path) -> None:
    config.write_text(MINIMAL.replace("[{", '[{name: "a \\ud83d\\ude00", '))
    assert load_file(config).accounts[0].name == "a \U0001f600"


# --- meaning -----------------------------------------------------------------------------------


def test_an_account_needs_no_more_than_an_id_and_a_token(config: Path) -> None:
    config.write_text(MINIMAL)
    settings = load_file(config)
    credentials = Credentials(token=Secret(text=TOKEN))
    assert settings.accounts == (Account(name=ID, account_id=ID, credentials=credentials),)
    assert settings.defaults == Listing()
    assert settings.notices == ()


WHOLE = f"""\
base_url: https://api.example.com/client/v4/
timeout: 1m30s
per_page: 50
parallel_pages: 2
max_response_size: 64MiB
collectors: [servers]
cache_ttl: 5m
proxy_url: http://user:p%40ssword1@proxy.example.com:3128/
ca_file: ca.pem
accounts:
  - name: "first \u00e9"
    account_id: {ID}
    email: ops@example.com
    api_key_file: ../token
  - name: second
    account_id: {OTHER_ID}
    api_token: {TOKEN}
    base_url: https://other.example.com
    timeout: 4.5
    per_page: 100
    parallel_pages: 1
    max_response_size: 1048576
    collectors: {{servers: false}}
    cache_ttl: 0
    proxy_url: http://other.example.com
    ca_file: ca.pem
"""


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    folder = tmp_path / "conf"
    folder.mkdir()
    (tmp_path / "token").write_text(f"  {TOKEN}\r\n")
    trustme.CA().cert_pem.write_to_path(str(folder / "ca.pem"))
    (folder / "config.yml").write_text(WHOLE)
    return folder / "config.yml"


def test_every_key_holds_for_all_accounts_or_for_the_one_that_has_it(whole: Path) -> None:
    settings = load_file(whole)
    assert settings.accounts == (
        Account(
            name="first \u00e9",
            account_id=ID,
            credentials=Credentials(
                email="ops@example.com", key=Secret(file=f"{whole.parent}/../token")
            ),
            base_url="https://api.example.com/client/v4",
            timeout=90.0,
            per_page=50,
            parallel_pages=2,
            max_response_bytes=64 * 1024**2,
            collect_servers=True,
            cache_ttl=300.0,
            proxy_url="http://user:p%40ssword1@proxy.example.com:3128",
            ca_file=f"{whole.parent}/ca.pem",
        ),
        Account(
            name="second",
            account_id=OTHER_ID,
            credentials=Credentials(token=Secret(text=TOKEN)),
            base_url="https://other.example.com",
            timeout=4.5,
            per_page=100,
            parallel_pages=1,
            max_response_bytes=1048576,
            collect_servers=False,
            cache_ttl=0.0,
            proxy_url="http://other.example.com",
            ca_file=f"{whole.parent}/ca.pem",
        ),
    )
    assert set(settings.secrets) == {
        *("p%40ssword1", "p@ssword1", "user:p%40ssword1", "user:p@ssword1"),
        *("dXNlcjpwQHNzd29yZDE=", TOKEN),
    }
    for shown in (repr(settings), repr(settings.accounts[0].__rich_repr__())):
        assert "ssword1" not in shown
        assert TOKEN not in shown


PROBES = f"""
probes:
  servers: true
  min_interval: 1m
  allow: ["prod-*"]
  access_client_id: 88bf3b6d86161464f6509f7219099e57.access
  access_client_secret: {TOKEN[::-1]}
accounts:
  - account_id: {ID}
    api_token: {TOKEN}
    probes:
      portals: true
      allow_networks: [10.0.0.0/8, "fd00::1"]
      allow: []
      deny: ["*.internal.example.com"]
  - account_id: {OTHER_ID}
    api_token: {TOKEN}
    probes:
      servers: false
      allow_http: true
      gateway_servers: true
      min_interval: 15
      access_client_id: fedcba6d86161464f6509f7219099e57.access
      access_client_secret_file: token
"""


def test_probes_of_an_account_are_those_at_the_top_with_its_own_keys_in_their_place(
    config: Path,
) -> None:
    config.write_text(PROBES)
    (config.parent / "token").write_text(TOKEN)
    one, other = (account.probes for account in load_file(config, "--probe.allow-http").accounts)
    assert one == Probes(
        servers=True,
        portals=True,
        min_interval=60.0,
        allow_networks=("10.0.0.0/8", "fd00::1/128"),
        allow_http=True,
        deny=("*.internal.example.com",),
        access_client_id="88bf3b6d86161464f6509f7219099e57.access",
        access_client_secret=Secret(text=TOKEN[::-1]),
    )
    assert other == Probes(
        min_interval=15.0,
        allow_http=True,
        gateway_servers=True,
        allow=("prod-*",),
        access_client_id="fedcba6d86161464f6509f7219099e57.access",
        access_client_secret=Secret(file=str(config.parent / "token")),
    )


def test_the_secret_of_a_service_token_is_known_to_the_log_and_shown_nowhere(config: Path) -> None:
    config.write_text(PROBES)
    (config.parent / "token").write_text(TOKEN)
    settings = load_file(config)
    assert TOKEN[::-1] in settings.secrets
    for shown in (repr(settings), str(settings.accounts[0].probes), effective(settings)):
        assert TOKEN[::-1] not in shown
        assert "88bf3b6d" not in shown
    first, second = yaml.safe_load(effective(settings))["accounts"]
    assert first["probes"] == {
        "servers": True,
        "portals": True,
        "min_interval": 60.0,
        "allow_networks": ["10.0.0.0/8", "fd00::1/128"],
        "allow_http": False,
        "gateway_servers": False,
        "allow": [],
        "deny": ["*.internal.example.com"],
        "access_client_id": "<hidden>",
        "access_client_secret": "<hidden>",
    }
    assert "probes" not in second  # they are off


def test_the_account_beats_the_file_the_file_the_flag_and_the_flag_its_variable(
    config: Path,
) -> None:
    twin = {"CLOUDFLARE_MCP_EXPORTER_API_PER_PAGE": "11"}
    account = f"accounts:\n  - account_id: {ID}\n    api_token: {TOKEN}\n"

    def per_page(text: str, *flags: str, **environ: str) -> int:
        config.write_text(text)
        return load_file(config, *flags, **environ).accounts[0].per_page

    assert per_page(account) == 20
    assert per_page(account, **twin) == 11
    assert per_page(account, "--api.per-page=12", **twin) == 12
    assert per_page(f"per_page: 13\n{account}", "--api.per-page=12", **twin) == 13
    assert per_page(f"per_page: 13\n{account}    per_page: 14\n", "--api.per-page=12") == 14


def test_account_variables_beside_a_file_are_not_used_and_that_is_said(config: Path) -> None:
    config.write_text(MINIMAL)
    environ = {
        "CLOUDFLARE_API_TOKEN": "nonsense",
        "CLOUDFLARE_ACCOUNT_ID": "nonsense",
        "CLOUDFLARE_BASE_URL": "https://api.example.com",
    }
    settings = load_file(config, **environ)
    assert settings.accounts[0].account_id == ID
    assert settings.accounts[0].base_url == "https://api.example.com"
    assert settings.notices == (
        (
            "CLOUDFLARE_API_TOKEN, CLOUDFLARE_ACCOUNT_ID ignored: the accounts are read from the "
            "configuration file"
        ),
    )


def test_what_is_odd_but_usable_is_a_notice(config: Path) -> None:
    config.write_text(f"accounts: [{{name: a, account_id: {ID}, api_token: {TOKEN}, "
                      "base_url: 'http://api.example.com'}]")  # fmt: skip
    assert load_file(config).notices == (
        "base_url of account 'a' is not https: credentials are unencrypted",
    )


def test_merge_keys_and_aliases_work(config: Path) -> None:
    config.write_text(
        f"accounts:\n"
        f"  - &base\n    account_id: {ID}\n    api_token: {TOKEN}\n    per_page: 7\n"
        f"    timeout: 3\n"
        f"  - <<: *base\n    account_id: {OTHER_ID}\n    timeout: 4\n"
    )
    first, second = load_file(config).accounts
    assert (first.per_page, first.timeout) == (7, 3.0)
    assert (second.account_id, second.per_page, second.timeout) == (OTHER_ID, 7, 4.0)


def test_a_byte_order_mark_and_a_date_do_no_harm(config: Path) -> None:
    config.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("[{", "[{name: 2026-01-01, ").encode())
    assert load_file(config).accounts[0].name == "2026-01-01"


def test_five_hundred_accounts_are_loaded_while_nobody_waits(config: Path) -> None:
    entries = (f"  - {{account_id: '{n:032x}', api_token: {TOKEN}}}\n" for n in range(500))
    config.write_text("accounts:\n" + "".join(entries))
    start = time.monotonic()
    environ = {"SSL_CERT_FILE": DEFAULT_CA_BUNDLE_PATH, "HTTPS_PROXY": "proxy.example.com"}
    assert len(load_file(config, **environ).accounts) == 500
    assert time.monotonic() - start < 5


texts = st.sampled_from([*sorted(Account.__struct_fields__), "accounts", "collectors", "api_token",
                         "api_token_file", "x", "1", "true", "~", "30s", ID, TOKEN])  # fmt: skip
values: Any = st.recursive(
    texts | st.integers() | st.floats() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=5),
)


@given(st.fixed_dictionaries({}, optional={"accounts": values}).flatmap(
    lambda top: st.dictionaries(texts, values, max_size=3).map(lambda more: {**more, **top})
))  # fmt: skip
def test_any_yaml_gives_settings_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, document: object
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yml"
    file.write_text(yaml.safe_dump(document))
    try:
        outcome = repr(load_file(file))
    except SettingsError as error:
        outcome = str(error)
    assert all(line.isascii() and line.isprintable() for line in outcome.splitlines())
    assert TOKEN not in outcome


PIECES = (
    *(b"!!int ", b"!!float ", b"!!bool ", b"!!null ", b"!!timestamp ", b"!!binary ", b"!!str "),
    *(b"!!set ", b"!!omap ", b"!!merge ", b"!x ", b"&a ", b"*a ", b"<<: ", b"? ", b"%YAML 1."),
    *(bytes([one]) for one in b"[]{}'\":,\n\t#=~-|>\x00\xff"),
    *(b"---\n", b"...\n", b".nan", b"0x_", b"1:2:3", b"9" * 400, b"1e400", b"\xef\xbb\xbf"),
    *(b'"\\ud800"', b'"\\UFFFFFFFF"', b'"\\0"', b"proxy_url: http://u:[@h\n", b"ca_file: .\n"),
    *(b"api_token_file: /\n", b"name: \n"),
)
mutations = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 20), st.sampled_from(PIECES)), max_size=6
)


def mutated(text: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    """The text with pieces in place of some of its bytes."""
    for where, length, piece in changes:
        start = int(where * len(text))
        text = text[:start] + piece + text[start + length :]
    return text


files = st.builds(mutated, st.sampled_from([WHOLE.encode(), MINIMAL.encode()]), mutations)


@tried_with(max_examples=400)
@given(files | st.binary(max_size=200) | st.lists(st.sampled_from(PIECES)).map(b"".join))
def test_any_bytes_give_settings_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "any-bytes.yml"
    file.write_bytes(data)
    try:
        load_file(file)
    except SettingsError as error:
        said = str(error)
        assert said.isascii()
        assert said.replace("\n", "").isprintable()
        assert "internal error" not in said
        assert "ssword1" not in said
        assert not any(TOKEN[start : start + 8] in said for start in range(len(TOKEN) - 7))


def test_a_part_of_a_token_where_a_key_belongs_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "accounts.yml"
    for part in ("gA-uE_iOp", "aBcDeFgHi", "UPPER"):
        for text in (f"{part}: x", f"{part}: {{b: c}}", f"{part}: x, {part}: y"):
            file.write_text(f"accounts:\n- {{{text}}}\n")
            with pytest.raises(SettingsError) as raised:
                load_file(file)
            said = str(raised.value).rpartition("accounts.yml")[2]
            assert said.startswith(":2: ")
            assert part not in said


def test_an_unknown_key_that_is_not_shown_is_still_corrected(tmp_path: Path) -> None:
    file = tmp_path / "accounts.yml"
    file.write_text("accounts:\n- accountId: x\n")
    with pytest.raises(SettingsError, match="unknown key; did you mean account_id"):
        load_file(file)


# --- the way to the API ------------------------------------------------------------------------


def test_an_account_goes_through_its_own_proxy_whatever_the_environment_says(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with RawServer(sends(answer(listing([portal("a")])))) as proxy:
        url = proxy.base_url.replace("//", "//user:secret-word@").removesuffix("/client/v4")
        config.write_text(
            f"proxy_url: {url}\nbase_url: http://api.invalid/v4\ntimeout: 5\n{MINIMAL}"
        )
        text = scrape(accounts_of(load_file(config)))
        head = proxy.heads[0]
    assert value(text, "cloudflare_mcp_up") == 1
    assert head.startswith(f"GET http://api.invalid/v4/accounts/{ID}/")
    assert "Proxy-Authorization: Basic dXNlcjpzZWNyZXQtd29yZA==" in head


def test_an_account_trusts_its_own_authorities_whatever_the_environment_says(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    for name, bundle in (("ca.pem", authority), ("stranger.pem", stranger)):
        bundle.cert_pem.write_to_path(str(config.parent / name))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(config.parent / "stranger.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    class TlsServer(RawServer):
        def _serve(self, connection: socket.socket) -> None:
            with suppress(OSError):  # the client did not trust us
                super()._serve(context.wrap_socket(connection, server_side=True))

    with TlsServer(sends(answer(listing([portal("a")])))) as api:
        url = api.base_url.replace("http://127.0.0.1", "https://localhost")
        config.write_text(f"base_url: {url}\ntimeout: 5\n{MINIMAL}")
        assert value(scrape(accounts_of(load_file(config))), "cloudflare_mcp_up") == 0
        config.write_text(f"ca_file: ca.pem\nbase_url: {url}\ntimeout: 5\n{MINIMAL}")
        assert value(scrape(accounts_of(load_file(config))), "cloudflare_mcp_up") == 1


def test_each_account_is_asked_for_with_its_own_values(config: Path) -> None:
    with RawServer(sends(answer(listing([])))) as api:
        config.write_text(
            f"base_url: {api.base_url}\n"
            "accounts:\n"
            f"  - {{account_id: {ID}, api_token: {TOKEN}, per_page: 7}}\n"
            f"  - {{account_id: {OTHER_ID}, email: a@example.com, api_key: {TOKEN[::-1]}}}\n"
        )
        text = scrape(accounts_of(load_file(config)))
        heads = {re.findall(r"/accounts/(\w+)/", head)[0]: head for head in api.heads}
    assert value(text, "cloudflare_mcp_up", account_id=ID) == 1
    assert value(text, "cloudflare_mcp_up", account_id=OTHER_ID) == 1
    assert "per_page=7 " in heads[ID]
    assert f"Authorization: Bearer {TOKEN}\r\n" in heads[ID]
    assert "per_page=20 " in heads[OTHER_ID]
    assert f"X-Auth-Email: a@example.com\r\nX-Auth-Key: {TOKEN[::-1]}\r\n" in heads[OTHER_ID]


def test_an_account_with_a_cache_is_listed_once_for_the_scrapes_within_its_time(
    config: Path,
) -> None:
    with RawServer(sends(answer(listing([portal("a")])))) as api:
        config.write_text(
            f"base_url: {api.base_url}\n"
            "accounts:\n"
            f"  - {{account_id: {ID}, api_token: {TOKEN}, cache_ttl: 1h}}\n"
            f"  - {{account_id: {OTHER_ID}, api_token: {TOKEN}}}\n"
        )
        service = accounts_of(load_file(config))
        for _ in range(3):
            text = scrape(service)
        asked = [re.findall(r"/accounts/(\w+)/", head)[0] for head in api.heads]
    assert (asked.count(ID), asked.count(OTHER_ID)) == (1, 3)
    assert value(text, "cloudflare_mcp_up", account_id=ID) == 1
    assert value(text, "cloudflare_mcp_portals", account_id=ID) == 1


# --- the check ---------------------------------------------------------------------------------


def check(home: Path, *flags: str, **environ: str) -> tuple[int, str, str]:
    ended = subprocess.run(
        [sys.executable, "-m", "exporter", "--config.check", *flags],
        env={**bare_environment(home), **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


def test_a_check_says_in_one_line_whether_the_file_can_be_used(
    whole: Path, config: Path, tmp_path: Path
) -> None:
    said = check(tmp_path, f"--config.file={whole}")
    assert said == (0, f"{whole} is valid: 2 accounts\n", "")
    config.write_text("accounts: []\n")
    status, out, err = check(tmp_path, CLOUDFLARE_MCP_EXPORTER_CONFIG_FILE=str(config))
    assert (status, out) == (2, "")
    assert err.startswith(f"cloudflare-mcp-exporter: error: {config}:1: accounts: is an empty list")
    assert err.count("\n") == 1


def test_a_check_without_a_file_is_about_the_environment(tmp_path: Path) -> None:
    environ = {"CLOUDFLARE_API_TOKEN": TOKEN, "CLOUDFLARE_ACCOUNT_ID": ID}
    assert check(tmp_path, **environ) == (0, "the environment is valid: 1 account\n", "")


# --- the schema and the documentation ----------------------------------------------------------

SCHEMA = json.loads((ROOT / "docs" / "reference" / "config.schema.json").read_text())


def by_schema(text: str) -> bool:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    return bool(validator.is_valid(yaml.safe_load(text)))


def test_the_schema_is_one_and_the_package_has_the_same() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    packaged = ROOT / "exporter" / "settings" / "config.schema.json"
    assert json.loads(packaged.read_text()) == SCHEMA


def test_the_schema_takes_what_the_program_takes() -> None:
    assert by_schema(WHOLE)
    assert by_schema(MINIMAL)


OF_SHAPE = re.compile(
    r"unknown key|belongs under|is missing;|has no credentials|requires api_key|"
    r"is (empty|a string|a list|a mapping|a number|an integer|a boolean|an empty list|"
    r"not valid|out of range);|digits\)"
)
"""What the types say; the rest is beyond a schema."""


# JSON has no such numbers, and the schema takes any text.
NOT_IN_JSON = {"timeout-not-a-number", "timeout-infinite", "account-id-empty", "token-file-empty"}


@pytest.mark.parametrize(
    "file",
    [one for one in BAD if OF_SHAPE.search(one.read_text()) and one.stem not in NOT_IN_JSON],
    ids=lambda file: file.stem,
)
def test_the_schema_refuses_what_the_types_refuse(file: Path) -> None:
    assert not by_schema(file.read_text())


def test_the_example_of_the_documentation_can_be_used(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    example = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0]
    (tmp_path / "production-token").write_text(TOKEN)
    (tmp_path / "staging-token").write_text(TOKEN)
    file = tmp_path / "config.yml"
    file.write_text(example.replace("/run/secrets/", ""))
    production, staging = load_file(file).accounts
    assert (production.name, production.timeout, production.cache_ttl) == ("production", 8.0, 0.0)
    assert (staging.collect_servers, staging.cache_ttl) == (True, 300.0)
    assert by_schema(example)
