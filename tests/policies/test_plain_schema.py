"""What the plain check lets pass, the validator lets pass: its yes is never more than a shorter way to the same yes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies import arguments
from policies.plain_schema import ITEMS_MAX, surely_fits

NAMES = st.sampled_from(["id", "Id", "amount", "note", "tags", "where"])
ANNOTATIONS = st.dictionaries(st.sampled_from(["title", "description", "format"]), st.just("date"), max_size=1)
BOUNDS = st.fixed_dictionaries(
    {},
    optional={
        "minimum": st.integers(-3, 3) | st.floats(-3, 3),
        "maximum": st.integers(-3, 3),
        "minLength": st.integers(0, 3),
        "maxLength": st.integers(0, 3),
        "enum": st.lists(st.sampled_from(["a", "bb", "", 1, None]), min_size=1, max_size=3, unique_by=repr),
    },
)
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "null"])
LEAVES = st.builds(
    lambda named, bounds, more: {"type": named, **bounds, **more},
    TYPES | st.lists(TYPES, min_size=1, max_size=2, unique=True),
    BOUNDS,
    ANNOTATIONS,
) | st.just({})


def objects(below: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"type": st.just("object"), "properties": st.dictionaries(NAMES, below, max_size=4)},
        optional={"required": st.lists(NAMES, max_size=2, unique=True), "additionalProperties": st.booleans()},
    )


SCHEMAS = objects(
    st.recursive(
        LEAVES,
        lambda below: objects(below) | st.fixed_dictionaries({"type": st.just("array")}, optional={"items": below}),
        max_leaves=6,
    )
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-4, 4) | st.floats(-4, 4) | st.sampled_from(["", "a", "bb", "cccc"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES, below, max_size=4),
    max_leaves=8,
)
DIALECTS = st.sampled_from([None, *(f"https://{dialect}" for dialect in arguments.DRAFTS)])


@given(SCHEMAS, st.dictionaries(NAMES, VALUES, max_size=4), DIALECTS)
@settings(max_examples=300)
def test_what_surely_fits_is_what_the_validator_lets_pass(
    schema: dict[str, Any], given_arguments: dict[str, Any], dialect: str | None
) -> None:
    schema = schema if dialect is None else {"$schema": dialect, **schema}
    plain = surely_fits(schema)
    if plain is not None and plain(given_arguments):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(arguments, "surely_fits", lambda _schema: None)
            assert arguments._compile(schema)(given_arguments) is None


LOOKUP = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "amount": {"type": "number", "minimum": 0},
        "state": {"type": ["string", "null"], "enum": ["open", "closed"]},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 5}},
        "where": {"type": "object", "properties": {"zip": {"type": "string"}}, "additionalProperties": False},
        "more": {"description": "anything"},
    },
    "required": ["id"],
}


@pytest.mark.parametrize(
    ("given_arguments", "is_sure"),
    [
        ({"id": 1, "amount": 12.5, "state": "open", "tags": ["a"], "where": {"zip": "1"}, "more": [{}]}, True),
        ({"id": 1.0}, False),  # a whole number: the validator takes it
        ({"id": True}, False),
        ({"amount": 1}, False),
        ({"id": 1, "amount": -1}, False),
        ({"id": 1, "state": "gone"}, False),
        ({"id": 1, "state": None}, False),
        ({"id": 1, "tags": ["a"] * (ITEMS_MAX + 1)}, False),
        ({"id": 1, "tags": ["abcdef"]}, False),
        ({"id": 1, "where": {"ZIP": "1"}}, False),
        ({"id": 1, "ID": 1}, False),
        ({"id": 1, "undeclared": 1}, False),
    ],
)
def test_which_arguments_surely_fit(given_arguments: dict[str, Any], is_sure: bool) -> None:
    plain = surely_fits(LOOKUP)
    assert plain is not None
    assert plain(given_arguments) is is_sure


@pytest.mark.parametrize(
    "below",
    [
        {"type": "string", "pattern": "a"},
        {"type": "integer", "exclusiveMinimum": 0},
        {"$ref": "#/properties/id"},
        {"anyOf": [{"type": "string"}]},
        {"type": "array", "items": [{"type": "string"}]},
        {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"enum": ["a"]},
        {"type": "any"},
        True,
    ],
)
def test_a_schema_with_anything_else_in_it_has_no_plain_check(below: Any) -> None:
    assert surely_fits({"type": "object", "properties": {"id": below}}) is None


def test_a_schema_whose_check_could_use_the_budget_up_has_no_plain_check() -> None:
    row = {"type": "object", "properties": {f"c{number}": {"type": "integer"} for number in range(40)}}
    assert surely_fits({"type": "object", "properties": {"rows": {"type": "array", "items": row}}}) is None
