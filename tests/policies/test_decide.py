"""The decision point, step by step of its docstring (trust kernel)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from policies.decide import SILENCE, decide
from policies.facts import FactType
from policies.model import Agent, Approval, Classification, Decision, Effect, OnTimeout, Risk, TraceStep
from policies.patterns import SUBJECT_CHARS_MAX
from policies.snapshot import PolicySnapshot
from tests.policies.builders import AMOUNT, ANYTHING, NOON, call, snapshot, spoken

CLASSIFY = 'classify: [{tools: ["payments/refund*"], topics: [job.refund.process], risk_tags: [financial, write]}]'
FACT = 'facts: {amount: {path: $.args.amount, tools: ["payments/refund*"], min: 0}}'


def judged(one: PolicySnapshot, arguments: dict[str, Any] | None = None, **options: Any) -> Decision:
    wanted = {
        key: options.pop(key) for key in ("gate_facts", "validate_arguments", "ambiguous_rules") if key in options
    }
    return decide(call(arguments=arguments, **options), one, at=NOON, **wanted)


# 1 arguments


def test_arguments_that_do_not_fit_are_denied_before_any_rule_is_asked() -> None:
    one = snapshot("rules: [{match: {tools: payments/refund}, decision: allow}]")
    decision = judged(one, {"amount": "150"}, schema=AMOUNT)
    assert spoken(decision) == ("deny", ("interlock/built-in#arguments-invalid",))
    assert [step.rule for step in decision.trace] == ["arguments-invalid"]


def test_checking_arguments_can_be_left_out_for_a_server() -> None:
    one = snapshot("rules: [{match: {tools: payments/refund}, decision: allow}]")
    assert judged(one, {"amount": "150"}, schema=AMOUNT, validate_arguments=False).effect is Effect.ALLOW


def test_only_calls_of_listed_tools_have_arguments_to_check() -> None:
    one = snapshot("rules: [{match: {tools: ['payments/**']}, decision: allow}]")
    assert judged(one, {"amount": "150"}, name="payments/mcp.prompts/get", method="prompts/get").effect is Effect.ALLOW


# 2 and 5 unclassified calls, naming


ALLOWING = {
    "a literal": ("match: {tools: payments/refund}", True),
    "a dotted literal": ("match: {tools: payments.refund}", True),
    "a bare literal": ("match: {tools: refund}", True),
    "a glob with a literal server": ("match: {tools: ['payments/*']}", True),
    "a glob with any server": ("match: {tools: ['*/refund']}", False),
    "a bare glob": ("match: {tools: ['ref*']}", False),
    "a server": ("match: {servers: payments}", False),
    "every topic": ("match: {topics: ['*']}", False),
    "an agent": ("match: {agents: bot}", False),
    "nothing at all": ("reason: everything", False),
}


@pytest.mark.parametrize(("rule", "frees"), ALLOWING.values(), ids=ALLOWING)
def test_an_unclassified_call_is_allowed_only_by_naming_its_tool(rule: str, frees: bool) -> None:
    assert judged(snapshot(f"rules: [{{decision: allow, {rule}}}]")).effect is (Effect.ALLOW if frees else Effect.DENY)


@pytest.mark.parametrize(("rule", "frees"), ALLOWING.values(), ids=ALLOWING)
def test_a_classified_call_is_allowed_by_whatever_matches(rule: str, frees: bool) -> None:
    assert judged(snapshot(f"rules: [{{decision: allow, {rule}}}]\n{CLASSIFY}")).effect is Effect.ALLOW


@pytest.mark.parametrize("decision", ["deny", "require_approval"])
@pytest.mark.parametrize("rule", ["match: {topics: ['*']}", "match: {servers: payments}", "reason: everything"])
def test_rules_that_ask_or_deny_match_an_unclassified_call(decision: str, rule: str) -> None:
    assert spoken(judged(snapshot(f"rules: [{{decision: {decision}, {rule}}}]"))) == (decision, ("p1.yaml#1",))


def test_an_unlisted_tool_is_allowed_only_by_its_literal_name() -> None:
    for rule, frees in (("payments/refund", True), ("refund", True), ("payments/*", False), ("'**'", False)):
        one = snapshot(f"rules: [{{match: {{tools: [{rule}]}}, decision: allow}}]\n{CLASSIFY}")
        assert judged(one, is_listed=False).effect is (Effect.ALLOW if frees else Effect.DENY)
    asking = snapshot(f"rules: [{{match: {{tools: 'payments/*'}}, decision: require_approval}}]\n{CLASSIFY}")
    assert judged(asking, is_listed=False).effect is Effect.REQUIRE_APPROVAL


def test_other_methods_have_no_definition_and_need_none() -> None:
    one = snapshot("rules: [{match: {tools: ['docs/mcp.resources/*']}, decision: allow}]")
    assert judged(one, name="docs/mcp.resources/read", method="resources/read").effect is Effect.ALLOW


def test_an_ambiguous_rule_allows_nothing_and_still_asks() -> None:
    one = snapshot("rules: [{id: a, match: {tools: refund}, decision: allow}]")
    decision = judged(one, ambiguous_rules=frozenset({"p1.yaml#a"}))
    assert decision.effect is Effect.DENY
    assert decision.trace[0].why == "its bare tool name fits tools of several servers"
    asking = snapshot("rules: [{id: a, match: {tools: refund}, decision: require_approval}]")
    assert judged(asking, ambiguous_rules=frozenset({"p1.yaml#a"})).effect is Effect.REQUIRE_APPROVAL


# 3 policies, first match, defaults


def test_within_a_policy_the_first_rule_that_matches_speaks() -> None:
    one = snapshot(
        """
        rules:
          - {id: a, match: {tools: other}, decision: deny}
          - {id: b, decision: require_approval}
          - {id: c, decision: deny}
        """
    )
    decision = judged(one)
    assert spoken(decision) == ("require_approval", ("p1.yaml#b",))
    assert [step.rule for step in decision.trace] == ["a", "b"]


def test_between_policies_the_strictest_wins_whatever_the_order() -> None:
    allow, ask, deny = (
        f"rules: [{{id: r, match: {{tools: payments/refund}}, decision: {word}}}]"
        for word in ("allow", "require_approval", "deny")
    )
    assert spoken(judged(snapshot(allow, ask))) == ("require_approval", ("p2.yaml#r",))
    assert spoken(judged(snapshot(ask, allow))) == ("require_approval", ("p1.yaml#r",))
    assert spoken(judged(snapshot(deny, ask, allow))) == ("deny", ("p1.yaml#r",))
    assert spoken(judged(snapshot(allow, ask, deny, deny))) == ("deny", ("p3.yaml#r", "p4.yaml#r"))


def test_silence_denies_and_is_no_rule_s_denial() -> None:
    decision = judged(snapshot("rules: [{match: {tools: other}, decision: allow}]"))
    assert spoken(decision) == ("deny", ())
    assert decision.reason == SILENCE
    assert decision.denied_by_rule is False
    assert decision.agent_message is None


@pytest.mark.parametrize("word", ["allow", "require_approval"])
def test_a_default_speaks_for_a_classified_call_that_no_rule_matches(word: str) -> None:
    text = f"default: {word}\nrules: [{{match: {{tools: other}}, decision: deny}}]\n"
    assert spoken(judged(snapshot(text + CLASSIFY))) == (word, ("p1.yaml#default",))
    assert spoken(judged(snapshot(text))) == ("deny", ())
    assert judged(snapshot(text)).trace[-1] == TraceStep(
        "p1.yaml", "default", False, Effect(word), "the tool is not classified"
    )


def test_a_default_allow_does_not_speak_for_an_unlisted_tool() -> None:
    assert judged(snapshot(f"default: allow\n{CLASSIFY}"), is_listed=False).effect is Effect.DENY
    assert judged(snapshot(f"default: require_approval\n{CLASSIFY}"), is_listed=False).effect is Effect.REQUIRE_APPROVAL


def test_a_policy_whose_rule_matched_does_not_speak_by_default() -> None:
    one = snapshot(f"default: allow\nrules: [{{id: a, decision: require_approval}}]\n{CLASSIFY}")
    assert spoken(judged(one)) == ("require_approval", ("p1.yaml#a",))


# 4 errors and missing facts


@pytest.mark.parametrize("hints", [{"readOnlyHint": True}, {"destructiveHint": False, "title": "Allow me"}], ids=str)
def test_p09_what_a_tool_says_about_itself_frees_no_call(hints: dict[str, Any]) -> None:
    asking = "rules: [{match: {risk_tags: [write]}, decision: require_approval}]\ndefault: allow"
    for one, effect in (
        (snapshot(f"{CLASSIFY}\n{asking}"), Effect.REQUIRE_APPROVAL),
        (snapshot("default: allow"), Effect.DENY),
    ):
        silent = call(arguments={"amount": 1})
        assert silent.definition is not None
        boasting = replace(silent, definition=replace(silent.definition, description="Reads only.", annotations=hints))
        decision = decide(boasting, one, at=NOON)
        assert decision.effect is effect
        assert decision == decide(silent, one, at=NOON)


def test_p09_a_schema_that_hides_an_argument_frees_no_call_that_has_it() -> None:
    one = snapshot(
        """
        facts: {amount: {path: $.args.amount}}
        rules:
          - {id: large, condition: "amount > 100", decision: require_approval}
          - {id: small, match: {tools: payments/refund, amount_below: 100}, decision: allow}
        """
    )
    for schema in (AMOUNT, ANYTHING):
        assert spoken(judged(one, {"amount": 150}, schema=schema)) == ("require_approval", ("p1.yaml#large",))
    assert spoken(judged(one, {"amount": 50}, schema=AMOUNT)) == ("allow", ("p1.yaml#small",))
    assert spoken(judged(one, {"amount": 50}, schema=ANYTHING)) == ("deny", ())


@pytest.mark.parametrize("arguments", [{}, {"amount": "50"}, {"amount": -4000}, {"amount": 2**60}, {"amount": None}])
@pytest.mark.parametrize("form", ["match: {amount_above: 100}", 'condition: "amount > 100"'])
def test_p10_a_bound_fact_that_cannot_be_known_makes_asking_and_denying_rules_match(
    arguments: dict[str, Any], form: str
) -> None:
    for word in ("deny", "require_approval"):
        decision = judged(snapshot(f"{FACT}\nrules: [{{id: r, {form}, decision: {word}}}]"), arguments)
        assert spoken(decision) == (word, ("p1.yaml#r",))
        assert len(decision.errors) == 1
        assert decision.errors[0].startswith("p1.yaml#r: amount: ")
        assert decision.trace[0].error == decision.trace[0].why


@pytest.mark.parametrize("arguments", [{}, {"amount": "50"}, {"amount": -4000}])
@pytest.mark.parametrize("form", ["amount_below: 100", "amount_above: -5000", "amount: 50"])
def test_p10_a_bound_fact_that_cannot_be_known_keeps_allowing_rules_from_matching(
    arguments: dict[str, Any], form: str
) -> None:
    one = snapshot(f"{FACT}\nrules: [{{id: r, match: {{tools: refund, {form}}}, decision: allow}}]")
    decision = judged(one, arguments)
    assert spoken(decision) == ("deny", ())
    assert decision.errors == (f"p1.yaml#r: {decision.trace[0].why}",)


def test_a_fact_of_another_tool_leaves_every_rule_out() -> None:
    for word in ("deny", "require_approval", "allow"):
        one = snapshot(f"{FACT}\nrules: [{{id: r, match: {{tools: buy, amount_above: 100}}, decision: {word}}}]")
        decision = judged(one, {"amount": 150}, name="shop/buy")
        assert spoken(decision) == ("deny", ())
        assert decision.trace[0] == TraceStep("p1.yaml", "r", False, Effect(word), "amount: not bound to this tool")


def test_what_is_surely_false_is_not_doubted_for_another_criterion_s_sake() -> None:
    one = snapshot(f"{FACT}\nrules: [{{id: r, match: {{agents: other, amount_above: 100}}, decision: deny}}]")
    assert judged(one, {}).trace[0].why == "the agent is not other"
    conditional = snapshot(
        f'{FACT}\nrules: [{{id: r, match: {{agents: other}}, condition: "amount > 1", decision: deny}}]'
    )
    assert judged(conditional, {}).trace[0].why == "the agent is not other"


def test_when_missing_skip_excepts_a_missing_fact_and_nothing_else() -> None:
    one = snapshot(
        f"{FACT}\nrules: [{{id: r, match: {{amount_above: 100}}, when_missing: skip, decision: require_approval}}]"
    )
    assert spoken(judged(one, {})) == ("deny", ())
    assert judged(one, {}).trace[0].why == "amount: missing in the call; skipped"
    assert judged(one, {"amount": "x"}).effect is Effect.REQUIRE_APPROVAL
    assert judged(one, {"amount": 150}).effect is Effect.REQUIRE_APPROVAL
    plain = snapshot(f"{FACT}\nrules: [{{id: r, match: {{amount_above: 100}}, when_missing: match, decision: deny}}]")
    assert judged(plain, {}).effect is Effect.DENY


def test_an_error_of_the_expression_engine_is_read_strictly() -> None:
    text = """
        facts: {n: {path: $.args.n, type: integer, tools: ['**']}}
        rules: [{id: r, match: {tools: refund}, condition: '100 / n > 1', decision: WORD}]
        """
    ask, allow = snapshot(text.replace("WORD", "require_approval")), snapshot(text.replace("WORD", "allow"))
    assert judged(ask, {"n": 0}).errors == ("p1.yaml#r: the condition failed: ZeroDivisionError",)
    assert judged(ask, {"n": 0}).effect is Effect.REQUIRE_APPROVAL
    assert judged(allow, {"n": 0}).effect is Effect.DENY
    assert judged(allow, {"n": 5}).effect is Effect.ALLOW


def test_gate_facts_are_given_and_never_missing() -> None:
    one = snapshot(
        "rules: [{id: r, match: {retry_count_above: 2}, decision: deny}]", gate_facts={"retry_count": FactType.INTEGER}
    )
    assert spoken(judged(one, gate_facts={"retry_count": 2})) == ("deny", ())
    assert spoken(judged(one, gate_facts={"retry_count": 3})) == ("deny", ("p1.yaml#r",))
    assert judged(one).errors == ("p1.yaml#r: retry_count: the gate did not give it",)


# 6 changed definitions


def test_a_changed_tool_asks_also_under_an_allowing_glob() -> None:
    one = snapshot("rules: [{match: {tools: ['payments/*']}, decision: allow}]")
    decision = judged(one, drifted=True)
    assert spoken(decision) == ("require_approval", ("interlock/built-in#tool-definition-changed",))
    assert decision.approval == Approval(on_timeout=OnTimeout.DENY)
    assert decision.trace[-1].policy == "interlock/built-in"
    assert decision.agent_message is not None


def test_a_changed_tool_makes_nothing_milder() -> None:
    assert spoken(judged(snapshot("rules: [{id: d, decision: deny}]"), drifted=True)) == ("deny", ("p1.yaml#d",))
    assert spoken(judged(snapshot("rules: [{match: {tools: x}, decision: allow}]"), drifted=True)) == ("deny", ())
    asked = judged(snapshot("rules: [{id: a, decision: require_approval}]"), drifted=True)
    assert asked.determining == ("p1.yaml#a", "interlock/built-in#tool-definition-changed")


# 7 the decision


def test_several_asking_rules_make_one_review() -> None:
    one = snapshot(
        "rules: [{id: a, decision: require_approval, reason: One, approval: {team: finance, timeout_sec: 600}}]",
        "rules: [{id: b, decision: require_approval, reason: Two, agent_message: Wait.,"
        " approval: {team: security, quorum: 2}}]",
    )
    decision = judged(one)
    assert spoken(decision) == ("require_approval", ("p1.yaml#a", "p2.yaml#b"))
    assert decision.approval == Approval(
        teams=("finance", "security"),
        quorum={"finance": 1, "security": 2},
        timeout_sec=600,
        on_timeout=OnTimeout.DENY,
    )
    assert (decision.reason, decision.agent_message) == ("One; Two", "Wait.")


def test_a_question_approves_itself_only_for_low_risk() -> None:
    text = """
        rules: [{decision: require_approval, approval: {on_timeout: approve}}]
        classify: [{tools: refund, risk: RISK}]
        """
    for word, expected in (("low", OnTimeout.APPROVE), ("medium", OnTimeout.DENY)):
        approval = judged(snapshot(text.replace("RISK", word))).approval
        assert approval is not None
        assert approval.on_timeout is expected


def test_no_tier_approves_a_changed_tool_by_itself() -> None:
    one = snapshot("rules: [{match: {tools: x}, decision: allow}]\nclassify: [{tools: x, risk: low}]")
    approval = judged(one, name="s/x", drifted=True).approval
    assert approval is not None
    assert approval.on_timeout is OnTimeout.DENY


def test_what_people_may_veto_waits_for_the_longest_window_any_policy_wants() -> None:
    one = snapshot(
        "rules: [{id: a, decision: on_the_loop, veto_window_sec: 30, approval: {team: ops}}]\n"
        "classify: [{tools: x, risk: low}]",
        "rules: [{id: b, decision: allow_unless_vetoed, veto_window_sec: 60}]",
        "rules: [{id: c, decision: out_of_the_loop}]",
    )
    decision = judged(one, name="s/x")
    assert spoken(decision) == ("allow_unless_vetoed", ("p1.yaml#a", "p2.yaml#b"))
    assert (decision.veto_window_sec, decision.waits_for_people) == (60, True)
    assert decision.approval is not None
    assert (decision.approval.teams, decision.approval.on_timeout) == (("ops",), OnTimeout.APPROVE)


@pytest.mark.parametrize(
    ("other", "effect", "is_looked_at"),
    [
        ("allow", "allow", True),
        ("on_the_loop", "allow_unless_vetoed", True),
        ("require_approval", "require_approval", True),
        ("deny", "deny", False),
    ],
)
def test_a_review_afterwards_is_due_whoever_speaks_stricter_unless_nothing_goes(
    other: str, effect: str, is_looked_at: bool
) -> None:
    one = snapshot(
        "rules: [{decision: allow, require_review_after: true}]\nclassify: [{tools: x, risk: low}]",
        f"rules: [{{decision: {other}}}]",
    )
    decision = judged(one, name="s/x")
    assert (decision.effect.value, decision.review_after) == (effect, is_looked_at)


def test_without_a_window_it_goes_at_once_and_nobody_is_asked() -> None:
    one = snapshot("rules: [{id: a, decision: on_the_loop}]\nclassify: [{tools: x, risk: low}]")
    decision = judged(one, name="s/x")
    assert (decision.veto_window_sec, decision.approval, decision.waits_for_people) == (0, None, False)


def test_a_decision_carries_labels_facts_and_the_whole_trace() -> None:
    rules = """
