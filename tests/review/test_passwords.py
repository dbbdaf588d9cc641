from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from review.passwords import CHARS_MAX, CHARS_MIN, Passwords, PasswordUnfit, check_fit

CHEAP = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def test_the_right_password_and_only_it_is_accepted() -> None:
    known = CHEAP.hash("correct horse battery")
    assert known.startswith("$argon2id$")
    assert CHEAP.verify("correct horse battery", known)
    assert not CHEAP.verify("correct horse batterz", known)


def test_against_no_account_nothing_is_accepted() -> None:
    assert not CHEAP.verify("nobody has this password", None)


def test_a_broken_hash_accepts_nothing() -> None:
    assert not CHEAP.verify("correct horse battery", "$argon2id$broken")


def test_one_password_typed_on_two_keyboards_is_one_password() -> None:
    assert CHEAP.verify("cafe\u0301 au lait, merci", CHEAP.hash("caf\u00e9 au lait, merci"))


def test_the_costs_are_those_of_rfc_9106_and_cheaper_hashes_are_outdated() -> None:
    real = Passwords()
    assert "m=65536,t=3,p=4" in real.hash("correct horse battery")
    assert real.is_outdated(CHEAP.hash("correct horse battery"))


@pytest.mark.parametrize("length", [CHARS_MIN, CHARS_MAX])
def test_lengths_at_the_limits_fit(length: int) -> None:
    check_fit("p" * length, "anna")


@pytest.mark.parametrize("password", ["p" * (CHARS_MIN - 1), "p" * (CHARS_MAX + 1), "ANNA12345678"])
def test_too_short_too_long_or_the_name_does_not_fit(password: str) -> None:
    with pytest.raises(PasswordUnfit):
        check_fit(password, "anna")


def test_p14_an_endless_password_costs_no_hashing() -> None:
    assert not CHEAP.verify("p" * (CHARS_MAX + 1), CHEAP.hash("p" * CHARS_MIN))
