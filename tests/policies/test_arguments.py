"""Arguments against the tool's inputSchema: what fits, what the message says and does not say, hostile schemas."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.arguments import COMPILED_MAX, DRAFTS, PATH_CHARS_MAX, SCHEMA_CHARS_MAX, ArgumentsInvalid, check, prepare

REFUND: dict[str, Any] = {
    "type": "object",
    "properties": {
        "amount": {"type": "number", "minimum": 0},
        "currency": {"enum": ["EUR", "USD"]},
        "reference": {"type": "string", "pattern": "^[A-Z]{2}[0-9]+$"},
        "lines": {"type": "array", "items": {"properties": {"n": {"type": "integer"}}}, "uniqueItems": True},
    },
    "required": ["amount"],
    "additionalProperties": False,
}


def misfit(arguments: dict[str, Any], schema: Any) -> ArgumentsInvalid:
    with pytest.raises(ArgumentsInvalid) as raised:
        check(arguments, schema)
    return raised.value


def with_property(schema: Any) -> dict[str, Any]:
    return {"properties": {"a": schema}}


@pytest.mark.parametrize(
    "arguments",
    [
        {"amount": 5},
        {"amount": 5.5, "currency": "EUR", "reference": "AB12"},
        {"amount": 0, "lines": [{"n": 1}, {"n": 2}]},
    ],
)
def test_arguments_that_fit_pass(arguments: dict[str, Any]) -> None:
    check(arguments, REFUND)


@pytest.mark.parametrize(
    ("arguments", "path", "keyword", "text"),
    [
        ({"amount": "secret"}, "$.amount", "type", "$.amount has another type than the schema says (keyword: type)"),
        ({}, "$", "required", "$ lacks what the schema requires (keyword: required)"),
        ({"amount": -1}, "$.amount", "minimum", "$.amount does not fit the schema (keyword: minimum)"),
        (
            {"amount": 1, "currency": "secret"},
            "$.currency",
            "enum",
            "$.currency does not fit the schema (keyword: enum)",
        ),
        ({"amount": 1, "reference": "secret"}, "$.reference", "pattern", "(keyword: pattern)"),
        ({"amount": 1, "lines": [{"n": "secret"}]}, "$.lines[0].n", "type", "$.lines[0].n has another type"),
        ({"amount": 1, "lines": ["secret", "secret"]}, "$.lines", "uniqueItems", "$.lines does not fit"),
        ({"amount": 1, "secret": 2}, "$", "additionalProperties", "$ has a key the schema does not allow"),
    ],
)
def test_the_message_names_place_and_keyword_and_never_a_value(
    arguments: dict[str, Any], path: str, keyword: str, text: str
) -> None:
    wrong = misfit(arguments, REFUND)
    assert (wrong.path, wrong.keyword) == (path, keyword)
    assert text in str(wrong)
    assert "secret" not in str(wrong)


def test_a_key_that_differs_only_in_case_or_width_is_refused() -> None:
    schema = with_property({"properties": {"amount": {}}})
    assert misfit({"a": {"amount": 50, "AMOUNT": 9900}}, schema).path == "$.a"
    assert misfit({"a": {"ａmount": 9900}}, schema).keyword == "properties"


@pytest.mark.parametrize("dialect", sorted(DRAFTS))
@pytest.mark.parametrize("form", ["http://{}", "https://{}", "http://{}#"])
def test_known_dialects_are_honoured(dialect: str, form: str) -> None:
    schema = {"$schema": form.format(dialect), **with_property({"type": "integer"})}
    check({"a": 1}, schema)
    assert misfit({"a": "1"}, schema).keyword == "type"


def test_without_a_dialect_it_is_draft_2020_12() -> None:
    schema = with_property({"prefixItems": [{"type": "integer"}]})
    assert misfit({"a": ["x"]}, schema).path == "$.a[0]"


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"$schema": "https://example.com/own"}, "the dialect of the tool's inputSchema is not known"),
        ({"$schema": 5}, "the dialect of the tool's inputSchema is not known"),
        ([], "the tool's inputSchema is not a map"),
        (True, "the tool's inputSchema is not a map"),
        ({"type": "objekt"}, "the tool's inputSchema is not a valid JSON Schema"),
        ({"properties": []}, "the tool's inputSchema is not a valid JSON Schema"),
        ({"required": [1, "a", {}] * 20_000}, "the tool's inputSchema is not a valid JSON Schema"),
        (with_property({"$ref": "https://example.com/x"}), "the schema refers to what it does not contain"),
        (with_property({"$ref": "#/$defs/nowhere"}), "the schema refers to what it does not contain"),
        ({"description": "x" * SCHEMA_CHARS_MAX}, f"longer than {SCHEMA_CHARS_MAX} characters"),
        ({"description": {1, 2}}, "the tool's inputSchema is not JSON"),
    ],
)
def test_p01_an_unusable_schema_refuses_the_call(schema: Any, text: str) -> None:
    assert text in str(misfit({"a": 1}, schema))
    assert text in str(misfit({"a": 1}, schema))  # and is remembered as such


def test_nothing_is_ever_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*args: object, **kwargs: object) -> None:
        raise AssertionError("a schema reached for the network")

    monkeypatch.setattr(socket, "create_connection", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    misfit({}, {"$ref": "http://example.com/schema.json"})
    misfit({}, {"$id": "http://example.com/base", "$ref": "#/$defs/x"})
    check({}, {"$id": "http://example.com/base", "$ref": "#/$defs/x", "$defs": {"x": {}}})


def doubling(levels: int) -> dict[str, Any]:
    """A schema that looks at its value 2**levels times."""
    parts: dict[str, Any] = {f"n{i}": {"allOf": [{"$ref": f"#/$defs/n{i + 1}"}] * 2} for i in range(levels)}
    return {"$defs": {**parts, f"n{levels}": {}}, "$ref": "#/$defs/n0"}


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("arguments", "schema"),
    [
        ({"a": 1}, doubling(40)),
        ({"a": 1}, {"allOf": [{"$ref": "#"}]}),
        (nested(60), {"$defs": {"x": with_property({"allOf": [{"$ref": "#/$defs/x"}] * 2})}, "$ref": "#/$defs/x"}),
        ({"a": "x" * 2_000_000}, with_property({"anyOf": [{"type": "null"}] * 1_000})),
        (
            {"a": [str(n) for n in range(5_000)]},
            with_property({"items": {"enum": [str(-n) for n in range(5_000)] + [str(n) for n in range(5_000)]}}),
        ),
    ],
)
def test_p14_a_hostile_schema_costs_bounded_time(arguments: dict[str, Any], schema: Any) -> None:
    began = time.process_time()
    assert "takes too much work" in str(misfit(arguments, schema))
    assert time.process_time() - began < 20  # also while coverage is measured


@pytest.mark.parametrize(
    ("arguments", "schema"),
    [
        ({"a": "a" * 5_000 + "!"}, with_property({"pattern": "^(a+)+$"})),
        ({"a": [{"n": n} for n in range(20_000)]}, with_property({"uniqueItems": True})),
        ({"a" * 5_000: 1}, {"patternProperties": {"^(a+)+$": {"type": "integer"}}}),
    ],
)
def test_p14_what_would_run_away_is_quick(arguments: dict[str, Any], schema: Any) -> None:
    began = time.process_time()
    check(arguments, schema)
    assert time.process_time() - began < 2


def test_pattern_and_additional_properties_work_together() -> None:
    schema = {"patternProperties": {"^x-": {"type": "integer"}}, "additionalProperties": {"type": "string"}}
    check({"x-a": 1, "b": "s"}, schema)
    assert misfit({"x-a": "s"}, schema).path == "$['x-a']"
    assert misfit({"b": 1}, schema).path == "$.b"


def test_keywords_for_another_type_say_nothing() -> None:
    schema = {
        **with_property(
            {"pattern": "x", "properties": {"b": False}, "patternProperties": {"x": False}, "uniqueItems": True}
        ),
    }
    check({"a": 5}, schema)
    check({"a": [1, 1]}, with_property({"uniqueItems": False}))
    check({"a": 5}, with_property({"additionalProperties": False}))


def test_a_false_schema_refuses_what_stands_there() -> None:
    assert misfit({"a": 1}, with_property(False)).keyword == "false"


def test_a_long_path_is_cut() -> None:
    schema = {"additionalProperties": {"type": "string"}}
    wrong = misfit({"k" * 1_000: 1}, schema)
    assert len(wrong.path) == PATH_CHARS_MAX + 1


def test_what_is_kept_is_bounded() -> None:
    for number in range(COMPILED_MAX + 10):
        check({}, {"title": f"number {number}"})


EVIL = {"$schema": "https://json-schema.org/draft/2020-12/schema", "pattern": "^(a+)+$", "uniqueItems": True}


@pytest.mark.parametrize(
    "schema",
    [
        with_property(EVIL),
        {"allOf": [with_property(EVIL)]},
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {"x": EVIL},
            **with_property({"$ref": "#/definitions/x"}),
        },
        {"$schema": "http://json-schema.org/draft-07/schema#", **with_property({"anyOf": [{"$ref": "#"}, EVIL]})},
    ],
)
def test_p14_a_dialect_named_inside_does_not_lead_out_of_the_bounds(schema: Any) -> None:
    """jsonschema goes over to the plain validator of any `$schema` it meets."""
    began = time.process_time()
    check({"a": "a" * 40 + "!"}, schema)
    check({"a": [{"n": n} for n in range(5_000)]}, schema)
    assert time.process_time() - began < 5


schemas: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.just({}),
    lambda below: st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["object", "array", "string", "number", ["null", "integer"], "any", 5]),
            "properties": st.dictionaries(st.sampled_from("ab"), below, max_size=2) | st.just([]),
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "("]), below, max_size=2),
            "additionalProperties": below,
            "unevaluatedProperties": below,
            "items": below | st.lists(below, max_size=2),
            "prefixItems": st.lists(below, max_size=2),
            "contains": below,
            "anyOf": st.lists(below, max_size=2),
            "oneOf": st.lists(below, max_size=2),
            "not": below,
            "if": below,
            "then": below,
            "$ref": st.sampled_from(["#", "#/properties/a", "#/nowhere", 7]),
            "enum": st.lists(st.integers(0, 2) | st.just({}), max_size=2),
            "required": st.lists(st.sampled_from("ab"), max_size=2) | st.just("a"),
            "minLength": st.sampled_from([0, 1, -1, 1.5, "1"]),
            "multipleOf": st.sampled_from([1, 0.5, 0, "1"]),
            "exclusiveMinimum": st.sampled_from([1, True, "1"]),
            "uniqueItems": st.booleans(),
            "dependencies": st.dictionaries(st.sampled_from("ab"), below | st.just(["a"]), max_size=1),
        },
    ),
    max_leaves=6,
).filter(lambda schema: isinstance(schema, dict))
some_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["a", "b", 1.5]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "A"]), below, max_size=3),
    max_leaves=6,
)


@given(
    schemas, st.dictionaries(st.sampled_from(["a", "b", "A"]), some_json, max_size=3), st.sampled_from(sorted(DRAFTS))
)
@settings(max_examples=200)
def test_p01_any_schema_and_any_arguments_fit_or_do_not_and_nothing_else(
    schema: Any, arguments: dict[str, Any], dialect: str
) -> None:
    with suppress(ArgumentsInvalid):
        check(arguments, {"$schema": f"https://{dialect}", **schema})


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/properties/a", "properties": {"a": False}},  # draft 4 has no such schema
        {"$ref": "#/properties/a", "properties": {"a": {"id": 5}}},
    ],
)
def test_p01_a_reference_to_what_is_no_schema_denies_in_a_sentence(schema: dict[str, Any]) -> None:
    dialect = "http://json-schema.org/draft-04/schema#"
    assert "refers to what is no schema" in str(misfit({}, {"$schema": dialect, **schema}))


def test_a_schema_is_compiled_once_by_object_and_by_content() -> None:
    schema = {"title": "only here", **with_property({"type": "integer"})}
    prepare(schema)
    began = time.process_time()
    for _ in range(100):
        check({"a": 1}, {"title": "only here", **with_property({"type": "integer"})})
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("word", ["allOf", "anyOf", "oneOf"])
def test_p14_small_arguments_never_cost_much_whatever_the_schema_says(word: str) -> None:
    """A schema that doubles at every reference took ten seconds, with the gate's loop standing still, for one value."""
    parts: dict[str, Any] = {f"n{i}": {word: [{"$ref": f"#/$defs/n{i + 1}"}] * 2} for i in range(30)}
    schema = {"$defs": {**parts, "n30": word == "allOf"}, "$ref": "#/$defs/n0"}
    misfit({}, schema)  # compiled
    began = time.process_time()
    assert "takes too much work" in str(misfit({"a": 1}, schema))
    assert time.process_time() - began < 5


def test_large_honest_arguments_are_checked_whole() -> None:
    row = {"type": "object", "properties": {f"c{n}": {"type": "integer"} for n in range(10)}, "required": ["c0"]}
    schema = {"$defs": {"row": row}, **with_property({"items": {"$ref": "#/$defs/row"}})}
    rows: list[Any] = [{f"c{n}": n for n in range(10)} for _ in range(3_000)]
    check({"a": rows}, schema)
    rows[-1]["c9"] = "x"
    assert "$.a[2999].c9" in str(misfit({"a": rows}, schema))
