"""The way to the API over TLS: which certificates are trusted, and a handshake that never ends."""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path

import pytest
import trustme

from rawserver import RawServer, answer, eventually, listing, portal
from watching import accounts_for, failures, request_threads, scrape, value


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def tls_api(authority: trustme.CA) -> RawServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    body = answer(listing([portal("a")]))

    class TlsServer(RawServer):
        def _serve(self, connection: socket.socket) -> None:
            try:
                wrapped = context.wrap_socket(connection, server_side=True)
            except OSError:
                return  # the client did not trust us
            super()._serve(wrapped)

    return TlsServer(lambda peer, _: peer.sendall(body))


def url_of(api: RawServer) -> str:
    return api.base_url.replace("http://127.0.0.1", "https://localhost")


VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@pytest.fixture(autouse=True)
def _no_authority_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("variable", VARIABLES)
def test_an_authority_of_the_environment_is_trusted(
    variable: str, authority: trustme.CA, tmp_path: Path
) -> None:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with tls_api(authority) as api:
        text = scrape(accounts_for(url_of(api), environ={variable: str(bundle)}))
    assert value(text, "cloudflare_mcp_up") == 1


def test_a_certificate_of_a_stranger_is_a_connection_failure_that_says_why(
    authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    with tls_api(authority) as api:
        text = scrape(accounts_for(url_of(api), "--scrape.timeout=5"))
    assert failures(text) == {"connection": 1}
    assert " is not trusted: " in str(caplog.records[-1].__dict__)


def test_a_handshake_that_drips_ends_with_the_budget() -> None:
    def drip(api: RawServer, peer: socket.socket) -> None:
        # The head of a TLS record that announces far more than ever comes.
        api.drip(peer, b"\x16\x03\x03\x40\x00" + b"\x02" * 900)

    class DrippingServer(RawServer):
        def _serve(self, connection: socket.socket) -> None:
            with connection:
                try:
                    drip(self, connection)
                except OSError:
                    return  # the client gave up, as it should

    with DrippingServer(lambda *_: None) as api:
        start = time.monotonic()
        text = scrape(accounts_for(url_of(api), "--scrape.timeout=1"))
        took = time.monotonic() - start
        assert eventually(lambda: not request_threads()), "what blocked was interrupted"
    assert failures(text) == {"timeout": 1}
    assert took < 20
