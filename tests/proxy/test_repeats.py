"""The table of SEMANTICS §2.2, row by row, and the key under which identical calls find each other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit.canonical import canonical
from policies.model import Agent, Direction, ToolCall
from proxy.repeats import Repeat, asked_once, repeat_key, repeat_of
from review.model import CallState, ReviewState
from tests.proxy.builders import KEY, T0, key_of, parked, refund, response, rows


def row(state: CallState, review_state: ReviewState | None = None, *, after: float = 10, **changes: object) -> Repeat:
    record, review = parked(rows())
    record = replace(record, state=state, **changes)  # type: ignore[arg-type]
    settled = replace(review, state=review_state, settled_at=T0) if review_state else None
    return repeat_of(record, settled, now=T0 + after, reject_holds_sec=3600, reopen_within_sec=86_400)


@pytest.mark.parametrize(
    ("state", "review_state", "gets"),
    [
        (CallState.WAITING, ReviewState.VETOABLE, Repeat.ATTACH),
        (CallState.CLOSED, ReviewState.VETOED, Repeat.SAME_REJECTION),
        (CallState.WAITING, ReviewState.PARKED, Repeat.ATTACH),
        (CallState.WAITING, ReviewState.APPROVING, Repeat.ATTACH),
        (CallState.WAITING, ReviewState.APPROVED, Repeat.ATTACH),
        (CallState.WAITING, ReviewState.SPENDABLE, Repeat.SPEND),
        (CallState.WAITING, ReviewState.SPENT, Repeat.AWAIT_OUTCOME),
        (CallState.CLOSED, ReviewState.REJECTED, Repeat.SAME_REJECTION),
        (CallState.CLOSED, ReviewState.EXPIRED, Repeat.REOPEN),
        (CallState.CLOSED, ReviewState.LAPSED, Repeat.REOPEN),
        (CallState.CLOSED, ReviewState.SUPERSEDED, Repeat.REOPEN),
        (CallState.CLOSED, ReviewState.STOPPED, Repeat.NEW),
        (CallState.DISPATCHING, None, Repeat.AWAIT_OUTCOME),
        (CallState.QUARANTINED, None, Repeat.PLACEHOLDER),
        (CallState.IN_DOUBT, None, Repeat.REFUSE),
        (CallState.RESOLVED, None, Repeat.FINDING),
        (CallState.DENIED, None, Repeat.NEW),
        (CallState.FAILED_BEFORE_SEND, None, Repeat.NEW),
        (CallState.FAILED_AFTER_SEND, None, Repeat.NEW),
        (CallState.DESTROYED, None, Repeat.NEW),
    ],
)
def test_the_identical_call_gets_its_row(state: CallState, review_state: ReviewState | None, gets: Repeat) -> None:
    assert row(state, review_state) is gets


@pytest.mark.parametrize("state", [CallState.ANSWERED, CallState.RELEASED])
def test_an_outcome_is_replayed_only_while_it_is_not_provably_delivered(state: CallState) -> None:
    assert row(state, outcome=response()) is Repeat.REPLAY
    assert row(state, outcome=response(), delivered_at=T0) is Repeat.NEW
    assert row(state, outcome=None) is Repeat.NEW


def test_p05_what_was_found_out_about_a_doubt_is_told_once_unless_it_did_not_happen() -> None:
    for found in ("happened: I looked", "unknown: no log"):
        assert row(CallState.RESOLVED, resolution=found) is Repeat.FINDING
        assert row(CallState.RESOLVED, resolution=found, delivered_at=T0) is Repeat.NEW
    assert row(CallState.RESOLVED, resolution="did_not_happen: not in the books") is Repeat.NEW


def test_a_rejection_holds_for_its_time_and_no_longer() -> None:
    assert row(CallState.CLOSED, ReviewState.REJECTED, after=3599) is Repeat.SAME_REJECTION
    assert row(CallState.CLOSED, ReviewState.REJECTED, after=3600) is Repeat.NEW


def test_an_ended_question_is_reopened_within_a_day() -> None:
    assert row(CallState.CLOSED, ReviewState.EXPIRED, after=86_399) is Repeat.REOPEN
    assert row(CallState.CLOSED, ReviewState.EXPIRED, after=86_400) is Repeat.NEW


def test_p01_a_waiting_call_whose_question_is_missing_or_strange_is_refused() -> None:
    assert row(CallState.WAITING, None) is Repeat.REFUSE
    assert row(CallState.WAITING, ReviewState.QUARANTINED) is Repeat.REFUSE


@pytest.mark.parametrize(
    "other",
    [
        refund(251),
        refund(agent="other"),
        refund(server="other"),
        refund(tool="other"),
        refund(method="resources/read"),
        refund(direction=Direction.AGENT_ANSWER),
        refund(input_responses={"r1": {"action": "accept"}}),
        refund(request_state="of the second order"),
        replace(refund(), agent=Agent("demo", on_behalf_of="ann")),
    ],
)
def test_only_the_identical_call_has_the_same_key(other: object) -> None:
    assert key_of(other) != key_of(refund())  # type: ignore[arg-type]


def test_key_order_session_and_definition_are_not_in_the_key() -> None:
    turned = refund(arguments={"amount": 250, "customer_id": "c1"}, session="another", definition=None)
    assert key_of(turned) == key_of(refund())


def test_the_key_is_keyed() -> None:
    assert repeat_key(b"x" * 32, refund(), canonical, refund().arguments) != repeat_key(
        KEY, refund(), canonical, refund().arguments
    )


def test_a_key_is_worked_out_once_for_a_call_that_is_asked_about_twice_in_a_row() -> None:
    worked_out = []

    def key_of(call: ToolCall) -> str:
        worked_out.append(call)
        return f"key {call.arguments['amount']}"

    asked = asked_once(key_of)
    one, other, twin = refund(1), refund(2), refund(1)
    assert [asked(call) for call in (one, one, other, one, twin)] == ["key 1", "key 1", "key 2", "key 1", "key 1"]
    assert len(worked_out) == 4  # an equal call that is another object is asked about anew
