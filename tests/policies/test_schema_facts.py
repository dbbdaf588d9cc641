"""`facts` and `classify` as written: definitions that agree, types, names that are taken, labels."""

from __future__ import annotations

import pytest

from policies.classify import ClassifyEntry
from policies.facts import Fact, FactType, Take
from policies.json_path import parse
from policies.model import Risk
from policies.patterns import parse as pattern
from policies.schema_facts import FACTS_MAX
from tests.policies.builders import errors_of, snapshot


def fact(text: str, rest: str = "", name: str = "x") -> Fact:
    return snapshot(f"facts: {{{name}: {text}}}\n{rest}").facts[name]


def test_every_key_is_read() -> None:
    assert fact('{path: $.args.a, tools: ["p/*", q], type: integer, take: value, min: 0, max: 9}') == Fact(
        "x", FactType.INTEGER, parse("$.args.a"), Take.VALUE, (pattern("p/*"), pattern("q")), 0, 9
    )


@pytest.mark.parametrize(
    ("text", "rest", "expected"),
    [
        ("{path: $.args.a}", "", FactType.NUMBER),
        ("{path: '$.args.a[*]', take: count}", "", FactType.INTEGER),
        ("{path: '$.args.a[*]', take: sum}", "", FactType.NUMBER),
        ("{path: $.args.a, min: 0}", "", FactType.NUMBER),
        ("{path: $.args.a}", "rules: [{match: {x: prod}, decision: deny}]", FactType.STRING),
        ("{path: $.args.a}", "rules: [{match: {x: [true]}, decision: deny}]", FactType.BOOLEAN),
        ("{path: $.args.a}", "rules: [{condition: 'x == \"prod\"', decision: deny}]", FactType.STRING),
        ("{path: $.args.a}", "output: [{match: {x: prod}, always: review}]", FactType.STRING),
        ("{path: $.args.a}", "rules: [{match: {x_above: 1}, decision: deny}]", FactType.NUMBER),
        ("{path: $.args.a, type: integer}", "rules: [{match: {x_above: 1}, decision: deny}]", FactType.INTEGER),
    ],
)
def test_a_type_that_is_not_said_is_found(text: str, rest: str, expected: FactType) -> None:
    assert fact(text, rest).type is expected


def test_uses_that_disagree_are_mistakes_where_they_stand() -> None:
    rules = "rules: [{match: {x: prod}, decision: deny}, {match: {x_above: 5}, decision: deny}]"
    assert errors_of(f"facts: {{x: {{path: $.args.a}}}}\n{rules}") == [
        "p1.yaml:2:54: 'x_above' compares numbers, and the fact 'x' is a string"
    ]


def test_a_name_may_be_declared_in_one_file_and_bound_in_another() -> None:
    one = snapshot("facts: {x: {type: integer}}", "facts: {x: {path: $.args.a}}", "facts: {x: {type: integer}}")
    assert one.facts["x"] == Fact("x", FactType.INTEGER, parse("$.args.a"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{path: $.args.a}", "{path: $.args.b}"),
        ("{path: $.args.a}", "{path: $.args.a, min: 0}"),
        ("{path: $.args.a, tools: p}", "{path: $.args.a, tools: q}"),
        ("{type: integer}", "{type: string}"),
        ("{type: string}", "{path: $.args.a, type: integer}"),
    ],
)
def test_two_different_definitions_of_one_name_are_a_mistake(one: str, other: str) -> None:
    assert errors_of(f"facts: {{x: {one}}}", f"facts: {{x: {other}}}") == [
        "p2.yaml:1:9: 'x' is defined otherwise in p1.yaml, line 1 (a fact has one definition)"
    ]


def test_the_same_definition_twice_is_one() -> None:
    assert errors_of("facts: {x: {path: $.args.a}}", "facts: {x: {path: $.args.a}}") == []


@pytest.mark.parametrize(
    "name", ["tools", "risk", "server", "hour", "size", "args", "in", "cost_above", "sum_cost", "max_cost", "default"]
)
def test_a_name_that_means_something_else_is_refused(name: str) -> None:
    assert errors_of(f"facts: {{{name}: {{path: $.args.a}}}}") == [
        f"p1.yaml:1:9: '{name}' means something else in a rule (choose another name)"
    ]


