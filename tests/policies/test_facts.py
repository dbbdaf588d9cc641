"""Facts: unbound is not missing; absent, ambiguous, mistyped and out of bounds are doubt; what `take` takes."""

from __future__ import annotations

from typing import Any

import pytest

from policies.facts import EXACT_MAX, FACT_CHARS_MAX, Fact, FactReader, FactType, Reading, State, Take
from policies.json_path import parse
from policies.patterns import parse as pattern
from tests.policies.builders import AMOUNT, call


def reading(
    fact: Fact,
    arguments: dict[str, Any] | None = None,
    *,
    name: str = "payments/refund",
    schema: dict[str, Any] | None = None,
    is_listed: bool = True,
    allowing: bool = True,
    gate_facts: dict[str, Any] | None = None,
) -> Reading:
    one = call(name, arguments, schema=AMOUNT if schema is None else schema, is_listed=is_listed)
    return FactReader(one, {fact.name: fact}, gate_facts or {}).read(fact.name, allowing=allowing)


def amount(**options: Any) -> Fact:
    return Fact("amount", path=parse(options.pop("path", "$.args.amount")), **options)


def state_and_why(read: Reading) -> tuple[State, str]:
    return read.state, read.why


def test_a_fact_without_a_path_is_bound_to_nothing() -> None:
    assert reading(Fact("amount"), {"amount": 5}).state is State.UNBOUND


def test_a_fact_with_tools_is_bound_to_those_and_no_others() -> None:
    fact = amount(tools=(pattern("payments/*"),))
    assert reading(fact, {"amount": 5}) == Reading(State.VALUE, 5)
    assert reading(fact, {}).state is State.MISSING
    assert reading(fact, {"amount": 5}, name="shop/refund", allowing=False).state is State.UNBOUND


def test_a_catch_all_binds_a_fact_to_every_tool_also_one_with_a_slash() -> None:
    assert reading(amount(tools=(pattern("*"),)), {}, name="a/b/c").state is State.MISSING
    assert reading(amount(tools=(pattern("a/*"),)), {}, name="a/b/c").state is State.UNBOUND


def test_a_fact_without_tools_is_bound_to_tools_whose_schema_has_its_path() -> None:
    assert reading(amount(), {"amount": 5}) == Reading(State.VALUE, 5)
    assert reading(amount(), {}).state is State.MISSING
    assert reading(amount(), {}, schema={"type": "object"}, allowing=False).state is State.UNBOUND


def test_an_undeclared_value_is_read_by_rules_that_ask_or_deny_only() -> None:
    lax: dict[str, Any] = {"type": "object"}
    assert reading(amount(), {"amount": 9900}, schema=lax, allowing=False).value == 9900
    assert reading(amount(), {"amount": 9900}, schema=lax, allowing=True).state is State.UNBOUND
    assert reading(amount(), {"amount": 9900}, is_listed=False, allowing=False).value == 9900
    assert reading(amount(), {"amount": 9900}, is_listed=False, allowing=True).state is State.UNBOUND
    assert reading(amount(), {}, is_listed=False, allowing=False).state is State.UNBOUND


@pytest.mark.parametrize(
    ("fact", "value", "why"),
    [
        (amount(), "150", "not a number"),
        (amount(), True, "not a number"),
        (amount(), None, "not a number"),
        (amount(), [150], "not a number"),
        (amount(), float("nan"), "too large to compare exactly"),
        (amount(), float("inf"), "too large to compare exactly"),
        (amount(), EXACT_MAX + 1, "too large to compare exactly"),
        (amount(minimum=0), -4000, "under its min of 0"),
        (amount(maximum=100), 101, "over its max of 100"),
        (amount(type=FactType.INTEGER), 1.5, "not a whole number"),
        (amount(type=FactType.STRING), 5, "not text"),
        (amount(type=FactType.STRING), ["prod"], "not text"),
        (amount(type=FactType.STRING), "x" * (FACT_CHARS_MAX + 1), f"longer than {FACT_CHARS_MAX} characters"),
        (amount(type=FactType.BOOLEAN), "true", "not true or false"),
        (amount(type=FactType.BOOLEAN), 1, "not true or false"),
    ],
)
def test_a_value_of_another_type_or_out_of_bounds_is_in_doubt(fact: Fact, value: Any, why: str) -> None:
    assert state_and_why(reading(fact, {"amount": value})) == (State.DOUBT, why)


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        (amount(), 0),
        (amount(), 2.5),
        (amount(), EXACT_MAX),
        (amount(minimum=0, maximum=10), 10),
        (amount(type=FactType.INTEGER), 5.0),
        (amount(type=FactType.STRING), ""),
        (amount(type=FactType.BOOLEAN), False),
    ],
)
def test_a_fitting_value_is_read(fact: Fact, value: Any) -> None:
    assert reading(fact, {"amount": value}) == Reading(State.VALUE, value)


