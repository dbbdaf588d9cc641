"""Ids are time-ordered, distinct, and say what they name."""

from __future__ import annotations

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
