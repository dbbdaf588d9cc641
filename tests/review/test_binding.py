from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.strict_json import read
from review.binding import binding, binding_of, release_binding
from review.model import CallRecord
from tests.review.builders import NOW, held_output, question, refund

TERMS: dict[str, Any] = {"expires_at": NOW, "nonce": "n", "rules": ("a#1", "b#2")}


def _arguments(value: object) -> dict[str, Any]:
    return {"proposed": {"arguments": value, "input_responses": None}}


@pytest.mark.parametrize(
    "changes",
    [
        {"agent": "other-bot"},
        {"on_behalf_of": "maria"},
        {"server": "payments2"},
        {"tool": "refund.delete"},
        {"method": "tasks/call"},
        {"direction": "agent_answer"},
        _arguments({"amount": 251, "customer": "c_81"}),
        {"proposed": {"arguments": {"amount": 250, "customer": "c_81"}, "input_responses": {"q": "yes"}}},
        {"approved": {"arguments": {"amount": 9}, "input_responses": None}},
        {"proposed": {"arguments": {"amount": 250, "customer": "c_81"}, "input_responses": None, "request_state": "s"}},
        {"definition_digest": "sha256:other"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_p06_any_change_to_the_call_is_another_approval(changes: dict[str, Any]) -> None:
    assert binding(refund(), **TERMS) != binding(refund(**changes), **TERMS)


@pytest.mark.parametrize("term", [{"expires_at": NOW + 1}, {"nonce": "m"}, {"rules": ("a#1",)}], ids=str)
def test_p06_expiry_nonce_and_answered_rules_are_part_of_it(term: dict[str, Any]) -> None:
    assert binding(refund(), **TERMS) != binding(refund(), **{**TERMS, **term})


def test_the_order_of_keys_and_rules_does_not_matter() -> None:
    one = refund(**_arguments({"a": 1, "b": 2}))
    two = refund(**_arguments({"b": 2, "a": 1}))
    assert binding(one, **TERMS) == binding(two, **{**TERMS, "rules": ("b#2", "a#1")})


def test_what_is_no_part_of_the_call_does_not_matter() -> None:
    assert binding(refund(), **TERMS) == binding(refund(version=7, session="s", labels={"x": 1}), **TERMS)


@given(st.text(max_size=8), st.text(max_size=8), st.text(max_size=8), st.text(max_size=8))
def test_p06_no_two_different_calls_can_be_written_to_share_a_digest(a: str, b: str, c: str, d: str) -> None:
    one, two = refund(server=a, tool=b), refund(server=c, tool=d)
    try:
        same = binding(one, **TERMS) == binding(two, **TERMS)
    except ValueError:  # lone surrogates have no canonical form
        return
    assert same == ((a, b) == (c, d))


def test_a_call_whose_arguments_are_erased_can_not_be_bound() -> None:
    with pytest.raises(ValueError, match="c-1 have been erased"):
        binding(refund(proposed=None), **TERMS)


def test_an_erased_output_can_not_be_bound() -> None:
    with pytest.raises(ValueError, match="output of call c-1 has been erased"):
        release_binding(held_output(outcome=None), expires_at=NOW, nonce="n")


@pytest.mark.parametrize(("one", "two"), [(b"1.10", b"1.1"), (b"9007199254740993", b"9007199254740992")])
def test_outputs_that_differ_only_in_how_a_number_is_written_are_different_outputs(one: bytes, two: bytes) -> None:
    digests = [
        release_binding(held_output(outcome=read(text, exact=True)), expires_at=NOW, nonce="n") for text in (one, two)
    ]
    assert digests[0] != digests[1]


@pytest.mark.parametrize("call", [refund(), held_output()], ids=["approval", "release"])
def test_a_reviews_binding_is_that_of_its_call(call: CallRecord) -> None:
    review = question(call)
    assert binding_of(review, call) == review.binding
    erased = replace(call, proposed=None, outcome=None)
    assert binding_of(review, erased) is None