rules:
  - {id: big, condition: "amount > 100", decision: deny}
  - {id: small, match: {amount_below: 100, risk_tags: write}, decision: allow}
"""
    one = snapshot(f"{FACT}\n{CLASSIFY}\n{rules}")
    decision = judged(one, {"amount": 50})
    assert decision == Decision(
        effect=Effect.ALLOW,
        reason="Rule small of policy p1.yaml",
        determining=("p1.yaml#small",),
        snapshot=one.id,
        classification=Classification(True, frozenset({"job.refund.process"}), frozenset({"financial", "write"})),
        trace=(
            TraceStep("p1.yaml", "big", False, Effect.DENY, "the condition is false", {"amount": 50}),
            TraceStep("p1.yaml", "small", True, Effect.ALLOW, "every criterion holds", {"amount": 50}),
        ),
        facts={"amount": 50},
    )


def test_a_name_no_pattern_can_be_matched_against_is_denied() -> None:
    one = snapshot("rules: [{match: {tools: ['**']}, decision: allow}]")
    long = "x" * SUBJECT_CHARS_MAX
    assert judged(one, name=f"s/{long}").determining == ("interlock/built-in#name-too-long",)
    assert judged(one, method=f"{long}x").determining == ("interlock/built-in#name-too-long",)


def test_a_decision_needs_a_time_with_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        decide(call(), snapshot("rules: [{decision: deny}]"), at=datetime(2026, 11, 18))  # noqa: DTZ001 - the point


def test_agents_are_told_nothing_a_rule_did_not_mean_for_them() -> None:
    decision = judged(snapshot("rules: [{id: d, decision: deny, reason: secret threshold}]"), agent=Agent("bot"))
    assert decision.agent_message is None
    assert decision.classification.risk is not Risk.LOW
