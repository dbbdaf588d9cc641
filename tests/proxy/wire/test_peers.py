from __future__ import annotations

import pytest

from proxy.wire.peers import PeerHasMany, PeerPlaces


@pytest.mark.parametrize(("connections", "fits"), [(5, True), (6, True), (7, False)])
def test_p14_one_address_has_three_quarters_of_the_connections_at_most(connections: int, fits: bool) -> None:
    places = PeerPlaces(8, is_behind_proxies=False)
    for _ in range(connections - 1):
        places.take("192.0.2.1")
    if fits:
        places.take("192.0.2.1")
    else:
        with pytest.raises(PeerHasMany):
            places.take("192.0.2.1")
    places.take("192.0.2.2")


def test_a_connection_that_ended_makes_room_for_another() -> None:
    places = PeerPlaces(4, is_behind_proxies=False)
    taken = [places.take("192.0.2.1") for _ in range(3)]
    with pytest.raises(PeerHasMany):
        places.take("::ffff:192.0.2.1")
    places.give(taken[0])
    places.take("192.0.2.1")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "::ffff:127.0.0.1", "", "/run/gate.sock", None])
def test_addresses_that_tell_nobody_apart_are_not_counted(host: str | None) -> None:
    places = PeerPlaces(1, is_behind_proxies=False)
    assert [places.take(host) for _ in range(5)] == [None] * 5
    places.give(None)


def test_behind_proxies_addresses_are_not_counted() -> None:
    places = PeerPlaces(1, is_behind_proxies=True)
    assert [places.take("192.0.2.1") for _ in range(5)] == [None] * 5


def test_p14_a_network_of_ipv6_addresses_is_one_peer() -> None:
    places = PeerPlaces(4, is_behind_proxies=False)
    for number in range(3):
        places.take(f"2001:db8::{number:x}")
    with pytest.raises(PeerHasMany):
        places.take("2001:db8::ffff:1%eth0")
    places.take("2001:db8:0:1::1")
