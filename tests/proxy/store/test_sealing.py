"""`proxy.store.sealing`: sealed values open in their own place, with their own key, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.store.base import Tampered
from proxy.store.sealing import Sealer, fingerprint
from tests.proxy.store.builders import counted_bytes

KEY = b"s" * 32


def sealer(key: bytes = KEY) -> Sealer:
    return Sealer(key, counted_bytes())


@given(st.binary(max_size=2_000))
def test_a_sealed_value_opens_in_its_place(value: bytes) -> None:
    one = sealer()
    sealed = one.seal("calls", "call_1", "proposed", value)
    assert one.open("calls", "call_1", "proposed", sealed) == value
    assert len(sealed) == 41 + len(value)


def test_a_value_sealed_before_a_restart_opens_after_it() -> None:
    random_bytes = counted_bytes()
    sealed = Sealer(KEY, random_bytes).seal("calls", "call_1", "proposed", b"value")
    assert Sealer(KEY, random_bytes).open("calls", "call_1", "proposed", sealed) == b"value"


@pytest.mark.parametrize(
    "place",
    [("reviews", "call_1", "proposed"), ("calls", "call_2", "proposed"), ("calls", "call_1", "approved")],
)
def test_a_value_moved_to_another_place_does_not_open(place: tuple[str, str, str]) -> None:
    one = sealer()
    sealed = one.seal("calls", "call_1", "proposed", b"value")
    with pytest.raises(Tampered, match="does not open with this gate's key"):
        one.open(*place, sealed)


def test_a_value_sealed_with_another_key_does_not_open() -> None:
    with pytest.raises(Tampered):
        sealer().open("calls", "call_1", "proposed", sealer(b"x" * 32).seal("calls", "call_1", "proposed", b"value"))


@given(st.integers(0, 45), st.integers(1, 255))
def test_no_byte_of_a_sealed_value_can_be_changed(at: int, flip: int) -> None:
    one = sealer()
    sealed = one.seal("calls", "call_1", "proposed", b"value")
    forged = sealed[:at] + bytes([sealed[at] ^ flip]) + sealed[at + 1 :]
    with pytest.raises(Tampered):
        one.open("calls", "call_1", "proposed", forged)


@pytest.mark.parametrize("value", [b"", b"\x01" * 40, b"\x02" + b"\0" * 60])
def test_what_is_no_sealed_value_is_called_so(value: bytes) -> None:
    with pytest.raises(Tampered, match="its proposed is not a sealed value"):
        sealer().open("calls", "call_1", "proposed", value)


def test_no_nonce_is_used_twice_under_one_key() -> None:
    """Version, salt and counter are the first 25 bytes; the key depends on the salt."""
    random_bytes = counted_bytes()
    nonces = {
        one.seal("calls", "call_1", "proposed", b"same")[:25]
        for one in (Sealer(KEY, random_bytes), Sealer(KEY, random_bytes))
        for _ in range(1_000)
    }
    assert len(nonces) == 2_000


def test_the_fingerprint_of_equal_values_differs() -> None:
    one = sealer()
    first, second = (one.seal("calls", "call_1", "proposed", b"same") for _ in range(2))
    assert fingerprint(first) != fingerprint(second)
    assert fingerprint(first) == first[:25].hex() + first[-16:].hex()
