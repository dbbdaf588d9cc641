"""The gate under the kill switch: no Forward, no outcome, whatever turn it is, while a stop covers the call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from audit.entry import EntryKind
from proxy.commands import Command, Forward, Inspect, Park, Record, Reply, Reread
from proxy.events import (
    CallReceived,
    CallRepeated,
    CallStopped,
    ChangeWasLost,
    OutcomeChanged,
    ResponseInspected,
    ResponseReceived,
    ReviewChanged,
)
from proxy.exchange import Answer, AnswerKind
from proxy.gate import Gate, Stage
from proxy.stopped import Stopped
from redaction.model import Inspection, Outcome
from review.model import CallRecord, CallState, ReviewRecord, ReviewState, StopScope
from review.ports import Change, MoveCall, MoveReview
from tests.proxy.builders import T0, allow, ask, clean, gate, refund, response, rows, spendable, stop_of


def stop_all(**more: str) -> Stopped:
    stopped = Stopped()
    stopped.add(stop_of(**more))
    return stopped


def answer_of(commands: list[Command]) -> Answer:
    last = commands[-1]
    assert isinstance(last, Reply)
    return last.answer


def change_of(commands: list[Command]) -> Change:
    (record,) = [command for command in commands if isinstance(command, Record)]
    return record.change


def moves(commands: list[Command]) -> set[tuple[str, str]]:
    return {
        (row.__class__.__name__, row.to) for row in change_of(commands).rows if isinstance(row, MoveCall | MoveReview)
    }


def held(stopped: Stopped) -> tuple[Gate, CallRecord, ReviewRecord]:
    the_gate = gate(rows(), stopped=stopped)
    commands = the_gate.handle(CallReceived(refund(), ask(), T0))
    record, review = (row for row in change_of(commands).rows)
    return the_gate, record.call, record_review(review)  # type: ignore[union-attr]


def record_review(row: object) -> ReviewRecord:
    review: ReviewRecord = row.review  # type: ignore[attr-defined]
    return review


def dispatching(stopped: Stopped, **labels: object) -> Gate:
    the_gate = gate(rows(), stopped=stopped)
    the_gate.handle(CallReceived(refund(50, **labels), allow(), T0))  # type: ignore[arg-type]
    return the_gate


@pytest.mark.parametrize(
    "stop",
    [stop_of(), stop_of(StopScope.AGENT, "demo"), stop_of(StopScope.SERVER, "pay*"), stop_of(StopScope.AGENT, "*")],
)
@pytest.mark.parametrize("decision", [allow(), ask()])
def test_p01_nothing_that_comes_while_a_stop_stands_is_forwarded_or_asked(stop: object, decision: object) -> None:
    stopped = Stopped()
    stopped.add(stop)  # type: ignore[arg-type]
    the_gate = gate(stopped=stopped)
    commands = the_gate.handle(CallReceived(refund(), decision, T0))  # type: ignore[arg-type]
    assert not any(isinstance(command, Forward | Park) for command in commands)
    (entry,) = change_of(commands).entries
    assert (entry.kind, entry.body["why"]) == (EntryKind.CALL_REFUSED, "stopped")
    assert answer_of(commands).kind is AnswerKind.STOPPED
    assert "NOT executed" in answer_of(commands).text
    assert the_gate.stage is Stage.DONE


@pytest.mark.parametrize("stop", [stop_of(StopScope.AGENT, "other"), stop_of(StopScope.SERVER, "files")])
def test_a_stop_of_another_agent_or_server_stops_nothing_here(stop: object) -> None:
    stopped = Stopped()
    stopped.add(stop)  # type: ignore[arg-type]
    assert isinstance(gate(stopped=stopped).handle(CallReceived(refund(), allow(), T0))[-1], Forward)


def test_an_agent_is_told_neither_who_stopped_it_nor_why() -> None:
    commands = gate(stopped=stop_all(why="leaks data")).handle(CallReceived(refund(), allow(), T0))
    assert "maria" not in answer_of(commands).text
    assert "leaks" not in answer_of(commands).text


@pytest.mark.parametrize(
    "state", [ReviewState.PARKED, ReviewState.APPROVING, ReviewState.APPROVED, ReviewState.SPENDABLE]
)
def test_p04_a_stop_ends_every_question_and_voids_every_grant_that_is_not_spent(state: ReviewState) -> None:
    stopped = Stopped()
    the_gate, record, review = held(stopped)
    stopped.add(stop_of())
    commands = the_gate.handle(ReviewChanged(record, replace(review, state=state), T0 + 1, refund(), allow()))
    assert [type(command) for command in commands] == [Record, Reply]
    assert moves(commands) == {("MoveReview", ReviewState.STOPPED), ("MoveCall", CallState.CLOSED)}
    assert change_of(commands).durable
    (entry,) = change_of(commands).entries
    assert (entry.kind, entry.actor, entry.body["stop"]) == (EntryKind.REVIEW_SETTLED, "reviewer:maria", "stop_1")
    assert answer_of(commands).meta["executed"] is False


def test_a_question_that_moved_in_the_moment_of_the_stop_is_looked_at_again() -> None:
    stopped = Stopped()
    the_gate, record, review = held(stopped)
    stopped.add(stop_of())
    the_gate.handle(ReviewChanged(record, review, T0 + 1))
    assert the_gate.handle(ChangeWasLost("approving", T0 + 1)) == [Reread(record.id)]


def test_a_question_that_others_stopped_is_told_as_stopped_also_after_it_was_lifted() -> None:
    the_gate, record, review = held(Stopped())
    over = replace(review, state=ReviewState.STOPPED)
    commands = the_gate.handle(ReviewChanged(replace(record, state=CallState.CLOSED), over, T0 + 1))
    assert answer_of(commands).kind is AnswerKind.STOPPED
    assert answer_of(commands).meta["executed"] is False


@pytest.mark.parametrize("state", [ReviewState.REJECTED, ReviewState.EXPIRED])
def test_what_had_ended_before_the_stop_stays_what_it_was(state: ReviewState) -> None:
    stopped = Stopped()
    the_gate, record, review = held(stopped)
    stopped.add(stop_of())
    ended = ReviewChanged(replace(record, state=CallState.CLOSED), replace(review, state=state), T0 + 1)
    assert answer_of(the_gate.handle(ended)).kind is not AnswerKind.STOPPED


@pytest.mark.parametrize("state", [CallState.ANSWERED, CallState.RELEASED, CallState.QUARANTINED, CallState.IN_DOUBT])
def test_p08_no_earlier_outcome_is_given_out_while_a_stop_stands(state: CallState) -> None:
    _, record, review = held(Stopped())
    kept = replace(record, state=state, outcome=response(), answered_at=T0)
    commands = gate(rows(), stopped=stop_all()).handle(CallRepeated(refund(), kept, review, T0 + 1))
    assert [type(command) for command in commands] == [Reply]
    assert answer_of(commands).kind is AnswerKind.STOPPED
    assert answer_of(commands).response is None


@pytest.mark.parametrize("is_lifted", [False, True])
def test_a_ticket_of_a_question_that_a_stop_has_ended_says_that_nothing_was_executed(is_lifted: bool) -> None:
    _, record, review = held(Stopped())
    over, closed = replace(review, state=ReviewState.STOPPED), replace(record, state=CallState.CLOSED)
    the_gate = gate(rows(), stopped=Stopped() if is_lifted else stop_all())
    commands = the_gate.handle(CallRepeated(refund(), closed, over, T0 + 1))
    assert (answer_of(commands).kind, answer_of(commands).meta["executed"]) == (AnswerKind.STOPPED, False)


def test_a_repeat_of_a_call_that_waits_attaches_and_meets_the_stop_at_its_first_look() -> None:
    _, record, review = held(Stopped())
    the_gate = gate(rows(), stopped=stop_all())
    commands = the_gate.handle(CallRepeated(refund(), record, spendable(review), T0 + 1))
    assert isinstance(commands[-1], Park)
    commands = the_gate.handle(ReviewChanged(record, spendable(review), T0 + 1, refund(), allow()))
    assert answer_of(commands).kind is AnswerKind.STOPPED


@pytest.mark.parametrize("state", [CallState.ANSWERED, CallState.DISPATCHING])
def test_p08_who_waits_for_anothers_dispatch_is_given_no_outcome(state: CallState) -> None:
    _, record, review = held(Stopped())
    stopped = Stopped()
    the_gate = gate(rows(), stopped=stopped)
    sent = replace(record, state=CallState.DISPATCHING)
    the_gate.handle(CallRepeated(refund(), sent, review, T0 + 1))
    assert the_gate.stage is Stage.AWAITING
    stopped.add(stop_of())
    commands = the_gate.handle(OutcomeChanged(replace(record, state=state, outcome=response()), review, T0 + 2))
    assert answer_of(commands).kind is AnswerKind.STOPPED


# -- after the Forward ------------------------------------------------------------------------------------------------


def test_a_call_stopped_before_a_byte_left_has_not_happened() -> None:
    the_gate = dispatching(Stopped())
    commands = the_gate.handle(CallStopped(stop_of(), False, T0 + 1))
    assert moves(commands) == {("MoveCall", CallState.FAILED_BEFORE_SEND)}
    assert change_of(commands).entries[0].body == {"sent": False, "stop": "stop_1"}
    assert answer_of(commands).meta["executed"] is False


def test_p04_a_spent_grant_whose_call_never_left_is_void_not_spendable_again() -> None:
    the_gate, record, review = held(Stopped())
    the_gate.handle(ReviewChanged(record, spendable(review), T0 + 1, refund(), ask()))
    assert the_gate.stage is Stage.DISPATCHING
    commands = the_gate.handle(CallStopped(stop_of(), False, T0 + 2))
    assert moves(commands) == {("MoveReview", ReviewState.STOPPED), ("MoveCall", CallState.CLOSED)}
    (spent,) = [row for row in change_of(commands).rows if isinstance(row, MoveReview)]
    assert spent.expect == {ReviewState.SPENT}
    assert answer_of(commands).meta["executed"] is False


def by_tag(tag: str) -> Callable[[], Gate]:
    def build() -> Gate:
        the_gate = gate(rows())
        labels = replace(ask(risk_tags=frozenset({tag})).classification)
        the_gate.handle(CallReceived(refund(50), allow(classification=labels), T0))
        return the_gate

    return build


@pytest.mark.parametrize(
    ("tag", "state"), [("write", CallState.IN_DOUBT), ("read", CallState.FAILED_AFTER_SEND)], ids=["write", "read"]
)
def test_p05_a_call_cut_while_it_was_with_its_tool_is_in_doubt_unless_it_reads(tag: str, state: CallState) -> None:
    commands = by_tag(tag)().handle(CallStopped(stop_of(), True, T0 + 1))
    assert moves(commands) == {("MoveCall", state)}
    assert change_of(commands).entries[0].body["stop"] == "stop_1"
    assert answer_of(commands).kind is AnswerKind.STOPPED
    assert answer_of(commands).meta["executed"] is None


@pytest.mark.parametrize("outcome", [Outcome.ALLOW, Outcome.REDACT])
def test_p08_an_outcome_that_was_inspected_after_the_stop_is_kept_and_not_given(outcome: Outcome) -> None:
    stopped = Stopped()
    the_gate = dispatching(stopped)
    assert isinstance(the_gate.handle(ResponseReceived(response(), 200, T0 + 1))[0], Inspect)
    stopped.add(stop_of())
    inspected = ResponseInspected(response(), 200, replace(clean(response()), outcome=outcome), T0 + 2)
    commands = the_gate.handle(inspected)
    assert moves(commands) == {("MoveCall", CallState.ANSWERED)}
    (move,) = change_of(commands).rows
    assert isinstance(move, MoveCall)
    assert move.fields["outcome"] == response()
    assert "delivered_at" not in move.fields
    assert change_of(commands).durable
    assert (answer_of(commands).kind, answer_of(commands).response) == (AnswerKind.STOPPED, None)
    assert answer_of(commands).meta["executed"] is True


def test_an_output_that_is_quarantined_while_a_stop_stands_is_held_as_ever() -> None:
    stopped = Stopped()
    the_gate = dispatching(stopped)
    the_gate.handle(ResponseReceived(response(), 200, T0 + 1))
    stopped.add(stop_of())
    seen = Inspection(Outcome.QUARANTINE, None, why="a secret")
    assert answer_of(the_gate.handle(ResponseInspected(response(), 200, seen, T0 + 2))).kind is AnswerKind.HELD
