from __future__ import annotations

import pytest
from hypothesis import given

from review.shape import LEAVES_MAX, Change, Difference, Leaf, Rows, differences, leaves, rows
from tests.review.test_exact import VALUES


def test_leaves_have_their_paths_and_kinds_in_order() -> None:
    value = {"amount": 250, "who": {"name": "x", "ok": True}, "list": [None, []], "odd key": {}}
    assert list(leaves(value)) == [
        Leaf("$.amount", "number", 250),
        Leaf("$.who.name", "text", "x"),
        Leaf("$.who.ok", "true/false", True),
        Leaf("$.list[0]", "null", None),
        Leaf("$.list[1]", "empty list", []),
        Leaf('$["odd key"]', "empty object", {}),
    ]


def test_a_key_can_not_pass_for_a_path() -> None:
    assert [leaf.path for leaf in leaves({"a.b": 1, "a": {"b": 2}})] == ['$["a.b"]', "$.a.b"]


def test_a08_past_the_limit_the_middle_is_left_out_and_the_end_is_shown() -> None:
    shown = rows(list(range(LEAVES_MAX + 7)))
    assert (len(shown.head), shown.left_out, len(shown.tail)) == (400, 7, 100)
    assert shown.tail[-1] == Leaf(f"$[{LEAVES_MAX + 6}]", "number", LEAVES_MAX + 6)
    assert rows(list(range(LEAVES_MAX))).left_out == 0
    assert rows({}) == Rows((Leaf("$", "empty object", {}),))


def test_differences_are_added_removed_and_changed() -> None:
    before = {"amount": 250, "note": "x", "id": 1}
    after = {"amount": 80, "id": "1", "why": "y"}
    assert differences(before, after) == (
        Difference("$.amount", Change.CHANGED, Leaf("$.amount", "number", 250), Leaf("$.amount", "number", 80)),
        Difference("$.id", Change.CHANGED, Leaf("$.id", "number", 1), Leaf("$.id", "text", "1")),
        Difference("$.why", Change.ADDED, None, Leaf("$.why", "text", "y")),
        Difference("$.note", Change.REMOVED, Leaf("$.note", "text", "x"), None),
    )


@given(VALUES)
def test_nothing_differs_from_itself(value: object) -> None:
    assert differences(value, value) == ()


def test_true_and_one_are_different_things() -> None:
    assert [found.change for found in differences([True], [1])] == [Change.CHANGED]


def test_what_json_does_not_have_is_a_fault() -> None:
    with pytest.raises(TypeError):
        list(leaves({"a": object()}))
