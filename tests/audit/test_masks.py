"""`audit.masks`: what the record says about values without saying them (traps T27)."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.masks import (
    MASK_DEPTH_MAX,
    MASK_ITEMS_MAX,
    MASK_NODES_MAX,
    commit,
    commitment,
    is_commitment_to,
    mask,
    opening,
)

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
SAFE = 2**53 - 1
values = st.recursive(
    st.none() | st.booleans() | st.integers(-SAFE, SAFE) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


def test_a_commitment_is_two_keyed_hashes_as_documented() -> None:
    opened = hmac.digest(KEY, b"interlock/opening/v1\0call_1", "sha256")
    expected = hmac.digest(opened, b'interlock/commit/v1/json\0{"amount":150}', "sha256").hex()
    assert commit(KEY, {"amount": 150}, context="call_1") == f"hmac-sha256:{expected}"


def test_equal_values_have_equal_commitments_whatever_the_order_of_their_keys() -> None:
    assert commit(KEY, {"a": 1, "b": 2}) == commit(KEY, {"b": 2, "a": 1})


@given(values, values)
def test_different_values_have_different_commitments(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (commit(KEY, one) == commit(KEY, other)) is same


def test_a_small_integer_cannot_be_found_by_trying_without_the_key() -> None:
    stated = commit(KEY, 150)
    assert stated not in {commit(OTHER_KEY, number) for number in range(1_000)}
    assert stated not in {commitment(b"", number) for number in range(1_000)}


def test_the_same_value_in_another_context_has_another_commitment() -> None:
    assert len({commit(KEY, 150), commit(KEY, 150, context="call_1"), commit(KEY, 150, context="call_2")}) == 3


def test_an_opening_shows_one_context_and_no_other() -> None:
    opened = opening(KEY, "call_1")
    assert is_commitment_to(commit(KEY, 150, context="call_1"), opened, 150)
    assert not is_commitment_to(commit(KEY, 150, context="call_1"), opened, 151)
    assert not is_commitment_to(commit(KEY, 150, context="call_2"), opened, 150)


def test_exact_bytes_are_committed_to_as_bytes() -> None:
    assert commit(KEY, b"150") != commit(KEY, 150)
    assert is_commitment_to(commit(KEY, b'{"n":18446744073709551617}'), opening(KEY, ""), b'{"n":18446744073709551617}')


def test_a_value_without_canonical_form_has_no_commitment() -> None:
    with pytest.raises(ValueError):
        commit(KEY, 2**60)


def test_a_statement_that_is_no_commitment_is_not_one() -> None:
    assert not is_commitment_to("näh", opening(KEY, ""), 1)


def test_a_mask_keeps_paths_types_and_lengths() -> None:
    value = {"customer": {"name": "Maria", "vip": True, "since": None}, "amounts": [150, 2.5], "note": ""}
    assert mask(value) == {
        "customer": {"name": "string(5)", "vip": "boolean", "since": "null"},
        "amounts": ["integer", "number"],
        "note": "string(0)",
    }


@pytest.mark.parametrize("number", [0, 1, -7, 150, 2**70])
def test_all_integers_look_alike(number: int) -> None:
    assert mask(number) == "integer"


def test_true_and_false_look_alike() -> None:
    assert mask([True, False]) == ["boolean", "boolean"]


@pytest.mark.parametrize(
    "key",
    ["123-45-6789", "maria@example.com", "Maria Lopez", "4111111111111111", "x" * 41, "", "order_20251121", "…", "a\n"],
)
def test_a_key_that_may_be_data_is_masked(key: str) -> None:
    assert mask({key: 1}) == {f"‹key 1: string({len(key)})›": "integer"}


@pytest.mark.parametrize("key", ["amount", "customer_id", "$ref", "line1", "x" * 40, "a.b-c", "v1", "iso639a2"])
def test_a_key_that_names_a_field_stays(key: str) -> None:
    assert mask({key: 1}) == {key: "integer"}


def test_masked_keys_do_not_fall_together() -> None:
    assert mask({"1234": 1, "5678": 2, "…": 3}) == {
        "‹key 1: string(4)›": "integer",
        "‹key 2: string(4)›": "integer",
        "‹key 3: string(1)›": "integer",
    }


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_long_arrays_and_objects_are_cut_and_say_so(extra: int) -> None:
    count = MASK_ITEMS_MAX + extra
    shown = ["integer"] * min(count, MASK_ITEMS_MAX)
    assert mask([1] * count) == shown + (["… 1 more"] if extra == 1 else [])
    names = [f"k{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(count)]
    assert mask(dict.fromkeys(names, 1)) == dict.fromkeys(names[:MASK_ITEMS_MAX], "integer") | (
        {"…": "1 more"} if extra == 1 else {}
    )


def wrapped(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "depth", "innermost"),
    [
        ({"a": 1}, MASK_DEPTH_MAX - 1, {"a": "integer"}),
        ({"a": 1}, MASK_DEPTH_MAX, "object(1)"),
        ([1, 2], MASK_DEPTH_MAX - 1, ["integer", "integer"]),
        ([1, 2], MASK_DEPTH_MAX, "array(2)"),
        ("abc", MASK_DEPTH_MAX, "string(3)"),
    ],
)
def test_deep_values_are_cut(value: Any, depth: int, innermost: Any) -> None:
    assert mask(wrapped(value, depth)) == wrapped(innermost, depth)


def test_a_mask_is_bounded_whatever_it_is_of() -> None:
    wide = {f"k{chr(97 + n)}": [[1] * 30 for _ in range(30)] for n in range(26)}
    text = json.dumps(mask(wide))
    assert len(text) < MASK_NODES_MAX * 40
    assert "more" in text


@given(values)
def test_no_text_of_a_value_is_in_its_mask(value: Any) -> None:
    assert "sécret" not in json.dumps(mask({"value": value, "text": "sécret", "more": ["sécret"]}), ensure_ascii=False)


@given(st.text("0123456789", min_size=4))
def test_no_number_of_four_digits_or_more_is_in_a_mask(number: str) -> None:
    masked = json.dumps(mask({number: int(number), "in text": number, "id": [float(number)]}), ensure_ascii=False)
    assert number not in masked.replace(f"({len(number)})", "")
