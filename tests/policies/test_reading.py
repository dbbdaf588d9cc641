"""Reading positioned values: what each reader accepts, and that each mistake is noted where it stands."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import pytest

from policies.reading import LIST_ITEMS_MAX, TEXT_CHARS_MAX, Node, Source, not_yet
from policies.yaml_source import load_positioned


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def node(text: str, *path: str | int) -> Node:
    value, positions = load_positioned(text, "f.yaml")
    root = Node(value, Source("f.yaml", positions))
    for key in path:
        root = root.child(key)
    return root


def noted(node: Node) -> list[str]:
    return [str(mistake) for mistake in node.source.mistakes]


@pytest.mark.parametrize(
    ("written", "read", "value"),
    [
        ("word", Node.text, "word"),
        ("5", lambda n: n.whole(1, 5), 5),
        ("2.5", Node.number, 2.5),
        ("3", Node.number, 3),
        ("false", Node.truth, False),
        ("red", lambda n: n.choice(Colour), Colour.RED),
        ("red", lambda n: n.word(["red"]), "red"),
    ],
)
def test_a_fitting_value_is_read(written: str, read: Callable[[Node], object], value: object) -> None:
    one = node(f"key: {written}", "key")
    assert read(one) == value
    assert noted(one) == []


@pytest.mark.parametrize(
    ("written", "read", "mistake"),
    [
        ("5", Node.text, "f.yaml:1:6: key must be text, not a number"),
        ("' '", Node.text, "f.yaml:1:6: key must be text, not empty"),
        ("", Node.text, "key must be text, not nothing"),
        ("x" * (TEXT_CHARS_MAX + 1), Node.text, f"key is longer than {TEXT_CHARS_MAX} characters"),
        ("6", lambda n: n.whole(1, 5), "f.yaml:1:6: key must be a whole number from 1 to 5, not 6"),
        ("0", lambda n: n.whole(1, 5), "not 0"),
        ("1.0", lambda n: n.whole(1, 5), "not 1.0"),
        ("true", lambda n: n.whole(0, 5), "not true"),
        ("'5'", Node.number, "key must be a number, not '5'"),
        ("false", Node.number, "key must be a number, not false"),
        ("[]", Node.number, "key must be a number, not a list"),
        ("yes", Node.truth, "f.yaml:1:6: key must be true or false, not 'yes' (write true or false)"),
        ("{}", Node.truth, "key must be true or false, not a map"),
        ("rde", lambda n: n.choice(Colour), "f.yaml:1:6: key cannot be 'rde' (did you mean 'red'?)"),
        ("null", lambda n: n.choice(Colour), "key must be one of red, blue, not nothing"),
        ("soon", lambda n: n.word(["now"], later={"soon": "a thing"}), "'soon' (a thing) is not enforced"),
        ("5", lambda n: n.mapping(["a"], "a rule"), "f.yaml:1:6: a rule must be a map of keys, not a number"),
        ("true", lambda n: n.mapping(["a"], "a rule"), "not a truth value"),
        (
            "[]",
            lambda n: n.items("rules"),
            "f.yaml:1:6: rules must be a list with at least one item, not an empty list",
        ),
        ("{a: 1}", lambda n: n.items("rules"), "rules must be a list with at least one item, not a map"),
        (f"[{'1,' * (LIST_ITEMS_MAX + 1)}]", lambda n: n.items("rules"), f"rules has more than {LIST_ITEMS_MAX} items"),
    ],
)
def test_a_value_that_does_not_fit_is_noted_where_it_stands(
    written: str, read: Callable[[Node], object], mistake: str
) -> None:
    one = node(f"key: {written}", "key")
    assert read(one) is None
    assert mistake in noted(one)[0]


def test_unknown_keys_are_noted_at_the_key_and_the_others_read() -> None:
    one = node("topics: 1\ntopic: 2\nlater: 3\n")
    children = one.mapping(["topics", "tools"], "match", later={"later": "a thing"})
    assert children is not None
    assert list(children) == ["topics"]
    assert noted(one) == [
        "f.yaml:2:1: unknown key 'topic' in match (did you mean 'topics'?)",
        f"f.yaml:3:1: {not_yet('later', 'a thing')} (remove it)",
    ]


def test_a_map_whose_keys_the_caller_judges_is_given_whole() -> None:
    children = node("a: 1\nb: 2").mapping(None, "facts")
    assert children is not None
    assert {key: child.value for key, child in children.items()} == {"a": 1, "b": 2}


def test_a_mistake_can_stand_at_a_character_of_text() -> None:
    one = node('condition: "a > b"', "condition")
    one.mistake("there", offset=4)
    one.mistake("here", at_key=True)
    assert noted(one) == ["f.yaml:1:17: there", "f.yaml:1:1: here"]


def test_names_and_places_are_of_the_key() -> None:
    assert node("a: 1").name == "the file"
    assert node("a: {b: 1}", "a", "b").name == "b"
    assert node("a: {b: 1}", "a", "b").place == ("f.yaml", 1, 5)
