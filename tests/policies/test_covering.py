"""Whether a rule matches whatever another matches: what is said is held against random policies and calls."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.covering import cannot_both_match, covers
from policies.decide import decide
from policies.model import ToolCall
from policies.snapshot import PolicySnapshot
from tests.policies.builders import NOON, snapshot
from tests.policies.test_decide_properties import FACTS, calls, entries, loaded, rules


def alone(labels: list[dict[str, Any]], rule: dict[str, Any]) -> PolicySnapshot:
    said = {"classify": labels} if labels else {}
    return loaded([{"name": "base", "facts": FACTS, **said, "rules": [{"id": "r", **rule}]}])


def matches(one: PolicySnapshot, call: ToolCall) -> bool:
    return any(step.rule == "r" and step.matched for step in decide(call, one, at=NOON).trace)


def compared(wide: PolicySnapshot, narrow: PolicySnapshot, many: list[ToolCall], seen: Counter[str]) -> None:
    (first,), (second,) = wide.policies[0].rules, narrow.policies[0].rules
    covered, apart = covers(first, second, wide.classify), cannot_both_match(first, second)
    seen["covered"] += covered
    seen["apart"] += apart
    for call in many:
        if (covered or apart) and matches(narrow, call):
            seen["matched by the narrow one"] += 1
            assert matches(wide, call) is covered


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two rules, often one made of the other by taking something away."""
    narrow = draw(rules())
    other = draw(st.sampled_from(["alike", "alike", "any", "elsewhere"]))
    if other == "elsewhere":
        far, near = ({"decision": "deny", "match": {"tools": tools}} for tools in (["b/**", "b.*/read"], ["a/*"]))
        return far, near
    if other == "any":
        return draw(rules()), narrow
    wide: dict[str, Any] = {"decision": draw(st.sampled_from(["deny", "allow", "require_approval"]))}
    if "condition" in narrow:
        wide["condition"] = narrow["condition"]
    if kept := {key: value for key, value in narrow.get("match", {}).items() if draw(st.booleans())}:
        wide["match"] = kept
    if "when_missing" in narrow and wide["decision"] != "allow" and draw(st.booleans()):
        wide["when_missing"] = "skip"
    if draw(st.booleans()):
        wide.pop("condition", None)
    return wide, narrow


@given(pairs(), st.lists(entries(), max_size=2), st.lists(calls, min_size=12, max_size=12))
@settings(max_examples=50, deadline=None)
def test_a_rule_said_to_cover_another_matches_whatever_it_matches(
    two: tuple[dict[str, Any], dict[str, Any]], labels: list[dict[str, Any]], many: list[ToolCall]
) -> None:
    compared(alone(labels, two[0]), alone(labels, two[1]), many, Counter())


@pytest.mark.long
def test_it_holds_in_tens_of_thousands_of_cases_of_which_many_say_something() -> None:
    seen: Counter[str] = Counter()

    @given(pairs(), st.lists(entries(), max_size=2), st.lists(calls, min_size=20, max_size=20))
    @settings(max_examples=500, deadline=None, database=None)
    def look(two: tuple[dict[str, Any], dict[str, Any]], labels: list[dict[str, Any]], many: list[ToolCall]) -> None:
        compared(alone(labels, two[0]), alone(labels, two[1]), many, seen)

    look()
    assert seen["covered"] > 100, seen
    assert seen["apart"] > 20, seen
    assert seen["matched by the narrow one"] > 300, seen


@pytest.mark.parametrize(
    ("wide", "narrow", "is_covered"),
    [
        ("condition: amount > 50", "condition: amount > 100", True),
        ("condition: amount > 100", "condition: amount > 50", False),
        ("condition: amount >= 5", "condition: amount == 5", True),
        ("condition: amount > -5", "match: {amount_above: 0}", True),
        # A missing amount lets the narrow one match, and says nothing of the users.
        ("condition: users > 3", "condition: amount > 5 AND users > 3", False),
        ("condition: amount > 5, when_missing: skip", "condition: amount > 5", False),
        ("match: {groups: [a, b]}", "match: {groups: [b]}", True),
        ("match: {groups: {all: [a, b]}}", "match: {groups: [b]}", False),
        ("match: {groups: [b]}", "match: {groups: {all: [a, b]}}", True),
        ("match: {hours: {from: '06:00', to: '08:00'}}", "match: {hours: {from: '06:00', to: '08:00'}}", True),
        ("match: {direction: tool_to_agent}", "match: {direction: tool_to_agent}", True),
        ("match: {methods: ['resources/*']}", "match: {methods: [resources/read]}", True),
        ("match: {methods: [resources/read]}", "match: {tools: ['**']}", False),
        ("match: {amount: [1, 2]}", "match: {amount: 1}", True),
        ("match: {reversible: true}", "match: {reversible: false}", False),
    ],
)
def test_what_covers_what_among_rules_that_deny(wide: str, narrow: str, *, is_covered: bool) -> None:
    facts = "facts: {amount: {path: $.args.amount}, users: {path: $.args.users}}"
    one = snapshot(f"{facts}\nrules: [{{id: a, {wide}, decision: deny}}, {{id: b, {narrow}, decision: deny}}]")
    assert covers(*one.policies[0].rules) is is_covered
