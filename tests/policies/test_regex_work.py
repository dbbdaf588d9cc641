"""The bound on a regular expression's work: refuses what may run away, and is never below what really happens."""

from __future__ import annotations

import re
import time

import pytest

from policies.regex_work import PATTERN_CHARS_MAX, work


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
    assert of("^a{3}$") == of("^b{9}$")
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
