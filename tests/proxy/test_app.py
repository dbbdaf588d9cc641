"""The parts of building that can be looked at without starting anything; whole gates run in tests/blackbox."""

from __future__ import annotations

from proxy.app import _groups, _own_addresses, _repeat_key, _server_limits, _url
from proxy.config import Anonymous, Config, Limits, Listener
from tests.proxy.builders import KEY, refund


class Bound:
    def __init__(self, host: str, port: int) -> None:
        self._at = (host, port)

    def getsockname(self) -> tuple[str, int]:
        return self._at


def test_an_address_is_said_as_people_reach_it() -> None:
    here = Bound("127.0.0.1", 8610)
    assert _url(Listener(port=8610), here) == "http://127.0.0.1:8610"  # type: ignore[arg-type]
    assert _url(Listener(port=0, host="::1"), Bound("::1", 4000)) == "http://[::1]:4000"  # type: ignore[arg-type]
    public = Listener(port=8610, public_url="https://gate.example/")
    assert _url(public, here) == "https://gate.example"  # type: ignore[arg-type]


def test_p12_the_gates_own_ports_as_bound_are_what_no_upstream_may_be() -> None:
    bound = [Bound("127.0.0.1", 4001), Bound("127.0.0.1", 4002)]
    assert list(_own_addresses(bound)) == [("127.0.0.1", 4001), ("127.0.0.1", 4002)]  # type: ignore[arg-type]


def test_groups_are_known_for_every_agent_and_for_the_anonymous_one_only_where_it_is_let_in() -> None:
    agents = {"a": {"key_sha256": "0" * 64, "groups": ["support"]}}
    assert _groups(Config.model_validate({"agents": agents})) == {"a": ("support",)}
    config = Config.model_validate({"agents": agents, "anonymous": Anonymous(enabled=True, name="guest", groups=["g"])})
    assert _groups(config) == {"a": ("support",), "guest": ("g",)}


def test_volatile_arguments_are_set_aside_in_the_repeat_key_of_their_tool_only() -> None:
    volatile = {"payments": {"refund": ["$.args.request_id"]}}
    one = refund(arguments={"amount": 1, "request_id": "a"})
    two = refund(arguments={"amount": 1, "request_id": "b"})
    assert _repeat_key(KEY, volatile, one) == _repeat_key(KEY, volatile, two)
    assert _repeat_key(KEY, {}, one) != _repeat_key(KEY, {}, two)
    assert _repeat_key(KEY, {"other": volatile["payments"]}, one) != _repeat_key(KEY, {}, two)


def test_p14_the_listeners_bear_what_the_configuration_says() -> None:
    limits = Limits(body_bytes_max=1_000_000, connections_max=7)
    made = _server_limits(Config(limits=limits))
    assert (made.body_bytes_max, made.connections_max) == (1_000_000, 7)
