"""What criteria share: lists of patterns, `{all: […]}`, and the catch-all in rules that ask or deny."""

from __future__ import annotations

import pytest

from policies.criteria.base import Patterns, Truth
from policies.patterns import parse
from tests.policies.match_builders import holds, labels, mistakes


def patterns(*texts: str, needs_all: bool = False) -> Patterns:
    return Patterns(tuple(parse(text) for text in texts), needs_all)


def test_in_a_list_any_may_match_and_with_all_every_one_must() -> None:
    given = frozenset({"prod", "write"})
    assert patterns("prod", "delete").match_labels(given, allowing=True)
    assert not patterns("prod", "delete", needs_all=True).match_labels(given, allowing=True)
    assert patterns("prod", "wr*", needs_all=True).match_labels(given, allowing=True)


@pytest.mark.parametrize("catch_all", ["*", "**"])
def test_a_catch_all_holds_without_any_label_only_where_a_rule_asks_or_denies(catch_all: str) -> None:
    assert patterns(catch_all).match_labels(frozenset(), allowing=False)
    assert not patterns(catch_all).match_labels(frozenset(), allowing=True)
    assert not patterns("job.*").match_labels(frozenset(), allowing=False)


def test_one_name_is_matched_like_a_single_label() -> None:
    assert patterns("pay*").match_one("payments", allowing=True)
    assert not patterns("pay*").match_one("shop", allowing=False)


def test_patterns_read_as_their_author_wrote_them() -> None:
    assert str(patterns("a", "b*")) == "a, b*"
    assert str(patterns("a", "b", needs_all=True)) == "all of a, b"


def test_patterns_are_written_as_one_a_list_or_all() -> None:
    given = labels(topics={"a", "b"})
    assert holds("topics: a", given=given)
    assert holds("topics: [x, b]", given=given)
    assert holds("topics: {all: [a, b]}", given=given)
    assert not holds("topics: {all: [a, x]}", given=given)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("topics: []", "f.yaml:1:9: topics must be a list with at least one item, not an empty list"),
        ("topics: {all: []}", "f.yaml:1:15: topics: all must be a list with at least one item"),
        ("topics: {any: [a]}", "f.yaml:1:10: unknown key 'any' in topics (valid here: all)"),
        ("topics: {all: a}", "topics: all must be a list"),
        ("topics: [a, 1]", "f.yaml:1:13: item 2 of topics must be text, not a number"),
        ("topics: 'a?'", "f.yaml:1:9: '?' in a pattern: only * and ** are wildcards"),
        ("topics: 5", "topics must be a list"),
    ],
)
def test_what_is_not_patterns_is_refused(text: str, mistake: str) -> None:
    assert mistake in mistakes(text)[0]


def test_of_several_answers_the_highest_settles_a_rule() -> None:
    assert sorted(Truth) == [Truth.YES, Truth.MISSING, Truth.ERROR, Truth.UNBOUND, Truth.NO]
