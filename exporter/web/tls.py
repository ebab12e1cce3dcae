"""TLS of the web configuration file; an error if Python's TLS does not support something."""

from __future__ import annotations

import ipaddress
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from exporter.errors import SettingsError
from exporter.web.web_config_schema import TlsSection


class Tls(msgspec.Struct, frozen=True, eq=False):
    """TLS of a new connection.

    Attributes:
        context: for a handshake.
        allowed_names: of which a client certificate must have one; empty for no restriction.
    """

    context: ssl.SSLContext
    allowed_names: frozenset[str] = frozenset()

    @property
    def verifies(self) -> int:
        """How strictly clients are verified; higher is stricter."""
        return int(self.context.verify_mode)

    def admits(self, certificate: Mapping[str, Any] | None) -> bool:
        """Whether the client with this certificate (from ``getpeercert``) is allowed.

        Never raises: an invalid name matches nothing.
        """
        if not self.allowed_names:
            return True
        names = (certificate or {}).get("subjectAltName", ())
        return any(_plain(kind, name) in self.allowed_names for kind, name in names)


class _Encryption(ssl.SSLObject):
    """A TLS connection whose peer's certificate may be malformed."""

    def getpeercert(self, binary_form: bool = False) -> Any:
        """As in the base class.

        Raises:
            ssl.SSLError: it cannot be read, for example if a name is not UTF-8.
        """
        try:
            return super().getpeercert(binary_form)
        except ValueError as problem:
            raise ssl.SSLError(f"unreadable certificate: {problem}") from None


Complain = Callable[[str, str], SettingsError]
"""Creates an error from a key and a message."""


class Pem(NamedTuple):
    """Certificates or a key, with the configuration key they come from."""

    origin: str
    data: bytes


def build(
    section: TlsSection, cert: Pem, key: Pem, authorities: Pem | None, complain: Complain
) -> Tls:
    """TLS as configured by the section.

    Raises:
        SettingsError: something cannot be used or is not supported.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = _Encryption
    context.set_alpn_protocols(["http/1.1"])
    _set_versions(context, section, complain)
    _set_ciphers(context, section, complain)
    _set_curves(context, section, complain)
    if not section.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    _load_chain(context, cert, key, complain)
    _set_clients(context, section, authorities, complain)
    return Tls(context, _allowed_names(section, complain))


# --- versions, ciphers and curves --------------------------------------------------------------

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}


def _set_versions(context: ssl.SSLContext, section: TlsSection, complain: Complain) -> None:
    context.minimum_version = _version("min_version", section.min_version, complain)
    context.maximum_version = _version("max_version", section.max_version, complain)
    if context.minimum_version > context.maximum_version:
        raise complain("max_version", "is below min_version; raise it")


def _version(key: str, name: str, complain: Complain) -> ssl.TLSVersion:
    if name in {"TLS10", "TLS11"}:
        raise complain(key, f"{name} is obsolete (RFC 8996) and not supported; use TLS12 or TLS13")
    if name not in _VERSIONS:
        raise complain(key, "unknown version; use TLS12 or TLS13")
    return _VERSIONS[name]


_CIPHERS = {
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
"""OpenSSL's names by Go's, for the suites that Go supports."""

_TLS13_CIPHERS = frozenset(
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
)


def _set_ciphers(context: ssl.SSLContext, section: TlsSection, complain: Complain) -> None:
    for index, name in enumerate(section.cipher_suites):
        where = f"cipher_suites[{index}]"
        if name in _TLS13_CIPHERS:
            raise complain(where, "TLS 1.3 cipher suites cannot be configured; remove it")
        if name not in _CIPHERS:
            raise complain(where, "unknown cipher suite; use the names of Go's crypto/tls")
    if not section.cipher_suites:
        return
    if context.minimum_version == ssl.TLSVersion.TLSv1_3:
        raise complain("cipher_suites", "apply to TLS 1.2, which min_version excludes; remove them")
    try:
        context.set_ciphers(":".join(_CIPHERS[name] for name in section.cipher_suites))
    except ssl.SSLError:
        raise complain("cipher_suites", "none of them is supported by this OpenSSL") from None
    offered = {cipher["name"] for cipher in context.get_ciphers()}
    for index, name in enumerate(section.cipher_suites):
        if _CIPHERS[name] not in offered:
            raise complain(f"cipher_suites[{index}]", "is not supported by this OpenSSL; remove it")


_CURVES = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}


def _set_curves(context: ssl.SSLContext, section: TlsSection, complain: Complain) -> None:
    for index, name in enumerate(section.curve_preferences):
        if name not in _CURVES:
            raise complain(
                f"curve_preferences[{index}]", f"unknown curve; use one of {', '.join(_CURVES)}"
            )
    curves = [_CURVES[name] for name in section.curve_preferences]
    set_groups = getattr(context, "set_groups", None)  # new in Python 3.15
    if set_groups is not None and curves:
        set_groups(":".join(curves))
    elif len(curves) == 1:
        context.set_ecdh_curve(curves[0])
    elif curves:
        raise complain("curve_preferences", "only one curve is supported by this Python")


# --- the server's certificate ------------------------------------------------------------------


def _load_chain(context: ssl.SSLContext, cert: Pem, key: Pem, complain: Complain) -> None:
    if b"-----BEGIN CERTIFICATE-----" not in cert.data:
        raise complain(
            cert.origin, "contains no PEM certificate; use the whole chain, the server's own first"
        )
    if b"PRIVATE KEY-----" not in key.data:
        raise complain(key.origin, "contains no PEM private key")
    if b"ENCRYPTED" in key.data:
        raise complain(key.origin, "is encrypted; use a key without a passphrase")
    try:
        with _as_file(cert.data) as cert_file, _as_file(key.data) as key_file:
            context.load_cert_chain(cert_file, key_file, password=b"")
    except ssl.SSLError as problem:
        if problem.reason == "KEY_VALUES_MISMATCH":
            raise complain(key.origin, "does not belong to the certificate") from None
        raise complain(cert.origin, "the certificate or its key is damaged or too weak") from None


@contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """A file for OpenSSL, which loads a chain only from a file; in memory if possible."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            yield str(Path(file.name))


