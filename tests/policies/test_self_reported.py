"""What an agent says of itself stands in rules that ask or deny, and nowhere else (P9, SEMANTICS §1.5)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policies.decide import decide
from policies.schema_rules import DECISIONS
from tests.policies.builders import NOON, call, errors_of, snapshot

SEED = """
classify: [{tools: ["crm/*"], topics: [job.support.reply], risk_tags: [write]}]
default: allow
rules:
  - {id: unsure, match: {confidence_below: 0.7, topics: ["job.support.*"]}, decision: require_approval}
"""
ASKING = {"deny", "require_approval", "in_the_loop"}


@pytest.mark.parametrize("word", sorted(DECISIONS))
def test_p09_it_may_stand_only_in_rules_that_ask_or_deny(word: str) -> None:
    for form in ("match: {confidence_above: 0.9}", "condition: 'confidence > 0.9'", "match: {reasoning: sure}"):
        errors = errors_of(f"rules: [{{{form}, decision: {word}}}]")
        assert any("what the agent says of itself, and this rule allows" in one for one in errors) is (
            word not in ASKING
        )


@pytest.mark.parametrize("rule", ["match: {confidence_above: 0.9}", "match: {reasoning: x}"])
def test_p09_it_stands_in_no_output_rule(rule: str) -> None:
    assert errors_of(f"output: [{{{rule}, always: review}}]") != []


@pytest.mark.parametrize("name", ["confidence", "reasoning"])
def test_no_file_can_say_where_it_stands(name: str) -> None:
    assert "is what an agent says of itself" in errors_of(f"facts: {{{name}: {{path: $.args.x}}}}")[0]


@pytest.mark.parametrize(
    ("said", "effect", "skipping"),
    [
        ({"confidence": 0.95}, "allow", "allow"),
        ({"confidence": 0.3}, "require_approval", "require_approval"),
        ({}, "require_approval", "allow"),
        ({"confidence": None}, "require_approval", "require_approval"),
        ({"confidence": "high"}, "require_approval", "require_approval"),
        ({"confidence": 7}, "require_approval", "require_approval"),
    ],
)
def test_p09_what_is_missing_or_nonsense_reads_strictly(said: dict[str, Any], effect: str, skipping: str) -> None:
    one = replace(call("crm/reply"), self_reported=said)
    assert decide(one, snapshot(SEED), at=NOON).effect == effect
    skips = SEED.replace("decision: require_approval", "decision: require_approval, when_missing: skip")
    assert decide(one, snapshot(skips), at=NOON).effect == skipping


def test_reasoning_is_a_text_that_conditions_can_read() -> None:
    text = "rules: [{id: r, condition: 'reasoning.contains(\"delete\")', decision: deny}]"
    one = replace(call("crm/reply"), self_reported={"reasoning": "I shall delete it"})
    assert decide(one, snapshot(text), at=NOON).determining == ("p1.yaml#r",)
