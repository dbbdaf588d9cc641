"""What the demo's agent reads of an answer."""

from __future__ import annotations

from proxy.demo.agent import Told, items


def test_a_decision_is_read_where_the_gate_says_one() -> None:
    assert Told("", True, {"decision": "deny"}, None).decision == "deny"
    assert Told("", False, {}, None).decision == ""


def test_a_list_is_read_structured_or_from_its_text() -> None:
    assert items(Told("", False, {}, {"result": [1, 2]})) == [1, 2]
    assert items(Told('{"a": 1}\n{"a": 2}', False, {}, None)) == [{"a": 1}, {"a": 2}]
