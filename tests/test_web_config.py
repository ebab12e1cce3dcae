"""The web configuration file: what it may say, and what clients then meet on real sockets."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import http.client
import logging
import os
import re
import resource
import socket
import ssl
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import bcrypt
import pytest
import trustme
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as tried_with
from hypothesis import strategies as st

from exporter.errors import SettingsError
from exporter.web.watched_files import SETTLED
from exporter.web.web_config import WebConfigFile
from exporter.web.web_config_schema import HttpSection, RateSection, TlsSection, WebFile
from processes import ROOT, RunningExporter, eventually, get
from realparts import require
from webserver import Source, site, trusting, write_chain

AUTHORITY = trustme.CA()
OTHERS = trustme.CA()
SERVER = AUTHORITY.issue_cert("localhost", "127.0.0.1")
CLIENT = AUTHORITY.issue_cert("scraper.example.com", "::1")
STRANGER = OTHERS.issue_cert("scraper.example.com")

HASH = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
TLS = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
MTLS = f"{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"
USERS = f"basic_auth_users:\n  alice: {HASH}\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with a certificate, its key, and the authority."""
    write_chain(SERVER, tmp_path)
    (tmp_path / "ca.pem").write_bytes(AUTHORITY.cert_pem.bytes())
    return tmp_path


@pytest.fixture
def write(home: Path) -> Callable[[str], Path]:
    """``write(text)`` gives the file that holds it."""

    def make(text: str) -> Path:
        file = home / "web.yml"
        file.write_text(text)
        return file

    return make


def inline(pem: bytes) -> str:
    return "|\n" + "".join(f"    {line}\n" for line in pem.decode().splitlines())


def inline_tls() -> str:
    chain = b"".join(one.bytes() for one in SERVER.cert_chain_pems)
    key, authority = SERVER.private_key_pem.bytes(), AUTHORITY.cert_pem.bytes()
    return (
        f"tls_server_config:\n  cert: {inline(chain)}  key: {inline(key)}"
        f"  client_auth_type: RequireAndVerifyClientCert\n  client_ca: {inline(authority)}"
    )


# --- what the file may say ---------------------------------------------------------------------

VALID = {
    "empty": "",
    "sections without content": "tls_server_config:\nbasic_auth_users:\nhttp_server_config:\n",
    "tls": TLS,
    "clients verified": MTLS,
    "clients verified if they have one": MTLS.replace("RequireAnd", "").replace(
        "ClientCert", "ClientCertIfGiven"
    ),
    "no clients": f"{TLS}  client_auth_type: NoClientCert\n",
    "everything about tls": f"{TLS}  min_version: TLS12\n  max_version: TLS13\n"
    "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n"
    "  prefer_server_cipher_suites: false\n  curve_preferences: [CurveP256]\n",
    "headers": "http_server_config:\n  http2: false\n  headers:\n"
    "    Content-Security-Policy: default-src 'none'\n    X-Frame-Options: sameorigin\n"
    "    X-Content-Type-Options: nosniff\n    X-XSS-Protection: '0'\n"
    "    Strict-Transport-Security: max-age=3600\n",
    "users": USERS + "  'bob with blanks': " + HASH.replace("$2b$", "$2y$") + "\n",
    "all": MTLS + USERS,
}
VALID_FOR_NEWER_PROMTOOLS = {
    "inline": inline_tls(),
    "allowed names": f"{MTLS}  client_allowed_sans: [scraper.example.com]\n",
    "rate limit": "rate_limit:\n  interval: 1m30s\n  burst: 3\n",
    "no rate limit": "rate_limit:\n  interval: 0\n",
}


@pytest.mark.parametrize("text", (VALID | VALID_FOR_NEWER_PROMTOOLS).values(),
                         ids=(VALID | VALID_FOR_NEWER_PROMTOOLS).keys())  # fmt: skip
def test_a_valid_file_is_taken(write: Callable[[str], Path], text: str) -> None:
    WebConfigFile(str(write(text)))


@pytest.mark.parametrize("text", VALID.values(), ids=VALID.keys())
def test_promtool_takes_the_same_files(write: Callable[[str], Path], text: str) -> None:
    command = [require("promtool"), "check", "web-config", str(write(text))]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 0, ended.stderr


