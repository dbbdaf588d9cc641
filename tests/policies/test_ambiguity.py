"""Bare tool names that fit tools of several servers: found against the inventory, with what to write instead."""

from __future__ import annotations

import pytest

from policies.ambiguity import ambiguities, ambiguous_rules
from policies.decide import decide
from policies.model import Effect
from tests.policies.builders import NOON, call, snapshot

INVENTORY = {"files": ["read", "write"], "crm": ["read"], "search": ["web"]}


def test_an_allowing_rule_whose_bare_name_fits_several_servers_is_a_mistake() -> None:
    one = snapshot("rules: [{id: a, match: {tools: [write, read]}, decision: allow}]")
    assert [str(error) for error in ambiguities(one, INVENTORY)] == [
        "p1.yaml:1:9: rule 'a' allows 'read', which fits tools of crm, files"
        " (write 'crm/read', or '*/read' for every server)"
    ]
    assert set(ambiguous_rules(one, INVENTORY)) == {"p1.yaml#a"}


@pytest.mark.parametrize(
    "rule",
    [
        "match: {tools: write}, decision: allow",
        "match: {tools: files/read}, decision: allow",
        "match: {tools: '*/read'}, decision: allow",
        "match: {tools: files.read}, decision: allow",
        "match: {tools: '*'}, decision: allow",
        "match: {tools: read}, decision: deny",
        "match: {tools: read}, decision: require_approval",
        "match: {servers: files}, decision: allow",
    ],
)
def test_what_is_plain_or_does_not_allow_is_none(rule: str) -> None:
    assert ambiguities(snapshot(f"rules: [{{{rule}}}]"), INVENTORY) == []


def test_a_bare_glob_is_ambiguous_as_well() -> None:
    one = snapshot("rules: [{id: a, match: {tools: 're*'}, decision: allow}]")
    assert list(ambiguous_rules(one, INVENTORY)) == ["p1.yaml#a"]


def test_another_server_s_tool_of_the_same_name_is_not_freed() -> None:
    one = snapshot("rules: [{id: a, match: {tools: read}, decision: allow}]")
    found = frozenset(ambiguous_rules(one, INVENTORY))
    assert decide(call("crm/read"), one, at=NOON).effect is Effect.ALLOW
    assert decide(call("crm/read"), one, at=NOON, ambiguous_rules=found).effect is Effect.DENY
