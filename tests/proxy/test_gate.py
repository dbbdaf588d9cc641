"""Playbooks of the gate: events in, commands out. A line of the specification each."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from audit.entry import EntryKind
from policies.model import Approval, Classification, Decision, Direction, Effect
from proxy.commands import Command, Detach, Forward, Inspect, Record, Reply, Reread
from proxy.events import (
    AgentLeft,
    CallReceived,
    CallRepeated,
    ChangeWasLost,
    OutcomeChanged,
    PatienceEnded,
    ResponseInspected,
    ResponseReceived,
    ReviewChanged,
    UpstreamBroke,
)
from proxy.exchange import AnswerKind
from proxy.gate import TURNS, Gate, OutOfTurn, Stage
from redaction.model import Finding, Inspection, Outcome, Redaction, Surface
from review.model import CallState, ReviewKind, ReviewState
from review.ports import InsertCall, InsertReview, MoveCall, MoveReview
from tests.proxy.builders import (
    SNAPSHOT,
    T0,
    allow,
    ask,
    clean,
    definition,
    deny,
    gate,
    parked,
    refund,
    response,
    rows,
    spendable,
)


def kinds(commands: list[Command]) -> list[str]:
    return [type(command).__name__ for command in commands]


def entries(command: Command) -> list[EntryKind]:
    assert isinstance(command, Record)
    return [entry.kind for entry in command.change.entries]


def moves(command: Command) -> list[tuple[str, str]]:
    assert isinstance(command, Record)
    return [(type(row).__name__, str(row.to)) for row in command.change.rows if isinstance(row, MoveCall | MoveReview)]


def answer_of(commands: list[Command]) -> Any:
    last = commands[-1]
    assert isinstance(last, Reply)
    return last.answer


def held(built: Any = None, **how: Any) -> tuple[Gate, Any, Any, Any]:
    """A gate whose call is parked, with its rows and what is kept."""
    built = built or rows()
    the_gate = gate(built, may_stay=how.pop("may_stay", True))
    commands = the_gate.handle(CallReceived(refund(), how.pop("decision", ask()), T0))
    record = commands[0].change.rows[0].call  # type: ignore[union-attr]
    review = commands[0].change.rows[1].review  # type: ignore[union-attr]
    return the_gate, built, record, review


def dispatching(**how: Any) -> tuple[Gate, str]:
    the_gate = gate()
    the_gate.handle(CallReceived(how.pop("call", refund(50)), how.pop("decision", allow()), T0))
    return the_gate, the_gate.call_id


# -- new calls --------------------------------------------------------------------------------------------------------


def test_p03_an_allowed_call_is_recorded_durably_before_it_is_forwarded() -> None:
    commands = gate().handle(CallReceived(refund(50), allow(), T0))
    assert kinds(commands) == ["Record", "Forward"]
    record = commands[0]
    assert isinstance(record, Record)
    assert record.change.durable
    assert entries(record) == [EntryKind.CALL_DECIDED]
    assert record.change.entries[0].body["dispatched"] is True
    (row,) = record.change.rows
    assert isinstance(row, InsertCall)
    assert row.call.state is CallState.DISPATCHING
    assert isinstance(commands[1], Forward)
    assert commands[1].call == refund(50)


def test_a_denied_call_is_recorded_and_answered_and_never_forwarded() -> None:
    commands = gate().handle(CallReceived(refund(), deny(agent_message="Refunds are closed today."), T0))
    assert kinds(commands) == ["Record", "Reply"]
    answer = answer_of(commands)
    assert answer.kind is AnswerKind.DENIED
    assert "Refunds are closed today." in answer.text


def test_an_agent_is_never_told_rule_names_reasons_or_thresholds() -> None:
    for decision in (deny(), ask()):
        the_gate = gate()
        commands = the_gate.handle(CallReceived(refund(), decision, T0))
        if decision.effect is not Effect.DENY:
            commands = the_gate.handle(PatienceEnded(T0 + 50))
        answer = answer_of(commands)
        told = answer.text + str(answer.meta)
        assert "refunds#" not in told
        assert "100" not in told
        assert decision.reason not in answer.text or decision.reason == "no"


@pytest.mark.parametrize("effect", [Effect.ALLOW_WITH_CONSTRAINTS, Effect.ALLOW_UNLESS_VETOED])
def test_p01_an_effect_nobody_enforces_is_refused(effect: Effect) -> None:
    commands = gate().handle(CallReceived(refund(), allow(effect=effect), T0))
    assert kinds(commands) == ["Record", "Reply"]
    assert answer_of(commands).kind is AnswerKind.DENIED


def test_what_people_may_veto_goes_at_once_where_it_has_no_window_and_is_asked_about_where_it_has_one() -> None:
    on_the_loop = allow(effect=Effect.ALLOW_UNLESS_VETOED, veto_window_sec=0)
    assert kinds(gate().handle(CallReceived(refund(), on_the_loop, T0))) == ["Record", "Forward"]
    commands = gate().handle(CallReceived(refund(), replace(on_the_loop, veto_window_sec=60), T0))
    assert kinds(commands) == ["Record", "Park"]


def test_an_asked_call_is_kept_with_its_review_in_one_change_and_parked() -> None:
    commands = gate().handle(CallReceived(refund(), ask(), T0))
    assert kinds(commands) == ["Record", "Park"]
    record = commands[0]
    assert isinstance(record, Record)
    assert entries(record) == [EntryKind.CALL_DECIDED, EntryKind.REVIEW_OPENED]
    call_row, review_row = record.change.rows
    assert isinstance(call_row, InsertCall)
    assert isinstance(review_row, InsertReview)
    assert call_row.call.state is CallState.WAITING
    assert call_row.call.review_id == review_row.review.id
    assert review_row.review.state is ReviewState.PARKED
    assert review_row.review.expires_at == T0 + 14_400
    assert review_row.review.answered_rules == ("refunds#require-approval-over-100",)


def test_the_record_holds_no_argument_in_clear() -> None:
    commands = gate().handle(CallReceived(refund(98_765), ask(), T0))
    record = commands[0]
    assert isinstance(record, Record)
    assert "98765" not in str([entry.body for entry in record.change.entries])


# -- approval and spending --------------------------------------------------------------------------------------------


def test_p04_an_approved_call_is_spent_and_marked_by_one_compare_and_set_before_it_is_forwarded() -> None:
    the_gate, _, record, review = held()
    review = spendable(review)
    commands = the_gate.handle(ReviewChanged(record, review, T0 + 60, refund(), ask()))
    assert kinds(commands) == ["Record", "Forward"]
    assert moves(commands[0]) == [("MoveReview", "spent"), ("MoveCall", "dispatching")]
    assert entries(commands[0]) == [EntryKind.GRANT_SPENT]
    spend = commands[0].change.rows[0]  # type: ignore[union-attr]
    assert spend.expect == frozenset({ReviewState.SPENDABLE})
    assert spend.version == review.version


def test_a_change_of_the_review_that_settles_nothing_keeps_the_call_parked() -> None:
    for state in (ReviewState.PARKED, ReviewState.APPROVING, ReviewState.APPROVED):
        the_gate, _, record, review = held()
        commands = the_gate.handle(ReviewChanged(record, replace(review, state=state), T0 + 1))
        assert kinds(commands) == ["Park"]
        assert the_gate.stage is Stage.HELD


def test_a_rejected_call_never_reaches_the_tool() -> None:
    the_gate, _, record, review = held()
    commands = the_gate.handle(ReviewChanged(record, replace(review, state=ReviewState.REJECTED), T0 + 60))
    assert kinds(commands) == ["Reply"]
    assert answer_of(commands).kind is AnswerKind.REJECTED


@pytest.mark.parametrize("state", [ReviewState.EXPIRED, ReviewState.SUPERSEDED, ReviewState.LAPSED])
def test_an_ended_question_is_told_and_not_forwarded(state: ReviewState) -> None:
    the_gate, _, record, review = held()
    commands = the_gate.handle(ReviewChanged(record, replace(review, state=state), T0 + 60))
    assert answer_of(commands).kind is AnswerKind.EXPIRED
    assert "Forward" not in kinds(commands)


def test_p06_at_spend_a_deny_of_the_current_policy_voids_the_approval() -> None:
    the_gate, _, record, review = held()
    commands = the_gate.handle(ReviewChanged(record, spendable(review), T0 + 60, refund(), deny()))
    assert kinds(commands) == ["Record", "Reply"]
    assert moves(commands[0]) == [("MoveReview", "superseded"), ("MoveCall", "closed")]
    assert entries(commands[0]) == [EntryKind.REVIEW_VOIDED]


def test_p06_at_spend_a_rule_nobody_answered_supersedes_and_asks_anew() -> None:
    the_gate, _, record, review = held()
    now = ask("refunds#require-approval-over-100", "fraud#new-rule")
    commands = the_gate.handle(ReviewChanged(record, spendable(review), T0 + 60, refund(), now))
    assert kinds(commands) == ["Record", "Record", "Park"]
    assert moves(commands[0]) == [("MoveReview", "superseded"), ("MoveCall", "closed")]
    new_call = commands[1].change.rows[0].call  # type: ignore[union-attr]
    assert new_call.previous_id == record.id
    assert new_call.id != record.id


def test_p06_at_spend_the_same_rules_or_fewer_let_the_approval_stand() -> None:
    for now in (ask(), allow()):
        the_gate, _, record, review = held()
        commands = the_gate.handle(ReviewChanged(record, spendable(review), T0 + 60, refund(), now))
        assert kinds(commands) == ["Record", "Forward"]


@pytest.mark.parametrize(
    "changed",
    [
        {"proposed": {"arguments": {"customer_id": "c1", "amount": 9_900}}},
        {"agent": "other"},
        {"server": "other"},
        {"tool": "other"},
        {"definition_digest": "d2"},
        {"approved": {"arguments": {"customer_id": "c2", "amount": 250}}},
    ],
)
def test_p06_an_approval_of_anything_but_exactly_this_is_superseded(changed: dict[str, Any]) -> None:
    the_gate, _, record, review = held()
    other = replace(record, **changed)
    commands = the_gate.handle(ReviewChanged(other, spendable(review), T0 + 60, refund(), ask()))
    assert "Forward" not in kinds(commands)
    assert moves(commands[0])[0] == ("MoveReview", "superseded")


@pytest.mark.parametrize("changed", [{"nonce": "other"}, {"expires_at": T0 + 1}, {"answered_rules": ("other#rule",)}])
def test_p06_an_approval_binds_nonce_expiry_and_rules(changed: dict[str, Any]) -> None:
    the_gate, _, record, review = held()
    commands = the_gate.handle(ReviewChanged(record, replace(spendable(review), **changed), T0 + 60, refund(), ask()))
    assert "Forward" not in kinds(commands)


@pytest.mark.parametrize(("after_sec", "gets"), [(3659.9, ["Record", "Forward"]), (3660, ["Park"])])
def test_p06_a_grant_past_its_expiry_is_never_spent_though_nobody_has_closed_it_yet(
    after_sec: float, gets: list[str]
) -> None:
    the_gate, _, record, review = held()
    granted = replace(spendable(review), grant_expires_at=T0 + 3660)
    assert kinds(the_gate.handle(ReviewChanged(record, granted, T0 + after_sec, refund(), ask()))) == gets


def test_p06_a_tool_whose_definition_changed_since_the_approval_is_asked_about_again() -> None:
    the_gate, _, record, review = held()
    changed = refund(definition=definition(digest="d2", drifted=True))
    now = ask("refunds#require-approval-over-100", "interlock/built-in#tool-definition-changed")
    commands = the_gate.handle(ReviewChanged(record, spendable(review), T0 + 60, changed, now))
    assert kinds(commands) == ["Record", "Record", "Park"]


def test_p06_at_spend_an_effect_nobody_approved_asks_again() -> None:
    the_gate, _, record, review = held()
    now = allow(effect=Effect.ALLOW_WITH_CONSTRAINTS)
    commands = the_gate.handle(ReviewChanged(record, spendable(review), T0 + 60, refund(), now))
    assert kinds(commands) == ["Record", "Record", "Park"]
    asked = commands[1].change.rows[1].review  # type: ignore[union-attr]
    assert asked.approval == review.approval


def test_a_lost_reattachment_just_looks_again() -> None:
    the_gate, _, record, _ = held()
    assert the_gate.handle(ChangeWasLost("x", T0)) == [Reread(record.id)]


def test_a_twin_of_a_waiting_call_is_marked_and_what_the_agent_answered_is_kept() -> None:
    call = refund(input_responses={"r1": {"action": "accept"}}, method="tools/call")
    commands = gate().handle(CallReceived(call, ask(), T0, twin_waits=True))
    kept = commands[0].change.rows[0].call  # type: ignore[union-attr]
    assert kept.labels == {"twin_waits": True}
    assert kept.proposed["input_responses"] == {"r1": {"action": "accept"}}
    assert commands[0].change.entries[1].body["why"] == "an identical call is waiting"  # type: ignore[union-attr]


@pytest.mark.parametrize("now", [ask("fraud#new-rule"), deny()])
@pytest.mark.parametrize("stage", [Stage.HELD, Stage.STAYING])
def test_p06_an_approval_that_moved_while_it_was_being_voided_is_looked_at_again(now: Decision, stage: Stage) -> None:
    """It was taken back or edited: no new question has been opened, and nothing is in doubt."""
    the_gate, _, record, review = held()
    the_gate.stage = stage
    the_gate.handle(ReviewChanged(record, spendable(review), T0 + 60, refund(), now))
    assert the_gate.handle(ChangeWasLost("parked", T0 + 60)) == [Reread(record.id)]
    assert (the_gate.stage, the_gate.record) == (stage, record)
    assert kinds(the_gate.handle(ReviewChanged(record, spendable(review), T0 + 61, refund(), ask()))) == [
        "Record",
        "Forward",
    ]


def test_p04_a_lost_spend_looks_again_and_forwards_nothing() -> None:
    the_gate, _, record, review = held()
    the_gate.handle(ReviewChanged(record, spendable(review), T0 + 60, refund(), ask()))
    commands = the_gate.handle(ChangeWasLost("parked", T0 + 60))
    assert commands == [Reread(record.id)]
    undone = replace(review, state=ReviewState.PARKED)
    assert kinds(the_gate.handle(ReviewChanged(record, undone, T0 + 61))) == ["Park"]


def test_p04_when_somebody_else_spent_the_grant_the_call_awaits_that_outcome() -> None:
    the_gate, _, record, review = held()
    dispatched = replace(record, state=CallState.DISPATCHING)
    spent = replace(review, state=ReviewState.SPENT)
    commands = the_gate.handle(ReviewChanged(dispatched, spent, T0 + 60))
    assert kinds(commands) == ["AwaitOutcome"]
    answered = replace(record, state=CallState.ANSWERED, outcome=response())
    commands = the_gate.handle(OutcomeChanged(answered, spent, T0 + 61))
    assert answer_of(commands).meta["replayed"] is True


def test_p07_an_edited_call_is_sent_in_its_edited_form_and_the_agent_is_told() -> None:
    the_gate, built, record, review = held()
    edited = replace(record, approved={"arguments": {"customer_id": "c1", "amount": 80}})
    review = spendable(review)
    review = replace(review, binding=built.binding(edited, review))
    the_gate.handle(ReviewChanged(edited, review, T0 + 60, refund(80), allow()))
    the_gate.handle(ResponseReceived(response(), 200, T0 + 61))
    commands = the_gate.handle(ResponseInspected(response(), 200, clean(response()), T0 + 61))
    meta = answer_of(commands).meta
    assert meta["arguments_changed_by_reviewer"] == ["amount"]
    assert meta["arguments_sent"] == {"amount": 80}


# -- patience and leaving ---------------------------------------------------------------------------------------------


def test_an_agents_public_message_goes_with_its_ticket() -> None:
    the_gate, _, _, _ = held(decision=replace(ask(), agent_message="Finance looks twice a day."))
    assert answer_of(the_gate.handle(PatienceEnded(T0 + 50))).text.endswith("Finance looks twice a day.")


def test_an_agent_whose_patience_ends_gets_a_ticket_that_says_it_was_not_executed() -> None:
    the_gate, _, record, _ = held()
    commands = the_gate.handle(PatienceEnded(T0 + 50))
    answer = answer_of(commands)
    assert answer.kind is AnswerKind.TICKET
    assert answer.meta["executed"] is False
    assert answer.meta["ticket"].startswith("ilt_")
    assert "NOT executed" in answer.text
    assert record.id in answer.text


def test_p04_approving_after_the_agent_has_gone_executes_nothing_by_itself() -> None:
    the_gate, _, record, _ = held()
    commands = the_gate.handle(AgentLeft(T0 + 5))
    assert kinds(commands) == ["Record", "Detach"]
    assert commands[-1] == Detach(record.id, stay=False)
    assert the_gate.stage is Stage.DONE


def test_with_on_disconnect_execute_the_gate_stays_and_executes_on_approval() -> None:
    decision = ask(approval=Approval(on_disconnect_execute=True))
    the_gate, _, record, review = held(decision=decision)
    assert the_gate.handle(AgentLeft(T0 + 5))[-1] == Detach(record.id, stay=True)
    commands = the_gate.handle(ReviewChanged(record, spendable(review), T0 + 60, refund(), decision))
    assert kinds(commands) == ["Record", "Forward"]


def test_where_leaving_is_a_cancellation_on_disconnect_execute_has_no_effect_and_the_record_says_so() -> None:
    decision = ask(approval=Approval(on_disconnect_execute=True))
    the_gate, _, record, _ = held(decision=decision, may_stay=False)
    recorded, left = the_gate.handle(AgentLeft(T0 + 5))
    assert left == Detach(record.id, stay=False)
    assert isinstance(recorded, Record)
    (entry,) = recorded.change.entries
    assert entry.body["on_disconnect"] == "without effect: in this revision, leaving cancels the call"


def test_a_staying_gate_superseded_ends_without_a_new_question() -> None:
    decision = ask(approval=Approval(on_disconnect_execute=True))
    the_gate, _, record, review = held(decision=decision)
    the_gate.handle(AgentLeft(T0 + 5))
    commands = the_gate.handle(ReviewChanged(record, spendable(review), T0 + 60, refund(), ask("other#rule")))
    assert kinds(commands) == ["Record"]
    assert the_gate.stage is Stage.DONE


def test_a_staying_gate_whose_grant_another_spent_just_ends() -> None:
    decision = ask(approval=Approval(on_disconnect_execute=True))
    the_gate, _, record, review = held(decision=decision)
    the_gate.handle(AgentLeft(T0 + 5))
    commands = the_gate.handle(ReviewChanged(replace(record, state=CallState.DISPATCHING), review, T0 + 60))
    assert commands == []
    assert the_gate.stage is Stage.DONE


def test_a_staying_gate_at_shutdown_detaches() -> None:
    decision = ask(approval=Approval(on_disconnect_execute=True))
    the_gate, _, record, _ = held(decision=decision)
    the_gate.handle(AgentLeft(T0 + 5))
    assert the_gate.handle(PatienceEnded(T0 + 6, closing=True)) == [Detach(record.id)]


# -- repeats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [ReviewState.PARKED, ReviewState.APPROVING, ReviewState.APPROVED])
def test_the_identical_call_attaches_to_a_waiting_one(state: ReviewState) -> None:
    built = rows()
    record, review = parked(built)
    commands = gate(built).handle(CallRepeated(refund(), record, replace(review, state=state), T0 + 100))
    assert kinds(commands) == ["Record", "Park"]
    assert entries(commands[0]) == [EntryKind.CALL_REATTACHED]


def test_the_identical_call_spends_a_spendable_grant() -> None:
    built = rows()
    record, review = parked(built)
    review = spendable(review)
    the_gate = gate(built)
    assert kinds(the_gate.handle(CallRepeated(refund(), record, review, T0 + 100))) == ["Record", "Park"]
    commands = the_gate.handle(ReviewChanged(record, review, T0 + 100, refund(), ask()))
    assert kinds(commands) == ["Record", "Forward"]


def test_the_identical_call_of_one_being_dispatched_waits_for_its_outcome_and_is_told_replayed() -> None:
    built = rows()
    record, review = parked(built)
    dispatched = replace(record, state=CallState.DISPATCHING)
    the_gate = gate(built)
    assert kinds(the_gate.handle(CallRepeated(refund(), dispatched, review, T0 + 100))) == ["AwaitOutcome"]
    assert kinds(the_gate.handle(OutcomeChanged(dispatched, review, T0 + 101))) == ["AwaitOutcome"]
    answered = replace(record, state=CallState.ANSWERED, outcome=response())
    commands = the_gate.handle(OutcomeChanged(answered, review, T0 + 102))
    assert answer_of(commands).kind is AnswerKind.RESULT
    assert answer_of(commands).meta["replayed"] is True


@pytest.mark.parametrize("state", [CallState.ANSWERED, CallState.RELEASED])
def test_an_outcome_not_provably_delivered_is_given_once_more_and_marked_replayed(state: CallState) -> None:
    built = rows()
    record, review = parked(built)
    answered = replace(record, state=state, outcome=response())
    commands = gate(built).handle(CallRepeated(refund(), answered, review, T0 + 100))
    assert kinds(commands) == ["Reply"]
    assert answer_of(commands).meta["replayed"] is True
    assert commands[0].on_delivery is not None  # type: ignore[union-attr]


def test_the_identical_call_of_a_quarantined_one_gets_the_placeholder_and_no_dispatch() -> None:
    built = rows()
    record, review = parked(built)
    commands = gate(built).handle(CallRepeated(refund(), replace(record, state=CallState.QUARANTINED), review, T0))
    assert kinds(commands) == ["Reply"]
    assert answer_of(commands).kind is AnswerKind.HELD


def test_the_identical_call_of_a_rejected_one_gets_the_same_rejection_and_is_counted() -> None:
    built = rows()
    record, review = parked(built)
    rejected = replace(review, state=ReviewState.REJECTED, settled_at=T0)
    closed = replace(record, state=CallState.CLOSED)
    commands = gate(built).handle(CallRepeated(refund(), closed, rejected, T0 + 3599))
    assert kinds(commands) == ["Record", "Reply"]
    assert answer_of(commands).kind is AnswerKind.REJECTED


def test_p05_the_identical_call_of_one_in_doubt_is_refused() -> None:
    built = rows()
    record, review = parked(built)
    commands = gate(built).handle(CallRepeated(refund(), replace(record, state=CallState.IN_DOUBT), review, T0 + 9))
    assert kinds(commands) == ["Reply"]
    assert answer_of(commands).kind is AnswerKind.IN_DOUBT


def test_a_ticket_for_an_ended_question_says_so() -> None:
    built = rows()
    record, review = parked(built)
    closed = replace(record, state=CallState.CLOSED)
    lapsed = replace(review, state=ReviewState.LAPSED, settled_at=T0)
    commands = gate(built).handle(CallRepeated(refund(), closed, lapsed, T0 + 9))
    assert answer_of(commands).kind is AnswerKind.EXPIRED
    destroyed = replace(record, state=CallState.DESTROYED)
    assert answer_of(gate(built).handle(CallRepeated(refund(), destroyed, None, T0))).meta["decision"] == "destroyed"


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (CallState.QUARANTINED, AnswerKind.HELD),
        (CallState.WAITING, AnswerKind.FAILED),
        (CallState.FAILED_BEFORE_SEND, AnswerKind.FAILED),
        (CallState.FAILED_AFTER_SEND, AnswerKind.FAILED),
        (CallState.DESTROYED, AnswerKind.HELD),
        (CallState.IN_DOUBT, AnswerKind.IN_DOUBT),
        (CallState.RESOLVED, AnswerKind.FAILED),
        (CallState.ANSWERED, AnswerKind.REFUSED),  # executed, and its outcome is no longer kept
    ],
)
def test_who_awaits_an_outcome_is_told_what_became_of_it(state: CallState, kind: AnswerKind) -> None:
    built = rows()
    record, review = parked(built)
    the_gate = gate(built)
    the_gate.handle(CallRepeated(refund(), replace(record, state=CallState.DISPATCHING), review, T0))
    commands = the_gate.handle(OutcomeChanged(replace(record, state=state), review, T0 + 1))
    assert answer_of(commands).kind is kind


def test_an_awaiting_agent_whose_patience_ends_is_told_that_it_is_still_executing() -> None:
    built = rows()
    record, review = parked(built)
    the_gate = gate(built)
    the_gate.handle(CallRepeated(refund(), replace(record, state=CallState.DISPATCHING), review, T0))
    answer = answer_of(the_gate.handle(PatienceEnded(T0 + 50)))
    assert answer.meta["decision"] == "executing"
    assert "not executed again" in answer.text.replace("\n", " ")


def test_an_awaiting_agent_that_leaves_just_ends_its_wait() -> None:
    built = rows()
    record, review = parked(built)
    the_gate = gate(built)
    the_gate.handle(CallRepeated(refund(), replace(record, state=CallState.DISPATCHING), review, T0))
    assert the_gate.handle(AgentLeft(T0 + 1))[-1] == Detach(record.id, stay=False)


# -- the tool's side --------------------------------------------------------------------------------------------------


def test_p08_a_response_is_inspected_before_anything_is_answered() -> None:
    the_gate, _ = dispatching()
    commands = the_gate.handle(ResponseReceived(response(), 200, T0 + 1))
    assert commands == [Inspect(refund(50), response(), 200, Surface.RESULT)]


def test_p08_an_error_is_a_surface_too() -> None:
    the_gate, _ = dispatching()
    message = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "boom"}}
    (command,) = the_gate.handle(ResponseReceived(message, 200, T0 + 1))
    assert isinstance(command, Inspect)
    assert command.surface is Surface.ERROR


def test_a_clean_outcome_is_answered_and_its_record_may_follow() -> None:
    the_gate, call_id = dispatching()
    the_gate.handle(ResponseReceived(response(), 200, T0 + 1))
    commands = the_gate.handle(ResponseInspected(response(), 200, clean(response()), T0 + 1))
    (reply,) = commands
    assert isinstance(reply, Reply)
    assert reply.answer.response == response()
    assert reply.answer.meta == {}
    assert reply.on_delivery is not None
    assert not reply.on_delivery.durable
    assert reply.otherwise is not None
    kept = reply.otherwise.rows[0]
    assert isinstance(kept, MoveCall)
    assert kept.fields["outcome"] == response()
    assert call_id == reply.answer.call_id


def test_a_redacted_outcome_is_durable_before_the_answer_and_told_in_the_seeds_shape() -> None:
    the_gate, call_id = dispatching()
    the_gate.handle(ResponseReceived(response("x"), 200, T0 + 1))
    inspection = Inspection(
        Outcome.REDACT,
        response("[REDACTED]"),
        (Finding("response.customer_data.ssn", "US_SSN", "presidio"),),
        (Redaction("response.customer_data.ssn", "US_SSN", "replaced with [REDACTED]", "PII detected"),),
    )
    commands = the_gate.handle(ResponseInspected(response("x"), 200, inspection, T0 + 1))
    assert kinds(commands) == ["Record", "Reply"]
    assert commands[0].change.durable  # type: ignore[union-attr]
    assert answer_of(commands).meta == {
        "job_id": call_id,
        "output_safety_decision": "REDACT",
        "original_fields_redacted": 1,
        "redaction_details": [
            {
                "field": "response.customer_data.ssn",
                "reason": "PII detected",
                "action": "replaced with [REDACTED]",
            }
        ],
        "policy_snapshot": SNAPSHOT,
    }


def test_p08_a_quarantined_output_is_held_with_its_review_and_the_agent_gets_a_placeholder() -> None:
    the_gate, _ = dispatching()
    the_gate.handle(ResponseReceived(response("AKIA"), 200, T0 + 1))
    inspection = Inspection(Outcome.QUARANTINE, None, (), (), "secret found")
    commands = the_gate.handle(ResponseInspected(response("AKIA"), 200, inspection, T0 + 1))
    assert kinds(commands) == ["Record", "Reply"]
    move, opened = commands[0].change.rows  # type: ignore[union-attr]
    assert move.to is CallState.QUARANTINED
    assert move.fields["outcome"] == response("AKIA")
    assert opened.review.kind is ReviewKind.RELEASE
    assert opened.review.state is ReviewState.QUARANTINED
    answer = answer_of(commands)
    assert answer.kind is AnswerKind.HELD
    assert answer.response is None
    assert "AKIA" not in answer.text + str(answer.meta)


def test_p05_a_connection_lost_after_sending_leaves_the_call_in_doubt() -> None:
    the_gate, _ = dispatching()
    commands = the_gate.handle(UpstreamBroke("connection reset", True, T0 + 1))
    assert moves(commands[0]) == [("MoveCall", "in_doubt")]
    assert entries(commands[0]) == [EntryKind.CALL_IN_DOUBT]
    assert answer_of(commands).kind is AnswerKind.IN_DOUBT


def test_a_read_that_fails_after_sending_may_be_repeated() -> None:
    read = allow(classification=ask(risk_tags=frozenset({"read"})).classification)
    the_gate, _ = dispatching(decision=read)
    commands = the_gate.handle(UpstreamBroke("connection reset", True, T0 + 1))
    assert moves(commands[0]) == [("MoveCall", "failed_after_send")]
    assert answer_of(commands).kind is AnswerKind.FAILED


@pytest.mark.parametrize(
    "labels",
    [
        Classification(is_classified=True, risk_tags=frozenset({"read", "write"})),
        Classification(is_classified=True, risk_tags=frozenset({"read", "delete"})),
        Classification(is_classified=True, risk_tags=frozenset({"read"}), reversible=False),
    ],
)
def test_p05_a_call_labelled_read_by_one_entry_and_as_acting_by_another_is_in_doubt(labels: Classification) -> None:
    the_gate, _ = dispatching(decision=allow(classification=labels))
    assert moves(the_gate.handle(UpstreamBroke("connection reset", True, T0 + 1))[0]) == [("MoveCall", "in_doubt")]


@pytest.mark.parametrize(("tags", "is_read"), [({"read"}, True), ({"read", "write"}, False), (set(), False)])
def test_p05_what_is_sent_says_whether_its_failing_could_leave_a_doubt(tags: set[str], is_read: bool) -> None:
    labels = Classification(is_classified=True, risk_tags=frozenset(tags))
    sent = gate().handle(CallReceived(refund(), allow(classification=labels), T0))[-1]
    assert isinstance(sent, Forward)
    assert sent.is_read is is_read


def test_p09_a_tool_that_calls_itself_a_read_is_in_doubt_all_the_same() -> None:
    boasting = replace(definition(), annotations={"readOnlyHint": True, "idempotentHint": True})
    the_gate, _ = dispatching(call=refund(50, definition=boasting))
    assert moves(the_gate.handle(UpstreamBroke("connection reset", True, T0 + 1))[0]) == [("MoveCall", "in_doubt")]


def test_a_server_to_agent_request_is_never_taken_for_a_read() -> None:
    call = refund(method="elicitation/create", direction=Direction.TOOL_TO_AGENT)
    the_gate, _ = dispatching(call=call)
    assert moves(the_gate.handle(UpstreamBroke("gone", True, T0 + 1))[0]) == [("MoveCall", "in_doubt")]


def test_an_allowed_call_that_provably_never_left_may_be_repeated() -> None:
    the_gate, _ = dispatching()
    commands = the_gate.handle(UpstreamBroke("refused", False, T0 + 1))
    assert moves(commands[0]) == [("MoveCall", "failed_before_send")]
    assert answer_of(commands).meta["executed"] is False


def test_a_grant_whose_call_provably_never_left_becomes_spendable_again() -> None:
    the_gate, _, record, review = held()
    the_gate.handle(ReviewChanged(record, spendable(review), T0 + 60, refund(), ask()))
    commands = the_gate.handle(UpstreamBroke("refused", False, T0 + 61))
    assert moves(commands[0]) == [("MoveCall", "waiting"), ("MoveReview", "spendable")]


def test_p05_an_outcome_whose_record_was_lost_is_told_as_doubt() -> None:
    the_gate, _ = dispatching()
    the_gate.handle(UpstreamBroke("reset", True, T0 + 1))
    assert answer_of(the_gate.handle(ChangeWasLost("resolved", T0 + 2))).kind is AnswerKind.IN_DOUBT


def test_a_gate_knows_the_call_it_lives_as_last_kept() -> None:
    assert gate().record is None
    the_gate, _, record, _ = held()
    assert the_gate.record == record


# -- the table --------------------------------------------------------------------------------------------------------


def _every_event() -> list[Any]:
    built = rows()
    record, review = parked(built)
    return [
        CallReceived(refund(), allow(), T0),
        CallRepeated(refund(), record, review, T0),
        ReviewChanged(record, review, T0),
        OutcomeChanged(record, review, T0),
        PatienceEnded(T0),
        AgentLeft(T0),
        ChangeWasLost(None, T0),
        ResponseReceived(response(), 200, T0),
        UpstreamBroke("x", True, T0),
        ResponseInspected(response(), 200, clean(response()), T0),
    ]


@pytest.mark.parametrize(
    ("stage", "event"),
    [
        pytest.param(stage, event, id=f"{stage.value}-{type(event).__name__}")
        for stage, event in itertools.product(Stage, _every_event())
        if not isinstance(event, TURNS[stage])
    ],
)
def test_an_event_out_of_turn_raises_and_changes_nothing(stage: Stage, event: Any) -> None:
    the_gate, _, _, _ = held()
    the_gate.stage = stage
    with pytest.raises(OutOfTurn):
        the_gate.handle(event)
    assert the_gate.stage is stage


@pytest.mark.parametrize("event", [e for e in _every_event() if not isinstance(e, CallReceived | CallRepeated)])
def test_a_gate_without_a_call_refuses_every_other_event(event: Any) -> None:
    for stage in Stage:
        the_gate = gate()
        the_gate.stage = stage
        if stage is Stage.NEW or not isinstance(event, TURNS[stage]):
            continue
        if isinstance(event, ReviewChanged | OutcomeChanged):
            continue  # these bring the call with them
        with pytest.raises(OutOfTurn):
            the_gate.handle(event)


def test_a_spendable_review_without_its_judgement_is_out_of_turn() -> None:
    the_gate, _, record, review = held()
    with pytest.raises(OutOfTurn):
        the_gate.handle(ReviewChanged(record, spendable(review), T0))


def test_p03_no_list_ever_forwards_without_a_durable_record_before_it() -> None:
    """Walk every path of two events deep and look at every list."""
    built = rows()
    record, review = parked(built)
    firsts = [CallReceived(refund(), decision, T0) for decision in (allow(), deny(), ask())] + [
        CallRepeated(refund(), record, replace(review, state=state), T0) for state in ReviewState if state.is_open
    ]
    seconds = [
        ReviewChanged(record, spendable(review), T0 + 1, refund(), decision) for decision in (allow(), deny(), ask())
    ]
    seen = 0
    for first in firsts:
        try:
            the_gate = gate(built)
            lists = [the_gate.handle(first)]
        except OutOfTurn:
            continue
        for second in seconds:
            try:
                lists.append(the_gate.handle(second))
            except OutOfTurn:
                continue
        for commands in lists:
            for index, command in enumerate(commands):
                if isinstance(command, Forward):
                    seen += 1
                    before = commands[index - 1]
                    assert isinstance(before, Record)
                    assert before.change.durable
                    assert before.change.entries
    assert seen >= 3
