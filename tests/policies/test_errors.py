"""Mistakes as values: how they read, their order, and the hint to the nearest valid word."""

from __future__ import annotations

from policies.errors import PolicyError, PolicyErrors, nearest


def test_an_error_reads_as_place_message_and_hint() -> None:
    assert str(PolicyError("a.yaml", 3, 5, "unknown key 'topic'", "did you mean 'topics'?")) == (
        "a.yaml:3:5: unknown key 'topic' (did you mean 'topics'?)"
    )
    assert str(PolicyError("a.yaml", 1, 1, "an empty policy file")) == "a.yaml:1:1: an empty policy file"


def test_errors_are_raised_in_order_each_once() -> None:
    late, early = PolicyError("b.yaml", 9, 1, "late"), PolicyError("b.yaml", 2, 1, "early")
    first = PolicyError("a.yaml", 30, 1, "other file")
    raised = PolicyErrors([late, early, first, early])
    assert raised.errors == (first, early, late)
    assert str(raised).splitlines() == [str(first), str(early), str(late)]


def test_the_nearest_word_is_named_whatever_its_case() -> None:
    assert nearest("topic", ["topics", "tools"]) == "did you mean 'topics'?"
    assert nearest("TOOLS", ["topics", "tools"]) == "did you mean 'tools'?"
    assert nearest("amount_abov", ["topics"], also=["amount_above"]) == "did you mean 'amount_above'?"


def test_with_nothing_near_the_valid_words_are_listed() -> None:
    assert nearest("zzz", ["tools", "agents"], also=["hidden"]) == "valid here: agents, tools"
    assert nearest("zzz", []) == ""