INVALID = {
    "unknown section": ("tls: {}\n", ("1: tls: unknown key; use one of tls_server_config, "
     "http_server_config, basic_auth_users, rate_limit")),
    "unknown key": ("tls_server_config:\n  certfile: x\n",
     "2: tls_server_config.certfile: unknown key; did you mean cert_file?"),
    "twice": (USERS + USERS, ("3: duplicate key 'basic_auth_users', first used in line 1; "
     "remove one")),
    "type": ("http_server_config:\n  http2: 'no'\n",
     "2: http_server_config.http2: is a string; use true or false"),
    "no mapping": ("just text\n", "1: is a string; use a mapping"),
    "section": ("tls_server_config: x\n",
     "1: tls_server_config: is a string; use a mapping"),
    "rate of another type": ("rate_limit:\n  interval: [1s]\n",
     "2: rate_limit.interval: is a list; use a duration such as 1s, or 0"),
    "suite of another type": (TLS + "  cipher_suites: [1]\n",
     "4: tls_server_config.cipher_suites[0]: is an integer; use a string"),
    "key of a section at the top": ("cert_file: x\n",
     "1: cert_file: belongs under tls_server_config; move it there"),
    "http2": ("http_server_config:\n  http2: true\n",
     "2: http_server_config.http2: HTTP/2 is not supported; set it to false"),
    "other header": ("http_server_config:\n  headers:\n    Server: x\n",
     ("2: http_server_config.headers: unsupported header; use one of Content-Security-Policy, "
     "Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, X-XSS-Protection")),
    "header value": ("http_server_config:\n  headers:\n    X-Frame-Options: allow\n",
     "3: http_server_config.headers.X-Frame-Options: use deny or sameorigin"),
    "header injection": ('http_server_config:\n  headers:\n    X-XSS-Protection: "0\\r\\nX: y"\n',
     ("3: http_server_config.headers.X-XSS-Protection: contains characters that are not allowed "
     "in a header")),
    "password in place of a hash": ("basic_auth_users:\n  alice: secretword\n",
     "2: basic_auth_users.alice: is not a bcrypt hash; create one with htpasswd -nBC 10 ''"),
    "endless hash": (f"basic_auth_users:\n  alice: {HASH.replace('$04$', '$31$')}\n",
     "2: basic_auth_users.alice: the bcrypt cost is not from 4 to 18; use 10"),
    "user with a colon": (f"basic_auth_users:\n  'a:b': {HASH}\n",
     "1: basic_auth_users: a user name is empty or contains a colon; rename the user"),
    "rate": ("rate_limit:\n  interval: 1 second\n  burst: 1\n",
     "2: rate_limit.interval: is not a duration; use a duration such as 1s, or 0"),
    "empty name": (MTLS + "  client_allowed_sans: [x, '']\n",
     "6: tls_server_config.client_allowed_sans[1]: is empty; remove it"),
    "name on two lines": ('basic_auth_users:\n  "a\\nb": secretword\n',
     "2: basic_auth_users: is not a bcrypt hash; create one with htpasswd -nBC 10 ''"),
    "false": ("false\n", "1: is a boolean; use a mapping"),
    "null in a path": (TLS.replace("server.pem", '"a\\0b"'),
     "2: tls_server_config.cert_file: cannot be read: the name contains an invalid character"),
    "tag of a number": ("rate_limit:\n  burst: !!int ''\n",
     "2: the value does not match its YAML tag"),
    "tag of a date": ("rate_limit:\n  burst: !!timestamp x\n",
     "2: unsupported YAML tag; remove it"),
    "rate without burst": ("rate_limit:\n  interval: 1s\n",
     "1: rate_limit.burst: must be at least 1"),
    "no certificate": ("tls_server_config:\n  key_file: server.key\n",
     "1: tls_server_config.cert_file: is missing; set it to the file with the certificate"),
    "no key": ("tls_server_config:\n  cert_file: server.pem\n",
     "1: tls_server_config.key_file: is missing; set it to the file with the private key"),
    "certificate that is not there": (TLS.replace("server.pem", "gone.pem"),
     "2: tls_server_config.cert_file: cannot be read: no such file or directory"),
    "directory": (TLS.replace("server.pem", "."),
     "2: tls_server_config.cert_file: is a directory, not a file"),
    "both": (TLS + "  cert: x\n",
     "2: tls_server_config.cert_file: cannot be combined with cert; remove one of them"),
    "key in place of the certificate": (TLS.replace("server.pem", "server.key"),
     ("2: tls_server_config.cert_file: contains no PEM certificate; use the whole chain, the "
     "server's own first")),
    "certificate in place of the key": (TLS.replace("server.key", "server.pem"),
     "3: tls_server_config.key_file: contains no PEM private key"),
    "another's key": (TLS.replace("server.key", "other.key"),
     "3: tls_server_config.key_file: does not belong to the certificate"),
    "encrypted key": (TLS.replace("server.key", "encrypted.key"),
     "3: tls_server_config.key_file: is encrypted; use a key without a passphrase"),
    "damaged": (TLS.replace("server.pem", "damaged.pem"),
     "2: tls_server_config.cert_file: the certificate or its key is damaged or too weak"),
    "any client": (TLS + "  client_auth_type: RequireAnyClientCert\n",
     ("4: tls_server_config.client_auth_type: RequireAnyClientCert accepts unverified "
     "certificates, which Python does not support; use RequireAndVerifyClientCert")),
    "client asked": (TLS + "  client_auth_type: RequestClientCert\n",
     ("4: tls_server_config.client_auth_type: RequestClientCert accepts unverified "
     "certificates, which Python does not support; use RequireAndVerifyClientCert")),
    "unknown client type": (TLS + "  client_auth_type: Please\n",
     "4: tls_server_config.client_auth_type: unknown value; use RequireAndVerifyClientCert"),
    "authority without a use": (TLS + "  client_ca_file: ca.pem\n",
     ("4: tls_server_config.client_ca_file: requires client_auth_type; set it, or remove "
     "this")),
    "no authority": (MTLS.replace("ca.pem", "server.key"),
     "5: tls_server_config.client_ca_file: contains no PEM certificate"),
    "names without certificates": (TLS + "  client_allowed_sans: [x]\n",
     ("4: tls_server_config.client_allowed_sans: requires client_auth_type: "
     "RequireAndVerifyClientCert")),
    "old version": (TLS + "  min_version: TLS10\n",
     ("4: tls_server_config.min_version: TLS10 is obsolete (RFC 8996) and not supported; "
     "use TLS12 or TLS13")),
    "no version": (TLS + "  max_version: TLS14\n",
     "4: tls_server_config.max_version: unknown version; use TLS12 or TLS13"),
    "no version between": (TLS + "  min_version: TLS13\n  max_version: TLS12\n",
     "5: tls_server_config.max_version: is below min_version; raise it"),
    "suite of TLS 1.3": (TLS + "  cipher_suites: [TLS_AES_128_GCM_SHA256]\n",
     ("4: tls_server_config.cipher_suites[0]: TLS 1.3 cipher suites cannot be "
     "configured; remove it")),
    "unknown suite": (TLS + "  cipher_suites:\n  - TLS_NULL\n",
     ("5: tls_server_config.cipher_suites[0]: unknown cipher suite; use the names of Go's "
     "crypto/tls")),
    "suites without a use": (
     TLS + "  min_version: TLS13\n  cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]\n",
     ("5: tls_server_config.cipher_suites: apply to TLS 1.2, which min_version excludes; "
     "remove them")),
    "several mistakes": (("http_server_config:\n  http2: true\nbasic_auth_users:\n  alice: x\n"
     "  bob: y\nrate_limit:\n  interval: 1s\ntls_server_config:\n  key_file: server.key\n"),
     ("2: http_server_config.http2: HTTP/2 is not supported; set it to false | "
     "4: basic_auth_users.alice: is not a bcrypt hash; create one with htpasswd -nBC 10 '' | "
     "5: basic_auth_users.bob: is not a bcrypt hash; create one with htpasswd -nBC 10 '' | "
     "6: rate_limit.burst: must be at least 1 | "
     "8: tls_server_config.cert_file: is missing; set it to the file with the certificate")),
    "unknown curve": (TLS + "  curve_preferences: [P256]\n",
     ("4: tls_server_config.curve_preferences[0]: unknown curve; use one of CurveP256, CurveP384, "
     "CurveP521, X25519")),
}  # fmt: skip


