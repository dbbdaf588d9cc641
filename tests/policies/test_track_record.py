"""An agent's track record: what it takes to rise and to fall, whatever happens in whatever order (SEMANTICS §1.12)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.autonomy import Autonomy, Demotion, Promotion
from policies.snapshot import Policy
from policies.track_record import OUTCOMES_MAX, Event, Outcome, Tally, TrackRecord

LEVELS = tuple(Policy(f"f:level_{number}", "f") for number in range(4))
NAMES = ("supervised", "assisted", "semi", "autonomous")
DAY = 86_400.0
LADDER = Autonomy(LEVELS, NAMES, Promotion(), Demotion(error_rate_above=0.05))
W, C, E = Outcome.WENT_WELL, Outcome.COUNTS, Outcome.WENT_WRONG


def record(*outcomes: Outcome, at: float = DAY, level: int = 0) -> TrackRecord:
    made = TrackRecord(level)
    for number, outcome in enumerate(outcomes):
        made.note(outcome, f"k{number}", at)
    return made


@pytest.mark.parametrize(
    ("outcomes", "rises"),
    [
        ([C] * 50, True),
        ([C] * 49, False),
        ([C] * 49 + [W] * 20, False),
        ([C] * 49 + [E], False),  # 1 error in 50
        ([C] * 50 + [E], True),  # 1 in 51 is below 2 %
        ([C] * 98 + [E] * 2, False),  # exactly 2 % is not below it
    ],
)
def test_enough_successes_and_a_rate_strictly_below_the_maximum(outcomes: list[Outcome], rises: bool) -> None:
    assert (record(*outcomes).may_rise(LADDER, DAY) is not None) is rises


def test_identical_calls_count_once_and_errors_each_time() -> None:
    one = TrackRecord()
    for _ in range(60):
        one.note(C, "same", DAY)
    for _ in range(3):
        one.note(E, "same", DAY)
    assert one.tally(DAY, 7) == Tally(successes=1, calls=4, errors=3)


def test_what_is_older_than_the_review_period_counts_no_more() -> None:
    one = record(*[C] * 50)
    assert one.may_rise(LADDER, 8 * DAY) is not None
    assert one.may_rise(LADDER, 8 * DAY + 1) is None


def test_nobody_rises_above_the_last_level_or_without_criteria() -> None:
    assert record(*[C] * 50, level=3).may_rise(LADDER, DAY) is None
    assert record(*[C] * 50, level=9).may_rise(LADDER, DAY) is None
    assert record(*[C] * 50).may_rise(Autonomy(LEVELS, NAMES), DAY) is None


@pytest.mark.parametrize(
    ("outcomes", "falls"), [([E] * 19, False), ([W] * 19 + [E], False), ([W] * 18 + [E] * 2, True), ([E] * 20, True)]
)
def test_a_rate_counts_from_twenty_calls_on(outcomes: list[Outcome], falls: bool) -> None:
    assert (record(*outcomes, level=2).errs_too_often(LADDER, DAY) is not None) is falls
    assert record(*outcomes, level=2).errs_too_often(Autonomy(LEVELS, NAMES), DAY) is None


def test_a_call_that_people_judged_wrong_is_a_success_no_more() -> None:
    one = record(*[C] * 50)
    one.judge_wrong("k0", DAY)
    assert one.tally(DAY, 7) == Tally(successes=49, calls=50, errors=1)
    assert Tally().rate == 0


steps = st.lists(
    st.one_of(
        st.tuples(st.just("note"), st.sampled_from(Outcome), st.integers(0, 99).map(str)),
        st.tuples(st.just("rise")),
        st.tuples(st.just("fall"), st.sampled_from(Event)),
        st.tuples(st.just("wrong"), st.integers(0, 99).map(str)),
    ),
    max_size=80,
)


@given(steps, st.integers(0, 9))
def test_never_above_the_last_level_a_fall_lowers_and_every_change_counts_anew(
    taken: list[tuple[Any, ...]], level: int
) -> None:
    one, now = TrackRecord(level), 0.0
    for step in taken:
        now += 1
        before = LADDER.held(one.level)
        match step:
            case ("note", outcome, key):
                one.note(outcome, key, now)
                assert one.level in (level, before)
            case ("wrong", key):
                one.judge_wrong(key, now)
            case ("rise",):
                assert one.rise(LADDER, now) == min(before + 1, LADDER.last)
            case ("fall", event):
                expected = 0 if event is Event.SAFETY_INCIDENT else max(0, before - 1)
                assert one.fall(LADDER, event, now) == expected
                assert one.level < before or one.level == 0
        if step[0] in ("rise", "fall"):
            assert (one.level <= LADDER.last, one.since, one.tally(now, 7)) == (True, now, Tally())
        tally = one.tally(now, 7)
        assert tally.successes + tally.errors <= tally.calls <= OUTCOMES_MAX
        kept = TrackRecord.of_json(one.level, one.since, json.loads(json.dumps(one.to_json())))
        assert kept.outcomes == one.outcomes
        kept.note(E, "x", now)
        assert kept.tally(now, 7).errors == tally.errors + 1


def test_p14_only_the_last_outcomes_are_kept() -> None:
    one = record(*[C] * (OUTCOMES_MAX + 5))
    assert len(one.outcomes) == OUTCOMES_MAX
    assert "k4" not in one.outcomes
