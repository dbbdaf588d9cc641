from __future__ import annotations

from dataclasses import replace

import pytest

from review import brief
from review.model import LeftOut
from tests.review.builders import refund


def test_a_small_call_is_whole_but_for_its_output_and_why_at_length() -> None:
    call = refund(
        decision={"effect": "deny", "reason": "no", "trace": [{"why": "x" * 9_000}], "facts": {"text": "x" * 9_000}},
        outcome={"result": {}},
        inspection={"why": "a secret", "findings": [{"path": "$.a"}]},
    )
    small = brief.brief(call)
    told = {"decision": {"effect": "deny", "reason": "no"}, "outcome": None, "inspection": {"why": "a secret"}}
    assert small == replace(call, **told)
    assert brief.brief(small) == small


def test_large_arguments_are_left_out_with_their_size_and_the_first_of_them() -> None:
    arguments = {"to": "bo", "text": "x" * 5_000, "k" * 5_000: 1}
    small = brief.brief(refund(proposed={"arguments": arguments}))
    assert (small.proposed, small.approved) == (None, None)
    assert small.left_out is not None
    assert small.left_out.size_bytes > 10_000
    assert [leaf.value for leaf in small.left_out.first][::2] == ["bo", 1]
    assert all(len(leaf.path) <= brief.SUMMARY_CHARS_MAX + 1 for leaf in small.left_out.first)
    assert brief.first_of(small) == small.left_out.first
    assert brief.brief(small) == small


def test_what_was_not_read_has_a_size_alone() -> None:
    assert brief.brief(refund(), 70_000).left_out == LeftOut(70_000)


def test_p06_nothing_is_decided_on_half_a_call() -> None:
    with pytest.raises(ValueError, match="without its arguments"):
        _ = brief.brief(refund(), 70_000).to_send
