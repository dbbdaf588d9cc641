from __future__ import annotations

import pytest

from proxy.shares import Shares


def _as_much_as_it_gets(shares: Shares, holder: str) -> int:
    while shares.fits(holder):
        shares.take(holder)
    return shares.of(holder)


@pytest.mark.parametrize(("most", "gets"), [(1, 1), (2, 2), (3, 3), (4, 3), (8, 6), (48, 36), (512, 384)])
def test_p14_one_that_takes_all_it_can_leaves_a_quarter(most: int, gets: int) -> None:
    assert _as_much_as_it_gets(Shares(most), "ada") == gets


def test_p14_whoever_comes_next_always_finds_something_while_there_are_places() -> None:
    shares = Shares(64)
    got = [_as_much_as_it_gets(shares, f"agent {number}") for number in range(12)]
    assert got == sorted(got, reverse=True)
    assert all(got[:3])
    assert shares.taken <= 64


def test_those_that_ask_in_turns_get_alike() -> None:
    shares = Shares(70)
    for _ in range(70):
        for holder in ("ada", "bob"):
            if shares.fits(holder):
                shares.take(holder)
    assert abs(shares.of("ada") - shares.of("bob")) <= 1
    assert 70 - shares.taken >= 70 // 7


@pytest.mark.parametrize(("amount", "fits"), [(9, True), (10, True), (11, False)])
def test_p14_an_amount_that_is_larger_than_what_is_free_does_not_fit(amount: int, fits: bool) -> None:
    assert Shares(10).fits("ada", amount) is fits


def test_what_is_given_back_is_free_again() -> None:
    shares = Shares(4)
    for _ in range(3):
        shares.take("ada")
    assert not shares.fits("ada")
    assert shares.fits("bob")
    shares.give("ada", 3)
    assert (shares.taken, shares.of("ada"), shares.fits("ada")) == (0, 0, True)


def test_what_is_there_counts_even_where_it_is_too_much() -> None:
    shares = Shares(1)
    shares.take("ada", 3)
    assert shares.is_full
    shares.give("ada", 2)
    assert shares.taken == 1
