"""Probes of servers with certificates of every kind, and through proxies."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from exporter.deadline import Deadline
from exporter.probes.addresses import AddressPolicy, parse_network
from exporter.probes.exchange import Route
from exporter.probes.portal import PortalProbe, PortalTarget, ServiceToken
from exporter.probes.result import Outcome, Phase, ProbeResult
from exporter.probes.server import ServerProbe, ServerTarget
from mcpserver import McpServer, Say, header, modern
from rawserver import RawServer

LOCAL = AddressPolicy((parse_network("127.0.0.0/8"), parse_network("::1")))
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


class TlsServer(McpServer):
    """An MCP server behind TLS; a failed handshake ends its connection alone."""

    def __init__(self, say: Say, context: ssl.SSLContext) -> None:
        super().__init__(say)
        self._context = context

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), self._context.wrap_socket(connection, server_side=True) as secure:
            super()._serve(secure)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.host.rpartition(':')[2]}/mcp"


def served_by(leaf: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return context


def probe(server: TlsServer, authority: Path, proxy: str = "") -> ProbeResult:
    route = Route(LOCAL, proxy_url=proxy, ca_file=str(authority))
    target = ServerTarget("one", server.url, "unauthenticated")
    return ServerProbe(target, route, Deadline(8), None).run()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> Path:
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


def test_a_good_certificate_and_its_end(authority: trustme.CA, trusted: Path) -> None:
    end = NOW + 5 * DAY
    leaf = authority.issue_cert("localhost", not_after=end)
    with TlsServer(modern(["a"]), served_by(leaf)) as server:
        found = probe(server, trusted)
    assert (found.outcome, found.success, found.tools) == (Outcome.OK, True, 1)
    assert found.certificate_expiry == end.timestamp()
    assert {Phase.RESOLVE, Phase.CONNECT, Phase.TLS, Phase.DISCOVER} <= found.phases.keys()


@pytest.mark.parametrize(
    ("name", "after", "reason"),
    [
        ("localhost", NOW - DAY, "certificate has expired"),
        ("other.example.com", NOW + DAY, "Hostname mismatch"),
    ],
    ids=["expired", "wrong name"],
)
def test_a_certificate_that_does_not_fit(
    name: str, after: datetime, reason: str, authority: trustme.CA, trusted: Path
) -> None:
    leaf = authority.issue_cert(name, not_before=NOW - 9 * DAY, not_after=after)
    with TlsServer(modern(["a"]), served_by(leaf)) as server:
        found = probe(server, trusted)
    assert (found.outcome, found.success, found.http_status) == (Outcome.TLS, False, None)
    assert reason in found.problem
    assert Phase.CONNECT in found.phases
    assert found.tools is None
    assert server.methods == []


def test_a_certificate_of_an_unknown_authority(trusted: Path) -> None:
    leaf = trustme.CA().issue_cert("localhost")
    with TlsServer(modern(["a"]), served_by(leaf)) as server:
        found = probe(server, trusted)
    assert (found.outcome, found.success) == (Outcome.TLS, False)
    assert "certificate is not trusted" in found.problem


def test_an_authority_that_was_replaced_counts_at_once(trusted: Path) -> None:
    other = trustme.CA()
    leaf = other.issue_cert("localhost")
    with TlsServer(modern(["a"]), served_by(leaf)) as server:
        assert probe(server, trusted).outcome is Outcome.TLS
        other.cert_pem.write_to_path(str(trusted))
        assert probe(server, trusted).outcome is Outcome.OK
        trusted.unlink()
        found = probe(server, trusted)
    assert (found.outcome, found.success) == (Outcome.TLS, False)
    assert found.problem == "the certificate authorities of the exporter cannot be loaded"


def test_a_server_that_does_not_speak_tls(trusted: Path) -> None:
    class Other(RawServer):
        def _serve(self, connection: socket.socket) -> None:
            with suppress(OSError), connection:
                connection.recv(1)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

    with Other(lambda *_: None) as server:
        port = server.base_url.split("/")[2].rpartition(":")[2]
        target = ServerTarget("one", f"https://localhost:{port}/mcp", "oauth")
        route = Route(LOCAL, ca_file=str(trusted))
        found = ServerProbe(target, route, Deadline(8), None).run()
    assert (found.outcome, found.success) == (Outcome.TLS, False)


# --- a chain -----------------------------------------------------------------------------------


def certificate(
    name: str,
    days: int,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
    *,
    is_authority: bool,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, signing = issuer or (None, key)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + days * DAY)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(signing, hashes.SHA256())
    )
    return made, key


def test_an_intermediate_that_ends_first_is_the_end_of_the_chain(tmp_path: Path) -> None:
    root = certificate("root.example.com", 900, None, is_authority=True)
    middle = certificate("middle.example.com", 3, root, is_authority=True)
    leaf, key = certificate("localhost", 90, middle, is_authority=False)

    def pem(one: x509.Certificate) -> bytes:
        return one.public_bytes(serialization.Encoding.PEM)

    (tmp_path / "root.pem").write_bytes(pem(root[0]))
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / "server.pem").write_bytes(private + pem(leaf) + pem(middle[0]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    with TlsServer(modern(["a"]), context) as server:
        found = probe(server, tmp_path / "root.pem")
    assert found.outcome is Outcome.OK, found
    assert found.certificate_expiry == (NOW + 3 * DAY).timestamp()


# --- proxies -----------------------------------------------------------------------------------


class Proxy(RawServer):
    """An HTTP proxy that connects to wherever it is asked to."""

    def __init__(self) -> None:
        super().__init__(self._connect)

    def _connect(self, connection: socket.socket, head: str) -> None:
        method, target, _ = head.split(" ", 2)
        assert method == "CONNECT"
        host, _, port = target.rpartition(":")
        with socket.create_connection((host, int(port))) as far:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(far, connection), daemon=True)
            back.start()
            pump(connection, far)
            back.join(10)

    @property
    def url(self) -> str:
        return f"http://user:word@{self.base_url.split('/')[2]}"


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def proxied() -> Iterator[Proxy]:
    with Proxy() as proxy:
        yield proxy


def test_a_probe_goes_through_the_proxy_with_the_proxy_s_credentials_alone(
    authority: trustme.CA, trusted: Path
) -> None:
    leaf = authority.issue_cert("localhost")
    token = ServiceToken("client.access", "not-for-the-proxy")
    with TlsServer(modern(["docs_a"]), served_by(leaf)) as server, proxied() as proxy:
        found = probe(server, trusted, proxy.url)
        assert (found.outcome, found.tools) == (Outcome.OK, 1)
        host = server.url.split("/")[2]
        route = Route(LOCAL, proxy_url=proxy.url, ca_file=str(trusted))
        target = PortalTarget("portal", host, frozenset(["docs"]))
        seen = PortalProbe(target, route, Deadline(8), token, None).run()
        assert seen.visible_tools == {"docs": 1}
    assert header(server.heads[-1], "CF-Access-Client-Secret") == token.client_secret
    assert header(server.heads[-1], "Proxy-Authorization") == ""
    assert all(head.startswith(f"CONNECT {host} ") for head in proxy.heads)
    assert token.client_secret not in "".join(proxy.heads)
    basic = base64.b64encode(b"user:word").decode()
    assert header(proxy.heads[0], "Proxy-Authorization") == f"Basic {basic}"


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "LOCALHOST.", "a.localhost", "2130706433", "0177.0.0.1"),
        *("0x7f.0.0.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1"),
    ],
)
def test_a_proxy_is_not_asked_for_an_address_that_is_refused(host: str, trusted: Path) -> None:
    with proxied() as proxy:
        route = Route(proxy_url=proxy.url, ca_file=str(trusted))
        target = ServerTarget("one", f"https://{host}/mcp", "oauth")
        found = ServerProbe(target, route, Deadline(8), None).run()
    assert (found.outcome, proxy.heads) == (Outcome.REFUSED_ADDRESS, [])


def test_a_proxy_that_refuses_is_no_answer_of_the_server(trusted: Path) -> None:
    class Refusing(Proxy):
        def _connect(self, connection: socket.socket, head: str) -> None:
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with Refusing() as proxy:
        route = Route(LOCAL, proxy_url=proxy.url, ca_file=str(trusted))
        target = ServerTarget("one", "https://mcp.invalid/mcp", "oauth")
        found = ServerProbe(target, route, Deadline(8), None).run()
    assert (found.outcome, found.http_status, found.success) == (Outcome.CONNECT, None, False)
