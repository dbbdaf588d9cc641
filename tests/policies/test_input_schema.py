"""Whether an inputSchema declares a path: by properties, items, alternatives and local references, and no further."""

from __future__ import annotations

from typing import Any

import pytest

from policies.input_schema import has_path
from policies.json_path import parse

AMOUNT = {"properties": {"amount": {"type": "number"}}}


@pytest.mark.parametrize(
    ("schema", "path", "declared"),
    [
        (AMOUNT, "$.args.amount", True),
        (AMOUNT, "$.args.other", False),
        (AMOUNT, "$.args", True),
        (AMOUNT, "$.input_responses.amount", False),
        (AMOUNT, "$..amount", False),
        ({"properties": {"a": AMOUNT}}, "$.args.a.amount", True),
        ({"properties": {"a": AMOUNT}}, "$.args..amount", True),
        ({"properties": {"a": AMOUNT}}, "$.args..other", False),
        ({"properties": {"ids": {"items": {}}}}, "$.args.ids[*]", True),
        ({"properties": {"ids": {"items": AMOUNT}}}, "$.args.ids[*].amount", True),
        ({"properties": {"ids": {"items": AMOUNT}}}, "$.args..amount", True),
        ({"properties": {"ids": {"prefixItems": [{}, AMOUNT]}}}, "$.args.ids[1].amount", True),
        ({"properties": {"ids": {"prefixItems": [AMOUNT]}}}, "$.args..amount", True),
        ({"properties": {"ids": {"prefixItems": [{}], "items": AMOUNT}}}, "$.args.ids[3].amount", True),
        ({"properties": {"ids": {"type": "string"}}}, "$.args.ids[*]", False),
        ({"properties": {"ids": {"type": "array"}}}, "$.args.ids[*]", True),
        ({"properties": {"ids": {"type": ["array", "null"]}}}, "$.args.ids[0]", True),
        ({"properties": {"ids": {"type": "array"}}}, "$.args.ids[*].amount", False),
        ({"anyOf": [{}, AMOUNT]}, "$.args.amount", True),
        ({"if": {}, "then": AMOUNT}, "$.args.amount", True),
        ({"$ref": "#/$defs/x", "$defs": {"x": AMOUNT}}, "$.args.amount", True),
        ({"$ref": "#/$defs/a~1b/1", "$defs": {"a/b": [{}, AMOUNT]}}, "$.args.amount", True),
        ({"$ref": "#/$defs/nowhere", "$defs": {}}, "$.args.amount", False),
        ({"$ref": "#/x/y", "x": 1}, "$.args.amount", False),
        ({"$ref": "https://example.com/schema"}, "$.args.amount", False),
        ({"$ref": "#"}, "$.args.amount", False),
        ({"properties": "broken", "anyOf": "broken", "$ref": 7}, "$.args.amount", False),
        (True, "$.args.amount", False),
    ],
)
def test_a_path_is_declared_where_the_schema_says_so(schema: Any, path: str, declared: bool) -> None:
    assert has_path(schema, parse(path)) is declared


def test_a_schema_that_multiplies_itself_ends() -> None:
    schema: dict[str, Any] = {"$defs": {"end": {}}}
    for depth in range(60):
        schema["$defs"][str(depth)] = {"allOf": [{"$ref": f"#/$defs/{depth + 1}"}] * 2}
    assert has_path({**schema, "$ref": "#/$defs/0"}, parse("$.args.amount")) is False


def test_a_chain_of_references_ends() -> None:
    schema: dict[str, Any] = {"$defs": {str(n): {"$ref": f"#/$defs/{n + 1}"} for n in range(5_000)}}
    schema["$defs"]["5000"] = AMOUNT
    assert has_path({**schema, "$ref": "#/$defs/4990"}, parse("$.args.amount")) is True
    assert has_path({**schema, "$ref": "#/$defs/0"}, parse("$.args.amount")) is False
