"""The addresses of one upstream's host: resolved once, judged, and held until a connection to them fails.

Rules of this module:
* What was judged is what is connected to: no second lookup lies between (DNS rebinding).
* One refused address refuses them all: which of several would be used is not ours to say.
* A host that moved is found again: after a failed connection the next request resolves and judges anew.
"""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

from proxy.upstreams.address_rule import AddressRefused, AddressRule, Network


class UrlRefused(ValueError):
    """The configured URL is none an upstream may have; the message says why and how to mend it."""


def rule_of(url: str, resolves_to: tuple[Network, ...], forbidden: frozenset[tuple[str, int]]) -> AddressRule:
    """Judge the URL as far as it can be without resolving its host. Raises: UrlRefused."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise UrlRefused(f"this is no URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UrlRefused("this is no http or https URL with a host")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise UrlRefused("the url holds credentials or a fragment; put credentials under headers")
    rule = AddressRule(parts.hostname, port, resolves_to, forbidden)
    if rule.literal is not None:
        try:
            rule.check(str(rule.literal))
        except AddressRefused as error:
            raise UrlRefused(str(error)) from error
    return rule


class PinnedAddresses:
    """The addresses that connections of one upstream go to."""

    def __init__(self, rule: AddressRule, *, resolve_sec_max: float) -> None:
        self._rule, self._resolve_sec_max = rule, resolve_sec_max
        self._literal = () if rule.literal is None else (str(rule.literal),)
        self.known: tuple[str, ...] = self._literal

    async def know(self) -> None:
        """Make sure that `known` is. Raises: AddressRefused."""
        if self.known:
            return
        host, port = self._rule.host, self._rule.port
        try:
            async with asyncio.timeout(self._resolve_sec_max):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:  # a timeout is an OSError; a label that IDNA refuses is the other
            raise AddressRefused(f"{host} could not be resolved: {str(error) or 'no answer in time'}") from error
        addresses = tuple(dict.fromkeys(str(address[0]) for *_, address in found))
        for address in addresses:
            self._rule.check(address)
        self.known = addresses

    def forget(self) -> None:
        """A connection failed: the host may have moved."""
        self.known = self._literal
