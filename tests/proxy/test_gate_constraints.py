"""The gate and constraints: what goes with a dispatch, what an approval is held to, and an answer that is too large."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from audit.entry import EntryKind
from policies.constraints import AtDispatch
from policies.model import Constraint, Decision, Effect
from proxy.commands import Forward, Record, Reply
from proxy.events import CallReceived, ResponseReceived, ReviewChanged
from proxy.exchange import AnswerKind
from proxy.gate import Stage
from review.model import ReviewKind
from tests.proxy.builders import T0, allow, ask, gate, refund, response, rows, spendable
from tests.proxy.test_gate import answer_of, held, kinds

RUNTIME, RESPONSE = Constraint("max_runtime_sec", 60, "p#a"), Constraint("max_response_bytes", 9, "p#b")
HOSTS = Constraint("network_allowlist", ["a.example"], "p#a")


def constrained(*constraints: Constraint, **more: Any) -> Decision:
    return allow(effect=Effect.ALLOW_WITH_CONSTRAINTS, constraints=constraints, **more)


def test_p03_a_constrained_call_is_recorded_with_its_constraints_and_sent_with_those_of_the_dispatch() -> None:
    commands = gate().handle(CallReceived(refund(50), constrained(RUNTIME, RESPONSE, HOSTS), T0))
    assert kinds(commands) == ["Record", "Forward"]
    record, forward = commands
    assert isinstance(forward, Forward)
    assert forward.within == AtDispatch(60, 9)
    assert isinstance(record, Record)
    assert record.change.durable
    assert record.change.entries[0].body["constraints"] == [
        {"kind": "max_runtime_sec", "value": "60", "rule": "p#a"},
        {"kind": "max_response_bytes", "value": "9", "rule": "p#b"},
        {"kind": "network_allowlist", "value": "a.example", "rule": "p#a"},
    ]
    (row,) = record.change.rows
    assert [one["kind"] for one in row.call.decision["constraints"]] == [  # type: ignore[union-attr]
        "max_runtime_sec",
        "max_response_bytes",
        "network_allowlist",
    ]


@pytest.mark.parametrize(
    "decision", [constrained(), constrained(Constraint("sandbox", True)), allow(constraints=(Constraint("x", 1),))]
)
def test_p01_what_it_does_not_hold_a_call_to_is_refused(decision: Decision) -> None:
    commands = gate().handle(CallReceived(refund(50), decision, T0))
    assert kinds(commands) == ["Record", "Reply"]
    assert answer_of(commands).kind is AnswerKind.DENIED


def spent(shown: Decision, now: Decision) -> list[Any]:
    the_gate, _, record, review = held(decision=shown)
    return the_gate.handle(ReviewChanged(record, spendable(review), T0 + 60, refund(), now))


@pytest.mark.parametrize(
    "now",
    [
        replace(ask(), constraints=(RUNTIME,)),
        ask(),
        allow(),
        constrained(replace(RUNTIME, value=120)),
    ],
)
def test_an_approved_call_is_held_to_what_people_were_shown(now: Decision) -> None:
    commands = spent(replace(ask(), constraints=(RUNTIME,)), now)
    assert kinds(commands) == ["Record", "Forward"]
    assert commands[1].within == AtDispatch(60, None)


@pytest.mark.parametrize("now", [replace(ask(), constraints=(RUNTIME, RESPONSE)), constrained(HOSTS)])
def test_p06_tighter_constraints_void_an_approval_and_it_is_asked_anew(now: Decision) -> None:
    commands = spent(replace(ask(), constraints=(RUNTIME,)), now)
    assert kinds(commands) == ["Record", "Record", "Park"]
    assert commands[0].change.entries[0].body["why"] == "policy now holds it to tighter constraints"


def test_p01_an_approval_shown_with_what_nobody_enforces_is_asked_anew() -> None:
    commands = spent(replace(ask(), constraints=(Constraint("sandbox", True),)), ask())
    assert kinds(commands) == ["Record", "Record", "Park"]


def test_an_answer_that_is_too_large_is_held_with_a_reason_and_a_sentence_in_its_place() -> None:
    the_gate = gate(rows())
    the_gate.handle(CallReceived(refund(50), constrained(RESPONSE), T0))
    commands = the_gate.handle(ResponseReceived(response("withheld"), 200, T0 + 1, held="larger than it may be"))
    assert [type(command) for command in commands] == [Record, Reply]
    assert the_gate.stage is Stage.DONE
    entries = commands[0].change.entries  # type: ignore[union-attr]
    assert [entry.kind for entry in entries] == [EntryKind.CALL_ANSWERED, EntryKind.REVIEW_OPENED]
    assert entries[0].body["outcome"] == "quarantine"
    assert entries[0].body["why"] == "larger than it may be"
    review = commands[0].change.rows[1].review  # type: ignore[union-attr]
    assert (review.kind, review.comment) == (ReviewKind.RELEASE, "larger than it may be")
    assert answer_of(commands).kind is AnswerKind.HELD
