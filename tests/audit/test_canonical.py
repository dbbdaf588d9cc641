"""`audit.canonical`: RFC 8785, whichever way the bytes are made."""

from __future__ import annotations

import json
from collections import OrderedDict
from enum import StrEnum
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from audit.canonical import DEPTH_MAX, ascii_json, canonical

SAFE = 2**53 - 1

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = (
    st.none() | st.booleans() | st.integers(-SAFE, SAFE) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner) | st.tuples(inner, inner), max_leaves=30
)


class Color(StrEnum):
    RED = "red"


@given(values)
@example({"b": 1, "a": [True, None, '\x7f\x1f\u2028\U0001f600"\\/']})
@example({"\U0001f600": 1, "\ufb33": 2})  # UTF-16 order and code point order differ
def test_both_ways_give_the_bytes_of_the_reference_library(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@given(values)
def test_canonical_bytes_read_back_to_the_same_canonical_bytes(value: Any) -> None:
    data = canonical(value)
    assert canonical(json.loads(data, parse_int=_as_double)) == data


def _as_double(digits: str) -> int | float:
    """RFC 8785 §3.2.2.3: every number is a double, and a large one is written in digits."""
    return int(digits) if abs(int(digits)) <= SAFE else float(digits)


def test_the_vector_of_the_rfc() -> None:
    """RFC 8785 §3.2.2 and §3.2.4."""
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    assert canonical(value).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Color.RED, b'"red"'),
        ({"k": Color.RED}, b'{"k":"red"}'),
        (OrderedDict(b=1, a=2), b'{"a":2,"b":1}'),
        (-0.0, b"0"),
        ([1, 1.0, True], b"[1,1,true]"),
        ((), b"[]"),
    ],
)
def test_strangers_among_the_types_take_the_reference_library(value: Any, expected: bytes) -> None:
    assert canonical(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        SAFE + 1,
        -SAFE - 1,
        {"n": 2**60},
        float("nan"),
        float("inf"),
        "\ud800",
        {"\ud800": 1},
        {1: "a"},
        {True: 1},
        {None: 1},
        b"bytes",
        object(),
        [set()],
    ],
)
def test_what_canonical_json_cannot_carry_is_a_value_error(value: Any) -> None:
    with pytest.raises(ValueError):
        canonical(value)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [DEPTH_MAX - 1, DEPTH_MAX])
def test_nesting_up_to_the_limit_is_carried(depth: int) -> None:
    assert canonical(nested(depth)) == b"[" * depth + b"1" + b"]" * depth


def test_nesting_beyond_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="nested deeper than 256"):
        canonical(nested(DEPTH_MAX + 1))


def test_a_value_that_holds_itself_is_refused_as_too_deep() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="nested deeper"):
        canonical(loop)


FLOATS_AT_THE_EDGES = [1e-4, 9.999e-5, 0.0, -0.0, 1e16, 9999999999999998.0, 1e21, 5e-324, 1.0, -3.5, 1764288000.123457]


@given(
    st.lists(st.none() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text())
)
@example(FLOATS_AT_THE_EDGES)
@example(["\x7f", '\x00\x1f\b\t\n\f\r"\\/', "é\ud800", "\u2028", True, Color.RED])
def test_a_flat_list_is_spelled_as_the_standard_library_spells_it(values: list[Any]) -> None:
    assert ascii_json(values) == json.dumps(values, separators=(",", ":"), allow_nan=False).encode()


@given(st.lists(st.sampled_from(FLOATS_AT_THE_EDGES) | st.floats(1e-5, 1e17)))
def test_numbers_where_writers_begin_to_differ_are_the_reference_librarys(values: list[float]) -> None:
    assert canonical(values) == rfc8785.dumps(values)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_no_flat_list_holds_what_is_no_number(value: float) -> None:
    with pytest.raises(ValueError):
        ascii_json([1.5, value])