LIST = {"properties": {"amount": {"type": "array"}, "lines": {"items": {"properties": {"n": {}}}}}}


@pytest.mark.parametrize(
    ("take", "path", "arguments", "read"),
    [
        (Take.COUNT, "$.args.amount[*]", {"amount": [7, 7, 8]}, (State.VALUE, 3)),
        (Take.COUNT, "$.args.amount[*]", {"amount": []}, (State.VALUE, 0)),
        (Take.COUNT, "$.args.amount[*]", {}, (State.MISSING, None)),
        (Take.COUNT, "$.args.amount[*]", {"amount": "7,8"}, (State.DOUBT, None)),
        (Take.COUNT, "$.args.amount[*]", {"amount": {"0": 7}}, (State.DOUBT, None)),
        (Take.COUNT, "$.args.lines[*].n", {"lines": [{"n": 1}, {}]}, (State.MISSING, None)),
        (Take.SUM, "$.args.amount[*]", {"amount": [1, 2.5]}, (State.VALUE, 3.5)),
        (Take.SUM, "$.args.amount[*]", {"amount": []}, (State.VALUE, 0)),
        (Take.SUM, "$.args.amount[*]", {}, (State.MISSING, None)),
        (Take.SUM, "$.args.amount[*]", {"amount": 3}, (State.DOUBT, None)),
        (Take.SUM, "$.args.amount[*]", {"amount": [1, "2"]}, (State.DOUBT, None)),
        (Take.SUM, "$.args.amount[*]", {"amount": [EXACT_MAX, EXACT_MAX]}, (State.DOUBT, None)),
        (Take.VALUE, "$.args.amount[*]", {"amount": [5]}, (State.VALUE, 5)),
        (Take.VALUE, "$.args.amount[*]", {"amount": [5, 6]}, (State.DOUBT, None)),
        (Take.VALUE, "$.args.amount[*]", {"amount": []}, (State.MISSING, None)),
        (Take.VALUE, "$.args.amount[*]", {"amount": 5}, (State.DOUBT, None)),
        (Take.VALUE, "$.args.amount[0]", {"amount": [5, 6]}, (State.VALUE, 5)),
        (Take.VALUE, "$.args.amount.deep", {"amount": 5}, (State.MISSING, None)),
    ],
)
def test_what_is_taken_of_a_path(take: Take, path: str, arguments: dict[str, Any], read: tuple[State, Any]) -> None:
    fact = amount(path=path, take=take, tools=(pattern("payments/*"),))
    got = reading(fact, arguments, schema=LIST)
    assert (got.state, got.value) == read


def test_in_a_sum_a_large_amount_cannot_hide_behind_a_negative_one() -> None:
    fact = amount(path="$.args.amount[*]", take=Take.SUM, minimum=0)
    assert state_and_why(reading(fact, {"amount": [9900, -9850]}, schema=LIST)) == (State.DOUBT, "under its min of 0")


def test_a_fact_the_gate_makes_is_never_missing() -> None:
    fact = Fact("retry_count", FactType.INTEGER, by_gate=True)
    assert reading(fact, gate_facts={"retry_count": 3}) == Reading(State.VALUE, 3)
    assert state_and_why(reading(fact)) == (State.DOUBT, "the gate did not give it")
    assert reading(fact, gate_facts={"retry_count": "3"}).state is State.DOUBT


def test_arguments_of_a_retry_are_read_below_input_responses() -> None:
    fact = amount(path="$.input_responses.amount", tools=(pattern("**"),))
    assert reading(fact, {"amount": 5}).state is State.MISSING


def test_values_read_are_given_for_the_trace() -> None:
    facts = {"amount": amount(), "other": amount(path="$.args.other", tools=(pattern("*/*"),))}
    reader = FactReader(call(arguments={"amount": 5}, schema=AMOUNT), facts, {})
    assert reader.values() == {}
    reader.read("amount", allowing=True)
    reader.read("other", allowing=True)
    assert reader.values() == {"amount": 5}
    assert reader.values(["other", "never"]) == {}
