"""Types found from use: literals only, first use first, and nothing breaks on files that are wrong otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from policies.fact_types import types_used


def found(document: Any) -> dict[str, str]:
    return {name: declared.value for name, declared in types_used(document).items()}


def test_literals_in_matches_and_conditions_say_the_type() -> None:
    document = {
        "rules": [
            {"match": {"env": "prod", "port": [22], "dry": True, "cost_above": 5}},
            {"condition": "path.startsWith('/etc') AND 5 < count"},
        ],
        "output": [{"match": {"kind": "x"}}],
    }
    assert found(document) == {
        "env": "string",
        "port": "number",
        "dry": "boolean",
        "cost": "number",
        "path": "string",
        "count": "number",
        "kind": "string",
    }


def test_the_first_use_settles_it() -> None:
    assert found({"rules": [{"match": {"x": "a"}}, {"match": {"x": 5}}]}) == {"x": "string"}


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {"rules": "x"},
        {"rules": [5, {"match": 7}, {"match": {"x": None}}, {"match": {"y": []}}]},
        {"rules": [{"condition": 5}, {"condition": "x = 'unfinished"}]},
        {"output": {}},
    ],
)
def test_a_document_of_the_wrong_shape_says_nothing(document: Any) -> None:
    assert found(document) == {}