@pytest.mark.parametrize(("text", "complaint"), INVALID.values(), ids=INVALID.keys())
def test_what_cannot_be_used_is_one_line_that_names_the_place_and_the_fix(
    write: Callable[[str], Path], home: Path, text: str, complaint: str
) -> None:
    (home / "other.key").write_bytes(CLIENT.private_key_pem.bytes())
    (home / "encrypted.key").write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    (home / "damaged.pem").write_text(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    )
    file = write(text)
    with pytest.raises(SettingsError) as caught:
        WebConfigFile(str(file))
    assert str(caught.value) == "\n".join(f"{file}:{one}" for one in complaint.split(" | "))


@pytest.mark.skipif(hasattr(ssl.SSLContext, "set_groups"), reason="this Python can set several")
def test_several_curves_are_refused_where_python_can_set_but_one(
    write: Callable[[str], Path],
) -> None:
    with pytest.raises(SettingsError, match="only one curve is supported by this Python"):
        WebConfigFile(str(write(f"{TLS}  curve_preferences: [X25519, CurveP256]\n")))


# --- TLS on the wire ---------------------------------------------------------------------------


def test_a_scrape_over_tls_is_answered_and_plain_http_there_is_told_so(
    write: Callable[[str], Path],
) -> None:
    with site(Source(b"x" * 3_000_000), web_config=write(TLS)) as served:
        assert served.url.startswith("https://127.0.0.1:")
        status, _, body = served.ask(context=trusting(AUTHORITY))
        assert (status, len(body)) == (200, 3_000_000)
        assert served.ask()[0::2] == (400, b"this port speaks https and not http\n")
        with pytest.raises(ssl.SSLCertVerificationError):
            served.ask(context=trusting(OTHERS))
        assert served.ask(context=trusting(AUTHORITY))[0] == 200


def test_requests_follow_each_other_on_one_connection(write: Callable[[str], Path]) -> None:
    with site(Source(), web_config=write(TLS)) as served:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", served.port, timeout=10, context=trusting(AUTHORITY)
        )
        took = []
        for _ in range(60):
            began = time.monotonic()
            connection.request("GET", "/metrics")
            assert connection.getresponse().read() == b"up 1\n"
            took.append(time.monotonic() - began)
        connection.close()
    # The kernel acknowledges the first ones at once, and then after 40 ms.
    assert min(took[30:]) < 0.03


