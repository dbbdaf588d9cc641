"""The built-in policy: named rules, messages without values, and a trace for each."""

from __future__ import annotations

from policies import built_in
from policies.arguments import ArgumentsInvalid
from policies.model import Effect
from tests.policies.builders import call, snapshot

ONE = snapshot("rules: [{id: a, decision: deny}]")


def test_arguments_that_do_not_fit_are_denied_naming_place_and_keyword() -> None:
    decision = built_in.arguments_invalid(ONE, ArgumentsInvalid("has another type than the schema says", "$.a", "type"))
    assert decision.effect is Effect.DENY
    assert decision.determining == ("interlock/built-in#arguments-invalid",)
    assert decision.reason.endswith("$.a has another type than the schema says (keyword: type)")
    assert decision.agent_message == (
        "The arguments do not fit the tool's input schema: $.a has another type than the schema says (keyword: type)."
    )
    assert [(step.policy, step.rule, step.matched) for step in decision.trace] == [
        ("interlock/built-in", "arguments-invalid", True)
    ]
    assert decision.snapshot == ONE.id


def test_a_name_too_long_to_judge_is_denied() -> None:
    decision = built_in.name_too_long(ONE)
    assert (decision.effect, decision.determining) == (Effect.DENY, ("interlock/built-in#name-too-long",))


def test_protocol_traffic_passes_under_a_name() -> None:
    decision = built_in.protocol_traffic(call(method="tools/list"), ONE)
    assert (decision.effect, decision.determining) == (Effect.ALLOW, ("interlock/built-in#protocol-traffic",))
    assert decision.reason == "tools/list is protocol traffic: passed and recorded"


def test_the_question_about_a_changed_tool_has_a_public_message() -> None:
    asking = built_in.ASK_ABOUT_DEFINITION
    assert asking.effect is Effect.REQUIRE_APPROVAL
    assert asking.agent_message
