"""Which addresses may be probed.

A server's hostname comes from the API, so whoever edits it there could point the exporter at hosts
that only the exporter can reach: metadata services, loopback, private networks. So only public
addresses are allowed, plus the networks that the configuration names. The check is made on the
resolved addresses, and the connection goes to exactly those, so that a name that resolves
differently a moment later changes nothing.

IPv6 is an allow list: of all its space only 2000::/3 is public unicast, and NAT64 addresses are
judged by the IPv4 address that they contain.

Source: the IANA special-purpose address registries for IPv4 and IPv6.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import msgspec

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_SPECIAL_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_SPECIAL_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # Teredo, ORCHID and other protocol assignments
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")


class RefusedAddressError(OSError):
    """A name resolves to an address that must not be probed."""


class AddressPolicy(msgspec.Struct, frozen=True):
    """Decides which addresses may be probed.

    Attributes:
        allowed: networks that may be probed although they are not public.
    """

    allowed: tuple[Network, ...] = ()

    def check(self, addresses: Iterable[str]) -> None:
        """Raise unless all addresses of a name may be probed.

        One that may not is enough: a name with public and private addresses is an attempt to reach
        the private one.

        Raises:
            RefusedAddressError: one of them may not be probed.
        """
        for text in addresses:
            if not self._permits(text):
                raise RefusedAddressError(
                    "its name resolves to an address that is not public; see --probe.allow-networks"
                )

    def check_host(self, host: str) -> None:
        """Raise if a URL's host is an address that may not be probed, or this machine's name.

        For requests through a proxy, which resolves all other names.

        Raises:
            RefusedAddressError: it is.
        """
        name = host.lower().rstrip(".")
        if name == "localhost" or name.endswith(".localhost"):
            name = "127.0.0.1"
        address = _literal(name)
        if address:
            self.check([address])

    def _permits(self, text: str) -> bool:
        try:
            address = _unwrapped(ip_address(text.partition("%")[0]))
        except ValueError:
            return False
        if any(
            address.version == network.version and address in network for network in self.allowed
        ):
            return True
        return _is_public(address)


def parse_network(text: str) -> Network:
    """A network in CIDR notation, or a single address.

    Raises:
        ValueError: it is neither, or has host bits set.
    """
    return ip_network(text)


def _literal(host: str) -> str:
    """The address that a host is, in whatever form a resolver takes; empty for a name."""
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))  # such as 127.1, 0x7f000001, 2130706433
    except (OSError, UnicodeError):
        return ""


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside an IPv4-mapped or NAT64 one, to which the packets go."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_V4)
    return address in _GLOBAL_V6 and not any(address in network for network in _SPECIAL_V6)
