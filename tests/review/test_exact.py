from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.strict_json import read
from review import exact

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_the_text_says_what_the_value_is(value: object) -> None:
    assert json.loads(exact.text(value)) == value
    assert json.loads(exact.text(value, indent=2)) == value


@pytest.mark.parametrize("sent", ["1.10", "1e5", "-0", "9007199254740993", '{"b":1.0,"a":[2.50]}'])
def test_numbers_and_key_order_stand_as_they_were_sent(sent: str) -> None:
    assert exact.text(read(sent.encode(), exact=True)) == sent


def test_with_an_indent_each_member_has_its_line() -> None:
    assert exact.text({"a": [1, {}], "b": []}, indent=2) == '{\n  "a": [\n    1,\n    {}\n  ],\n  "b": []\n}'


@pytest.mark.parametrize("value", [{1: 2}, {"a": object()}, b"x"], ids=["key", "value", "bytes"])
def test_what_json_does_not_have_is_a_fault(value: object) -> None:
    with pytest.raises(TypeError):
        exact.text(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinities_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="no NaN"):
        exact.text(value)
