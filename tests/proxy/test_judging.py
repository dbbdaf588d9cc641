"""Judging joins policy, inventory and clock, and hands the decision point a whole call."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policies.facts import FactType
from policies.model import Effect, OutputRules, ToolDefinition
from policies.sampling import Chance
from policies.schema import load_snapshot
from policies.snapshot import PolicySnapshot
from proxy.events import CallReceived
from proxy.judging import Judging
from proxy.sampling import Lot
from review import decisions
from review.model import CallRecord, CallState
from tests.proxy.builders import T0, ask, refund, rows

POLICY = """
facts:
  amount: {path: $.args.amount, tools: ["payments/*"], min: 0}
classify:
  - {tools: ["payments/*"], topics: [job.refund.process], risk_tags: [financial]}
rules:
  - {id: over-100, match: {topics: ["job.refund.*"]}, condition: "amount > 100", decision: require_approval, reason: R}
  - {id: small, match: {topics: ["job.refund.*"], groups: [support]}, decision: allow}
output:
  - {id: notes, match: {topics: ["job.refund.*"]}, fields: [{path: $.internal_notes, do: remove, reason: Internal}]}
"""
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"amount": {"type": "number"}, "customer_id": {"type": "string"}},
    "required": ["amount"],
}


class Tools:
    async def definition(self, server: str, tool: str) -> ToolDefinition | None:
        return ToolDefinition(tool, "d1", SCHEMA)


def not_sampled(chance: Chance) -> Lot:
    raise AssertionError(f"nothing samples here: {chance}")


def judging(snapshot: PolicySnapshot | None = None, **how: Any) -> Judging:
    loaded = snapshot or load_snapshot({"refunds.yaml": POLICY})
    return Judging(
        snapshot=lambda: loaded,
        definitions=Tools(),
        clock=lambda: T0,
        validates=how.get("validates", {}),
        groups={"demo": ("support",)},
        lot_of=how.get("lot_of", not_sampled),
        gate_facts=how.get("gate_facts"),
    )


def kept(amount: Any = 250, **changes: Any) -> CallRecord:
    record = rows().call(CallReceived(refund(amount), ask(), T0), CallState.WAITING)
    return replace(record, **changes)


async def test_a_kept_call_is_judged_in_the_form_that_would_be_sent_with_its_agents_groups_and_todays_tool() -> None:
    call = await judging().call_now(kept(approved={"arguments": {"amount": 80}}))
    assert call.arguments == {"amount": 80}
    assert call.agent.groups == ("support",)
    assert call.definition is not None
    assert call.definition.digest == "d1"
    assert judging().judge(call).effect is Effect.ALLOW


async def test_a_call_that_retention_erased_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="erased"):
        await judging().call_now(kept(proposed=None))


async def test_a_request_that_is_no_tool_call_has_no_definition() -> None:
    call = await judging().call_now(kept(method="resources/read", tool="mcp.resources/read"))
    assert call.definition is None


async def test_p07_an_edit_is_judged_as_a_call_of_its_own() -> None:
    assert (await judging().judge_edit(kept(), {"amount": 9_900})).effect is Effect.REQUIRE_APPROVAL
    assert (await judging().judge_edit(kept(), {"amount": 20})).effect is Effect.ALLOW


async def test_p07_an_edit_that_does_not_fit_the_tool_says_where() -> None:
    with pytest.raises(ValueError, match="amount"):
        await judging().judge_edit(kept(), {"amount": "eighty"})


async def test_arguments_are_held_to_the_schema_unless_the_server_says_otherwise() -> None:
    strange = replace(await judging().call_now(kept()), arguments={"amount": "7"})
    assert judging().judge(strange).effect is Effect.DENY
    assert judging(validates={"payments": False}).judge(strange).effect is Effect.REQUIRE_APPROVAL


GATED = """
classify: [{tools: ["payments/*"], topics: [job.refund.process], risk_tags: [financial]}]
rules:
  - {id: level, match: {autonomy_level_below: 1}, decision: deny, reason: R}
  - {id: again, match: {retry_count_above: 2}, decision: require_approval, reason: R}
  - {id: else, match: {topics: ["*"]}, decision: allow}
output: [{id: new, match: {retry_count_above: 2}, always: review}]
"""


async def test_a_call_is_judged_again_with_its_facts_as_they_were_but_for_those_that_are_live() -> None:
    facts: dict[str, Any] = {"retry_count": 3, "autonomy_level": 2}
    types = {"retry_count": FactType.INTEGER, "autonomy_level": FactType.INTEGER}
    judge = judging(load_snapshot({"p.yaml": GATED}, gate_facts=types), gate_facts=lambda call: facts)
    asked = judge.judge(refund())
    assert asked.determining == ("p.yaml#again",)
    record = rows().call(CallReceived(refund(), asked, T0), CallState.WAITING)
    facts["retry_count"] = 0
    assert judge.judge(refund()).effect is Effect.ALLOW
    assert judge.prepared(refund(), record)().determining == ("p.yaml#again",)
    assert (await judge.judge_edit(record, {"amount": 5})).determining == ("p.yaml#again",)
    assert judge.output_rules(refund(), record).always_review
    facts["autonomy_level"] = 0
    assert judge.prepared(refund(), record)().determining == ("p.yaml#level",)


def test_what_the_gate_gave_is_kept_of_an_allowed_call_too() -> None:
    judge = judging(gate_facts=lambda call: {"retry_count": 0})
    record = rows().call(CallReceived(refund(5), judge.judge(refund(5)), T0), CallState.DISPATCHING)
    assert decisions.gate_facts(record.decision) == {"retry_count": 0}


async def test_output_rules_are_those_of_the_call() -> None:
    rules = judging().output_rules(await judging().call_now(kept()))
    assert [field.path for field in rules.fields] == ["$.internal_notes"]
    elsewhere = judging().output_rules(replace(await judging().call_now(kept()), server="other"))
    assert elsewhere.fields == OutputRules().fields


def test_the_lot_of_a_call_is_that_of_its_chance_and_without_a_plan_there_is_none() -> None:
    asked: list[Chance] = []

    def lot_of(chance: Chance) -> Lot:
        asked.append(chance)
        return Lot({}, lambda _: True)

    plan = "audit: {sampling: {rate: 0.5}, mandatory: [{match: {tools: nothing}}]}"
    sampling = load_snapshot({"refunds.yaml": POLICY, "audit.yaml": plan})
    assert judging().lot(refund(50)) is None
    assert judging(sampling, lot_of=lot_of).lot(refund(50)) is not None
    assert asked == [Chance(0.5, ("audit.yaml#audit",))]
