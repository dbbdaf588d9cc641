"""Combining voices: the strictest wins, asking voices become one review with the strictest of everything."""

from __future__ import annotations

import itertools

import pytest

from policies.combine import Voice, merge_approvals, public_message, reasons, strictest, veto_window
from policies.model import Approval, Classification, Effect, OnTimeout, Risk

LOW, UNKNOWN = Classification(True, risk=Risk.LOW), Classification()


def asks(**options: object) -> Voice:
    return Voice("p#r", Effect.REQUIRE_APPROVAL, approval=Approval(**options))  # type: ignore[arg-type]


def test_the_strictest_voices_are_kept_in_order() -> None:
    voices = [
        Voice("a#1", Effect.ALLOW),
        Voice("b#1", Effect.DENY),
        Voice("c#1", Effect.REQUIRE_APPROVAL),
        Voice("d#1", Effect.DENY),
    ]
    assert [voice.ref for voice in strictest(voices)] == ["b#1", "d#1"]


def test_for_every_pair_of_effects_the_stricter_wins_in_any_order() -> None:
    order = [
        Effect.ALLOW,
        Effect.ALLOW_WITH_CONSTRAINTS,
        Effect.ALLOW_UNLESS_VETOED,
        Effect.REQUIRE_APPROVAL,
        Effect.DENY,
    ]
    for mild, strict in itertools.combinations(order, 2):
        for pair in ((mild, strict), (strict, mild)):
            assert {voice.effect for voice in strictest([Voice("x", effect) for effect in pair])} == {strict}


def test_every_named_team_must_be_satisfied_with_the_highest_quorum() -> None:
    merged = merge_approvals(
        [
            asks(teams=("finance",), quorum={"finance": 1}),
            asks(teams=("security", "finance"), quorum={"security": 2, "finance": 3}),
            asks(),
        ],
        LOW,
    )
    assert merged.teams == ("finance", "security")
    assert merged.quorum == {"finance": 3, "security": 2}


def test_times_are_the_shortest_but_the_undo_the_longest() -> None:
    merged = merge_approvals(
        [
            asks(timeout_sec=100, grant_expires_sec=50, undo_sec=5),
            asks(timeout_sec=90, grant_expires_sec=60, undo_sec=0),
        ],
        LOW,
    )
    assert (merged.timeout_sec, merged.grant_expires_sec, merged.undo_sec) == (90, 50, 5)
    assert merge_approvals([asks(), asks(undo_sec=0)], LOW).undo_sec == 0
    assert merge_approvals([asks(), asks()], LOW).undo_sec is None


def test_what_any_rule_wants_is_wanted_and_leave_needs_all() -> None:
    merged = merge_approvals([asks(require_comment=True, on_disconnect_execute=True), asks(four_eyes=True)], LOW)
    assert (merged.require_comment, merged.four_eyes, merged.on_disconnect_execute) == (True, True, False)
    assert merge_approvals([asks(on_disconnect_execute=True)] * 2, LOW).on_disconnect_execute
    assert merge_approvals([asks()], LOW).require_comment is False


@pytest.mark.parametrize(
    ("wanted", "merged"),
    [
        ([OnTimeout.APPROVE, OnTimeout.ESCALATE], OnTimeout.ESCALATE),
        ([OnTimeout.ESCALATE, OnTimeout.DENY], OnTimeout.DENY),
        ([OnTimeout.APPROVE, OnTimeout.APPROVE], OnTimeout.APPROVE),
    ],
)
def test_an_unanswered_question_means_the_strictest(wanted: list[OnTimeout], merged: OnTimeout) -> None:
    assert merge_approvals([asks(on_timeout=one) for one in wanted], LOW).on_timeout is merged


@pytest.mark.parametrize("labels", [UNKNOWN, Classification(True), Classification(True, risk=Risk.MEDIUM)])
def test_an_unanswered_question_approves_only_what_is_low_risk(labels: Classification) -> None:
    assert merge_approvals([asks(on_timeout=OnTimeout.APPROVE)], labels).on_timeout is OnTimeout.DENY
    assert merge_approvals([asks(on_timeout=OnTimeout.ESCALATE)], labels).on_timeout is OnTimeout.ESCALATE


@pytest.mark.parametrize(
    ("tier", "said", "merged"),
    [
        (Risk.LOW, None, OnTimeout.APPROVE),
        (Risk.MEDIUM, None, OnTimeout.ESCALATE),
        (Risk.HIGH, None, OnTimeout.DENY),
        (None, None, OnTimeout.DENY),
        (Risk.LOW, OnTimeout.ESCALATE, OnTimeout.ESCALATE),
        (Risk.MEDIUM, OnTimeout.APPROVE, OnTimeout.DENY),
        (Risk.HIGH, OnTimeout.ESCALATE, OnTimeout.ESCALATE),
    ],
)
def test_where_a_rule_does_not_say_the_call_s_own_tier_does(
    tier: Risk | None, said: OnTimeout | None, merged: OnTimeout
) -> None:
    labels = Classification(True, risk=tier)
    assert merge_approvals([asks(on_timeout=said)], labels).on_timeout is merged
    beside = merge_approvals([asks(on_timeout=OnTimeout.DENY), asks(on_timeout=said)], labels).on_timeout
    assert beside is OnTimeout.DENY


def test_of_several_windows_the_longest_counts_and_only_where_people_may_veto() -> None:
    vetoable = [Voice("a", Effect.ALLOW_UNLESS_VETOED, veto_window_sec=sec) for sec in (0, 60, 5)]
    assert veto_window(vetoable) == 60
    assert veto_window(vetoable[:1]) == 0
    assert veto_window([Voice("a", Effect.ALLOW)]) is None


def test_nobody_deciding_and_nobody_waiting_denies() -> None:
    one = asks(on_timeout=OnTimeout.APPROVE, on_disconnect_execute=True)
    assert merge_approvals([one], LOW).on_timeout is OnTimeout.DENY


def test_the_first_escalation_named_is_taken() -> None:
    assert merge_approvals([asks(), asks(escalate_to="leads"), asks(escalate_to="chiefs")], LOW).escalate_to == "leads"
    assert merge_approvals([asks()], LOW).escalate_to is None


def test_a_voice_without_an_approval_asks_with_the_defaults() -> None:
    assert merge_approvals([Voice("p#r", Effect.REQUIRE_APPROVAL)], UNKNOWN) == Approval(on_timeout=OnTimeout.DENY)


def test_reasons_are_joined_each_once_and_the_first_public_message_is_told() -> None:
    voices = [
        Voice("a", Effect.DENY, "one"),
        Voice("b", Effect.DENY, "two", "hello"),
        Voice("c", Effect.DENY, "one", "bye"),
    ]
    assert reasons(voices) == "one; two"
    assert public_message(voices) == "hello"
    assert public_message(voices[:1]) is None
