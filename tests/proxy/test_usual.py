"""The anomaly score: bounded, monotone, silent about what is usual, and told in parts."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.rates import SPAN_SEC, Rates
from proxy.usual import (
    _DEPTH_MAX,
    _NUMBERS_MAX,
    WINDOW_CALLS_MAX,
    Usual,
    features_of,
    score_of,
    told,
)

T0 = 1_800_000_000.0
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
ARGUMENTS = st.dictionaries(st.sampled_from(["amount", "note", "ids", "x"]), JSON, max_size=4)


def usual_of(*calls: dict[str, Any]) -> Usual:
    usual = Usual()
    for arguments in calls:
        usual.learn(features_of(arguments))
    return usual


def score(usual: Usual, arguments: dict[str, Any], rates: Rates | None = None, at: float = T0) -> float:
    return score_of(usual.parts(features_of(arguments), rates or Rates(), at, calls_min=20))


def steady(count: int = 12) -> Rates:
    rates = Rates()
    for span in range(40):
        rates.add(T0 - (41 - span) * SPAN_SEC, count)
    return rates


REFUNDS = [{"amount": 80 + n % 40, "customer": "c"} for n in range(60)]


@given(st.lists(ARGUMENTS, max_size=30), ARGUMENTS, st.integers(0, 5_000))
@settings(max_examples=40)
def test_the_score_is_between_0_and_1_and_0_for_a_call_like_an_earlier_one(
    earlier: list[dict[str, Any]], now: dict[str, Any], burst: int
) -> None:
    usual, rates = usual_of(*earlier), steady()
    for one in earlier:
        assert score(usual, one) == 0
    rates.add(T0, burst)
    assert 0 <= score(usual, now, rates) <= 1


@given(st.lists(st.integers(0, 100_000), min_size=2, max_size=6))
@settings(max_examples=40)
def test_more_calls_in_the_same_time_are_never_less_unusual(bursts: list[int]) -> None:
    scores = []
    for burst in sorted(bursts):
        rates = steady()
        rates.add(T0, burst)
        scores.append(score(usual_of(*REFUNDS), REFUNDS[0], rates))
    assert scores == sorted(scores)


@given(st.lists(st.floats(120, 1e12), min_size=2, max_size=6))
def test_a_number_further_away_is_never_less_unusual(amounts: list[float]) -> None:
    usual = usual_of(*REFUNDS)
    scores = [score(usual, {"amount": amount, "customer": "c"}) for amount in sorted(amounts)]
    assert scores == sorted(scores)


def test_each_part_says_why() -> None:
    usual, rates = usual_of(*REFUNDS), steady()
    rates.add(T0, 150)
    parts = usual.parts(features_of({"amount": 9_000, "to": "me"}), rates, T0, calls_min=20)
    assert [(one["part"], one["why"]) for one in told(parts)] == [  # type: ignore[call-overload,index]
        ("rate", "151 calls in five minutes, where 12 are many"),
        ("number", "amount is 9000, mostly 87 to 105"),
        ("shape", "arguments of a shape not seen in the last 60 calls"),
    ]
    assert score_of(parts) == 1


def test_new_shapes_are_nothing_new_for_a_tool_that_always_has_them() -> None:
    assert score(usual_of(*({f"key {n}": "x"} for n in range(40))), {"another": "x"}) == 0
    assert 0.4 < score(usual_of(*REFUNDS), {"customer": "c"}) <= 0.5


def test_a_call_at_night_of_an_agent_that_works_by_day_is_a_little_unusual() -> None:
    midnight, rates = T0 - T0 % 86_400, Rates()
    for day in range(7):
        for hour in range(9, 17):
            rates.add(midnight + day * 86_400 + hour * 3600)
    by_day, by_night = midnight + 7 * 86_400 + 12 * 3600, midnight + 7 * 86_400 + 2 * 3600
    assert score(usual_of(*REFUNDS), REFUNDS[0], rates, by_day) == 0
    assert score(usual_of(*REFUNDS), REFUNDS[0], rates, by_night) == 0.3


def test_only_the_last_calls_are_compared_with_and_what_is_forgotten_leaves_nothing() -> None:
    usual = usual_of({"odd": 5}, *([{"amount": 1}] * WINDOW_CALLS_MAX))
    assert len(usual) == WINDOW_CALLS_MAX
    assert score(usual, {"odd": 5}) > 0
    assert usual._numbers.keys() == {"amount"}


def test_large_arguments_are_looked_at_to_a_bound_and_never_fail() -> None:
    deep: Any = 1
    for _ in range(200):
        deep = {"a": [deep]}
    wide = {f"k{n}": 10**400 + n for n in range(5_000)}
    assert len(features_of(wide).numbers) == _NUMBERS_MAX
    assert features_of({"deep": deep}).numbers == ()
    assert features_of({"a": {"b": {"c": 1}}}).numbers == (("a.b.c", 1.0),)
    assert _DEPTH_MAX == 3
