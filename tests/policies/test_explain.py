"""A decision in plain lines: complete, in order, and inert whatever an agent put into its values."""

from __future__ import annotations

from policies.decide import decide
from policies.explain import VALUE_CHARS_MAX, explain
from policies.model import Decision, Effect, TraceStep
from tests.policies.builders import NOON, call, snapshot

REFUNDS = snapshot(
    """
    facts: {amount: {path: $.args.amount, tools: [payments/refund]}}
    classify:
      - {tools: payments/refund, topics: job.refund.process, risk_tags: [financial, write]}
      - {tools: payments/refund, risk: high, reversible: false}
    rules:
      - {id: other, match: {tools: shop/buy}, decision: deny}
      - id: over-100
        condition: "amount > 100"
        decision: require_approval
        reason: Over 100
        approval: {team: finance, quorum: 2}
    """
)


def test_a_decision_is_explained_line_by_line() -> None:
    assert explain(decide(call(arguments={"amount": 150}), REFUNDS, at=NOON)) == [
        "require_approval: Over 100",
        f"snapshot {REFUNDS.id}",
        "labels: topics job.refund.process; risk tags financial, write; risk high; reversible no",
        "decided by p1.yaml#over-100",
        "asks: 2 of finance; within 14400 s, then deny",
        "policy p1.yaml",
        "  other [deny] no match: the tool is not shop/buy",
        "  over-100 [require_approval] matches: every criterion holds, amount = 150",
    ]


def test_silence_and_doubt_are_explained() -> None:
    assert explain(decide(call("shop/x"), REFUNDS, at=NOON))[:3] == [
        "deny: No policy speaks for this call",
        f"snapshot {REFUNDS.id}",
        "labels: none, the tool is not classified",
    ]
    lines = explain(decide(call(), REFUNDS, at=NOON))
    assert lines[-1] == "  over-100 [require_approval] matches: amount: missing in the call (read strictly)"


def test_labels_not_stated_and_teams_not_named_are_said() -> None:
    one = snapshot(
        "classify: [{tools: refund, risk_tags: []}, {tools: x, reversible: true}]",
        "rules: [{decision: require_approval}]",
    )
    lines = explain(decide(call(), one, at=NOON))
    assert lines[2] == "labels: topics -; risk tags -; risk not stated; reversible not stated"
    assert lines[4] == "asks: any reviewer; within 14400 s, then deny"
    assert "reversible yes" in explain(decide(call("s/x"), one, at=NOON))[2]


def test_values_of_agents_are_inert() -> None:
    step = TraceStep(
        "p\x1b[2J", "r\u202e", True, Effect.DENY, "why\n", {"a": "\x1b[31m\u202eé\n" + "x" * 200, "b": None}
    )
    lines = explain(Decision(Effect.DENY, "\x07reason", ("p#\u200b",), "v1:0", trace=(step,)))
    assert all(line.isprintable() for line in lines)
    assert lines[0] == "deny: \\x07reason"
    assert lines[-1].endswith(", b = null")
    assert len(lines[-1]) < VALUE_CHARS_MAX + 100