def handshake(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    raw = socket.create_connection(("127.0.0.1", port), timeout=10)
    return context.wrap_socket(raw, server_hostname="localhost")


@pytest.mark.parametrize(
    ("lines", "version", "cipher"),
    [
        ("", "TLSv1.3", None),
        ("  max_version: TLS12\n", "TLSv1.2", None),
        ("  min_version: TLS13\n", "TLSv1.3", None),
        (
            "  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n",
            "TLSv1.2",
            "ECDHE-ECDSA-AES128-GCM-SHA256",
        ),
    ],
    ids=["default", "max", "min", "suite"],
)
def test_version_and_suite_are_the_configured_ones(
    write: Callable[[str], Path], lines: str, version: str, cipher: str | None
) -> None:
    with (
        site(Source(), web_config=write(TLS + lines)) as served,
        handshake(served.port, trusting(AUTHORITY)) as connection,
    ):
        assert connection.version() == version
        assert cipher in {None, (connection.cipher() or ("",))[0]}


def test_a_client_of_an_old_version_stays_out(write: Callable[[str], Path]) -> None:
    client = trusting(AUTHORITY)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        site(Source(), web_config=write(f"{TLS}  min_version: TLS13\n")) as served,
        pytest.raises(ssl.SSLError),
    ):
        handshake(served.port, client)


@pytest.mark.parametrize("offered", ["prime256v1", "secp384r1"])
def test_only_the_configured_curve_is_agreed_on(write: Callable[[str], Path], offered: str) -> None:
    client = trusting(AUTHORITY)
    client.set_ecdh_curve(offered)
    with site(Source(), web_config=write(f"{TLS}  curve_preferences: [CurveP384]\n")) as served:
        if offered == "secp384r1":
            assert served.ask(context=client)[0] == 200
        else:
            with pytest.raises(ssl.SSLError):
                served.ask(context=client)


@pytest.mark.parametrize("theirs", [True, False])
def test_whose_order_of_suites_counts_can_be_chosen(
    write: Callable[[str], Path], theirs: bool
) -> None:
    text = (
        f"{TLS}  max_version: TLS12\n  prefer_server_cipher_suites: {str(not theirs).lower()}\n"
        "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n"
    )
    client = trusting(AUTHORITY)
    client.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256")
    with (
        site(Source(), web_config=write(text)) as served,
        handshake(served.port, client) as connection,
    ):
        assert ("AES256" in (connection.cipher() or ("",))[0]) is theirs


CLIENTS: dict[str, trustme.LeafCert | None] = {"none": None, "ours": CLIENT, "strange": STRANGER}
POLICIES = {
    "NoClientCert": (TLS, {"none", "ours", "strange"}),
    "VerifyClientCertIfGiven": (VALID["clients verified if they have one"], {"none", "ours"}),
    "RequireAndVerifyClientCert": (MTLS, {"ours"}),
    "inline": (inline_tls(), {"ours"}),
    "allowed name": (f"{MTLS}  client_allowed_sans: [other, scraper.example.com]\n", {"ours"}),
    "allowed address": (f"{MTLS}  client_allowed_sans: ['::1']\n", {"ours"}),
    "other name": (f"{MTLS}  client_allowed_sans: [example.com, '*.example.com']\n", set()),
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("policy", POLICIES)
def test_clients_get_in_as_the_policy_says(
    write: Callable[[str], Path], policy: str, client: str
) -> None:
    text, admitted = POLICIES[policy]
    context = trusting(AUTHORITY, CLIENTS[client])
    with site(Source(), web_config=write(text)) as served:
        if client in admitted:
            assert served.ask(context=context)[0::2] == (200, b"up 1\n")
        else:
            with pytest.raises((OSError, http.client.HTTPException)):
                served.ask(context=context)


# --- files that change -------------------------------------------------------------------------


def serial(port: int) -> str:
    with handshake(port, trusting(AUTHORITY)) as connection:
        certificate = connection.getpeercert()
    assert certificate
    return str(certificate["serialNumber"])


def test_a_renewed_certificate_is_used_without_a_restart_and_old_connections_go_on(
    write: Callable[[str], Path], home: Path
) -> None:
    with site(Source(), web_config=write(TLS)) as served:
        old = serial(served.port)
        connection = http.client.HTTPSConnection(
            "127.0.0.1", served.port, timeout=10, context=trusting(AUTHORITY)
        )
        connection.request("GET", "/metrics")
        assert connection.getresponse().read() == b"up 1\n"
        write_chain(AUTHORITY.issue_cert("localhost", "127.0.0.1"), home)
        assert serial(served.port) != old
        connection.request("GET", "/metrics")
        assert connection.getresponse().read() == b"up 1\n"
        connection.close()


@pytest.mark.parametrize(
    "broken", ["server.pem", "server.key", "web.yml"], ids=["certificate", "key", "file"]
)
@pytest.mark.parametrize("how", ["rubbish", "empty", "gone"])
def test_a_bad_renewal_keeps_what_works_and_is_logged_once(
    write: Callable[[str], Path],
    home: Path,
    caplog: pytest.LogCaptureFixture,
    broken: str,
    how: str,
) -> None:
    caplog.set_level(logging.INFO)
    with site(Source(), web_config=write(TLS)) as served:
        old = serial(served.port)
        good = (home / broken).read_bytes()
        if how == "gone":
            (home / broken).unlink()
        else:
            (home / broken).write_text("rubbish" if how == "rubbish" else "")
        for _ in range(5):
            assert serial(served.port) == old
        errors = [one for one in caplog.records if one.levelno >= logging.ERROR]
        assert [one.getMessage() for one in errors] == [
            "web configuration reload failed, keeping the previous configuration"
        ]
        (home / broken).write_bytes(good)
        assert serial(served.port) == old
        assert caplog.records[-1].getMessage() == "web configuration unchanged"


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        (TLS + USERS, USERS, "tls_server_config"),
        (TLS + USERS, TLS, "basic_auth_users"),
        (MTLS, TLS, "tls_server_config.client_auth_type"),
        (VALID_FOR_NEWER_PROMTOOLS["allowed names"], MTLS, "tls_server_config.client_allowed_sans"),
    ],
    ids=["tls", "users", "clients", "names"],
)
def test_a_file_that_is_half_written_lets_nobody_in(
    write: Callable[[str], Path],
    caplog: pytest.LogCaptureFixture,
    before: str,
    after: str,
    key: str,
) -> None:
    web = WebConfigFile(str(write(before)))
    tls, guard = web.tls(), web.guard()
    write(after)
    assert (web.tls(), web.guard()) == (tls, guard)
    (record,) = caplog.records
    assert f"{key}: was removed or weakened; restore it, or restart" in str(vars(record))


