"""`lint`: what is found, where, and how to mend it; and what is left alone because it is as it should be."""

from __future__ import annotations

import json

import pytest

from policies.lint import Level, lint, warnings
from tests.policies.builders import snapshot

FACTS = "facts: {amount: {path: $.args.amount, tools: ['pay/*']}}\n"


def rules(*texts: str) -> str:
    """A policy of rules `a`, `b` …, one a line from line 2 on."""
    lines = [f"  - {{id: {name}, reason: R, {text}}}" for name, text in zip("abcd", texts, strict=False)]
    return "\n".join(["rules:", *lines])


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (rules("decision: deny", "decision: allow"), "unreachable", "3: never tried: rule 'a' before it matches every"),
        (
            rules("match: {tools: ['crm/*']}, decision: deny", "match: {tools: [crm/get_one]}, decision: allow"),
            "unreachable",
            "3: rule 'b' is never reached: 'a' matches whatever it does (line 2 is tried first; move 'b' before it",
        ),
        (
            FACTS + rules("condition: 'amount > 50', decision: deny", "match: {amount_above: 100}, decision: deny"),
            "unreachable",
            "4: rule 'b' is never reached: 'a' matches whatever it does",
        ),
        (
            "classify: [{tools: ['pay/*'], topics: [job.pay], risk_tags: []}]\n"
            + rules("match: {topics: ['job.*']}, decision: deny", "match: {tools: [pay/refund]}, decision: deny"),
            "unreachable",
            "4: rule 'b' is never reached: 'a' matches whatever it does",
        ),
        (
            rules("match: {tools: ['crm/get_*']}, decision: allow", "match: {tools: ['crm/*_key']}, decision: deny"),
            "overlap",
            "3: rule 'b' (deny) shares tools with 'a' (allow) before it, which speaks first: 'crm/*_key' and "
            "'crm/get_*' both match crm/get_key (move 'b' before 'a', or narrow one of them)",
        ),
        (
            FACTS + rules("match: {tools: ['crm/*'], amount_above: 5}, decision: deny"),
            "fact-of-other-tools",
            "3: rule 'a' never matches: 'amount' is bound to pay/*, and the rule is about none of them",
        ),
        (
            rules("match: {risk_tags: [prod, write]}, decision: require_approval"),
            "any-tag",
            "2: rule 'a' matches a tool that has any of prod, write, not only one that has all (if all are meant: "
            "risk_tags: {all: [prod, write]})",
        ),
        ("rules: [{id: a, decision: deny}]", "no-reason", "1: rule 'a' gives whoever asks why no reason (reason: …)"),
    ],
)
def test_what_looks_unintended_is_named_with_its_place_and_how_to_mend_it(text: str, code: str, said: str) -> None:
    found = [one for one in lint(snapshot(text)) if one.code == code]
    assert len(found) == 1
    assert str(found[0]).startswith(f"p1.yaml:{said}"), str(found[0])


@pytest.mark.parametrize(
    "text",
    [
        rules(
            "match: {tools: ['crm/get_*']}, decision: allow", "match: {tools: ['crm/*']}, decision: require_approval"
        ),
        rules("match: {tools: ['crm/*']}, decision: allow", "match: {tools: [crm/drop]}, decision: deny"),
        rules("match: {servers: [x]}, decision: deny", "match: {servers: [y]}, decision: deny"),
        rules("match: {risk: low}, decision: allow", "match: {risk: low}, decision: require_approval"),
        rules("match: {agents: [a]}, decision: deny", "match: {agents: ['*']}, decision: deny"),
        rules("match: {tools: ['a/x*']}, decision: allow", "match: {tools: ['b/*y']}, decision: deny"),
        FACTS + rules("condition: 'amount > 50', decision: allow", "match: {amount_above: 100}, decision: deny"),
        FACTS + rules("condition: 'amount > 9 OR hour < 6', decision: deny", "condition: hour < 6, decision: deny"),
        FACTS + rules("match: {tools: ['pay/*'], amount_above: 5}, decision: deny"),
        rules("match: {risk_tags: [prod, write]}, decision: allow", "match: {risk_tags: {all: [a]}}, decision: deny"),
    ],
)
def test_what_is_as_it_should_be_is_left_alone(text: str) -> None:
    assert [str(one) for one in lint(snapshot(text))] == []


def test_an_allow_that_another_policy_always_overrules_is_named() -> None:
    mild = rules("match: {tools: [crm/get_one]}, decision: allow", "match: {tools: [crm/put]}, decision: allow")
    strict = rules("match: {tools: [crm/put]}, decision: allow", "match: {tools: ['crm/*']}, decision: deny")
    (found,) = [one for one in lint(snapshot(mild, strict)) if one.code == "overruled"]
    assert str(found) == (
        "p1.yaml:2: rule 'a' never has its way: p2.yaml#b (deny) matches whatever it does (see p2.yaml:3)"
    )


def test_notes_are_not_warnings() -> None:
    one = snapshot("rules: [{id: a, decision: deny}]")
    assert [advice.level for advice in lint(one)] == [Level.NOTE]
    assert warnings(one) == []


def test_two_hundred_rules_are_looked_through_at_once() -> None:
    many = [{"id": f"r{n}", "match": {"tools": [f"s{n % 7}/t{n}_*"]}, "decision": "allow"} for n in range(200)]
    assert lint(snapshot(json.dumps({"rules": many}))) == []
