"""What kind of address a host is: ours alone, never to be reached, or somewhere else.

Rules of this module:
* Literals are judged, names are not resolved: whoever connects judges the resolved address by the same functions (P12).
* IPv4 inside IPv6 (mapped, 6to4, NAT64, Teredo), and IPv4 written in the old ways (127.1, 0x7f000001, 2130706433),
  counts as the IPv4 address it leads to.
"""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1
OLD_IPV4 = re.compile(r"(0[xX][0-9a-fA-F]+|[0-9]+)(\.(0[xX][0-9a-fA-F]+|[0-9]+)){0,3}\.?")

# Instance metadata services, beside the link-local ones: Alibaba, Oracle, AWS over IPv6.
METADATA = frozenset(ip_address(text) for text in ("100.100.100.200", "192.0.0.192", "fd00:ec2::254"))


def literal(host: str) -> IPv4Address | IPv6Address | None:
    """The address a host literal leads to, or None for a name."""
    try:
        address = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return _old_ipv4(host)
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address.teredo is not None:
            return address.teredo[1]
        if address in NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _old_ipv4(host: str) -> IPv4Address | None:
    """What the C library's resolver makes of a host of numbers, without asking anybody (inet_aton(3))."""
    if not OLD_IPV4.fullmatch(host):
        return None
    try:
        return IPv4Address(socket.inet_aton(host.rstrip(".")))
    except OSError:
        return None


def is_loopback(host: str) -> bool:
    """True for 127.0.0.0/8, ::1, forms of them inside IPv6, and the name localhost."""
    address = literal(host)
    if address is None:
        return host.rstrip(".").lower() == "localhost"
    return address.is_loopback


def is_wildcard(host: str) -> bool:
    """True for 0.0.0.0 and ::, which mean every interface of this machine."""
    address = literal(host)
    return address is not None and address.is_unspecified


def is_never_an_upstream(host: str) -> bool:
    """Link-local, multicast, reserved, unspecified and metadata addresses: no tool server lives there (P12)."""
    address = literal(host)
    if address is None:
        return False
    if address in METADATA or address.is_unspecified or address.is_multicast or address.is_link_local:
        return True
    return isinstance(address, IPv4Address) and address.is_reserved
