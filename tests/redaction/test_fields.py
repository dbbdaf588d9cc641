"""Field rules: which values they mean, and what is refused instead of ignored."""

from __future__ import annotations

from typing import Any

import pytest

from policies.model import Do, FieldRule, SameRule
from redaction.fields import (
    FieldRuleInvalid,
    compile_rules,
    find,
    is_removable,
    refuse_unreachable,
)
from redaction.paths import Inner, Path
from redaction.walk import Unreadable, WalkLimits, walk
from tests.redaction.builders import CODEC, json_text, replace, result


def meant(message: Any, *paths: str) -> list[Path]:
    compiled = compile_rules([replace(path) for path in paths])
    walked = walk(message, codec=CODEC, limits=WalkLimits(), watch=compiled.by_name)
    return [one.path for one in find(compiled, walked, message)]


STRUCTURED: Path = ("result", "structuredContent")
DOCUMENT: Path = ("result", "content", 0, "text", Inner.JSON)


@pytest.mark.parametrize("path", ["$..ssn", "$..SSN", "$..s_s_n", "$..['ssn']"])
def test_a_name_is_found_at_any_depth_whatever_its_case_and_separators(path: str) -> None:
    message = result(structured={"a": [{"Ssn": 1}], "s-s-n": 2, "ssn_kind": 3})
    assert meant(message, path) == [(*STRUCTURED, "a", 0, "Ssn"), (*STRUCTURED, "s-s-n")]


@pytest.mark.parametrize("path", ["$.a.b", "$['a'].b", "a.b"])
def test_a_chain_of_keys_is_exact_and_starts_at_every_root(path: str) -> None:
    message = result(json_text({"a": {"b": 1}}), structured={"a": {"b": 1, "B": 2}, "x": {"a": {"b": 3}}})
    assert meant(message, path) == [(*DOCUMENT, "a", "b"), (*STRUCTURED, "a", "b")]


def test_the_result_itself_is_a_root_too() -> None:
    message = result("hello", structured={"a": 1}, novel={"b": 2})
    assert meant(message, "$.structuredContent.a", "$.content[*].text", "$.novel.b") == [
        (*STRUCTURED, "a"),
        ("result", "novel", "b"),
        ("result", "content", 0, "text"),
    ]


def test_a_general_path_means_what_jsonpath_says() -> None:
    cards = [{"type": "card", "number": "4111"}, {"type": "iban", "number": "DE89"}]
    message = result(structured={"methods": cards})
    found = meant(message, '$..*[?(@.type=="card")].number')  # seen from the result and from structuredContent
    assert list(dict.fromkeys(found)) == [(*STRUCTURED, "methods", 0, "number")]
    assert meant(message, "$.methods[1:].number") == [(*STRUCTURED, "methods", 1, "number")]


@pytest.mark.parametrize("path", ["$", "$.content", "$.content[0]", "$.isError", "$.content[0].type", "$.*"])
def test_a_rule_that_means_a_member_of_the_protocol_is_neither_done_nor_ignored(path: str) -> None:
    with pytest.raises(Unreadable, match="member of the protocol"):
        meant(result("hello", isError=False), path)


@pytest.mark.parametrize("name", ["text", "type", "content", "uri", "name"])
def test_a_name_of_the_protocol_means_the_tools_own_members_only(name: str) -> None:
    link = {"type": "resource_link", "uri": "a:b", "name": "n"}
    message = result("hello", link, structured={name: 1})
    assert meant(message, f"$..{name}") == [(*STRUCTURED, name)]


@pytest.mark.parametrize("path", ["$..[", "", "$.a[", "][", "$.a[?(@.b == )]"])
def test_a_path_that_cannot_be_read_is_an_error(path: str) -> None:
    with pytest.raises(FieldRuleInvalid):
        compile_rules([replace(path)])


def test_a_path_that_breaks_on_what_the_tool_sent_refuses_the_output() -> None:
    with pytest.raises(Unreadable, match="could not be applied"):
        meant(result(structured={"a": [{"n": "x"}, {"n": 1}]}), "$.a.`sorted`")


def test_a_path_that_computes_a_value_means_no_place() -> None:
    with pytest.raises(Unreadable, match="could not be applied"):
        meant(result(structured={"a": [1, 2]}), "$.a.`len`")


@pytest.mark.parametrize(
    "text",
    [
        'Here you are: {"ssn": "536-90-4399"}',
        "{'SSN' : '536-90-4399'}",
        '{\\"ssn\\": \\"536-90-4399\\"}',
        '{"ssn": 1}\n{"ssn": 2}',
    ],
)
def test_a_field_in_text_that_is_not_json_is_refused(text: str) -> None:
    compiled = compile_rules([replace("$..ssn")])
    walked = walk(result(text), codec=CODEC, limits=WalkLimits(), watch=compiled.by_name)
    with pytest.raises(Unreadable, match="not JSON"):
        refuse_unreachable(compiled, walked.leaves)


@pytest.mark.parametrize("text", ["the ssn is kept", 'see {"ssn": "[REDACTED]"}', "{'ssn': '[REDACTED]'}", '"ssns": 1'])
def test_a_mention_or_a_field_that_was_taken_out_is_not(text: str) -> None:
    compiled = compile_rules([replace("$..ssn")])
    walked = walk(result(text), codec=CODEC, limits=WalkLimits(), watch=compiled.by_name)
    refuse_unreachable(compiled, walked.leaves)


def test_an_allowing_rule_looks_for_nothing_in_other_text() -> None:
    compiled = compile_rules([FieldRule("$..ssn", Do.ALLOW)])
    assert compiled.last_names == set()
    assert compile_rules([SameRule("$.a.tenant_id", "x")]).last_names == {"tenantid"}


@pytest.mark.parametrize(
    ("path", "removable"),
    [
        ((*STRUCTURED, "a"), True),
        (STRUCTURED, True),
        ((*STRUCTURED, "a", 0), False),
        (("result", "content", 0, "text"), False),
        (("error", "message"), False),
        (("error", "data"), True),
        ((*DOCUMENT, "text"), True),
        (DOCUMENT, False),
    ],
)
def test_members_of_the_tools_own_objects_can_be_removed(path: Path, removable: bool) -> None:
    assert is_removable(result("x"), path) is removable


@pytest.mark.parametrize("path", ["$.a[-1]", "$.a[-1:]", "$..a[-1]"])
def test_an_index_from_the_end_means_the_item_it_names(path: str) -> None:
    assert set(meant(result(structured={"a": ["x", "abc"]}), path)) == {(*STRUCTURED, "a", 1)}


@pytest.mark.parametrize("path", ["$.a|$.b", "$..a|$..b", "$.a + $.b", "$.a where $.b"])
def test_a_path_that_begins_again_in_its_middle_is_refused(path: str) -> None:
    with pytest.raises(FieldRuleInvalid, match="make it two rules"):
        compile_rules([replace(path)])


def test_names_joined_by_a_bar_are_all_meant_and_all_looked_for_in_other_text() -> None:
    assert meant(result(structured={"a": 1, "b": 2}), "$.(a|b)") == [(*STRUCTURED, "a"), (*STRUCTURED, "b")]
    assert compile_rules([replace("$.(a|b)")]).last_names == {"a", "b"}


def test_a_document_in_a_key_cannot_be_reached_and_is_refused() -> None:
    compiled = compile_rules([replace("$..ssn")])
    walked = walk(result(structured={json_text({"ssn": "x"}): 1}), codec=CODEC, limits=WalkLimits())
    with pytest.raises(Unreadable, match="not JSON"):
        refuse_unreachable(compiled, walked.leaves)