def test_users_headers_and_names_change_without_a_restart(write: Callable[[str], Path]) -> None:
    with site(Source(), web_config=write(USERS)) as served:
        assert served.ask(headers=basic("alice", "right"))[0] == 200
        other = bcrypt.hashpw(b"other", bcrypt.gensalt(4)).decode()
        write(
            f"basic_auth_users:\n  alice: {other}\n"
            "http_server_config:\n  headers:\n    X-Frame-Options: deny\n"
        )
        status, headers, _ = served.ask(headers=basic("alice", "right"))
        assert (status, headers["x-frame-options"]) == (401, "deny")
        assert served.ask(headers=basic("alice", "other"))[0] == 200


def test_a_list_of_authorities_may_have_names_in_any_language(
    write: Callable[[str], Path], home: Path
) -> None:
    (home / "ca.pem").write_bytes("# Autorit\u00e9\n".encode() + AUTHORITY.cert_pem.bytes())
    WebConfigFile(str(write(MTLS)))
    (home / "ca.pem").write_bytes("\u00e9".encode())
    with pytest.raises(SettingsError, match="contains no PEM certificate"):
        WebConfigFile(str(write(MTLS)))


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows by one whenever a file is parsed as YAML."""
    roots: list[object] = []
    parse = yaml.SafeLoader.get_single_node

    def counted(loader: yaml.SafeLoader) -> object:
        roots.append(parse(loader))
        return roots[-1]

    monkeypatch.setattr(yaml.SafeLoader, "get_single_node", counted)
    return roots


@pytest.mark.parametrize("offset", [0, -3600, 3600], ids=["now", "future", "past"])
def test_files_that_do_not_change_are_parsed_once_however_the_clock_is_set(
    write: Callable[[str], Path], home: Path, parsed: list[object], offset: int
) -> None:
    file = write(TLS + USERS)
    for one in home.iterdir():  # as if the clock had been set by so much since
        os.utime(one, (time.time() - offset, time.time() - offset))
    web = WebConfigFile(str(file))
    tls, guard = web.tls(), web.guard()
    over = time.monotonic() + SETTLED + 0.3
    while time.monotonic() < over:
        assert web.tls() is tls
        assert web.guard() is guard
    assert len(parsed) == 1


def test_a_change_that_no_time_of_the_file_shows_is_seen_a_second_later(
    write: Callable[[str], Path], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a second one within the same tick of the file system's clock."""
    monkeypatch.setattr(Path, "stat", lambda path: os.stat_result((*os.stat(path)[:7], 0, 0, 0)))  # noqa: PTH116 - what is replaced
    web = WebConfigFile(str(write("rate_limit: {interval: 1h, burst: 3}\n")))
    guard = web.guard()
    write("rate_limit: {interval: 1h, burst: 4}\n")
    assert web.guard() is guard
    eventually(lambda: web.guard() is not guard, "the new configuration", within=5)


