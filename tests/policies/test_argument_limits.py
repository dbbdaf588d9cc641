"""The bounds of checking arguments: the budget, regular expressions, twins, look-alike keys, unusable schemas."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.argument_limits import (
    DEPTH_MAX,
    NODES_MAX,
    STEPS_MAX,
    STEPS_MIN,
    Budget,
    TooMuch,
    additional,
    budget,
    budget_for,
    found,
    has_twins,
    in_one_dialect,
    look_alikes,
    refusal,
)


@pytest.fixture(autouse=True)
def steps() -> Budget:
    given_steps = Budget(1_000_000)
    budget.set(given_steps)
    return given_steps


def test_a_budget_ends() -> None:
    steps = Budget(2)
    steps.spend(2)
    with pytest.raises(TooMuch):
        steps.spend(1)


def test_long_lists_and_maps_cost_more() -> None:
    steps = Budget(1_000)
    steps.spend_on("x" * 10_000, 5, None)
    assert steps.left == 999
    steps.spend_on([0] * 80, dict.fromkeys(range(80)))
    assert steps.left == 999 - 41


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [
        ({}, STEPS_MIN + 50),
        ({"a": 1, "b": [2, {"c": 3}]}, STEPS_MIN + 6 * 50),
        ({"a": "x" * 1_000}, STEPS_MIN + 7 * 50),
        ({"a": [0] * 5_000}, STEPS_MAX),
        ({"a": "x" * 1_000_000}, STEPS_MAX),
    ],
)
def test_the_budget_is_in_proportion_to_the_arguments(arguments: Any, steps: int) -> None:
    assert budget_for(arguments).left == steps


def test_a_pattern_is_looked_for_and_its_work_is_paid_for(steps: Budget) -> None:
    assert found("^[a-z]+$", "abc")
    assert not found("^[a-z]+$", "ABC")
    assert steps.left < 1_000_000


@pytest.mark.parametrize("pattern", ["(a+)+$", "(", "^.*.*.*.*.*.*.*$", r"^\p{L}+$", "a{99999999999}"])
def test_what_cannot_be_run_within_bounds_is_left_to_the_tool(pattern: str) -> None:
    began = time.process_time()
    assert found(pattern, "a" * 5_000 + "!")
    assert time.process_time() - began < 2


def test_additional_keys_are_those_nothing_speaks_of() -> None:
    schema: dict[str, Any] = {"properties": {"a": {}}, "patternProperties": {"^x-": {}}}
    assert additional({"a": 1, "x-b": 2, "c": 3}, schema) == ["c"]


@pytest.mark.parametrize("key", ["Amount", "AMOUNT", "ａmount", "amounT"])
def test_a_key_that_reads_like_a_declared_one_is_found(key: str) -> None:
    assert look_alikes({"amount": 1, key: 2}, {"amount": {}}) == [key]


def test_declared_and_unrelated_keys_are_no_look_alikes() -> None:
    assert look_alikes({"amount": 1, "Amount": 2, "note": 3}, {"amount": {}, "Amount": {}}) == []


@pytest.mark.parametrize(
    ("items", "twins"),
    [
        ([1, 2], False),
        ([1, 1.0], True),
        ([1, True], False),
        ([0, False], False),
        ([{"a": 1, "b": [2]}, {"b": [2], "a": 1}], True),
        ([[1, 2], [2, 1]], False),
        (["a", "a"], True),
        ([None, None], True),
        ([], False),
    ],
)
def test_twins_are_equal_as_json(items: list[Any], twins: bool) -> None:
    assert has_twins(items) is twins


scalars = st.sampled_from([None, True, False, 0, 1, 1.0, "a"])


@given(st.lists(scalars | st.lists(scalars | st.lists(scalars, max_size=2), max_size=2), max_size=5))
@settings(max_examples=60)
def test_twins_are_found_as_by_comparing_each_with_each(items: list[Any]) -> None:
    def same(one: Any, other: Any) -> bool:
        if isinstance(one, bool) or isinstance(other, bool):
            return one is other
        if isinstance(one, list) and isinstance(other, list):
            return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
        return bool(one == other)

    expected = any(same(items[i], items[j]) for i in range(len(items)) for j in range(i))
    assert has_twins(items) is expected


def nested(depth: int) -> Any:
    schema: Any = {}
    for _ in range(depth):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"$ref": "https://example.com/x"}, "refers to what it does not contain"),
        ({"properties": {"a": {"$ref": "other.json#/x"}}}, "refers to what it does not contain"),
        ({"allOf": [{"$dynamicRef": "#node"}]}, "refers to what it does not contain"),
        ({"$ref": "#anchor"}, "refers to what it does not contain"),
        ({"unevaluatedProperties": False, "allOf": [{"patternProperties": {}}]}, "cannot be checked within bounds"),
        ({"properties": {"a": {"$id": "https://example.com/x"}}}, "an id of its own"),
        ({"enum": [{}] * (NODES_MAX + 1)}, "parts"),
        (nested(DEPTH_MAX + 1), "deep"),
    ],
)
def test_a_schema_that_refers_elsewhere_or_runs_past_all_bounds_is_unusable(schema: Any, why: str) -> None:
    assert why in str(refusal(schema))


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/a"},
        {"properties": {"$ref": {"type": "string"}, "$id": {"type": "string"}}},
        {"$id": "https://example.com/x"},
        nested(DEPTH_MAX),
        {"unevaluatedProperties": False},
    ],
)
def test_a_schema_that_refers_to_itself_is_used(schema: Any) -> None:
    assert refusal(schema) is None


def test_no_part_of_a_schema_keeps_a_dialect_of_its_own() -> None:
    schema = {
        "$schema": "a",
        "properties": {"$schema": {"$schema": "b", "type": "string"}},
        "anyOf": [{"$schema": "c"}],
    }
    assert in_one_dialect(schema) == {"properties": {"$schema": {"type": "string"}}, "anyOf": [{}]}
