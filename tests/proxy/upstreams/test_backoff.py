"""Leaving a command alone that keeps ending by itself."""

from __future__ import annotations

from proxy.upstreams.backoff import Backoff


def ended_at_once(backoff: Backoff, now: float, why: str = "it exited with status 1") -> None:
    backoff.ended(now, lived_sec=0.1, answered=False, why=why)


def test_nothing_is_refused_at_first() -> None:
    assert Backoff().refusal(0) is None


def test_the_first_unasked_end_costs_nothing() -> None:
    backoff = Backoff()
    ended_at_once(backoff, 100)
    assert backoff.refusal(100) is None


def test_from_the_second_in_a_row_waiting_doubles_up_to_the_longest() -> None:
    backoff, delays = Backoff(first_sec=0.5, longest_sec=4), []
    for _ in range(7):
        ended_at_once(backoff, 0)
        delays.append(backoff.delay_sec)
    assert delays == [0, 0.5, 1, 2, 4, 4, 4]


def test_many_ends_do_not_overflow() -> None:
    backoff = Backoff(ends=5_000)
    ended_at_once(backoff, 0)
    assert backoff.delay_sec == backoff.longest_sec


def test_a_refusal_says_how_often_why_and_until_when() -> None:
    backoff = Backoff()
    for _ in range(3):
        ended_at_once(backoff, 10)
    said = backoff.refusal(10.25)
    assert said == "it ended by itself 3 times in a row (it exited with status 1); next start in 0.8 s"
    assert backoff.refusal(11) is None


def test_a_child_that_answered_or_lived_long_starts_the_count_anew() -> None:
    for lived_sec, answered in ((10.0, False), (0.1, True)):
        backoff = Backoff()
        for _ in range(4):
            ended_at_once(backoff, 0)
        backoff.ended(0, lived_sec=lived_sec, answered=answered, why="later")
        assert (backoff.ends, backoff.refusal(0)) == (1, None)