def test_files_that_could_not_be_opened_for_a_while_are_used_as_soon_as_they_can(
    write: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    web = WebConfigFile(str(write(TLS)))
    tls = web.tls()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    write(TLS + USERS)
    opened = max(int(one.name) for one in Path("/proc/self/fd").iterdir()) + 1
    with contextlib.ExitStack() as held:
        resource.setrlimit(resource.RLIMIT_NOFILE, (opened, limits[1]))
        held.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        with suppress(OSError):
            while True:
                held.enter_context(socket.socket())
        for _ in range(3):
            assert web.tls() is tls
    (error,) = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert "too many open files" in str(vars(error))
    eventually(lambda: web.tls() is not tls, "the new configuration", within=5)


def test_a_fault_that_nobody_foresaw_is_logged_once_and_may_pass(
    write: Callable[[str], Path],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG, "exporter")
    file = write(TLS)
    web = WebConfigFile(str(file))
    tls = web.tls()

    def load_cert_chain(*_: object, **__: object) -> None:
        raise MemoryError(HASH)  # stands for a text that quotes the file

    with monkeypatch.context() as patched:
        patched.setattr(ssl.SSLContext, "load_cert_chain", load_cert_chain)
        write(TLS + USERS)
        with pytest.raises(SettingsError, match=r"internal error .*MemoryError in web/tls\.py:"):
            WebConfigFile(str(file))
        for _ in range(5):
            assert web.tls() is tls
    (error,) = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert "internal error while reading the web configuration" in str(vars(error))
    (traced,) = [one for one in caplog.records if one.exc_info]
    whole = logging.Formatter().format(traced)
    assert "load_cert_chain" in whole
    assert HASH not in whole
    eventually(lambda: web.tls() is not tls, "the new configuration", within=5)


PIECES = (
    *("!!int ''", "!!timestamp x", "!!float ''", "!!bool x", "!!binary x", "!!str ", "!x ", "&a "),
    *("*a", "<<: ", "? ", "- ", "[", "]", "{", "}", "'", '"', ":", "\n", "\n  ", "#", "~", "false"),
    *('"\\ud800"', '"\\UFFFFFFFF"', '"\\0"', "0x_", "1e400", "9" * 400, "\u00e9", "\x00", ".", "/"),
    *("rate_limit: {interval: 1s, burst: 1}\n", "  cipher_suites: ['']\n", "  cert: ''\n"),
)
mutations = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 20), st.sampled_from(PIECES)), max_size=5
)
SEEDS = [
    *VALID.values(),
    *VALID_FOR_NEWER_PROMTOOLS.values(),
    *(one[0] for one in INVALID.values()),
]


