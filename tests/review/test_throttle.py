from __future__ import annotations

from review.throttle import Throttle, TooManyTries


def _try(throttle: Throttle, now: float, key: str = "k") -> int:
    """0 if the try is let through, else how long to wait."""
    try:
        throttle.begin(key, now)
    except TooManyTries as refused:
        return refused.retry_after_sec
    return 0


def test_the_first_tries_are_free_and_then_the_wait_doubles() -> None:
    throttle = Throttle(free_tries=3, wait_sec_max=5)
    assert [_try(throttle, 0) for _ in range(3)] == [0, 0, 0]
    assert _try(throttle, 0) == 1
    assert _try(throttle, 1) == 0
    assert _try(throttle, 1) == 2
    assert _try(throttle, 3) == 0
    assert _try(throttle, 3) == 4
    assert _try(throttle, 7) == 0
    assert _try(throttle, 7) == 5  # no longer than wait_sec_max


def test_a_try_that_must_wait_does_not_lengthen_the_wait() -> None:
    throttle = Throttle(free_tries=1)
    assert _try(throttle, 0) == 0
    assert [_try(throttle, 0.1) for _ in range(50)] == [1] * 50
    assert _try(throttle, 1) == 0


def test_the_right_one_forgives() -> None:
    throttle = Throttle(free_tries=1)
    _try(throttle, 0)
    throttle.forgive("k")
    assert _try(throttle, 0) == 0


def test_old_failures_are_forgotten() -> None:
    throttle = Throttle(free_tries=1, forget_sec=10)
    _try(throttle, 0)
    _try(throttle, 1)
    assert _try(throttle, 11) == 0
    assert _try(throttle, 11) == 1


def test_keys_do_not_touch_each_other() -> None:
    throttle = Throttle(free_tries=1)
    assert (_try(throttle, 0, "a"), _try(throttle, 0, "b")) == (0, 0)


def test_p14_what_is_kept_is_bounded() -> None:
    throttle = Throttle(free_tries=1, keys_max=2)
    for key in ("a", "b", "c"):
        _try(throttle, 0, key)
    assert _try(throttle, 0, "a") == 0
    assert _try(throttle, 0, "c") == 1
