"""`audit.keyed`: the standard library's HMAC, for a fraction of its cost."""

from __future__ import annotations

import hmac

from hypothesis import given
from hypothesis import strategies as st

from audit.keyed import keyed_digest


@given(st.binary(max_size=200), st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_it_is_hmac_sha256_message_after_message(key: bytes, messages: list[bytes]) -> None:
    for message in messages:
        assert keyed_digest(key, message) == hmac.digest(key, message, "sha256")


def test_a_key_that_was_put_away_for_others_gives_the_same_again() -> None:
    first = keyed_digest(b"first", b"message")
    for number in range(300):
        keyed_digest(b"key %d" % number, b"message")
    assert keyed_digest(b"first", b"message") == first
