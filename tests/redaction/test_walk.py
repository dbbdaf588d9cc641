"""The walk: every leaf met, with its place, context and role; limits refuse and never cut short."""

from __future__ import annotations

from typing import Any

import pytest

from redaction.paths import Inner
from redaction.shape import Role
from redaction.walk import Form, Leaf, Unreadable, Walked, WalkLimits, walk
from tests.redaction.builders import CODEC, json_text, result

LIMITS = WalkLimits()


def walked(message: Any, limits: WalkLimits = LIMITS, **more: Any) -> Walked:
    return walk(message, codec=CODEC, limits=limits, **more)


def texts(message: Any, **more: Any) -> list[tuple[str, str, Role, Form]]:
    return [(leaf.text, leaf.context, leaf.role, leaf.form) for leaf in walked(message, **more).leaves]


def test_strings_keys_and_long_numbers_are_met_with_their_context() -> None:
    message = {"phones": ["555-0100"], "card": 4111111111111111, "n": 7, "ok": True, "none": None, "x": 3.14159265}
    assert texts(message) == [
        ("phones", "", Role.DATA, Form.KEY),
        ("555-0100", "phones", Role.DATA, Form.STRING),
        ("card", "", Role.DATA, Form.KEY),
        ("4111111111111111", "card", Role.DATA, Form.NUMBER),
        ("none", "", Role.DATA, Form.KEY),
        ("3.14159265", "x", Role.DATA, Form.NUMBER),
    ]


def test_known_clean_keys_are_not_met_again() -> None:
    assert texts({"phones": "abc"}, clean_keys={"phones"}) == [("abc", "phones", Role.DATA, Form.STRING)]


def test_protocol_words_are_identifiers_and_opaque_values_are_kept_apart() -> None:
    walk_of = walked(result({"type": "text", "text": "hello"}, nextCursor="abc"))
    assert [(leaf.path, leaf.text, leaf.role) for leaf in walk_of.leaves] == [
        (("jsonrpc",), "2.0", Role.IDENTIFIER),
        (("result", "content", 0, "type"), "text", Role.IDENTIFIER),
        (("result", "content", 0, "text"), "hello", Role.DATA),
    ]
    assert [leaf.text for leaf in walk_of.opaque] == ["abc"]


def test_a_list_of_opaque_values_or_measures_is_neither_and_is_looked_through() -> None:
    """One opaque value is short; a list of them would be a way past the inspector of any length."""
    words, number = Leaf(("result", "nextCursor", 0), "abc", "nextCursor", Role.DATA, Form.STRING), 4111111111111111
    walk_of = walked(result(nextCursor=["abc"]) | {"params": {"progress": [number]}})
    assert words in walk_of.leaves
    assert str(number) in [leaf.text for leaf in walk_of.leaves]
    assert walk_of.opaque == []


def test_json_in_a_string_is_walked_into_and_remembered() -> None:
    walk_of = walked({"a": json_text({"b": json_text(["deep"])})})
    inner = ("a", Inner.JSON, "b", Inner.JSON)
    assert Leaf((*inner, 0), "deep", "b", Role.DATA, Form.STRING) in walk_of.leaves
    assert walk_of.documents == {("a",): {"b": '["deep"]'}, ("a", Inner.JSON, "b"): ["deep"]}
    assert [root.path for root in walk_of.roots] == [(), ("a", Inner.JSON), inner]


def test_a_string_that_only_looks_like_json_is_a_plain_leaf() -> None:
    assert texts({"a": "[INFO] up [ok]"}) == [("[INFO] up [ok]", "a", Role.DATA, Form.STRING)]


def test_roots_are_the_result_its_structure_its_documents_and_what_an_sdk_wrapped() -> None:
    message = result("[1]", structured={"result": [{"a": 1}]})
    assert [root.path for root in walked(message).roots] == [
        ("result",),
        ("result", "content", 0, "text", Inner.JSON),
        ("result", "structuredContent"),
        ("result", "structuredContent", "result"),
    ]


def test_watched_names_are_noted_whatever_their_spelling() -> None:
    message = result(structured={"S_S_N": 1, "deep": [{"ssn": {"x": 2}}], "other": 3}, ssn=4)
    named = walked(message, watch={"ssn"}).named
    assert [(one.path[-1], one.value) for one in named] == [("S_S_N", 1), ("ssn", {"x": 2}), ("ssn", 4)]


def test_members_of_the_protocol_are_not_watched() -> None:
    assert walked(result("hello"), watch={"text", "content", "type"}).named == []


@pytest.mark.parametrize(
    ("message", "limits"),
    [
        ([[[1]]], WalkLimits(depth_max=1)),
        ([1, 2, 3], WalkLimits(nodes_max=2)),
        (["[1,2]"], WalkLimits(embedded_chars_max=4)),
        (['["[1]"]'], WalkLimits(embedded_depth_max=1)),
        (result(nextCursor="abcde"), WalkLimits(opaque_chars_max=4)),
    ],
)
def test_past_a_limit_there_is_no_walk(message: Any, limits: WalkLimits) -> None:
    with pytest.raises(Unreadable):
        walked(message, limits)


@pytest.mark.parametrize(
    ("message", "limits"),
    [
        ([[1]], WalkLimits(depth_max=1)),
        ([1, 2], WalkLimits(nodes_max=2)),
        (["[1,2]"], WalkLimits(embedded_chars_max=5)),
        (["[1]"], WalkLimits(embedded_depth_max=1)),
        (result(nextCursor="abcd"), WalkLimits(opaque_chars_max=4)),
    ],
)
def test_at_a_limit_there_is(message: Any, limits: WalkLimits) -> None:
    walked(message, limits)


def test_the_types_of_binary_that_may_pass_are_the_callers() -> None:
    pdf = result({"type": "image", "data": "AAAA", "mimeType": "Application/PDF; x=1"})
    walked(pdf, blob_types=("application/pdf",))
    with pytest.raises(Unreadable):
        walked(pdf, blob_types=("image/*",))


def test_data_of_a_block_that_is_no_media_is_data() -> None:
    assert ("not base64", "data", Role.DATA, Form.STRING) in texts(result({"type": "novel", "data": "not base64"}))


def test_words_where_a_number_belongs_are_looked_at_as_an_identifier() -> None:
    assert ("many", "size", Role.IDENTIFIER, Form.STRING) in texts(result({"type": "resource_link", "size": "many"}))
