"""Who was watching when, and whether a veto could have come for the whole of a window (SEMANTICS §1.10)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from policies.model import Approval
from review.feed import GAP_SEC, Feed
from review.model import Reviewer, ReviewKind, ReviewRecord, ReviewState

OPS = Reviewer("maria", teams=frozenset({"ops"}))
OTHER = Reviewer("otto", teams=frozenset({"finance"}))
ONLOOKER = Reviewer("audrey", roles=frozenset({"auditor"}), teams=frozenset({"ops"}))
ADMIN = Reviewer("ada", roles=frozenset({"admin"}))


class Watching:
    """A feed with a clock that is set, and streams that begin and end when told."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.feed = Feed(clock=lambda: self.now, spans_max=4)
        self._streams: list[AbstractContextManager[None]] = []

    def come(self, who: Reviewer, at: float) -> AbstractContextManager[None]:
        self.now = at
        stream = self.feed.watched_by(who)
        stream.__enter__()
        self._streams.append(stream)
        return stream

    def go(self, stream: AbstractContextManager[None], at: float) -> None:
        self.now = at
        stream.__exit__(None, None, None)

    def was(self, *, window_sec: float = 100, at: float | None = None) -> bool:
        self.now = at if at is not None else 1_000 + window_sec
        return self.feed.was_watched(review(window_sec))


def review(window_sec: float = 100) -> ReviewRecord:
    state, approval = ReviewState.VETOABLE, Approval(teams=("ops",))
    return ReviewRecord("r", "c", ReviewKind.APPROVAL, state, 1_000, 1_000 + window_sec, approval, "b", "n")


@pytest.fixture
def watching() -> Iterator[Watching]:
    return Watching()


def test_with_nobody_there_nothing_was_watched(watching: Watching) -> None:
    assert not watching.was()
    assert not watching.was(window_sec=1)
    assert not watching.feed.is_watched(review())


@pytest.mark.parametrize(("who", "counts"), [(OPS, True), (ADMIN, True), (OTHER, False), (ONLOOKER, False)])
def test_only_who_may_veto_it_counts(watching: Watching, who: Reviewer, counts: bool) -> None:
    watching.come(who, 990)
    assert watching.feed.is_watched(review()) is counts
    assert watching.was() is counts


def test_people_may_take_turns(watching: Watching) -> None:
    first = watching.come(OPS, 990)
    watching.come(ADMIN, 1_040)
    watching.go(first, 1_050)
    assert watching.was()


@pytest.mark.parametrize(("away_sec", "was"), [(GAP_SEC, True), (GAP_SEC + 0.1, False)])
@pytest.mark.parametrize("left_at", [1_000, 1_050, 1_100 - GAP_SEC - 0.1])
def test_a_stream_that_breaks_may_come_back_within_ten_seconds(
    watching: Watching, left_at: float, away_sec: float, was: bool
) -> None:
    watching.go(watching.come(OPS, 990), left_at)
    watching.come(OPS, left_at + away_sec)
    assert watching.was(at=1_101) is was


def test_of_a_short_window_at_most_a_quarter_may_have_been_unseen(watching: Watching) -> None:
    watching.go(watching.come(OPS, 990), 1_004)
    assert not watching.was(window_sec=8)
    watching.come(OPS, 1_006)
    assert watching.was(window_sec=8)


def test_who_has_just_left_still_counts_at_the_beginning_and_who_left_long_ago_does_not(watching: Watching) -> None:
    watching.go(watching.come(OPS, 900), 1_000)
    watching.now = 1_000 + GAP_SEC
    assert watching.feed.is_watched(review())
    watching.now += 1
    assert not watching.feed.is_watched(review())


def test_p14_the_oldest_streams_are_forgotten_which_only_makes_a_question(watching: Watching) -> None:
    watching.come(OPS, 990)
    assert watching.was(window_sec=10)
    for _ in range(4):
        watching.come(OTHER, 1_000)
    assert not watching.was(window_sec=10)
