"""The bound on a regular expression's work: refuses what may run away, and is never below what really happens."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.regex_work import BRACKETS_DEEP_MAX, PATTERN_CHARS_MAX, work


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "^(a*)*$",
        "(a|a)*",
        "(a|b)+",
        "(a?){20}a{20}",
        "(a{1,3})+",
        "((a)b*)+",
        "(?:a+)+",
        "(?=a)",
        "(?!a)",
        "(?<=a)b",
        "(?P<n>a)",
        "(?i)a",
        r"(a)\1",
        "(a",
        "a)",
        "x" * (PATTERN_CHARS_MAX + 1),
        "(a{,}){,}",
        "((a+)?b){2}",
        "+a",
        "a**",
        "(" * (BRACKETS_DEEP_MAX + 1) + "a" + ")" * (BRACKETS_DEEP_MAX + 1),
    ],
)
def test_what_cannot_be_bounded_is_not_run(pattern: str) -> None:
    assert work(pattern, 10) is None


@pytest.mark.parametrize(
    "pattern",
    [
        "^[a-z]+$",
        r"^\d{4}-\d{2}-\d{2}$",
        r"^[^@]+@[^@]+\.[^@]+$",
        "^(foo|bar)$",
        "^(https?)://.+$",
        "(ab+)?",
        "^[]a]+$",
        r"^\(a\)+$",
        "^a+?b$",
        "^(abc)+$",
        "^(?:[0-9a-f]{4}-){3}[0-9a-f]{4}$",
        "^.{1,4096}$",
        "^a{}$",
        "",
    ],
)
def test_common_patterns_are_bounded(pattern: str) -> None:
    bound = work(pattern, 40)
    assert bound is not None
    assert bound > 0


def test_work_grows_with_repetitions_choices_starts_and_length() -> None:
    def of(pattern: str, length: int = 10) -> int:
        bound = work(pattern, length)
        assert bound is not None
        return bound

    assert of("^a+$") < of("^a+b+$") < of("^a+b+c+$")
    assert of("^a$") < of("a$")
    assert of("^aa?$") < of("^a?a?$")
    assert of("^a{1,3}$") < of("^a{1,9}$")
    assert of("^a{3}$") < of("^b{9}$")
    assert of("^a{3}$") == of("^b{3}$")
    assert of("^a{60000}$") == of("^b{50000}$")  # the text ends before
    assert of("^(?:){3}$") < of("^(?:){60000}$")  # but nothing fits into it as often as one likes
    assert of("^a|b+") > of("^(?:a|b+)")  # only the first alternative is held to the beginning
    assert of("^(a|b|c)$") > of("^(aaaaa)$")
    assert of("^a+$", 10) < of("^a+$", 100)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^a?a?a?a?a?a?a?a?aaaaaaaa$", "a" * 8 + "b"),
        ("a*b*c*d*e*$", "abcde" * 8 + "!"),
        ("^(a|ab)(c|bcd)(d*)$", "abcd" * 10),
        (".*.*.*x", "a" * 60),
        ("^.{0,50}.{0,50}x", "a" * 100),
    ],
)
def test_the_bound_is_not_below_the_time_it_really_takes(pattern: str, text: str) -> None:
    bound = work(pattern, len(text))
    assert bound is not None
    began = time.process_time()
    re.search(pattern, text)
    took = time.process_time() - began
    assert took < bound / 1_000_000 + 0.05  # a step of the engine is far quicker than a microsecond


@pytest.mark.parametrize(
    ("pattern", "length"),
    [
        ("^a|x*y", 20_000),  # the second alternative begins anywhere
        ("a{60000}b", 150_000),
        ("(?:(?:){5000}){5000}b", 100),
        ("(?:(?:(?:){900}){900}){90}b", 1),
        ("(?:){5000,}b", 100_000),
    ],
)
def test_p14_a_pattern_that_would_keep_the_gate_busy_is_known_by_its_bound(pattern: str, length: int) -> None:
    bound = work(pattern, length)
    assert bound is not None
    assert bound > 100_000_000


atoms = st.sampled_from(["a", ".", "[ab]", "b"])
marks = st.sampled_from(["", "", "*", "+", "?", "{2}", "{,}", "{1,4}", "{3,}", "+?", "{}"])
patterns = st.recursive(
    st.lists(st.builds(str.__add__, atoms, marks), min_size=1, max_size=3).map("".join),
    lambda inner: st.builds(
        lambda one, other, mark, bar: f"(?:{one}{'|' * bar}{other}){mark}", inner, inner, marks, st.booleans()
    ),
    max_leaves=4,
)


@given(patterns, st.booleans(), st.integers(1, 120))
@settings(max_examples=200, deadline=None)
def test_whatever_is_run_ends_within_its_bound(pattern: str, is_anchored: bool, length: int) -> None:
    whole = f"{'^' * is_anchored}{pattern}!"
    bound = work(whole, length)
    if bound is None or bound > 5_000_000:
        return
    began = time.process_time()
    re.search(whole, "a" * length)
    assert time.process_time() - began < bound / 1_000_000 + 0.05
