"""The shape of an inputSchema: what a validator relies on must be as JSON Schema has it."""

from __future__ import annotations

from typing import Any

import pytest

from policies.schema_shape import is_well_formed


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {},
        {"type": "object", "properties": {"a": {"type": ["string", "null"]}, "b": False}, "required": ["a"]},
        {"items": [{"type": "string"}], "additionalItems": False},
        {"prefixItems": [{}], "items": {"enum": []}},
        {"minimum": 0, "exclusiveMinimum": True, "multipleOf": 0.01, "maxLength": 5.0},
        {"dependencies": {"a": ["b"], "c": {"type": "string"}}, "dependentRequired": {"a": ["b"]}},
        {"$defs": {"x": {"$ref": "#"}}, "$id": "x", "title": 5, "examples": "anything", "unknown": [1]},
        {"default": {"type": "nonsense"}, "const": {"properties": 5}, "properties": {"default": {}, "type": {}}},
    ],
)
def test_what_is_well_formed(schema: Any) -> None:
    assert is_well_formed(schema)


@pytest.mark.parametrize(
    "schema",
    [
        None,
        [],
        "string",
        {"type": "objekt"},
        {"type": []},
        {"type": [5]},
        {"type": None},
        {"properties": []},
        {"properties": {"a": 5}},
        {"properties": {"default": {"type": "objekt"}}},
        {"allOf": {}},
        {"anyOf": [5]},
        {"not": "x"},
        {"items": 5},
        {"items": [5]},
        {"required": "a"},
        {"required": [1]},
        {"enum": {}},
        {"pattern": 5},
        {"$ref": 5},
        {"$id": 5},
        {"minimum": "5"},
        {"minimum": True},
        {"exclusiveMinimum": "5"},
        {"minLength": -1},
        {"minLength": 1.5},
        {"maxItems": True},
        {"multipleOf": 0},
        {"uniqueItems": "yes"},
        {"dependencies": []},
        {"dependencies": {"a": 5}},
        {"dependentRequired": {"a": "b"}},
        {"dependentRequired": []},
        {"$defs": {"x": {"type": "objekt"}}},
        {"patternProperties": {"x": 5}},
    ],
)
def test_what_is_not(schema: Any) -> None:
    assert not is_well_formed(schema)


def test_any_depth_is_looked_at_without_recursion() -> None:
    schema: Any = {"type": "objekt"}
    for _ in range(50_000):
        schema = {"not": schema}
    assert not is_well_formed(schema)