# --- clients -----------------------------------------------------------------------------------

_CLIENTS = {
    "": ssl.CERT_NONE,
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_UNVERIFIED = frozenset({"RequestClientCert", "RequireAnyClientCert", "RequireClientCert"})


def _set_clients(
    context: ssl.SSLContext, section: TlsSection, authorities: Pem | None, complain: Complain
) -> None:
    kind = section.client_auth_type
    if kind in _UNVERIFIED:
        raise complain(
            "client_auth_type",
            f"{kind} accepts unverified certificates, which Python does not support; use "
            "RequireAndVerifyClientCert",
        )
    if kind not in _CLIENTS:
        raise complain("client_auth_type", "unknown value; use RequireAndVerifyClientCert")
    context.verify_mode = _CLIENTS[kind]
    if context.verify_mode == ssl.CERT_NONE:
        if authorities is not None:
            raise complain(authorities.origin, "requires client_auth_type; set it, or remove this")
    elif authorities is None:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    else:
        _trust(context, authorities, complain)


def _trust(context: ssl.SSLContext, authorities: Pem, complain: Complain) -> None:
    try:
        # There may be text in any language between the certificates.
        context.load_verify_locations(cadata=authorities.data.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError):  # the latter if nothing is left
        raise complain(authorities.origin, "contains no PEM certificate") from None


def _allowed_names(section: TlsSection, complain: Complain) -> frozenset[str]:
    names = section.client_allowed_sans
    if names and _CLIENTS[section.client_auth_type] == ssl.CERT_NONE:
        raise complain(
            "client_allowed_sans", "requires client_auth_type: RequireAndVerifyClientCert"
        )
    if "" in names:
        raise complain(f"client_allowed_sans[{names.index('')}]", "is empty; remove it")
    return frozenset(names)


def _plain(kind: str, name: object) -> object:
    """A name of a certificate as Go writes it: OpenSSL does not shorten IPv6 addresses."""
    if kind != "IP Address":
        return name  # text, or a tuple that equals no text
    try:
        return str(ipaddress.ip_address(str(name).strip()))
    except ValueError:
        return None  # OpenSSL writes <invalid> for an address of another length
