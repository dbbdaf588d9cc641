from __future__ import annotations

import hashlib
import hmac
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.sampling import KEY_BYTES, commitment, draw, is_chosen, is_nth

KEY = bytes(range(KEY_BYTES))
hashes = st.binary(min_size=32, max_size=32)


def test_the_choice_can_be_made_again_from_the_key_and_the_entry_s_hash_with_nothing_of_ours() -> None:
    entry = hashlib.sha256(b"an entry").digest()
    number = int.from_bytes(hmac.new(KEY, b"interlock sample v1\0" + entry, "sha256").digest()[:8])
    assert draw(KEY, entry) == Fraction(number, 2**64)
    assert is_chosen(KEY, entry, 1_000_000)
    assert not is_chosen(KEY, entry, 0)


@given(hashes, st.integers(0, 1_000_000), st.integers(0, 1_000_000))
def test_who_is_chosen_at_a_chance_is_chosen_at_every_higher_one(entry: bytes, one: int, other: int) -> None:
    assert is_chosen(KEY, entry, max(one, other)) >= is_chosen(KEY, entry, min(one, other))


@pytest.mark.parametrize("chance_ppm", [50_000, 300_000, 900_000])
def test_as_many_are_chosen_as_the_chance_says(chance_ppm: int) -> None:
    entries = [hashlib.sha256(b"%d" % number).digest() for number in range(20_000)]
    share = sum(is_chosen(KEY, entry, chance_ppm) for entry in entries) / len(entries)
    assert abs(share - chance_ppm / 1_000_000) < 0.02  # five standard deviations and more


def test_another_period_draws_otherwise() -> None:
    entries = [hashlib.sha256(b"%d" % number).digest() for number in range(1_000)]
    both = sum(is_chosen(KEY, entry, 500_000) and is_chosen(bytes(32), entry, 500_000) for entry in entries)
    assert 180 < both < 320


@given(st.binary(min_size=32, max_size=32), st.integers(1, 500), st.integers(0, 10_000))
def test_of_any_n_calls_in_a_row_exactly_one_is_the_nth(key: bytes, every: int, first: int) -> None:
    assert sum(is_nth(key, number, every) for number in range(first, first + every)) == 1


def test_every_less_than_first_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        is_nth(KEY, 1, 0)


def test_a_commitment_does_not_show_the_key_and_takes_no_short_one() -> None:
    assert commitment(KEY) == hashlib.sha256(b"interlock sampling period v1\0" + KEY).hexdigest()
    assert commitment(KEY) != commitment(bytes(32))
    with pytest.raises(ValueError, match="32 bytes"):
        commitment(b"short")
