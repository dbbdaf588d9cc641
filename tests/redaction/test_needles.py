"""Many texts looked for at once, against looking for each."""

from __future__ import annotations

from time import process_time

from hypothesis import given
from hypothesis import strategies as st

from redaction.needles import FEW, Needles

WORDS = st.text("ab·", min_size=1, max_size=7)


@given(st.sets(WORDS, max_size=2 * FEW), st.text("ab·", max_size=60))
def test_exactly_the_needles_that_stand_in_the_text_are_found_the_longest_first(needles: set[str], text: str) -> None:
    found = Needles(needles).found_in(text)
    assert set(found) == {needle for needle in needles if needle in text}
    assert [len(needle) for needle in found] == sorted(map(len, found), reverse=True)


def test_no_needles_are_nowhere() -> None:
    assert not Needles([])
    assert Needles([]).found_in("anything") == []
    assert Needles([]).found_in("") == []


def test_thousands_of_needles_cost_one_pass() -> None:
    text = "user and then some words that go on " * 10_000
    started = process_time()
    assert Needles(f"user{number}@example.com" for number in range(10_000)).found_in(text) == []
    assert process_time() - started < 8  # one by one: half a minute
