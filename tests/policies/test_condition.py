"""Conditions: what loads, what they see, and that every failure to know is strict (P10, traps T13–T16)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from policies.condition import Condition, compile_condition
from policies.condition_tokens import BadCondition
from policies.criteria.base import YES, Answer, Truth, View
from policies.facts import Fact, FactReader, FactType
from policies.json_path import parse
from policies.model import Agent, Classification, Direction
from policies.patterns import parse as pattern
from tests.policies.builders import NOON, call

EVERY = (pattern("**"),)
FACTS = {
    "amount": Fact("amount", path=parse("$.args.amount"), tools=EVERY, minimum=0),
    "count": Fact("count", FactType.INTEGER, path=parse("$.args.count"), tools=EVERY),
    "env": Fact("env", FactType.STRING, path=parse("$.args.env"), tools=EVERY),
    "dry": Fact("dry", FactType.BOOLEAN, path=parse("$.args.dry"), tools=EVERY),
    "users": Fact("users", FactType.INTEGER, path=parse("$.args.users"), tools=(pattern("crm/*"),)),
}


def answer(text: str | Condition, arguments: dict[str, Any] | None = None, *, allowing: bool = False) -> Answer:
    condition = compile_condition(text, FACTS) if isinstance(text, str) else text
    one = call(arguments=arguments)
    view = View(one, Classification(), FactReader(one, FACTS, {}), NOON)
    return condition.answer(view, allowing=allowing)


def refused(text: str) -> BadCondition:
    with pytest.raises(BadCondition) as bad:
        compile_condition(text, FACTS)
    return bad.value


@pytest.mark.parametrize(
    ("text", "arguments", "truth"),
    [
        ("amount > 100", {"amount": 150}, Truth.YES),
        ("amount > 100", {"amount": 100}, Truth.NO),
        ("amount > 100", {"amount": 100.5}, Truth.YES),
        ("amount > 100 AND env == 'prod'", {"amount": 150, "env": "prod"}, Truth.YES),
        ("amount > 100 OR env == 'prod'", {"amount": 1, "env": "prod"}, Truth.YES),
        ("NOT (amount > 100)", {"amount": 1}, Truth.YES),
        ("NOT dry", {"dry": True}, Truth.NO),
        ("amount == count", {"amount": 4, "count": 4}, Truth.YES),
        ("count == size(env)", {"count": 4, "env": "prod"}, Truth.YES),
        ("amount * 1.2 > 100", {"amount": 100}, Truth.YES),
        ("double(count) * 1.2 > 100.0", {"count": 100}, Truth.YES),
        ("count % 2 == 0", {"count": 4.0}, Truth.YES),
        ("env in ['prod', 'staging']", {"env": "dev"}, Truth.NO),
        ("size(env) > 2 AND env.startsWith('pr')", {"env": "prod"}, Truth.YES),
        ("env.matches('^pro?d$')", {"env": "prod"}, Truth.YES),
        ("amount > 10 ? dry : true", {"amount": 1, "dry": False}, Truth.YES),
    ],
)
def test_a_condition_holds_or_not(text: str, arguments: dict[str, Any], truth: Truth) -> None:
    assert answer(text, arguments).truth is truth


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("server == 'payments' AND tool == 'refund' AND method == 'tools/call'", Truth.YES),
        ("agent == 'bot' AND NOT anonymous AND direction == 'agent_to_tool'", Truth.YES),
        ("hour == 12 AND weekday == 3", Truth.YES),
        ("hour < 6", Truth.NO),
    ],
)
def test_a_condition_sees_flat_values_of_the_call(text: str, truth: Truth) -> None:
    assert answer(text).truth is truth


def test_hour_and_weekday_are_utc() -> None:
    one = call(agent=Agent("bot"), direction=Direction.TOOL_TO_AGENT)
    late = datetime(2026, 11, 22, 23, 30, tzinfo=timezone(timedelta(hours=-3)))  # Monday 02:30 in UTC
    condition = compile_condition("hour == 2 AND weekday == 1 AND direction == 'tool_to_agent'", FACTS)
    assert condition.answer(View(one, Classification(), FactReader(one, FACTS, {}), late), allowing=True) == YES
    assert late.astimezone(UTC).hour == 2


@pytest.mark.parametrize("allowing", [True, False])
@pytest.mark.parametrize(
    ("text", "arguments", "truth", "why"),
    [
        ("amount > 100", {}, Truth.MISSING, "amount: missing in the call"),
        ("amount > 100", {"amount": "150"}, Truth.ERROR, "amount: not a number"),
        ("amount > 100", {"amount": -4000}, Truth.ERROR, "amount: under its min of 0"),
        ("amount > 100 OR true", {}, Truth.MISSING, "amount: missing in the call"),
        ("amount > 100 OR env == 'x'", {"amount": "1"}, Truth.ERROR, "amount: not a number"),
        ("count / count == 1", {"count": 0}, Truth.ERROR, "the condition failed: ZeroDivisionError"),
        ("count * 9000000000000000 > 1", {"count": 9_000_000_000}, Truth.ERROR, "the condition failed: OverflowError"),
        ("int(env) > 5", {"env": "zz"}, Truth.ERROR, "the condition failed: RuntimeError"),
    ],
)
def test_p10_what_cannot_be_known_is_an_error_and_never_false(
    text: str, arguments: dict[str, Any], truth: Truth, why: str, allowing: bool
) -> None:
    assert answer(text, arguments, allowing=allowing) == Answer(truth, why)


def test_an_unbound_fact_leaves_an_allowing_rule_out() -> None:
    unbound = Answer(Truth.UNBOUND, "users: not bound to this tool")
    assert answer("amount > 100 OR users > 50", {"amount": 150}, allowing=True) == unbound
    assert answer("users > 50", allowing=True) == unbound


def test_an_unbound_fact_leaves_other_rules_out_unless_they_are_true_without_it() -> None:
    unbound = Answer(Truth.UNBOUND, "users: not bound to this tool")
    assert answer("users > 50") == unbound
    assert answer("amount > 100 OR users > 50", {"amount": 150}) == YES
    assert answer("amount > 100 OR users > 50", {"amount": 50}) == unbound
    assert answer("amount > 100 AND users > 50", {"amount": 150}) == unbound
    assert answer("amount > 100 AND users > 50", {"amount": 50}).truth is Truth.NO


def test_with_an_unbound_fact_doubt_about_a_bound_one_is_still_read_strictly() -> None:
    assert answer("amount > 100 OR users > 50", {}).truth is Truth.MISSING
    assert answer("amount > 100 OR users > 50", {"amount": "x"}).truth is Truth.ERROR
    assert answer("users > 50 OR int(env) > 5", {"env": "zz"}).truth is Truth.ERROR


def test_nothing_is_remembered_from_one_call_to_the_next() -> None:
    condition = compile_condition("amount > 100 OR users > 50", FACTS)
    assert answer(condition, {"amount": 150}).truth is Truth.YES
    assert answer(condition, {}).truth is Truth.MISSING


class Gives:
    """A program that gives what it was made with."""

    def __init__(self, result: object) -> None:
        self.result = result

    def execute(self, context: object) -> object:
        return self.result


@pytest.mark.parametrize("result", [1, 0, None, "true", [True]])
def test_a_result_that_is_not_a_truth_value_is_an_error(result: object) -> None:
    condition = Condition("x", facts=(), scalars=(), program=Gives(result), context=dict)
    assert answer(condition) == Answer(Truth.ERROR, "the condition is neither true nor false")


@pytest.mark.parametrize(
    ("text", "at", "message", "hint"),
    [
        ("amuont > 1", 0, "there is no fact 'amuont'", "did you mean 'amount'?"),
        ("true AND sever == 'x'", 9, "there is no fact 'sever'", "did you mean 'server'?"),
        ("args.amount > 1", 4, "a condition sees flat values, which have no members", "bind a fact to it"),
        ("amount == '7'", 0, "'amount' is a number and is compared with a string", "such values are never equal"),
        ("env in [1]", 0, "'env' is a string and is compared with a number", "such values are never equal"),
        ("env == amount", 0, "'env' is a string and is compared with a number", "such values are never equal"),
        ("true OR tool != hour", 8, "'tool' is a string and is compared with an integer", ""),
        ("amount.startsWith('x')", 0, "'amount' is a number and is compared with a string", ""),
        ("amount * 2 > 1", 0, "its types do not fit together", "write 2.0"),
        ("count * 1.5 > 1.0", 0, "its types do not fit together", "an 'integer' whole"),
        ("amount > env", 0, "its types do not fit together", ""),
        ("size(amount) > 1", 0, "it cannot run: Undefined variable or function: 'size'", ""),
        ("env.matches('(')", 0, "it cannot run", ""),
        ("env.matches('(?=x)')", 0, "it cannot run", ""),
        ("amount", 0, "it gives neither true nor false", "compare with something"),
        ("amount > 1 ? 1 : 2", 0, "it gives neither true nor false", ""),
        ("amount >", 8, "Syntax error: mismatched input '<EOF>'", ""),
        ("amount > 1\nAND )", 15, "Syntax error", ""),
        ("a" * 300, 0, "there is no fact", ""),
    ],
)
def test_what_could_only_fail_does_not_load(text: str, at: int, message: str, hint: str) -> None:
    bad = refused(text)
    assert message in bad.message
    assert hint in bad.hint
    assert bad.at == at


def test_failing_on_a_sample_s_value_does_not_keep_a_condition_from_loading() -> None:
    assert answer("100 / (count - 1) > 10", {"count": 2}).truth is Truth.YES
    assert answer("int(env) > 5", {"env": "7"}).truth is Truth.YES


def test_a_literal_the_engine_cannot_hold_is_refused() -> None:
    assert refused("amount > 99999999999999999999").message == "invalid int literal"


def test_a_regular_expression_runs_in_linear_time() -> None:
    evil = {"env": "a" * 5_000 + "b"}
    assert answer("env.matches('^(a+)+$')", evil).truth is Truth.NO