@tried_with(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.sampled_from(SEEDS), changes=mutations, end=st.binary(max_size=3))
def test_whatever_the_file_becomes_nothing_is_raised_and_it_is_logged_once(
    seed: str,
    changes: list[tuple[float, int, str]],
    end: bytes,
    write: Callable[[str], Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for where, length, piece in changes:
        start = int(where * len(seed))
        seed = seed[:start] + piece + seed[start + length :]
    caplog.set_level(logging.INFO)
    file = write(MTLS + USERS)
    web = WebConfigFile(str(file))
    caplog.clear()
    tls, guard = web.tls(), web.guard()
    data = seed.encode() + end
    assume(data != file.read_bytes())
    file.with_name("new.yml").write_bytes(data)
    file.with_name("new.yml").rename(file)
    for _ in range(3):
        after = web.tls(), web.guard()
    (record,) = caplog.records
    said = str(vars(record)["fields"])
    if record.levelno >= logging.ERROR:
        assert after == (tls, guard)
        assert "internal error" not in said
        lines = vars(record)["fields"]["error"].split("\n")
        assert all(line.startswith(f"{file}") and line.isprintable() for line in lines)
        assert "secretword" not in said
        assert HASH[8:] not in said


# --- certificates of clients -------------------------------------------------------------------


def client_named(*names: bytes) -> ssl.SSLContext:
    """A client whose certificate has these names, encoded as they stand, also against all rules."""
    inner = b"".join(names)
    extension = x509.UnrecognizedExtension(
        x509.ObjectIdentifier("2.5.29.17"), b"\x30" + bytes([len(inner)]) + inner
    )
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(AUTHORITY.cert_pem.bytes())
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(extension, critical=False)
        .sign(
            serialization.load_pem_private_key(AUTHORITY.private_key_pem.bytes(), None),  # type: ignore[arg-type]  # an elliptic curve's
            hashes.SHA256(),
        )
    )
    context = trusting(AUTHORITY)
    with tempfile.NamedTemporaryFile() as file:
        file.write(certificate.public_bytes(serialization.Encoding.PEM))
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        file.flush()
        context.load_cert_chain(file.name)
    return context


GOOD = b"\x82\x13scraper.example.com"
STRANGE_NAMES = {
    "address of five bytes": b"\x87\x05aaaaa",
    "empty address": b"\x87\x00",
    "empty name": b"\x82\x00",
    "name with a null": b"\x82\x14scraper.example.com\x00",
    "directory name": b"\xa4\x02\x30\x00",
    "registered id": b"\x88\x03\x2a\x03\x04",
    "other name": b"\xa0\x0a\x06\x03\x2a\x03\x04\xa0\x03\x0c\x01x",
}


@pytest.mark.parametrize("name", STRANGE_NAMES.values(), ids=STRANGE_NAMES.keys())
def test_a_name_that_cannot_be_understood_lets_nobody_in_and_does_not_hide_another(
    write: Callable[[str], Path], name: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    text = f"{MTLS}  client_allowed_sans: [scraper.example.com, '<invalid>', '::1']\n"
    with site(Source(), web_config=write(text)) as served:
        for _ in range(3):
            with pytest.raises((OSError, http.client.HTTPException)):
                served.ask(context=client_named(name))
        assert served.ask(context=client_named(name, GOOD))[0] == 200
    assert caplog.records == []


UNREADABLE_NAMES = {
    "name that is no UTF-8": b"\x82\x02\xff\xfe",
    "mail that is no UTF-8": b"\x81\x02\xff\xfe",
    "URI that is no UTF-8": b"\x86\x02\xff\xfe",
}


@pytest.mark.parametrize("rule", ["", "  client_allowed_sans: [scraper.example.com]\n"])
@pytest.mark.parametrize("name", UNREADABLE_NAMES.values(), ids=UNREADABLE_NAMES.keys())
def test_a_certificate_that_cannot_be_read_lets_nobody_in_and_holds_no_connection(
    write: Callable[[str], Path], name: bytes, rule: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "exporter")
    with site(Source(), web_config=write(MTLS + rule)) as served:
        with contextlib.ExitStack() as held:
            for _ in range(3):
                connection = held.enter_context(
                    handshake(served.port, client_named(name, GOOD))  # TLS 1.3: done on this side
                )
                with suppress(OSError):
                    assert connection.recv(1) == b""  # well before any timeout
        assert served.ask(context=trusting(AUTHORITY, CLIENT))[0] == 200
    assert [one.levelno for one in caplog.records] == [logging.DEBUG] * 3
    assert "unreadable certificate" in str(vars(caplog.records[0]))


# --- headers, rates and users ------------------------------------------------------------------


def test_configured_headers_are_on_every_answer_and_replace_its_own(
    write: Callable[[str], Path],
) -> None:
    text = VALID["headers"] + USERS
    with site(Source(), web_config=write(text)) as served:
        for path in ("/-/healthy", "/", "/nowhere"):
            _, headers, _ = served.ask(path, headers=basic("alice", "right"))
            assert headers["x-frame-options"] == "sameorigin"
            assert headers["content-security-policy"] == "default-src 'none'"
            assert headers["strict-transport-security"] == "max-age=3600"
        assert served.ask()[1]["x-frame-options"] == "sameorigin"


def test_requests_beyond_the_rate_are_told_to_wait_and_health_is_not(
    write: Callable[[str], Path],
) -> None:
    source = Source()
    with site(source, web_config=write("rate_limit: {interval: 1h, burst: 3}\n")) as served:
        assert [served.ask()[0] for _ in range(5)] == [200, 200, 200, 429, 429]
        assert {served.ask(path)[0] for path in ("/-/healthy", "/-/ready")} == {200}
    assert len(source.begun) == 3


def test_the_rate_lets_requests_pass_again_in_time(write: Callable[[str], Path]) -> None:
    text = "rate_limit: {interval: 1s, burst: 1}\n"
    with site(Source(), web_config=write(text)) as served:
        assert [served.ask()[0] for _ in range(2)] == [200, 429]
        eventually(lambda: served.ask()[0] == 200, "request that passes")


def basic(user: str, password: str) -> dict[str, str]:
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def hashed(password: str, cost: int = 4) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()


MANY_USERS = (
    f"basic_auth_users:\n  alice: {HASH}\n  colon: {hashed('a:b::')}\n  empty: {hashed('')}\n"
    f"  zoë: {hashed('pässwörd')}\n  long: {hashed('x' * 72)}\n"
)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (basic("alice", "right"), 200),
        ({"Authorization": basic("alice", "right")["Authorization"].replace("B", "b", 1)}, 200),
        (basic("colon", "a:b::"), 200),
        (basic("empty", ""), 200),
        (basic("zoë", "pässwörd"), 200),
        (basic("long", "x" * 100), 200),
        (basic("alice", "wrong"), 401),
        (basic("alice", ""), 401),
        (basic("alice", "right "), 401),
        (basic("Alice", "right"), 401),
        (basic("nobody", "right"), 401),
        (basic("colon", "a"), 401),
        (basic("", ""), 401),
        ({}, 401),
        ({"Authorization": ""}, 401),
        ({"Authorization": "Basic"}, 401),
        ({"Authorization": "Basic !!!"}, 401),
        ({"Authorization": "Basic YWxpY2U="}, 401),
        ({"Authorization": "Bearer right"}, 401),
        ({"Authorization": "Basic " + "A" * 8000}, 401),
    ],
    ids=["right", "scheme in lower case", "colons", "empty password", "not ascii", "longer than 72",
         "wrong", "no password", "with a blank", "other case", "unknown user", "cut at the colon",
         "nothing", "no header", "empty header", "no pair", "no base64", "no colon", "other scheme",
         "very long"],
)  # fmt: skip
def test_who_gets_in_with_a_password(
    write: Callable[[str], Path], headers: dict[str, str], status: int
) -> None:
    source = Source()
    with site(source, web_config=write(MANY_USERS)) as served:
        for _ in range(2):  # checked, then remembered
            got, heads, _ = served.ask(headers=headers)
            assert got == status
            assert heads.get("www-authenticate") == (
                'Basic charset="UTF-8"' if status == 401 else None
            )
    assert len(source.begun) == (2 if status == 200 else 0)


