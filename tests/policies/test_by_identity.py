"""Answers kept per object: found again by identity, not by equality, and forgotten when there are too many."""

from __future__ import annotations

from policies.by_identity import ByIdentity


def test_an_answer_is_made_once_per_object() -> None:
    kept: ByIdentity[int] = ByIdentity(entries_max=2)
    made: list[int] = []

    def make() -> int:
        made.append(1)
        return len(made)

    one, twin = {"a": 1}, {"a": 1}
    assert [kept.get(one, make), kept.get(one, make), kept.get(twin, make)] == [1, 1, 2]


def test_one_object_has_an_answer_per_question() -> None:
    kept: ByIdentity[str] = ByIdentity(entries_max=10)
    thing = object()
    assert kept.get(thing, lambda: "a", about="x") == "a"
    assert kept.get(thing, lambda: "b", about="y") == "b"
    assert kept.get(thing, lambda: "c", about="x") == "a"


def test_when_full_everything_is_worked_out_again() -> None:
    kept: ByIdentity[str] = ByIdentity(entries_max=1)
    first, second = object(), object()
    assert kept.get(first, lambda: "old") == "old"
    assert kept.get(second, lambda: "other") == "other"
    assert kept.get(first, lambda: "new") == "new"
