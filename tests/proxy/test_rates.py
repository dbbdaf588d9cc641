"""Counts over the last minute, hour and day; what is usual in five minutes; at which hours there are calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rates import DAY_SEC, RATE_FLOOR, SPAN_SEC, Rates

T0 = 1_800_000_000.0


@given(st.lists(st.floats(0, 2 * DAY_SEC), max_size=80))
def test_a_count_holds_every_call_of_its_time_and_at_most_those_of_one_step_more(ages: list[float]) -> None:
    times = sorted(T0 - age for age in ages)
    rates = Rates()
    for at in times:
        rates.add(at)
    for counted, period, step in (
        (rates.last_minute(T0), 60, 5),
        (rates.last_hour(T0), 3600, 60),
        (rates.last_day(T0), DAY_SEC, 300),
    ):
        assert sum(at > T0 - period for at in times) <= counted <= sum(at > T0 - period - step for at in times)


def test_a_clock_that_is_set_back_loses_no_call() -> None:
    rates = Rates()
    rates.add(T0)
    rates.add(T0 - 20)
    rates.add(T0 - 3 * DAY_SEC)
    assert (rates.last_minute(T0), rates.last_day(T0 - 20)) == (2, 2)


def test_what_is_usual_is_not_known_before_there_were_enough_spans_and_no_burst_makes_itself_usual() -> None:
    rates = Rates()
    for span in range(60):
        assert (rates.usual_span(T0 + span * SPAN_SEC) is None) is (span < 7)
        rates.add(T0 + span * SPAN_SEC, 12 + span % 2)
    now = T0 + 60 * SPAN_SEC
    rates.add(now, 500)
    assert (rates.usual_span(now), rates.last_span(now)) == (13, 513)
    assert rates.usual_span(now + SPAN_SEC) == 13


def test_a_few_calls_are_nothing_unusual_for_anybody() -> None:
    rates = Rates()
    for span in range(20):
        rates.add(T0 + span * SPAN_SEC)
    assert rates.usual_span(T0 + 20 * SPAN_SEC) == RATE_FLOOR


@pytest.mark.parametrize(("hour", "usual"), [(9, True), (10, True), (16, True), (18, True), (3, False), (20, False)])
def test_an_hour_is_usual_if_there_were_calls_at_about_it_on_an_earlier_day(hour: int, usual: bool) -> None:
    midnight = T0 - T0 % DAY_SEC
    rates = Rates()
    for day in range(6):
        for worked in range(9, 18):
            rates.add(midnight + day * DAY_SEC + worked * 3600)
    at = midnight + 6 * DAY_SEC + hour * 3600
    assert rates.is_usual_hour(at) is usual
    assert rates.days_active(at) >= 5
    assert not rates.is_usual_hour(at + 20 * DAY_SEC)
