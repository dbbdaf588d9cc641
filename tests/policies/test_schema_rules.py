"""Rules as written, long and short, and what cannot be meant."""

from __future__ import annotations

import pytest

from policies.model import Approval, Effect, OnTimeout
from policies.schema_rules import DECISIONS
from policies.snapshot import Rule
from tests.policies.builders import errors_of, snapshot


def rule(text: str) -> Rule:
    return snapshot(f"rules: [{text}]").policies[0].rules[0]


def wrong(text: str) -> list[str]:
    return errors_of(f"rules: [{text}]")


def test_the_long_form_is_read_key_by_key() -> None:
    read = rule(
        '{id: big, match: {tools: a/b}, condition: "amount > 5", decision: require_approval, reason: Why,'
        " agent_message: Wait., approval: {team: finance}, when_missing: skip}"
    )
    assert (read.ref, read.effect, read.reason, read.agent_message) == (
        "p1.yaml#big",
        Effect.REQUIRE_APPROVAL,
        "Why",
        "Wait.",
    )
    assert (read.skips_missing, read.facts) == (True, ("amount",))
    assert read.approval == Approval(teams=("finance",), quorum={"finance": 1})


@pytest.mark.parametrize(
    ("action", "effect"),
    [("allow", Effect.ALLOW), ("escalate", Effect.REQUIRE_APPROVAL), ("block", Effect.DENY)],
)
def test_the_short_form_is_the_same_language(action: str, effect: Effect) -> None:
    short = rule(f'{{tool: "file.write", action: {action}, reason: R}}')
    long = rule(f'{{match: {{tools: "file.write"}}, decision: {effect}, reason: R}}')
    assert (short.effect, short.match.tools, short.reason) == (effect, long.match.tools, "R")
    assert short.match.tools is not None


def test_a_rule_without_id_is_known_by_its_number() -> None:
    rules = snapshot("rules: [{id: a, decision: deny}, {decision: deny}]").policies[0].rules
    assert [one.ref for one in rules] == ["p1.yaml#a", "p1.yaml#2"]
    assert rules[1].reason == "Rule 2 of policy p1.yaml"


def test_a_rule_that_asks_always_has_an_approval_and_no_other_has() -> None:
    assert rule("{decision: require_approval}").approval == Approval()
    assert rule("{decision: deny}").approval is None


def test_a_rule_may_be_about_everything() -> None:
    assert rule("{decision: deny}").match.about_tool == ()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{id: a}", f"p1.yaml:1:9: a rule without 'decision' (one of {', '.join(DECISIONS)})"),
        ("deny", "p1.yaml:1:9: a rule must be a map of keys, not text"),
        ("{decision: DENY}", "p1.yaml:1:20: decision cannot be 'DENY' (did you mean 'deny'?)"),
        ("{decision: true}", f"decision must be one of {', '.join(DECISIONS)}, not true"),
        ("{decison: deny}", "unknown key 'decison' in a rule (did you mean 'decision'?)"),
        ("{id: '7', decision: deny}", "p1.yaml:1:14: '7' cannot be an id"),
        ("{id: default, decision: deny}", "'default' cannot be an id"),
        ("{id: 'a b', decision: deny}", "'a b' cannot be an id"),
        ("{id: 7, decision: deny}", "id must be text, not a number"),
        (
            "{id: a, decision: deny}, {id: a, decision: deny}",
            "p1.yaml:1:34: a second rule with the id 'a' (the first is in line 1)",
        ),
        ("{tool: x, decision: deny}", "p1.yaml:1:19: 'decision' beside the short form 'action' (use one form)"),
        ("{tool: x, action: block, match: {tools: y}}", "'match' beside the short form 'tool' (use one form)"),
        ("{tool: x}", "p1.yaml:1:9: the short form needs 'action'"),
        ("{action: allow}", "the short form needs 'tool'"),
        ("{tool: x, action: deny}", "action cannot be 'deny' (valid here: allow, block, escalate)"),
        ("{tool: 'a?', action: allow}", "only * and ** are wildcards"),
        ("{tool: [a, b], action: allow}", "tool must be text, not a list"),
        ("{decision: deny, condition: 5}", "condition must be text, not a number"),
        ("{decision: deny, condition: 'amount >'}", "p1.yaml:1:46: in the condition: Syntax error"),
        (
            "{decision: deny, condition: 'amount == \"7\"'}",
            "p1.yaml:1:38: in the condition: 'amount' is a number and is compared with a string",
        ),
        ("{decision: deny, reason: ''}", "reason must be text, not empty"),
        (f"{{decision: deny, agent_message: {'x' * 501}}}", "agent_message is longer than 500 characters"),
        ("{decision: allow, approval: {team: x}}", "p1.yaml:1:27: an approval in a rule that does not ask"),
        ("{decision: allow, when_missing: match}", "'when_missing' in a rule that allows"),
        ("{decision: deny, when_missing: ignore}", "when_missing cannot be 'ignore' (valid here: match, skip)"),
        ("{decision: deny, match: {}}", "an empty match"),
    ],
)
def test_what_cannot_be_meant_does_not_load(text: str, error: str) -> None:
    assert any(error in one for one in wrong(text))


@pytest.mark.parametrize("tiers", ["high", "[low, medium]"])
def test_a_question_about_more_than_low_risk_cannot_approve_itself(tiers: str) -> None:
    text = f"{{decision: require_approval, match: {{risk: {tiers}}}, approval: {{on_timeout: approve}}}}"
    assert "'on_timeout: approve' in a rule about more than low risk (use deny or escalate)" in wrong(text)[0]


def test_a_question_about_low_risk_may_approve_itself() -> None:
    read = rule("{decision: require_approval, match: {risk: low}, approval: {on_timeout: approve}}").approval
    assert read is not None
    assert read.on_timeout is OnTimeout.APPROVE
