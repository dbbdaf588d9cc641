"""The head of an agent's HTTP request, before its body is read: where it came to, from where, for which host.

Rules of this module:
* Pure. Nothing forwarded is believed (traps T7); with `trusted_proxies` connections come from those addresses alone.
* One dictionary of the head is made here, once a request. Of a header that names who or where, a second line is refused
  before the first is used; every other header is read, once, by `proxy.wire.mcp_headers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from proxy.addresses import is_wildcard
from proxy.config import Listener
from proxy.wire.hosts import FixedHosts
from proxy.wire.refusals import Why, WireRefusal

_ONCE = frozenset((b"host", b"authorization", b"origin", b"mcp-session-id"))

type Lines = Sequence[tuple[bytes, bytes]]


def head_of(lines: Lines) -> dict[bytes, bytes]:
    """The head as a dictionary, names in lower case. Raises: WireRefusal (DUPLICATED_HEADER)."""
    head: dict[bytes, bytes] = {}
    for name, value in lines:
        if name in head and name in _ONCE:
            raise WireRefusal(Why.DUPLICATED_HEADER, f"the header {name.decode()} appears twice")
        head[name] = value
    return head


def hosts_of(listener: Listener, port: int) -> FixedHosts:
    """The Host and Origin names of a listener bound to `port`. A bind to every interface has loopback's names too."""
    own = FixedHosts.of_listener(listener.host, port, public_url=listener.public_url)
    if not is_wildcard(listener.host):
        return own
    return FixedHosts([*own.hosts, *FixedHosts.of_listener("127.0.0.1", port).hosts])


class TrustedPeers:
    """From where connections are taken: from everywhere the bind allows, or from configured proxies alone."""

    def __init__(self, listener: Listener) -> None:
        self._networks = tuple(ip_network(text, strict=False) for text in listener.trusted_proxies)

    def takes(self, peer: str | None) -> bool:
        if not self._networks:
            return True
        try:
            address = ip_address(peer or "")
        except ValueError:
            return False
        return any(address in network for network in self._networks)
