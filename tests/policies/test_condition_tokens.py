"""Conditions as tokens: the rewriting of AND, OR and NOT, what is refused and where, and which types are compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.condition_tokens import (
    NESTING_MAX,
    TEXT_CHARS_MAX,
    TOKENS_MAX,
    BadCondition,
    check,
    names_in,
    rewritten,
    tokens_of,
    uses,
)


def rewrite(text: str) -> str:
    return rewritten(text, tokens_of(text))


@pytest.mark.parametrize(
    ("written", "cel"),
    [
        ("a > 1 AND b > 2", "a > 1 &&  b > 2"),
        ("a > 1 OR b > 2", "a > 1 || b > 2"),
        ("NOT (a > 1)", "!   (a > 1)"),
        ("a && b || !c", "a && b || !c"),
        ("name == 'x AND y'", "name == 'x AND y'"),
        ('name == "NOT \\" OR"', 'name == "NOT \\" OR"'),
        ("name == '''AND\nOR'''", "name == '''AND\nOR'''"),
        (r"name == r'\AND' AND a", r"name == r'\AND' &&  a"),
        ("a // AND OR\nAND b", "a // AND OR\n&&  b"),
        ("ANDY OR BRAND", "ANDY || BRAND"),
    ],
)
def test_words_become_signs_of_equal_length_outside_strings_and_comments(written: str, cel: str) -> None:
    assert rewrite(written) == cel
    assert len(rewrite(written)) == len(written)


def test_names_are_what_is_read_and_not_what_is_called() -> None:
    assert names_in(tokens_of("size(a) > 1 AND b.startsWith('x') OR a in [c]")) == ("a", "b", "c")


@pytest.mark.parametrize(
    ("text", "at", "message"),
    [
        ("", 0, "an empty condition"),
        ("// only a comment", 0, "an empty condition"),
        ("a = 1", 2, "'=' means nothing"),
        ("a & b", 2, "'&' means nothing"),
        ("a | b", 2, "'|' means nothing"),
        ("a == 'open", 5, "''' means nothing"),
        ("a and b", 2, "'and' means nothing"),
        ("a @ b", 2, "'@' means nothing"),
        ("x" * (TEXT_CHARS_MAX + 1), TEXT_CHARS_MAX, "longer than"),
        ("+a" * TOKENS_MAX, TOKENS_MAX // 2 * 3, "words and signs"),
        ("(" * (NESTING_MAX + 1), NESTING_MAX, "nested more than"),
        ("a.b == 1", 1, "no members"),
        ("a.", 1, "no members"),
        (".a", 0, "no members"),
        ("a[0] == 1", 1, "nothing to index"),
        ("(a)[0] == 1", 3, "nothing to index"),
        ("[1][0] == 1", 3, "nothing to index"),
        ("has(a)", 0, "there is no function 'has'"),
        ("[1, 2].exists(x, x > a)", 6, "no members"),
        ("type(a) == int", 0, "there is no function 'type'"),
        ("siez(a) > 1", 0, "there is no function 'siez'"),
        ("startsWith(a, 'x')", 0, "'startsWith' is written otherwise"),
        ("a.size() > 1", 1, "no members"),
        ("a.matches(b)", 10, "must be a text written here"),
        ("a.matches('x' + b)", 10, "must be a text written here"),
        ("a.matches(", 2, "must be a text written here"),
        ("a.matches('x{1,100}')", 10, "too large to run"),
        ("a.matches('x{100}')", 10, "too large to run"),
        (f"a.matches('{'x' * 200}')", 10, "too large to run"),
        ("NOT a > 1", 0, "NOT would negate only"),
        ("!a == b", 0, "NOT would negate only"),
        ("NOT a in [1]", 0, "NOT would negate only"),
        ("x AND NOT size(a) > 1", 6, "NOT would negate only"),
    ],
)
def test_what_conditions_do_not_have_is_refused_where_it_stands(text: str, at: int, message: str) -> None:
    with pytest.raises(BadCondition) as bad:
        check(tokens_of(text))
    assert message in bad.value.message
    assert bad.value.at == at or "+a" in text


@pytest.mark.parametrize(
    "text",
    [
        "NOT (a > 1)",
        "NOT a",
        "NOT a AND b > 1",
        "!a.startsWith('x') OR b",
        "!!a",
        "a ? !b : c",
        "size(a) > 1",
        "a.matches('^x{1,99}$')",
        "a in ['x', 'y']",
        "a in [NOT b, c]",
        "-a < -1",
        "(NOT (a)) == b",
        "NOT",
        "NOT size(a",
    ],
)
def test_what_conditions_have_is_let_through(text: str) -> None:
    check(tokens_of(text))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a > 1", [("a", "number")]),
        ("1 < a", [("a", "number")]),
        ("a == -1", [("a", "number")]),
        ("a == 'x'", [("a", "string")]),
        ("'x' != a", [("a", "string")]),
        ("a == true", [("a", "boolean")]),
        ("a in ['x', 1, b]", [("a", "string"), ("a", "number")]),
        ("a in b", []),
        ("a in [1", []),
        ("a.startsWith('x')", [("a", "string")]),
        ("size(a) > 1", []),
        ("1 < size(a)", []),
        ("a == b", []),
        ("> 1", []),
        ("a >", []),
        ("a == null", []),
        ("in [1]", []),
    ],
)
def test_names_compared_with_literals_are_found_with_their_types(text: str, found: list[tuple[str, str]]) -> None:
    assert [(use.name, use.type.value) for use in uses(tokens_of(text))] == found


@given(st.text(alphabet="aAND ORT!&|()[]'\"=<>.,\\/\n10-{}", max_size=60))
def test_any_text_is_read_or_refused_and_keeps_its_length(text: str) -> None:
    bad_at = 0
    try:
        tokens = tokens_of(text)
        check(tokens)
        list(uses(tokens))
        assert len(rewritten(text, tokens)) == len(text)
    except BadCondition as bad:
        bad_at = bad.at
    assert 0 <= bad_at <= len(text)