@pytest.mark.parametrize("name", ["Cost", "1st", "a-b", "'a b'", "_x", "x" * 65])
def test_a_name_is_a_plain_word(name: str) -> None:
    assert "cannot name a fact" in errors_of(f"facts: {{{name}: {{path: $.args.a}}}}")[0]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("5", "p1.yaml:1:12: the fact 'x' must be a map of keys, not a number"),
        ("{path: 5}", "path must be text"),
        ("{path: args.a}", "p1.yaml:1:19: a path begins with $"),
        ("{path: $.tool}", "a fact's path begins with $.args."),
        ("{path: $.args}", "a fact's path begins with $.args."),
        ("{path: '$..a'}", "a fact's path begins with $.args."),
        ("{path: '$.args[?(@.a)]'}", "not a JSONPath"),
        ("{path: $.args.a, type: text}", "type cannot be 'text'"),
        ("{path: $.args.a, take: all}", "take cannot be 'all'"),
        (
            "{path: $.args.a, take: count}",
            "'count' of a path that leads to one value (end it in [*] for the items of a list)",
        ),
        ("{path: '$.args.a[*]', take: count, type: number}", "a count is an integer"),
        ("{path: '$.args.a[*]', take: sum, type: string}", "a sum is a number or an integer"),
        ("{path: $.args.a, min: '0'}", "min must be a number, not '0'"),
        ("{path: $.args.a, min: 5, max: 1}", "max is under min"),
        ("{path: $.args.a, type: string, max: 5}", "min and max are for numbers, and 'x' is a string"),
        ("{min: 0}", "p1.yaml:1:13: 'min' without 'path' says nothing (add the path)"),
        ("{tools: a}", "'tools' without 'path' says nothing (add the path)"),
        ("{path: $.args.a, tools: {all: [a]}}", "a fact's tools are a plain list"),
        ("{pth: $.args.a}", "unknown key 'pth' in the fact 'x' (did you mean 'path'?)"),
    ],
)
def test_what_cannot_be_meant_does_not_load(text: str, error: str) -> None:
    assert any(error in one for one in errors_of(f"facts: {{x: {text}}}"))


def test_there_are_not_more_facts_than_a_limit() -> None:
    many = ", ".join(f"f{n}: {{path: $.args.f{n}}}" for n in range(FACTS_MAX + 1))
    assert errors_of(f"facts: {{{many}}}") == [f"p1.yaml:1:8: more than {FACTS_MAX} facts"]


def test_an_entry_of_classify_is_read_key_by_key() -> None:
    text = (
        "classify: [{tools: p/*, servers: [p], methods: tools/call,"
        " topics: t, risk_tags: [w, r], risk: high, reversible: false}]"
    )
    (entry,) = snapshot(text).classify
    assert entry.tools is not None
    assert entry.servers is not None
    assert entry.methods is not None
    assert (entry.topics, entry.risk_tags) == (frozenset({"t"}), frozenset({"w", "r"}))
    assert (entry.risk, entry.reversible, entry.file, entry.line) == (Risk.HIGH, False, "p1.yaml", 1)


def test_no_risk_tags_can_be_said() -> None:
    (entry,) = snapshot("classify: [{tools: p, risk_tags: []}]").classify
    assert entry.risk_tags == frozenset()
    (silent,) = snapshot("classify: [{tools: p, topics: t}]").classify
    assert silent == ClassifyEntry(silent.tools, topics=frozenset({"t"}), file="p1.yaml")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{topics: t}", "p1.yaml:1:12: an entry that says of no tool what it is (add 'tools')"),
        ("{tools: a}", "an entry without a label"),
        ("{tools: a, topics: []}", "topics must be a list with at least one item"),
        ("{tools: a, topics: 'job.*'}", "'job.*' cannot be a label"),
        ("{tools: a, risk_tags: ['a b']}", "'a b' cannot be a label"),
        ("{tools: a, risk: highest}", "risk cannot be 'highest' (did you mean 'high'?)"),
        ("{tools: a, reversible: no}", "reversible must be true or false"),
        ("{tools: a, topic: t}", "unknown key 'topic' in classify (did you mean 'topics'?)"),
        ("a", "classify must be a map of keys, not text"),
    ],
)
def test_an_entry_that_cannot_be_meant_does_not_load(text: str, error: str) -> None:
    assert any(error in one for one in errors_of(f"classify: [{text}]"))
