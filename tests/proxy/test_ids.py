"""Ids are time-ordered, distinct, and say what they name."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from proxy.ids import Ids


def test_ids_say_their_kind_and_sort_by_time() -> None:
    ids = Ids()
    calls = [ids.call() for _ in range(200)]
    assert all(one.startswith("call_") and len(one) == 31 for one in calls)
    assert len(set(calls)) == 200
    assert calls == sorted(calls)
    assert ids.review().startswith("rev_")


def test_tokens_and_nonces_are_long_and_never_the_same() -> None:
    ids = Ids()
    assert len(ids.token()) >= 43
    assert len(ids.nonce()) == 32
    assert ids.token() != ids.token()


@pytest.mark.parametrize("number", [0, 1, 31, 32, 2**64, 0x0192E4A2B3C4_7DE5_8123_456789ABCDEF, 2**128 - 1])
def test_an_id_is_its_number_in_crockfords_digits(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr("uuid_utils.uuid7", lambda: SimpleNamespace(int=number))
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    text = Ids().call().removeprefix("call_")
    assert len(text) == 26
    assert sum(digits.index(digit) * 32**place for place, digit in enumerate(reversed(text))) == number
