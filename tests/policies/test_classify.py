"""Labels: entries add up, the strictest statement holds, and a tool no entry covers is unclassified."""

from __future__ import annotations

import pytest

from policies.classify import ClassifyEntry, classify
from policies.criteria.base import Patterns
from policies.model import Classification, Risk
from policies.patterns import parse


def patterns(*texts: str, needs_all: bool = False) -> Patterns:
    return Patterns(tuple(parse(text) for text in texts), needs_all)


def test_a_tool_no_entry_covers_is_unclassified() -> None:
    entry = ClassifyEntry(tools=patterns("payments/*"), topics=frozenset({"a"}))
    assert classify([entry], "shop", "buy", "tools/call") == Classification()
    assert classify([], "shop", "buy", "tools/call").is_classified is False


def test_all_entries_that_cover_a_tool_add_up_and_the_strictest_statement_holds() -> None:
    entries = [
        ClassifyEntry(tools=patterns("payments/*"), topics=frozenset({"a"}), risk=Risk.MEDIUM, reversible=True),
        ClassifyEntry(servers=patterns("payments"), topics=frozenset({"b"}), risk=Risk.HIGH, reversible=False),
        ClassifyEntry(tools=patterns("refund"), risk_tags=frozenset({"write"}), risk=Risk.LOW),
        ClassifyEntry(tools=patterns("other"), topics=frozenset({"c"})),
    ]
    assert classify(entries, "payments", "refund", "tools/call") == Classification(
        True, frozenset({"a", "b"}), frozenset({"write"}), Risk.HIGH, False
    )


def test_what_no_entry_states_is_not_known() -> None:
    entry = ClassifyEntry(tools=patterns("x"), risk_tags=frozenset())
    assert classify([entry], "s", "x", "tools/call") == Classification(is_classified=True)
    sure = ClassifyEntry(tools=patterns("x"), reversible=True)
    assert classify([entry, sure], "s", "x", "tools/call").reversible is True


@pytest.mark.parametrize(
    ("entry", "covered"),
    [
        (ClassifyEntry(tools=patterns("files/*")), True),
        (ClassifyEntry(tools=patterns("files/*"), servers=patterns("other")), False),
        (ClassifyEntry(tools=patterns("files/*", "*/write", needs_all=True)), False),
        (ClassifyEntry(tools=patterns("files/*", "*/read", needs_all=True)), True),
        (ClassifyEntry(methods=patterns("tools/*")), True),
        (ClassifyEntry(methods=patterns("resources/*")), False),
        (ClassifyEntry(methods=patterns("*")), False),
    ],
)
def test_between_the_keys_of_an_entry_all_must_hold(entry: ClassifyEntry, covered: bool) -> None:
    assert entry.covers("files", "read", "tools/call") is covered


def test_a_catch_all_does_not_classify_a_tool_with_a_slash() -> None:
    assert not ClassifyEntry(tools=patterns("*")).covers("files", "a/b", "tools/call")
