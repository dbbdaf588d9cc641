"""What is made of the configuration of a listener; sockets themselves are used in tests/blackbox."""

from __future__ import annotations

from proxy.config import Config, Limits
from proxy.listeners import own_address, server_limits


class Bound:
    def __init__(self, host: str, port: int) -> None:
        self._at = (host, port, 0, 0)  # four of IPv6

    def getsockname(self) -> tuple[str, int, int, int]:
        return self._at


def test_p12_the_gates_own_ports_are_those_really_bound() -> None:
    assert own_address(Bound("::1", 4001)) == ("::1", 4001)  # type: ignore[arg-type]


def test_p14_the_listeners_bear_what_the_configuration_says() -> None:
    limits = Limits(body_bytes_max=1_000_000, connections_max=7)
    made = server_limits(Config(limits=limits))
    assert (made.body_bytes_max, made.connections_max) == (1_000_000, 7)
