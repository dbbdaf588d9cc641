"""Redacting a held output: the inspector's rules turned milder, and what it would still hold is not released."""

from __future__ import annotations

from typing import Any

import pytest

from policies.model import Do, FieldRule, OutputRules, SameRule, ToolCall
from proxy.redacting import Redacting, redacting
from redaction.model import Finding, Inspection, Outcome, Surface
from review.model import CallRecord
from tests.proxy.builders import definition, refund
from tests.review.builders import held_output


class Asked:
    """Judging and inspecting, with what they were asked."""

    def __init__(self, answer: Inspection) -> None:
        self.answer = answer
        self.asked: dict[str, Any] = {}

    def output_rules(self, call: ToolCall, kept: CallRecord | None = None) -> OutputRules:
        return OutputRules(detect={"aws_access_key": Do.QUARANTINE}, always_review=True)

    async def call_now(self, record: CallRecord) -> ToolCall:
        return refund(definition=definition())

    async def inspect(self, message: object, **how: Any) -> Inspection:
        self.asked = {"message": message, **how}
        return self.answer


def test_what_would_be_held_is_taken_out_instead() -> None:
    fields = (FieldRule("$.a", Do.QUARANTINE), FieldRule("$.b", Do.MASK), FieldRule("$.c", Do.ALLOW))
    same = (SameRule("$.tenant", "north"),)
    rules = OutputRules(fields, {"US_SSN": Do.QUARANTINE, "PERSON": Do.MASK}, Do.QUARANTINE, same, always_review=True)
    milder = redacting(rules, ())
    assert milder.detect == {"US_SSN": Do.REPLACE, "PERSON": Do.MASK}
    assert [rule.do for rule in milder.fields] == [Do.REMOVE, Do.MASK, Do.ALLOW]
    assert (milder.default_do, milder.always_review) == (Do.REPLACE, False)
    assert milder.same == same  # another tenant's row is no finding that could be taken out


def test_a_kind_let_through_is_let_through_however_a_rule_spells_it() -> None:
    milder = redacting(OutputRules(detect={"us_ssn": Do.QUARANTINE, "PERSON": Do.MASK}), ["US_SSN"])
    assert milder.detect == {"us_ssn": Do.ALLOW, "PERSON": Do.MASK}


@pytest.mark.parametrize(
    ("outcome", "surface"), [({"result": {}}, Surface.RESULT), ({"error": {"code": 1, "message": "x"}}, Surface.ERROR)]
)
async def test_p08_the_inspector_itself_redacts_under_the_rules_in_force(outcome: Any, surface: Surface) -> None:
    asked = Asked(Inspection(Outcome.REDACT, {"result": {"clean": True}}, (Finding("$.x", "US_SSN", "presidio"),)))
    redacted = await Redacting(asked, asked).redact(held_output(outcome=outcome), frozenset())
    assert (redacted.message, redacted.why_not) == ({"result": {"clean": True}}, "")
    assert redacted.inspection["findings"][0]["kind"] == "US_SSN"
    assert (asked.asked["message"], asked.asked["surface"]) == (outcome, surface)
    assert asked.asked["rules"].detect == {"aws_access_key": Do.REPLACE}
    assert asked.asked["output_schema"] == definition().output_schema


async def test_p08_what_the_inspector_would_still_hold_is_not_given_out() -> None:
    asked = Asked(Inspection(Outcome.QUARANTINE, None, why="US_SSN found in a name"))
    redacted = await Redacting(asked, asked).redact(held_output(), frozenset())
    assert (redacted.message, redacted.why_not) == (None, "US_SSN found in a name")
