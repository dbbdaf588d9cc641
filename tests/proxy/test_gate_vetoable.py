"""Calls that go by themselves unless people veto them: held for their window, spent once, judged again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policies.model import Decision, Effect
from proxy.commands import Command, Record, Reply
from proxy.events import CallReceived, CallRepeated, PatienceEnded, ReviewChanged
from proxy.exchange import AnswerKind
from proxy.gate import Gate
from review.model import CallRecord, CallState, ReviewRecord, ReviewState
from review.ports import MoveCall, MoveReview
from tests.proxy.builders import T0, allow, ask, deny, gate, refund, rows, vetoable

POLICY = "policy:reports#on-the-loop@v1:b4e2c1b4e2c1"


def kinds(commands: list[Command]) -> list[str]:
    return [type(command).__name__ for command in commands]


def opened(decision: Decision | None = None, *, is_watched: bool = True) -> tuple[Gate, CallRecord, ReviewRecord]:
    the_gate = gate(rows(), is_watched=lambda _: is_watched)
    commands = the_gate.handle(CallReceived(refund(), decision or vetoable(), T0))
    assert kinds(commands) == ["Record", "Park"]
    assert isinstance(commands[0], Record)
    record, review = (getattr(row, "call", None) or row.review for row in commands[0].change.rows)  # type: ignore[union-attr]
    return the_gate, record, review


def passed(review: ReviewRecord, **changes: Any) -> ReviewRecord:
    fields = {"state": ReviewState.SPENDABLE, "settled_by": POLICY, "settled_at": T0 + 60, "grant_expires_at": T0 + 999}
    return replace(review, **{**fields, **changes})


def test_p03_it_is_kept_with_its_window_in_one_change_and_forwarded_only_when_that_has_passed() -> None:
    the_gate, record, review = opened()
    assert (record.state, review.state) == (CallState.WAITING, ReviewState.VETOABLE)
    assert (review.opened_at, review.expires_at) == (T0, T0 + 60)
    assert record.decision["trace"] == []  # whole: people look at it
    assert kinds(the_gate.handle(ReviewChanged(record, review, T0 + 30))) == ["Park"]
    commands = the_gate.handle(ReviewChanged(record, passed(review), T0 + 60, refund(), vetoable()))
    assert kinds(commands) == ["Record", "Forward"]
    assert isinstance(commands[0], Record)
    moved = [(type(row), row.to) for row in commands[0].change.rows if isinstance(row, MoveReview | MoveCall)]
    assert moved == [(MoveReview, ReviewState.SPENT), (MoveCall, CallState.DISPATCHING)]


def test_where_nobody_who_may_veto_it_is_watching_it_is_a_question() -> None:
    _, _, review = opened(is_watched=False)
    assert (review.state, review.expires_at) == (ReviewState.PARKED, T0 + 14_400)


def test_a_vetoed_call_is_told_so_and_never_forwarded_nor_is_its_repeat() -> None:
    the_gate, record, review = opened()
    vetoed, closed = replace(review, state=ReviewState.VETOED, settled_at=T0), replace(record, state=CallState.CLOSED)
    for commands in (
        the_gate.handle(ReviewChanged(record, vetoed, T0 + 5)),
        gate(rows()).handle(CallRepeated(refund(), closed, vetoed, T0 + 9)),
    ):
        assert kinds(commands)[-1] == "Reply"
        assert isinstance(commands[-1], Reply)
        answer = commands[-1].answer
        assert (answer.kind, answer.meta["decision"], answer.meta["executed"]) == (AnswerKind.REJECTED, "vetoed", False)
        assert "Forward" not in kinds(commands)


def test_an_agent_whose_patience_ends_first_is_told_that_it_goes_unless_it_is_vetoed() -> None:
    the_gate, *_ = opened()
    commands = the_gate.handle(PatienceEnded(T0 + 10))
    assert isinstance(commands[-1], Reply)
    assert commands[-1].answer.text.startswith("NOT executed: people may still veto it")
    assert commands[-1].answer.meta["decision"] == "allow_unless_vetoed"


@pytest.mark.parametrize(
    ("now", "stands"),
    [
        (allow(), True),
        (vetoable(60), True),
        (vetoable(0), True),
        (vetoable(61), False),
        (ask("reports#on-the-loop"), False),
        (deny(), False),
        (allow(effect=Effect.ALLOW_WITH_CONSTRAINTS), False),
    ],
)
def test_p06_what_nobody_vetoed_is_sent_only_under_a_policy_that_demands_no_more(now: Decision, stands: bool) -> None:
    the_gate, record, review = opened()
    commands = the_gate.handle(ReviewChanged(record, passed(review), T0 + 60, refund(), now))
    assert ("Forward" in kinds(commands)) is stands


def test_p06_what_a_person_agreed_to_covers_a_window_of_any_length() -> None:
    the_gate, record, review = opened(is_watched=False)
    agreed = passed(review, settled_by="maria")
    commands = the_gate.handle(ReviewChanged(record, agreed, T0 + 60, refund(), vetoable(86_400)))
    assert kinds(commands) == ["Record", "Forward"]
