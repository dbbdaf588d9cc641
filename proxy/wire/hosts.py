"""Which Host and Origin a listener answers to: a fixed list, so that a rebound DNS name leads nowhere.

Rules of this module:
* The list is made at start from the configuration (listener, `public_url`); nothing a request says adds to it.
* A Host outside the list is 421 (RFC 9110 §15.5.20). A request without an Origin is not from a page in a browser and
  passes; one with an Origin must come from a host of the list (MCP streamable-http, Security: 403), and `null` is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from proxy.wire.body import HeaderLines
from proxy.wire.refusals import Why, WireRefusal

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_NAMES = frozenset((b"host", b"origin"))
_DEFAULT_PORTS = {"http": 80, "https": 443}


class FixedHosts:
    """The names of one listener, as they stand in Host headers: `name:port`, or `name` alone for a default port."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self.hosts = frozenset(host.lower() for host in hosts)

    @classmethod
    def of_listener(cls, host: str, port: int, *, public_url: str | None = None) -> FixedHosts:
        """The names a listener has: what it is bound to, loopback's other names if that is loopback, its public URL."""
        bound = f"[{host}]" if ":" in host else host
        hosts = [f"{name}:{port}" for name in (_LOOPBACK if bound in _LOOPBACK else (bound,))]
        if port in _DEFAULT_PORTS.values():
            hosts += [name.rpartition(":")[0] for name in hosts]
        if public_url is not None:
            public = urlsplit(public_url)
            hosts.append(public.netloc)
            if public.port is None:
                hosts.append(f"{public.netloc}:{_DEFAULT_PORTS[public.scheme]}")
        return cls(hosts)

    def check(self, headers: HeaderLines) -> None:
        """Refuse a request for another host or from another origin.

        Raises: WireRefusal (HOST_NOT_ALLOWED, ORIGIN_NOT_ALLOWED).
        """
        told = [(name, value.decode("latin-1")) for name, value in headers if name in _NAMES]
        hosts = [value for name, value in told if name == b"host"]
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            raise WireRefusal(Why.HOST_NOT_ALLOWED, "this listener does not answer to that Host")
        for name, value in told:
            if name == b"origin" and not self._is_ours(value):
                raise WireRefusal(Why.ORIGIN_NOT_ALLOWED, "this listener does not answer to that Origin")

    def _is_ours(self, origin: str) -> bool:
        scheme, _, host = origin.partition("://")
        return scheme in _DEFAULT_PORTS and host.lower() in self.hosts
