from __future__ import annotations

import pytest

from proxy.doors.pace import OWN_SEC_MAX, QUICK_SEC, SUSTAINED_SEC, WORKING_MIN, WORKING_START, Pace


def _slow(pace: Pace, own_sec: float, *, since: float = 0, at: float = 0) -> int:
    """One that was slow, and another when that has gone on for long enough."""
    pace.took(own_sec, since=since, now=at, at_once=1)
    return pace.took(own_sec, since=since, now=at + SUSTAINED_SEC, at_once=1)


@pytest.mark.parametrize(
    ("own_sec", "limit"), [(0.119, 80), (0.12, 80), (0.121, 79), (0.15, 64), (0.24, 40), (9.0, 40)]
)
def test_p14_requests_that_take_too_long_lower_the_limit_in_proportion_and_by_half_at_most(
    own_sec: float, limit: int
) -> None:
    assert _slow(Pace(80, start=80), own_sec) == limit


def test_one_that_is_slow_by_itself_says_nothing() -> None:
    pace = Pace(40)
    for second in range(20):
        pace.took(3.0, since=second, now=second, at_once=40)
        assert pace.took(0.01, since=second, now=second + 0.1, at_once=40) == 40


def test_those_that_came_in_under_the_old_limit_do_not_lower_the_new_one() -> None:
    pace = Pace(120, start=120)
    assert _slow(pace, 1.0, since=0, at=5) == 60
    assert _slow(pace, 1.0, since=5.1, at=6) == 60
    assert _slow(pace, 1.0, since=5.3, at=7) == 30


@pytest.mark.parametrize("most", [1, WORKING_MIN, 96])
def test_p14_somebody_is_always_let_in(most: int) -> None:
    pace = Pace(most)
    for second in range(20):
        _slow(pace, 60.0, since=second, at=second)
    assert pace.limit == min(most, WORKING_MIN)


def test_who_is_quick_raises_it_again_up_to_what_is_configured_and_only_while_it_is_in_use() -> None:
    pace = Pace(64, start=64)
    _slow(pace, 1.0)
    for _ in range(100):
        pace.took(0.01, since=0, now=1, at_once=15)
    assert pace.limit == 32
    for _ in range(3_200):
        pace.took(0.01, since=0, now=1, at_once=1 + pace.limit // 2)
    assert pace.limit == 64


def test_it_begins_where_a_slow_machine_is_not_far_behind_and_rises_while_requests_are_quick() -> None:
    pace = Pace(96)
    assert pace.limit == WORKING_START
    for _ in range(5_000):
        pace.took(QUICK_SEC + 0.001, since=0, now=1, at_once=WORKING_START)
    assert pace.limit == WORKING_START
    for _ in range(5_000):
        pace.took(QUICK_SEC, since=0, now=1, at_once=pace.limit)
    assert pace.limit == 96


@pytest.mark.parametrize("calls_per_sec", [250, 500, 5_000])
def test_p14_whatever_the_machine_carries_those_that_are_let_in_are_answered_soon(calls_per_sec: int) -> None:
    """A gate that serves so many a second, each as long as all at it together take, under endless demand."""
    pace, now, took = Pace(96), 0.0, []
    for _ in range(3_000):
        since, own_sec = now, pace.limit / calls_per_sec
        took.append(own_sec)
        for _ in range(pace.limit):
            now += 1 / calls_per_sec
            pace.took(own_sec, since=since, now=now, at_once=pace.limit)
    steady = took[50:]
    assert max(steady) <= OWN_SEC_MAX + 2 / calls_per_sec
    assert sum(steady) / len(steady) >= min(0.5 * OWN_SEC_MAX, 96 / calls_per_sec)
