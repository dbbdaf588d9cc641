"""Where a request may go: the addresses that the host of one upstream's URL may mean.

Rules of this module (P12):
* An address in the URL itself is what the operator wrote: private and loopback ones are allowed as written. A name may
  mean loopback only if it is `localhost` (or ends in `.localhost`), and private addresses only inside the networks
  given as `resolves_to`; so a name that is later pointed inwards (DNS rebinding) is refused.
* Link-local, metadata, unspecified, multicast and reserved addresses are refused however they are written.
* The gate's own listeners are refused, under every spelling of their address.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from proxy.addresses import is_never_an_upstream, literal

type Address = IPv4Address | IPv6Address
type Network = IPv4Network | IPv6Network

_AZURE_METADATA = IPv4Address("168.63.129.16")  # a public address that answers with secrets inside Azure
_HOW_TO_MEND = "if that is meant, write the address itself in the url"


class AddressRefused(Exception):
    """No request of this upstream may go to this address; the message says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class AddressRule:
    """What the host of one upstream's URL may mean. `forbidden`: host and port of each of the gate's own listeners."""

    host: str
    port: int
    resolves_to: tuple[Network, ...] = ()
    forbidden: frozenset[tuple[str, int]] = frozenset()

    @property
    def literal(self) -> Address | None:
        """The URL's host as an address, if it is one."""
        return literal(self.host)

    def check(self, text: str) -> None:
        """Whether a request may go to this address, which the host is or resolved to. Raises: AddressRefused."""
        address = literal(text)
        if address is None:
            raise AddressRefused(f"{self.host} resolves to {text!r}, which is no address")
        for host, port in self.forbidden:
            if port == self.port and _reaches(host, address):
                raise AddressRefused(f"{self.host}:{self.port} is the gate's own listener; it can never be an upstream")
        if address == _AZURE_METADATA or is_never_an_upstream(str(address)):
            raise AddressRefused(f"{self.host} is {address}, a metadata, link-local or reserved address")
        if self.literal == address:
            return
        if address.is_loopback:
            if not _is_localhost(self.host):
                raise AddressRefused(f"{self.host} resolves to {address}, this machine itself; {_HOW_TO_MEND}")
        elif not address.is_global and not any(address in network for network in self.resolves_to):
            raise AddressRefused(f"{self.host} resolves to the private address {address}; {_HOW_TO_MEND}")


def _is_localhost(host: str) -> bool:
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")  # RFC 6761 §6.3


def _reaches(listener_host: str, address: Address) -> bool:
    """Whether a connection to `address` would end at a listener bound to `listener_host`."""
    listener = literal(listener_host)
    if listener is None:
        # Bound to a name: on loopback if that name is localhost, else on whichever address of this machine it means.
        return address.is_loopback if _is_localhost(listener_host) else _is_ours(address)
    if listener.is_unspecified:
        return _is_ours(address)
    return listener == address or (listener.is_loopback and address.is_loopback)


def _is_ours(address: Address) -> bool:
    """Whether this machine has the address: only then can a socket be bound to it. Nothing is sent."""
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True
