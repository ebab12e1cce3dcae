"""Each cause of a failed listing by its own error and hint, met over real sockets."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from exporter.settings import load
from rawserver import RawServer, answer, listing, portal, refusal, sends
from watching import TOKEN, accounts_for, accounts_of, scrape

PORTALS = answer(listing([portal("a")]))
HTML = "Content-Type: text/html\r\n"
NOT_THE_API = (
    "this is not the Cloudflare API; check CLOUDFLARE_BASE_URL or base_url, and any proxy that "
    "answers in its place"
)


class TlsServer(RawServer):
    """The same over TLS."""

    def __init__(self, certificate: trustme.LeafCert) -> None:
        super().__init__(sends(PORTALS))
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(self._context)
        self.port = int(self.base_url.split(":")[2].split("/")[0])

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ssl.SSLError):
            super()._serve(self._context.wrap_socket(connection, server_side=True))


class Hasty(RawServer):
    """Refuses whatever comes in plain HTTP, a greeting of TLS included."""

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[..., tuple[str, str]]:
    """Error and hint of a listing at this base URL."""
    caplog.set_level(logging.INFO)

    def look(base_url: str, environ: Mapping[str, str] | None = None) -> tuple[str, str]:
        caplog.clear()
        scrape(accounts_for(base_url, "--scrape.timeout=5", environ=environ))
        (record,) = [one for one in caplog.records if one.getMessage() == "listing failed"]
        fields: dict[str, Any] = vars(record)["fields"]
        assert TOKEN not in str(fields)
        return fields["error"], fields["hint"]

    return look


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


Said = Callable[..., tuple[str, str]]


def test_a_name_that_does_not_resolve(said: Said) -> None:
    error, hint = said("https://api.invalid/client/v4")
    assert error.startswith("cannot resolve the name of api.invalid: ")
    assert hint == "check the host in the base URL, and DNS on this machine"


def test_a_proxys_name_that_does_not_resolve(said: Said) -> None:
    for scheme in ("http", "https"):
        environ = {f"{scheme.upper()}_PROXY": "http://user:hunter2hunter2@proxy.invalid:3128"}
        error, hint = said(f"{scheme}://api.invalid/client/v4", environ)
        assert error.startswith("cannot resolve the name of the proxy proxy.invalid:3128: ")
        assert hint == "check the host in the proxy's URL (HTTPS_PROXY or proxy_url), and DNS"


def test_a_connection_that_the_api_refuses(said: Said) -> None:
    port = free_port()
    error, hint = said(f"http://127.0.0.1:{port}/client/v4")
    assert error == f"127.0.0.1:{port} refused the connection"
    assert hint == (
        "check the host and the port in the base URL; if they are right, a firewall rejects the "
        "connection, or the server is down"
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_connection_that_the_proxy_refuses(said: Said, scheme: str) -> None:
    port = free_port()
    environ = {f"{scheme.upper()}_PROXY": f"http://127.0.0.1:{port}"}
    error, hint = said(f"{scheme}://api.invalid/client/v4", environ)
    assert error == f"the proxy 127.0.0.1:{port} refused the connection"
    assert hint == (
        "check the host and the port in the proxy's URL (HTTPS_PROXY or proxy_url), and that the "
        "proxy is running"
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_requires_authentication(said: Said, scheme: str) -> None:
    with RawServer(sends(answer(b"", "407 Proxy Authentication Required"))) as proxy:
        address = proxy.base_url.removesuffix("/client/v4")
        error, hint = said(
            f"{scheme}://api.invalid/client/v4", {f"{scheme.upper()}_PROXY": address}
        )
    who = f"the proxy {address.removeprefix('http://')}" if scheme == "https" else "the proxy"
    assert error == f"{who} requires authentication (HTTP 407)"
    assert hint == ("set the proxy's user and password in its URL: http://USER:PASSWORD@HOST:PORT")


def test_a_proxy_that_does_not_connect(said: Said) -> None:
    with RawServer(sends(answer(b"", "403 Forbidden"))) as proxy:
        address = proxy.base_url.removesuffix("/client/v4")
        error, hint = said("https://api.invalid/client/v4", {"HTTPS_PROXY": address})
    assert error == (
        f"the proxy {address.removeprefix('http://')} did not connect to api.invalid (HTTP 403)"
    )
    assert hint == "check that the proxy can reach this host and that its rules allow it"


# --- certificates ------------------------------------------------------------------------------

DAY = timedelta(days=1)
NOW = datetime.now(UTC)
OTHER_NAME = "use the host name that the certificate was issued for in the URL"
EXPIRED = {"not_before": NOW - 3 * DAY, "not_after": NOW - DAY}
EARLY = {"not_before": NOW + DAY, "not_after": NOW + 3 * DAY}
RENEW = (
    "check the clock of this machine; if it is right, the certificate must be renewed by whoever "
    "runs the server, or the proxy that inspects TLS"
)
CERTIFICATES: dict[str, tuple[str, dict[str, Any], tuple[str, str]]] = {
    "expired": ("127.0.0.1", EXPIRED, ("has expired", RENEW)),
    "early": ("127.0.0.1", EARLY, ("is not valid yet", "check the clock of this machine")),
    "another address": ("127.0.0.2", {}, ("was issued for another name", OTHER_NAME)),
    "another name": ("api.example.com", {}, ("was issued for another name", OTHER_NAME)),
}


@pytest.mark.parametrize(("name", "validity", "expected"), CERTIFICATES.values(), ids=CERTIFICATES)
def test_a_certificate_that_is_trusted_and_wrong(
    said: Said, tmp_path: Path, name: str, validity: dict[str, Any], expected: tuple[str, str]
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with TlsServer(authority.issue_cert(name, **validity)) as api:
        host = "localhost" if name == "api.example.com" else "127.0.0.1"
        error, hint = said(
            f"https://{host}:{api.port}/client/v4", {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
        )
    wrong, fix = expected
    assert error == f"the certificate of {host}:{api.port} {wrong}"
    assert hint == fix


def test_a_certificate_that_is_not_trusted(said: Said) -> None:
    with TlsServer(trustme.CA().issue_cert("127.0.0.1")) as api:
        error, hint = said(f"https://127.0.0.1:{api.port}/client/v4")
    assert error.startswith(f"the certificate of 127.0.0.1:{api.port} is not trusted: ")
    assert "certificate" in error.partition(" is not trusted: ")[2]
    assert hint == (
        "if a proxy inspects TLS, add its certificate authority with ca_file or SSL_CERT_FILE"
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "cannot be read: no such file or directory"), ("", "contains no PEM certificate")],
    ids=["gone", "empty"],
)
def test_a_ca_file_that_is_gone_or_damaged_since_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str | None, problem: str
) -> None:
    file = tmp_path / "ca.pem"
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(file))
    config = tmp_path / "config.yml"
    with TlsServer(authority.issue_cert("127.0.0.1")) as api:
        config.write_text(
            f"base_url: https://127.0.0.1:{api.port}/client/v4\nca_file: ca.pem\n"
            f"accounts: [{{account_id: {'a' * 32}, api_token: {TOKEN}}}]\n"
        )
        service = accounts_of(load([f"--config.file={config}"], {}))
        file.unlink()
        if content is not None:
            file.write_text(content)
        scrape(service)
    fields = vars(caplog.records[-1])["fields"]
    assert fields["error"] == f"the CA file {file} {problem}"
    assert fields["hint"] == (
        "restore the file, or change ca_file, SSL_CERT_FILE or REQUESTS_CA_BUNDLE"
    )


def test_a_port_that_does_not_serve_tls(said: Said) -> None:
    with Hasty(sends(b"")) as api:
        error, hint = said(api.base_url.replace("http:", "https:"))
    assert " failed: " in error
    assert hint == "the port does not serve TLS: check the scheme (http or https) and the port"


# --- what answers is not the API ---------------------------------------------------------------


@pytest.mark.parametrize(
    "status", ["200 OK", "400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found"]
)
def test_an_answer_that_is_not_the_apis_json(said: Said, status: str) -> None:
    with RawServer(sends(answer(b"<html>", status, HTML))) as api:
        error, hint = said(api.base_url)
    if status != "200 OK":
        assert error == f"HTTP {status[:3]} did not come from the Cloudflare API (text/html)"
    assert hint == NOT_THE_API


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "404 Not Found"])
def test_a_base_url_without_the_path_of_the_api(said: Said, status: str) -> None:
    with RawServer(sends(answer(b"<html>", status, HTML))) as api:
        url = api.base_url.removesuffix("/client/v4")
        _, hint = said(url)
    assert hint == (
        f"the base URL {url} does not end in /client/v4; check CLOUDFLARE_BASE_URL or base_url"
    )


def test_an_account_that_the_api_does_not_know(said: Said) -> None:
    with RawServer(sends(answer(refusal(7003, "Could not route"), "404 Not Found"))) as api:
        error, hint = said(api.base_url)
    assert error == "the API answered HTTP 404: Could not route (code 7003)"
    assert hint == "check the account ID: it is 32 hexadecimal digits, not a zone ID or a name"


@pytest.mark.parametrize(
    ("body", "headers", "seconds"),
    [(refusal(971, "Slow down"), "Retry-After: 21\r\n", 21), (refusal(971), "", 30), (b"", "", 30)],
    ids=["named", "not named", "not the API's"],
)
def test_a_rate_limit_says_when_the_next_request_is_due(
    said: Said, body: bytes, headers: str, seconds: int
) -> None:
    with RawServer(sends(answer(body, "429 Too Many Requests", headers))) as api:
        error, hint = said(api.base_url)
    assert "HTTP 429" in error
    assert hint.startswith(f"no action needed: next request in {seconds} s; if this repeats, ")


def test_a_server_that_closes_the_connection(said: Said) -> None:
    with RawServer(sends(b"")) as api:
        address = api.base_url.removeprefix("http://").removesuffix("/client/v4")
        error, hint = said(api.base_url)
    assert error.startswith(f"{address} closed the connection")
    assert hint.startswith("retry later; if it persists, ")


def test_no_error_is_the_bare_name_of_a_class(said: Said) -> None:
    for sent in (b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 OK 200\r\n\r\n", answer(b"x", length=9)):
        with RawServer(sends(sent)) as api:
            error, _ = said(api.base_url)
        assert not any(word.endswith(("Error", "Exception")) for word in error.split()), error
        assert len(error.split()) > 3
