"""The parts of building that can be looked at without starting anything; whole gates run in tests/blackbox."""

from __future__ import annotations

from proxy.app import _groups, _repeat_key
from proxy.config import Anonymous, Config
from tests.proxy.builders import KEY, refund


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
