"""What agents are told, sentence by sentence: executed or not, and how to go on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy import answers
from proxy.exchange import Answer, AnswerKind
from redaction.model import Inspection, Outcome, Redaction
from review.model import CallRecord, CallState, ReviewState
from tests.proxy.builders import parked, response, rows


def resolved_as(resolution: str) -> CallRecord:
    record, _ = parked(rows())
    return replace(record, id="call_1", state=CallState.RESOLVED, resolution=resolution)


EVERY: list[tuple[Answer, AnswerKind, bool | None]] = [
    (answers.denied("call_1", None), AnswerKind.DENIED, False),
    (answers.ticket("call_1", "ilt_x", None), AnswerKind.TICKET, False),
    (answers.executing("call_1", "ilt_x"), AnswerKind.TICKET, True),
    (answers.rejected("call_1"), AnswerKind.REJECTED, False),
    (answers.expired("call_1", "lapsed"), AnswerKind.EXPIRED, False),
    (answers.asked_too_often("call_1", 3), AnswerKind.REFUSED, False),
    (answers.held("call_1", "ilt_x"), AnswerKind.HELD, True),
    (answers.destroyed("call_1"), AnswerKind.HELD, True),
    (answers.in_doubt("call_1"), AnswerKind.IN_DOUBT, None),
    (answers.failed("call_1", sent=False), AnswerKind.FAILED, False),
    (answers.failed("call_1", sent=True), AnswerKind.FAILED, None),
    (answers.delivered_already("call_1"), AnswerKind.REFUSED, True),
    (answers.awaited_already("call_1"), AnswerKind.REFUSED, None),
    (answers.erased("call_1"), AnswerKind.REFUSED, None),
    (answers.resolved(resolved_as("happened: the bank says so")), AnswerKind.FAILED, True),
    (answers.resolved(resolved_as("did_not_happen: nothing there")), AnswerKind.FAILED, False),
    (answers.resolved(resolved_as("unknown: nobody can say")), AnswerKind.FAILED, None),
    (answers.refused("call_1", "the gate is full", retry_after_sec=5), AnswerKind.REFUSED, False),
]


@pytest.mark.parametrize(("answer", "kind", "executed"), EVERY, ids=[a.meta["decision"] for a, _, _ in EVERY])
def test_every_answer_says_first_whether_it_was_executed_and_names_the_call(
    answer: Answer, kind: AnswerKind, executed: bool | None
) -> None:
    first = {
        False: "NOT executed",
        True: ("EXECUTED", "STILL EXECUTING"),
        None: ("IN DOUBT", "STILL IN DOUBT", "FAILED", "WAITING", "ERASED"),
    }[executed]
    assert answer.kind is kind
    assert answer.text.startswith(first)
    assert "call_1" in answer.text
    assert answer.meta["call_id"] == "call_1"
    assert answer.meta["executed"] is executed


def test_an_answer_that_may_be_collected_carries_its_ticket() -> None:
    for answer in (
        answers.ticket("c", "ilt_x", None),
        answers.executing("c", "ilt_x"),
        answers.held("c", "ilt_x"),
    ):
        assert answer.meta["ticket"] == "ilt_x"
        assert "ilt_x" in answer.text
        assert answer.retry_after_sec == answers.RETRY_AFTER_SEC


def test_a_refusal_before_there_is_a_call_names_none() -> None:
    assert answers.refused("", "too many calls wait").text == "NOT executed: too many calls wait."


def test_a_clean_result_carries_nothing_of_ours() -> None:
    answer = answers.result("c", response(), Inspection(Outcome.ALLOW, response()), http_status=200, extra={})
    assert (answer.kind, answer.response, answer.meta) == (AnswerKind.RESULT, response(), {})


def test_a_redacted_and_replayed_result_says_both() -> None:
    inspection = Inspection(
        Outcome.REDACT, response(), (), (Redaction("response.ssn", "US_SSN", "replaced with [REDACTED]", "PII"),)
    )
    answer = answers.result(
        "c", response(), inspection, http_status=200, extra={"replayed": True}, snapshot="v1:b4e2c1"
    )
    assert answer.meta["replayed"] is True
    assert answer.meta["call_id"] == "c"
    assert answer.meta["policy_snapshot"] == "v1:b4e2c1"
    assert answer.meta["original_fields_redacted"] == 1


def test_p07_the_agent_is_told_which_arguments_a_reviewer_changed() -> None:
    record, _ = parked(rows())
    assert answers.changes_told(record) == {}
    edited = replace(record, approved={"arguments": {"amount": 80, "note": "partial"}})
    assert answers.changes_told(edited) == {
        "arguments_changed_by_reviewer": ["amount", "customer_id", "note"],
        "arguments_sent": {"amount": 80, "note": "partial"},
    }


def test_a_person_s_note_on_a_call_in_doubt_is_not_for_the_agent() -> None:
    assert "the bank says so" not in answers.resolved(resolved_as("happened: the bank says so")).text


@pytest.mark.parametrize("state", [state for state in CallState if state not in (CallState.WAITING, CallState.CLOSED)])
def test_a_ticket_of_a_call_that_was_sent_is_never_told_that_it_was_not_executed(state: CallState) -> None:
    record, review = parked(rows())
    spent = replace(review, state=ReviewState.SPENT)
    told = answers.what_became(replace(record, state=state, resolution="happened: seen"), spent)
    never_sent = state in (CallState.FAILED_BEFORE_SEND, CallState.DENIED)
    assert told.text.startswith("NOT executed") is never_sent
