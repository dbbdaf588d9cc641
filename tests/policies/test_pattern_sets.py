"""Patterns as sets of names: what is said of two of them holds for every name that is tried."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.pattern_sets import example_tool, is_disjoint, is_tool_within, is_within, shared_tool
from policies.patterns import Pattern

patterns = st.lists(st.sampled_from(["a", "b", ".", "/", "*", "**", "x"]), min_size=1, max_size=5).map("".join)
names = st.text(st.sampled_from("abx./"), min_size=1, max_size=6)
parts = st.text(st.sampled_from("abx."), min_size=1, max_size=3)
tools = st.text(st.sampled_from("abx./"), min_size=1, max_size=4).filter(lambda name: not name.startswith("/"))


@pytest.mark.parametrize(
    ("inner", "outer", "is_inside"),
    [
        ("crm/get_*", "crm/*", True),
        ("crm/get_*", "crm.*", True),
        ("*/read", "read", True),
        ("crm.read", "crm/read", False),  # also the tool `crm.read` of another server
        ("read", "*/read", False),  # not shown, and so not said
        ("**/read", "**.read", False),
        ("a*", "ab*", False),
    ],
)
def test_a_pattern_lies_within_another_for_every_tool_it_matches(inner: str, outer: str, *, is_inside: bool) -> None:
    assert is_tool_within(inner, outer) is is_inside


@given(patterns, patterns, names, parts, tools)
@settings(max_examples=300)
def test_what_is_said_of_two_patterns_holds_for_every_name(
    one: str, other: str, name: str, server: str, tool: str
) -> None:
    a, b = Pattern(one), Pattern(other)
    if is_within(one, other) and a.matches(name):
        assert b.matches(name)
    if is_disjoint(one, other):
        assert not (a.matches(name) and b.matches(name))
    if is_tool_within(one, other) and a.matches_tool(server, tool):
        assert b.matches_tool(server, tool)
    shared = shared_tool(one, other)
    if shared is None:
        assert not (a.matches_tool(server, tool) and b.matches_tool(server, tool))
    else:
        where, _, called = shared.partition("/")
        assert where
        assert called
        assert a.matches_tool(where, called)
        assert b.matches_tool(where, called)


def test_an_example_of_a_pattern_is_short_and_matches() -> None:
    assert example_tool("crm/get_*") == "crm/get_"
    assert example_tool("read") == "x/read"
    assert shared_tool("crm/get_*", "crm/*_secret") == "crm/get_secret"
    assert shared_tool("crm/*", "shop/*") is None
