"""YAML as plain JSON values with positions: what comes out, and everything that is refused and where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.errors import PolicyError, PolicyErrors
from policies.yaml_source import DEPTH_MAX, NODES_MAX, TEXT_CHARS_MAX, load_positioned


def value_of(text: str) -> object:
    return load_positioned(text, "f.yaml")[0]


def errors_of(text: str) -> list[str]:
    with pytest.raises(PolicyErrors) as raised:
        load_positioned(text, "f.yaml")
    return [str(error) for error in raised.value.errors]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("2.5", 2.5),
        ("1e3", 1000.0),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("'1'", "1"),
        ('"true"', "true"),
        ("word", "word"),
        ("[1, a]", [1, "a"]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
        ("|\n  two\n  lines\n", "two\nlines\n"),
    ],
)
def test_plain_values_are_json_s(written: str, value: object) -> None:
    assert value_of(f"key: {written}") == {"key": value}


@pytest.mark.parametrize(
    "written", ["no", "yes", "on", "off", "0x1F", "0o17", "017", "1:30", "1_000", "2026-11-21", ".5", ".inf", "+1"]
)
def test_what_older_yaml_disguises_as_something_else_stays_text(written: str) -> None:
    assert value_of(f"key: {written}") == {"key": written}


def test_an_empty_text_is_nothing() -> None:
    assert value_of("") is None
    assert value_of("# only a comment\n") is None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: the key 'a' a second time (first in line 1)"),
        ("a: &x 1", "f.yaml:1:4: the anchor &x (anchors are not accepted: remove it)"),
        ("a: *x", "f.yaml:1:4: the alias *x (aliases are not accepted: write the value out, or a pattern in quotes)"),
        ("a: !!str 1", "f.yaml:1:4: the tag tag:yaml.org,2002:str (tags are not accepted: remove it)"),
        ("a: !!python/object:os.system x", "tags are not accepted"),
        ("!!map {a: 1}", "tags are not accepted"),
        ("!x a: 1", "f.yaml:1:1: a key with a tag or an anchor (write the key alone)"),
        ("a: 1\n---\nb: 1", "f.yaml:2:1: a second document (one file holds one document; split it)"),
        ("%YAML 1.1\n---\na: 1", "a YAML directive (remove the line that starts with %)"),
        ("<<: {a: 1}", "f.yaml:1:1: a merge key (merge keys are not accepted: write the keys out)"),
        ("1: a", "f.yaml:1:1: the key 1 is not text (put it in quotes)"),
        ("true: a", "the key true is not text"),
        ("~: a", "the key ~ is not text"),
        ("[a]: 1", "a key that is not text"),
        ("a: [1\n", "f.yaml:1:4: not YAML: while parsing a flow sequence"),
        ('a: 1\nb: "x\nc: 2\n', "f.yaml:2:4: not YAML: while scanning a quoted scalar"),
        ("a: b: c", "f.yaml:1:5: not YAML: mapping values are not allowed here"),
        ("a:\n\t- b", "f.yaml:2:1: not YAML:"),
        ("a: 1\nb: \x01", "f.yaml:2:4: a character that YAML does not allow"),
        (
            "a: 9999999999999999999",
            "f.yaml:1:4: a whole number too large to be exact (put it in quotes if it is an id)",
        ),
        ("a: 1e999", "f.yaml:1:4: a number too large to be exact"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(text: str, error: str) -> None:
    assert error in errors_of(text)[0]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("tools: *\n", 'text that begins with * stands in quotes, for example "*"'),
        ("tools: [*.read]\n", 'text that begins with * stands in quotes, for example "*"'),
        ("a:\n\t- b\n", "indent with blanks, not with tabs"),
        ("reason: it's: fine\n", "text that holds ': ' stands in quotes; else look at the indentation"),
        ('b: "x\nc: 2\n', "a quote is opened here and never closed"),
        ("a: [1\n", "a bracket '[' is not closed, or something in it needs quotes"),
        ("a: {b: 1\n", "a bracket '{' is not closed, or something in it needs quotes"),
        ("- a: 1\n b: 2\n", "look at the indentation"),
    ],
)
def test_what_authors_most_often_mean_is_said(text: str, hint: str) -> None:
    (error,) = errors_of(text)
    assert error.endswith(f"({hint})")


def test_all_mistakes_that_can_be_read_past_are_raised_together() -> None:
    assert len(errors_of("a: &x 1\na: !!int 2\nb: *x\n<<: {}\n")) == 5


def test_size_depth_and_number_of_values_are_capped() -> None:
    assert value_of("[" * DEPTH_MAX + "]" * DEPTH_MAX) is not None
    assert "nested more than" in errors_of("[" * (DEPTH_MAX + 2) + "]" * (DEPTH_MAX + 2))[0]
    assert "nested more than" in errors_of("[" * 100_000)[0]
    assert "more than" in errors_of("a: " + "x" * TEXT_CHARS_MAX)[0]
    assert "values" in errors_of("[" + "1," * NODES_MAX + "]")[0]


def test_positions_tell_values_keys_and_characters_apart() -> None:
    text = 'rules:\n  - id: a\n    condition: "x > 1"\n    other: plain\n    block: |\n      text\n'
    _, positions = load_positioned(text, "f.yaml")
    assert positions.key(("rules", 0, "id")) == (2, 5)
    assert positions.value(("rules", 0, "id")) == (2, 9)
    assert positions.inside(("rules", 0, "condition"), 2) == (3, 19)
    assert positions.inside(("rules", 0, "other"), 1) == (4, 13)
    assert positions.inside(("rules", 0, "block"), 2) == (5, 12)
    assert positions.key(("rules", 0)) == (2, 5)
    assert positions.value(("rules", 0, "nowhere", "at all")) == (2, 5)


def test_text_with_escapes_has_no_character_positions() -> None:
    _, positions = load_positioned('a: "x\\ty"', "f.yaml")
    assert positions.inside(("a",), 2) == (1, 4)


@given(st.text(max_size=200))
def test_any_text_gives_a_value_or_errors_and_nothing_else(text: str) -> None:
    errors: tuple[PolicyError, ...] = ()
    try:
        load_positioned(text, "f.yaml")
    except PolicyErrors as bad:
        errors = bad.errors
    assert all(error.line >= 1 and error.column >= 1 for error in errors)
