"""The changes behind the gate's commands: each guarded by the state it believes in, each with its entry."""

from __future__ import annotations

from dataclasses import replace

from audit.entry import EntryKind
from policies.model import Approval, Effect, TraceStep
from proxy.events import CallReceived
from redaction.model import Finding, Inspection, Outcome
from review.binding import binding
from review.model import CallState, ReviewKind, ReviewState
from review.ports import InsertReview, MoveCall, MoveReview
from tests.proxy.builders import T0, allow, ask, parked, refund, response, rows


def test_a_kept_call_has_its_payload_labels_and_key() -> None:
    built = rows()
    record = built.call(CallReceived(refund(), ask(), T0, continues="call_0"), CallState.WAITING)
    assert record.proposed == {"arguments": {"customer_id": "c1", "amount": 250}}
    assert record.previous_id == "call_0"
    assert record.definition_digest == "d1"
    assert record.dispatched_at is None
    assert built.call(CallReceived(refund(), allow(), T0), CallState.DISPATCHING).dispatched_at == T0


def test_a_review_expires_when_its_rule_says_and_binds_exactly_its_call() -> None:
    built = rows()
    record, review = parked(built, decision=ask(approval=Approval(timeout_sec=60)))
    assert review.expires_at == T0 + 60
    assert review.binding == binding(
        record, expires_at=review.expires_at, nonce=review.nonce, rules=review.answered_rules
    )


def test_a_decision_without_approval_terms_asks_under_the_defaults() -> None:
    built = rows()
    _, review = parked(built, decision=replace(ask(), approval=None))
    assert review.approval == Approval()


def test_p13_every_change_of_state_has_an_entry_beside_it() -> None:
    built = rows()
    record, review = parked(built)
    inspection = Inspection(Outcome.ALLOW, response())
    quarantine = Inspection(Outcome.QUARANTINE, None, (Finding("$", "AWS_ACCESS_KEY", "secrets"),), (), "a key")
    changes = [
        built.spent(record, review, ask(), T0),
        built.voided(record, review, ask(), T0, why="x"),
        built.failed_before_send(record, review, "refused", T0),
        built.failed_before_send(record, None, "refused", T0),
        built.failed_after_send(record, "reset", T0),
        built.in_doubt(record, "reset", T0),
        built.answered(record, inspection, T0, delivered=True),
        built.answered(record, inspection, T0, delivered=False),
        built.quarantined(record, response("AKIA"), quarantine, T0),
    ]
    for change in changes:
        assert change.entries
        for row in change.rows:
            assert not isinstance(row, MoveCall | MoveReview) or row.expect


def test_a_call_that_never_left_goes_back_to_its_spendable_grant_with_the_old_expiry() -> None:
    built = rows()
    record, review = parked(built)
    call_move, review_move = built.failed_before_send(record, review, "refused", T0).rows
    assert isinstance(call_move, MoveCall)
    assert isinstance(review_move, MoveReview)
    assert (call_move.to, review_move.to) == (CallState.WAITING, ReviewState.SPENDABLE)
    assert "grant_expires_at" not in review_move.fields


def test_only_a_clean_delivered_outcome_need_not_be_awaited() -> None:
    built = rows()
    record, _ = parked(built)
    clean = Inspection(Outcome.ALLOW, response())
    flagged = Inspection(Outcome.ALLOW, response(), (Finding("$", "URL", "presidio"),))
    assert not built.answered(record, clean, T0, delivered=True).durable
    assert built.answered(record, clean, T0, delivered=False).durable
    assert built.answered(record, flagged, T0, delivered=True).durable


def test_an_outcome_is_kept_for_reviewed_calls_and_for_those_not_delivered() -> None:
    built = rows()
    reviewed, _ = parked(built)
    allowed = built.call(CallReceived(refund(50), allow(), T0), CallState.DISPATCHING)
    clean = Inspection(Outcome.ALLOW, response())

    def kept(record: object, *, delivered: bool) -> bool:
        (move,) = built.answered(record, clean, T0, delivered=delivered).rows  # type: ignore[arg-type]
        assert isinstance(move, MoveCall)
        return "outcome" in move.fields

    assert kept(reviewed, delivered=True)
    assert kept(allowed, delivered=False)
    assert not kept(allowed, delivered=True)


def test_whatever_ends_a_call_that_people_are_to_look_at_afterwards_opens_that_question_in_the_same_change() -> None:
    built = rows()
    decision = allow(review_after=True)
    record = built.call(CallReceived(refund(50), decision, T0), CallState.DISPATCHING)
    clean = Inspection(Outcome.ALLOW, response())
    endings = [
        built.answered(record, clean, T0, delivered=True),
        built.answered(record, clean, T0, delivered=False),
        built.quarantined(record, response(), Inspection(Outcome.QUARANTINE, None, why="odd"), T0),
        built.in_doubt(record, "it broke", T0),
        built.failed_after_send(record, "it broke", T0),
    ]
    for change in endings:
        review = next(row.review for row in reversed(change.rows) if isinstance(row, InsertReview))
        assert (review.kind, review.state, review.call_id) == (ReviewKind.AFTERWARDS, ReviewState.UNJUDGED, record.id)
        assert change.durable
        assert change.entries[-1].body["kind"] == "afterwards"
    assert "outcome" in endings[0].rows[0].fields  # type: ignore[union-attr]
    never_sent = built.failed_before_send(record, None, "no route", T0)
    assert not any(isinstance(row, InsertReview) for row in never_sent.rows)


def test_p08_a_quarantined_output_is_held_with_its_review_in_one_change() -> None:
    built = rows()
    record = built.call(CallReceived(refund(50), allow(), T0), CallState.DISPATCHING)
    inspection = Inspection(Outcome.QUARANTINE, None, (Finding("$", "AWS_ACCESS_KEY", "secrets"),), (), "a key")
    change = built.quarantined(record, response("AKIA"), inspection, T0)
    move, opened = change.rows
    assert isinstance(move, MoveCall)
    assert isinstance(opened, InsertReview)
    assert opened.review.kind is ReviewKind.RELEASE
    assert move.fields["review_id"] == opened.review.id
    assert [entry.kind for entry in change.entries] == [EntryKind.CALL_ANSWERED, EntryKind.REVIEW_OPENED]
    assert "AKIA" not in str([entry.body for entry in change.entries])


def test_a_ticket_is_the_calls_agents() -> None:
    built = rows()
    record, _ = parked(built)
    assert built.ticket(record) != built.ticket(replace(record, agent="other"))


def test_the_whole_trace_is_kept_of_what_people_are_asked_and_not_of_what_passed() -> None:
    built = rows()
    step = TraceStep("refunds", "r", True, Effect.REQUIRE_APPROVAL, "amount > 100", {"amount": 250})
    asked = built.call(CallReceived(refund(), replace(ask(), trace=(step,)), T0), CallState.WAITING)
    assert [one["why"] for one in asked.decision["trace"]] == ["amount > 100"]
    allowed = built.call(CallReceived(refund(50), replace(allow(), trace=(step,)), T0), CallState.DISPATCHING)
    assert "trace" not in allowed.decision
    assert allowed.decision["rules"] == ["refunds#allow-small"]