def test_every_path_but_health_needs_the_password(write: Callable[[str], Path]) -> None:
    with site(Source(), web_config=write(USERS)) as served:
        for path in ("/metrics", "/", "/sd", "/probe", "/config", "/-/reload", "/nowhere"):
            assert served.ask(path)[0] == 401, path
        assert served.ask("/metrics", "POST")[0] == 401
        for path in ("/-/healthy", "/-/ready"):
            assert served.ask(path)[0] == 200, path


def test_an_unknown_user_costs_what_a_known_one_does(write: Callable[[str], Path]) -> None:
    text = f"basic_auth_users:\n  alice: {hashed('right', 9)}\n  bob: {hashed('x', 9)}\n"
    with site(Source(), web_config=write(text)) as served:

        def seconds(user: str, number: int) -> float:
            began = time.perf_counter()
            assert served.ask(headers=basic(user, f"wrong {number}"))[0] == 401
            return time.perf_counter() - began

        both = [(seconds("alice", one), seconds("mallory", one)) for one in range(10)]
    # What else the machine does makes some of them take longer.
    known, unknown = map(min, zip(*both, strict=True))
    assert known / 2 < unknown < known * 2
    assert unknown > 0.01  # a hash was compared


def test_a_flood_of_wrong_passwords_does_not_stop_scrapes(write: Callable[[str], Path]) -> None:
    text = f"basic_auth_users:\n  alice: {hashed('right', 11)}\n"  # some 0.1 s a check
    with site(Source(), web_config=write(text)) as served:
        assert served.ask(headers=basic("alice", "right"))[0] == 200
        threads = threading.active_count()
        over = threading.Event()
        statuses: list[int] = []

        def flood(name: int) -> None:
            number = 0
            while not over.is_set():
                number += 1
                statuses.append(served.ask(headers=basic("alice", f"{name} {number}"))[0])

        flooders = [threading.Thread(target=flood, args=(one,)) for one in range(8)]
        for flooder in flooders:
            flooder.start()
        eventually(lambda: 429 in statuses and 401 in statuses, "refused and delayed passwords")
        took = []
        for _ in range(10):
            began = time.monotonic()
            assert served.ask(headers=basic("alice", "right"))[0] == 200
            took.append(time.monotonic() - began)
        assert threading.active_count() <= threads + 8 + 1
        over.set()
        for flooder in flooders:
            flooder.join(10)
    assert set(statuses) == {401, 429}
    assert statistics.median(took) < 1


def keep_guessing(port: int, address: str, over: threading.Event, statuses: list[int]) -> None:
    """Send one wrong password after the other from this address."""
    number = 0
    while not over.is_set():
        connection = http.client.HTTPConnection(
            "127.0.0.1", port, timeout=20, source_address=(address, 0)
        )
        with contextlib.closing(connection), suppress(OSError, http.client.HTTPException):
            for _ in range(5):
                number += 1
                headers = basic("alice", f"{address} {threading.get_ident()} {number}")
                connection.request("GET", "/metrics", headers=headers)
                response = connection.getresponse()
                response.read()
                statuses.append(response.status)


def test_the_right_password_gets_through_a_flood_from_many_addresses_at_once(
    write: Callable[[str], Path], run_exporter: Callable[..., RunningExporter]
) -> None:
    # Each check takes some 0.2 s. Prometheus' password is not remembered after a restart.
    text = f"basic_auth_users:\n  alice: {hashed('right', 12)}\n  bob: {hashed('his', 12)}\n"
    exporter = run_exporter("--demo", "--web.config.file", str(write(text)))
    port = int(exporter.url.rpartition(":")[2])
    over = threading.Event()
    statuses: list[int] = []
    guessers = [
        threading.Thread(target=keep_guessing, args=(port, f"127.0.1.{one}", over, statuses))
        for one in range(1, 46)
        for _ in range(2)
    ]
    for guesser in guessers:
        guesser.start()
    try:
        eventually(lambda: 401 in statuses and 429 in statuses, "a flood")
        for pair in (("alice", "right"), ("bob", "his")):
            began = time.monotonic()
            assert get(f"{exporter.url}/metrics", auth=pair).status_code == 200
            assert time.monotonic() - began < 8  # a scrape's usual timeout is 10 s
        assert set(statuses) == {401, 429}
    finally:
        over.set()
        exporter.stop()  # those who wait for an answer are told so
        for guesser in guessers:
            guesser.join(10)


# --- the documentation -------------------------------------------------------------------------


def test_the_documentation_has_each_key() -> None:
    text = (ROOT / "docs" / "reference" / "web-config.md").read_text()
    sections = {name: body for name, _, body in (s.partition("\n") for s in text.split("\n## "))}
    for section, shape in (
        ("tls_server_config", TlsSection),
        ("http_server_config", HttpSection),
        ("rate_limit", RateSection),
    ):
        cells = re.findall(r"^\| ([^|]+) \|", sections[section], re.MULTILINE)
        keys = {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}
        assert keys == set(shape.__struct_fields__), section
    assert set(WebFile.__struct_fields__) <= sections.keys()
