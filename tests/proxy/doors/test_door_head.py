"""The head of a request: read once, for one host, from where it may come."""

from __future__ import annotations

import pytest

from proxy.config import Listener
from proxy.doors.door_head import TrustedPeers, head_of, hosts_of
from proxy.wire.refusals import WireRefusal


def test_the_head_is_a_dictionary() -> None:
    assert head_of(((b"host", b"a"), (b"x-any", b"1"), (b"x-any", b"2"))) == {b"host": b"a", b"x-any": b"2"}


@pytest.mark.parametrize("name", [b"host", b"authorization", b"origin", b"mcp-session-id"])
def test_who_and_where_are_said_once(name: bytes) -> None:
    with pytest.raises(WireRefusal, match="twice"):
        head_of(((name, b"a"), (name, b"a")))


LOOPBACK = {"127.0.0.1:8610", "localhost:8610", "[::1]:8610"}


@pytest.mark.parametrize(
    ("listener", "expected"),
    [
        ({}, LOOPBACK),
        ({"host": "::1"}, LOOPBACK),
        ({"host": "10.0.0.5"}, {"10.0.0.5:8610"}),
        ({"host": "0.0.0.0"}, LOOPBACK | {"0.0.0.0:8610"}),
        ({"host": "::"}, LOOPBACK | {"[::]:8610"}),
        ({"public_url": "https://gate.example"}, LOOPBACK | {"gate.example", "gate.example:443"}),
        ({"public_url": "https://gate.example:8443/x"}, LOOPBACK | {"gate.example:8443"}),
    ],
)
def test_a_listener_has_its_own_names_and_no_others(listener: dict[str, str], expected: set[str]) -> None:
    assert hosts_of(Listener.model_validate({"port": 8610} | listener), 8610).hosts == expected


def test_without_trusted_proxies_every_peer_may_ask() -> None:
    assert TrustedPeers(Listener(port=1)).takes("203.0.113.9")
    assert TrustedPeers(Listener(port=1)).takes(None)


@pytest.mark.parametrize(
    ("peer", "expected"), [("10.0.0.1", True), ("10.9.0.1", False), (None, False), ("", False), ("x", False)]
)
def test_with_trusted_proxies_only_they_may(peer: str | None, expected: bool) -> None:
    listener = Listener.model_validate({"port": 1, "trusted_proxies": ["10.0.0.0/24"]})
    assert TrustedPeers(listener).takes(peer) is expected
