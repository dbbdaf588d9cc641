"""Operators: what they leave, and that twice is once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.model import Do
from proxy.wire.strict_json import SpelledNumber
from redaction.operators import MASK_CHARS_MAX, REMOVED, mask, number_text, on_text, on_value, strictest


@pytest.mark.parametrize(
    ("text", "keep_last", "masked"),
    [
        ("4111111111111111", 4, "************1111"),
        ("12345678", 4, "****5678"),
        ("1234567", 4, "*******"),
        ("1234", 4, "****"),
        ("1234", 0, "****"),
        ("1234", -1, "****"),
        ("", 4, ""),
        ("x" * 100, 2, "*" * MASK_CHARS_MAX + "xx"),
    ],
)
def test_a_mask_never_shows_more_than_it_hides(text: str, keep_last: int, masked: str) -> None:
    assert mask(text, keep_last) == masked


@given(st.text(max_size=80), st.integers(0, 70))
def test_masking_twice_is_masking_once(text: str, keep_last: int) -> None:
    once = mask(text, keep_last)
    assert once[: len(once) // 2].strip("*") == ""
    assert mask(once, keep_last).strip("*") in (once.strip("*"), "")


@pytest.mark.parametrize(
    ("value", "do", "edited"),
    [
        ("536-90-4399", Do.REPLACE, "[REDACTED]"),
        ({"a": 1}, Do.REPLACE, "[REDACTED]"),
        (False, Do.REPLACE, "[REDACTED]"),
        (0, Do.REPLACE, "[REDACTED]"),
        (None, Do.REPLACE, None),
        (None, Do.MASK, None),
        (None, Do.REMOVE, REMOVED),
        ("x", Do.REMOVE, REMOVED),
        ("536-90-4399", Do.MASK, "*******4399"),
        ("[REDACTED]", Do.MASK, "[REDACTED]"),
        (4111111111111111, Do.MASK, "************1111"),
        (True, Do.MASK, "[REDACTED]"),
        (["a"], Do.MASK, "[REDACTED]"),
    ],
)
def test_a_whole_value(value: Any, do: Do, edited: Any) -> None:
    assert on_value(value, do, 4) == edited


def test_a_part_of_a_text_is_masked_or_replaced() -> None:
    assert on_text("536-90-4399", Do.MASK, 4) == "*******4399"
    assert on_text("536-90-4399", Do.REPLACE, 4) == "[REDACTED]"
    assert on_text("536-90-4399", Do.REMOVE, 4) == "[REDACTED]"


def test_the_strictest_wins() -> None:
    assert strictest(*Do) is Do.QUARANTINE
    assert strictest(Do.ALLOW, Do.MASK) is Do.MASK
    assert strictest(Do.MASK, Do.REPLACE) is Do.REPLACE
    assert strictest(Do.REMOVE, Do.REPLACE) is Do.REMOVE


def test_a_number_is_read_as_it_was_spelled() -> None:
    assert number_text(SpelledNumber("4111111111111111.00")) == "4111111111111111.00"
    assert number_text(4111111111111111) == "4111111111111111"
    assert number_text(1.5) == "1.5"
