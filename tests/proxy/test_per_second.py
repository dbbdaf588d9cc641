"""A rate (P14): limit, limit + 1, the next second, and a clock that goes back."""

from __future__ import annotations

from proxy.per_second import PerSecond


def test_p14_so_many_a_second_and_the_next_one_says_how_many_were_left_out() -> None:
    rate = PerSecond(2)
    assert [rate.admit(10.0), rate.admit(10.9), rate.admit(10.95), rate.admit(10.99)] == [0, 0, None, None]
    assert [rate.admit(11.0), rate.admit(11.0)] == [2, 0]


def test_a_clock_that_goes_back_begins_another_second() -> None:
    rate = PerSecond(1)
    assert [rate.admit(11.0), rate.admit(10.0), rate.admit(10.5)] == [0, 0, None]
