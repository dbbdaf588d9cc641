"""`proxy.store.macs`: nobody without the key makes a row that is believed (traps T12)."""

from __future__ import annotations

import hmac
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from audit.chain import Head
from proxy.store.base import Tampered
from proxy.store.macs import RowMacs

KEY = b"m" * 32
MACS = RowMacs(KEY)
rows_of_values = st.lists(
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    max_size=6,
)


def test_a_row_with_its_mac_is_believed() -> None:
    MACS.check("reviews", "rev_1", ["rev_1", "parked", 1.5, None], MACS.mac("reviews", ["rev_1", "parked", 1.5, None]))


@given(rows_of_values, rows_of_values)
def test_d5_no_other_row_has_the_same_mac(one: list[Any], other: list[Any]) -> None:
    assume(repr(one) != repr(other))  # 1 and 1.0 are equal to Python, and not the same row
    assert MACS.mac("reviews", one) != MACS.mac("reviews", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["a", "b"], ["ab", ""]),
        (["a,b"], ["a", "b"]),
        ([None], ["null"]),
        ([1], ["1"]),
        ([1], [1.0]),
        ([""], []),
        (["\u00e9"], ["\\u00e9"]),
    ],
)
def test_values_cannot_be_shifted_between_columns(one: list[Any], other: list[Any]) -> None:
    assert MACS.mac("reviews", one) != MACS.mac("reviews", other)


def test_d5_a_row_of_another_table_is_not_believed() -> None:
    with pytest.raises(Tampered, match="calls x was not written by this gate"):
        MACS.check("calls", "x", ["x"], MACS.mac("reviews", ["x"]))


@pytest.mark.parametrize("mac", [None, "text", b"", b"\0" * 32, RowMacs(b"o" * 32).mac("reviews", ["x"])])
def test_d5_a_row_with_another_mac_is_not_believed(mac: object) -> None:
    with pytest.raises(Tampered) as caught:
        MACS.check("reviews", "x", ["x"], mac)
    assert (caught.value.table, caught.value.row_id) == ("reviews", "x")


def test_the_spelling_that_is_signed_is_fixed() -> None:
    """Changing this makes every database unreadable: it takes a migration that signs all rows anew."""
    values = ["é\u2028\U0001f600", 1, 1_800_000_000.25, 1e-7, None]
    spelled = b'interlock/row/v1\ncalls\n["\\u00e9\\u2028\\ud83d\\ude00",1,1800000000.25,1e-07,null]'
    assert MACS.mac("calls", values) == hmac.digest(KEY, spelled, "sha256")


def test_a_head_and_a_row_never_share_a_mac() -> None:
    assert MACS.of_head(Head(1, "ab" * 32)) != MACS.of_head(Head(2, "ab" * 32))
    assert MACS.of_head(Head(1, "ab" * 32)) != MACS.of_head(Head(1, "ac" * 32))
    assert MACS.of_database(b"a") != MACS.of_database(b"b")
    assert MACS.of_database(b"a") != RowMacs(b"o" * 32).of_database(b"a")
