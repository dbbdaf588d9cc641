"""What is made of the configuration of a listener; sockets themselves are used in tests/blackbox."""

from __future__ import annotations

from proxy.config import Config, Limits, Listener
from proxy.listeners import own_addresses, server_limits, url_of


class Bound:
    def __init__(self, host: str, port: int) -> None:
        self._at = (host, port)

    def getsockname(self) -> tuple[str, int]:
        return self._at


def test_an_address_is_said_as_people_reach_it() -> None:
    here = Bound("127.0.0.1", 8610)
    assert url_of(Listener(port=8610), here) == "http://127.0.0.1:8610"  # type: ignore[arg-type]
    assert url_of(Listener(port=0, host="::1"), Bound("::1", 4000)) == "http://[::1]:4000"  # type: ignore[arg-type]
    public = Listener(port=8610, public_url="https://gate.example/")
    assert url_of(public, here) == "https://gate.example"  # type: ignore[arg-type]


def test_p12_the_gates_own_ports_as_bound_are_what_no_upstream_may_be() -> None:
    bound = [Bound("127.0.0.1", 4001), Bound("127.0.0.1", 4002)]
    assert list(own_addresses(bound)) == [("127.0.0.1", 4001), ("127.0.0.1", 4002)]  # type: ignore[arg-type]


def test_p14_the_listeners_bear_what_the_configuration_says() -> None:
    limits = Limits(body_bytes_max=1_000_000, connections_max=7)
    made = server_limits(Config(limits=limits))
    assert (made.body_bytes_max, made.connections_max) == (1_000_000, 7)
