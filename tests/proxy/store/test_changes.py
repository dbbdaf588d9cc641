"""`proxy.store.changes`: what is settled while a change is prepared; what it then does is in the contract."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.store.rows import CALLS, REVIEWS
from review.model import CallState, ReviewState
from review.ports import Change, InsertCall, InsertReview, InsertVote, MoveCall, MoveReview
from tests.proxy.store.builders import (
    a_call,
    a_review,
    a_vote,
    an_entry,
    answered,
    decided,
    opened,
    preparing,
    rows,
    spent,
)

PREPARING = preparing()


def test_a_change_says_which_rows_it_will_move() -> None:
    assert PREPARING.change(decided()).work.touches == ()
    assert PREPARING.change(spent()).work.touches == ((REVIEWS, "rev of call_1"), (CALLS, "call_1"))


@pytest.mark.parametrize(("change", "uses_sql"), [(opened(), False), (Change(rows=(InsertVote(a_vote()),)), True)])
def test_only_a_vote_runs_statements_of_its_own(change: Change, uses_sql: bool) -> None:
    assert PREPARING.change(change).work.uses_sql is uses_sql


def test_a_change_weighs_what_it_will_write() -> None:
    light = PREPARING.change(decided()).weight_bytes
    for heavier in (
        decided(outcome="x" * 50_000),
        answered(outcome="x" * 50_000),
        Change(rows=decided().rows, entries=(an_entry(text="x" * 50_000),)),
    ):
        assert light + 49_000 < PREPARING.change(heavier).weight_bytes < light + 60_000


@pytest.mark.parametrize(
    ("move", "field"),
    [
        (MoveCall("call_1", frozenset(), CallState.CLOSED, {"created_at": 1.0}), "created_at"),
        (MoveCall("call_1", frozenset(), CallState.CLOSED, {"repeat_key": "k"}), "repeat_key"),
        (MoveCall("call_1", frozenset(), CallState.CLOSED, {"id": "k"}), "id"),
        (MoveReview("rev_1", frozenset(), ReviewState.SPENT, {"state": "x"}), "state"),
        (MoveReview("rev_1", frozenset(), ReviewState.SPENT, {"version": 9}), "version"),
        (MoveReview("rev_1", frozenset(), ReviewState.SPENT, {"call_id": "other"}), "call_id"),
        (MoveReview("rev_1", frozenset(), ReviewState.SPENT, {"opened_at": 1.0}), "opened_at"),
    ],
)
def test_a_move_cannot_set_what_stays_or_what_it_sets_itself(move: Any, field: str) -> None:
    with pytest.raises(ValueError, match=f"cannot set {field} as a field"):
        PREPARING.change(Change(rows=(move,)))


@pytest.mark.parametrize("field", ["nonsense", "due_at", "changed_at", "mac", "erased_at"])
def test_a_move_cannot_set_what_is_no_field_of_the_record(field: str) -> None:
    with pytest.raises(ValueError, match=r"have no field|cannot set erased_at"):
        PREPARING.change(Change(rows=(MoveCall("call_1", frozenset(), CallState.CLOSED, {field: 1.0}),)))


@pytest.mark.parametrize(
    "row",
    [
        InsertCall(a_call(created_at=float("nan"))),
        InsertCall(a_call(state="nonsense")),
        InsertCall(a_call(proposed={"x": {1: 2}})),
        InsertReview(a_review(expires_at="soon")),
        InsertReview(a_review(kind="nonsense")),
        InsertVote(a_vote(verdict="maybe")),
        MoveCall("call_1", frozenset(), CallState.CLOSED, {"outcome": object()}),
        MoveReview("rev_1", frozenset(), ReviewState.SPENT, {"settled_at": float("inf")}),
    ],
)
def test_a_value_that_fits_no_column_is_refused_to_its_caller(row: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        PREPARING.change(Change(rows=(row,)))


def test_a_row_of_no_known_kind_is_refused() -> None:
    with pytest.raises(AssertionError, match="unreachable"):
        PREPARING.change(Change(rows=(object(),)))  # type: ignore[arg-type]


def test_values_are_sealed_before_they_are_queued() -> None:
    built = rows()
    change = preparing(built).change(decided(proposed={"ssn": "123-45-6789"}))
    assert "123-45-6789" not in repr(change)
