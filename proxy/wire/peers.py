"""How many of a listener's connections one address may have: many, and never all of them (P14).

Rules of this module:
* Pure. Addresses are told apart where they tell anything: not on this machine, where all programs have one address, and
  not behind proxies, whose connections are everybody's.
* Of IPv6 a /64 counts as one: nobody is given less, and each has more addresses in it than there are connections.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from proxy.shares import Shares

_NETWORK_BITS = 64


class PeerPlaces:
    """The connections of one listener, by whom they come from."""

    def __init__(self, connections_max: int, *, is_behind_proxies: bool) -> None:
        self._shares = Shares(connections_max)
        self._is_behind_proxies = is_behind_proxies

    def take(self, host: str | None) -> str | None:
        """Count one more from there; what to give back, or None where it is not counted. Raises: PeerHasMany."""
        holder = None if self._is_behind_proxies or host is None else _holder(host)
        if holder is None:
            return None
        if not self._shares.fits(holder):
            raise PeerHasMany
        self._shares.take(holder)
        return holder

    def give(self, holder: str | None) -> None:
        if holder is not None:
            self._shares.give(holder)


class PeerHasMany(Exception):
    """One address has its share of the connections."""


def _holder(host: str) -> str | None:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback:
        return None
    if isinstance(address, IPv6Address):
        return f"{int(address) >> (128 - _NETWORK_BITS):x}::/64"
    return str(address)
