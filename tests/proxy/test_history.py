"""What the gate remembers of each agent's calls, by what the store commits and the gate queues."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policies.model import Agent, ToolCall
from proxy import history as module
from proxy.events import CallReceived
from proxy.history import History
from proxy.usual import WINDOW_CALLS_MAX
from redaction.model import Inspection, Outcome
from review.model import CallRecord, CallState, ReviewState
from review.ports import Change, InsertCall, MoveCall, MoveReview
from tests.proxy.builders import T0, allow, ask, deny, key_of, parked, refund, response, rows


class Remembered:
    """A history with rows of the gate's own to hear of."""

    def __init__(self) -> None:
        self.now = T0
        self.rows = rows()
        self.history = History(repeat_key_of=key_of, clock=lambda: self.now)

    def fact(self, name: str, call: ToolCall | None = None) -> Any:
        return self.history.facts(call or refund())[name]

    def dispatched(self, call: ToolCall | None = None) -> CallRecord:
        event = CallReceived(call or refund(), allow(), self.now)
        self.history.counted(event.call)
        record = self.rows.call(event, CallState.DISPATCHING)
        self.history.heard(self.rows.decided(record, event))
        return record

    def answered(self, record: CallRecord, message: dict[str, Any] | None = None) -> None:
        clean = Inspection(Outcome.ALLOW, message or response())
        self.history.heard(self.rows.answered(record, clean, self.now, delivered=True))


ERROR = {"jsonrpc": "2.0", "id": 1, "result": {"isError": True, "content": []}}


@pytest.mark.parametrize("message", [ERROR, {"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "no"}}])
def test_an_identical_call_is_a_retry_after_an_error_and_only_then(message: dict[str, Any]) -> None:
    world = Remembered()
    world.answered(world.dispatched())
    assert world.fact("retry_count") == 0
    for tries in range(1, 4):
        world.answered(world.dispatched(), message)
        assert world.fact("retry_count") == tries
    assert world.fact("retry_count", refund(251)) == 0
    assert world.fact("retry_count", refund(agent="other")) == 0
    assert world.fact("retry_count", refund(session="another")) == 3
    world.now += 86_401
    assert world.fact("retry_count") == 0


def test_what_was_denied_failed_or_is_in_doubt_counts_once_however_often_it_is_heard() -> None:
    world = Remembered()
    event = CallReceived(refund(), deny(), T0)
    denied = world.rows.decided(world.rows.call(event, CallState.DENIED), event)
    world.history.heard(denied)
    world.history.heard(denied)
    assert world.fact("retry_count") == 1
    world.history.heard(world.rows.failed_after_send(world.dispatched(), "cut", T0))
    world.history.heard(world.rows.in_doubt(world.dispatched(), "cut", T0))
    world.history.heard(world.rows.failed_before_send(world.dispatched(), None, "refused", T0))
    assert world.fact("retry_count") == 4


@pytest.mark.parametrize(
    ("fate", "tries"),
    [
        (ReviewState.REJECTED, 1),
        (ReviewState.EXPIRED, 1),
        (ReviewState.STOPPED, 1),
        (ReviewState.SUPERSEDED, 0),
        (ReviewState.LAPSED, 0),
    ],
)
def test_a_question_that_was_answered_with_no_counts_and_one_that_only_lapsed_does_not(
    fate: ReviewState, tries: int
) -> None:
    world = Remembered()
    record, review = parked(world.rows)
    world.history.heard(Change(rows=(InsertCall(record),)))
    assert world.fact("retry_count") == 0
    closed = MoveCall(record.id, frozenset({CallState.WAITING}), CallState.CLOSED, {"updated_at": T0})
    world.history.heard(Change(rows=(MoveReview(review.id, frozenset({review.state}), fate, {}), closed)))
    assert world.fact("retry_count") == tries


def test_an_action_is_done_for_the_first_time_until_it_was_dispatched() -> None:
    world = Remembered()
    record, review = parked(world.rows)
    world.history.heard(Change(rows=(InsertCall(record),)))
    assert world.fact("first_time_action") is True
    world.history.heard(world.rows.spent(record, review, ask(), T0))
    assert world.fact("first_time_action", refund(9)) is False
    assert world.fact("first_time_action", refund(agent="other")) is True
    assert world.fact("first_time_action", refund(tool="pay")) is True
    world.now += 400 * 86_400
    assert world.fact("first_time_action") is False


def test_what_provably_never_left_was_not_done() -> None:
    world = Remembered()
    world.history.heard(world.rows.failed_before_send(world.dispatched(), None, "no route", T0))
    assert world.fact("first_time_action") is True


def test_calls_are_counted_for_their_agent_and_tool_when_they_are_judged() -> None:
    world = Remembered()
    for _ in range(3):
        world.history.counted(refund())
    world.history.counted(refund(agent="other"))
    world.history.counted(replace(refund(tool="made up"), definition=None))
    world.now += 300
    world.history.counted(refund())
    counts = [world.fact(f"calls_last_{period}") for period in ("minute", "hour", "day")]
    assert counts == [1, 4, 4]
    assert world.fact("calls_last_day", replace(refund(tool="made up"), definition=None)) == 0


def test_nothing_is_unusual_before_enough_is_known_and_then_it_is_told_in_parts() -> None:
    world = Remembered()
    for number in range(19):
        world.answered(world.dispatched(refund(80 + number)))
    odd = refund(90_000)
    assert (world.fact("anomaly_known", odd), world.fact("anomaly_score", odd)) == (False, 0)
    world.answered(world.dispatched(refund(99)))
    assert (world.fact("anomaly_known", odd), world.fact("anomaly_score", odd)) == (True, 1)
    assert world.fact("anomaly_parts", odd)[0]["part"] == "number"
    assert (world.fact("anomaly_score"), world.fact("anomaly_score", refund(90))) == (0.7132, 0)


def test_what_people_or_rules_refused_teaches_nothing() -> None:
    world = Remembered()
    for _ in range(WINDOW_CALLS_MAX):
        event = CallReceived(refund(9_000), deny(), T0)
        world.history.counted(event.call)
        world.history.heard(world.rows.decided(world.rows.call(event, CallState.DENIED), event))
    assert world.fact("anomaly_known") is False


def test_p14_memory_is_bounded_and_one_agent_s_bounds_are_no_other_s(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, bound in {"KEYS_PER_AGENT_MAX": 2, "TRIES_MAX": 3, "HABITS_PER_AGENT_MAX": 2, "ACTIONS_MAX": 2}.items():
        monkeypatch.setattr(module, name, bound)
    monkeypatch.setattr(module, "_UNENDED_MAX", 2)
    world = Remembered()
    world.answered(world.dispatched(refund(1, agent=Agent("other"))), ERROR)
    for number in range(5):
        for _ in range(5):
            world.answered(world.dispatched(refund(number, tool=f"tool {number}")), ERROR)
    tries = [world.fact("retry_count", refund(number, tool=f"tool {number}")) for number in range(5)]
    assert tries == [0, 0, 0, 3, 3]
    assert world.fact("retry_count", refund(1, agent=Agent("other"))) == 1
    assert world.fact("first_time_action", refund(tool="tool 4")) is True
    assert [world.fact("calls_last_day", refund(tool=f"tool {number}")) for number in range(5)] == [0, 0, 0, 5, 5]
