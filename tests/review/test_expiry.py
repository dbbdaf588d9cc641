from __future__ import annotations

from dataclasses import replace

import pytest

from audit.entry import EntryKind
from policies.model import Approval, OnTimeout, Risk
from review import decisions
from review.binding import binding
from review.model import CallState, ReviewRecord, ReviewState, Verdict
from review.refusals import NotAllowed
from tests.review.builders import NOW, World, held_output, person, refund, refund_decision


def _tier(risk: Risk | None) -> dict[str, object]:
    decision = refund_decision(250)
    return decisions.to_json(replace(decision, classification=replace(decision.classification, risk=risk)))


async def test_an_unanswered_question_expires_and_closes_the_call(world: World) -> None:
    world.park(approval=Approval(timeout_sec=60))
    assert await world.inbox.expire_due(NOW + 59) == 0
    assert await world.inbox.expire_due(NOW + 60) == 1
    assert (world.review.state, world.call.state) == (ReviewState.EXPIRED, CallState.CLOSED)
    (entry,) = world.records.entries
    assert (entry.kind, entry.actor, entry.body["to_state"]) == (EntryKind.REVIEW_SETTLED, "gate", "expired")
    assert world.bell.calls == ["c-1"]


async def test_a_quorum_half_reached_expires_too(world: World) -> None:
    world.park(approval=Approval(timeout_sec=60, quorum={"": 2}))
    await world.inbox.approve("r-1", person("anna"), world.seen())
    await world.inbox.expire_due(NOW + 60)
    assert world.review.state is ReviewState.EXPIRED


async def test_a_stage_that_passes_is_a_new_question_to_the_next_ones(world: World) -> None:
    approval = Approval(
        timeout_sec=60, on_timeout=OnTimeout.ESCALATE, escalate_to="leads", teams=("finance",), quorum={"finance": 2}
    )
    before = world.park(approval=approval)
    await world.inbox.approve("r-1", person("anna"), world.seen())
    await world.inbox.expire_due(NOW + 60)
    review = world.review
    assert (review.state, review.escalated_to, review.expires_at) == (ReviewState.PARKED, "leads", NOW + 120)
    assert review.binding != before.binding
    assert review.binding == binding(world.call, expires_at=NOW + 120, nonce=review.nonce, rules=review.answered_rules)
    assert [vote.verdict for vote in world.records.votes_of["r-1"]] == [Verdict.ESCALATE]
    await world.inbox.expire_due(NOW + 120)
    assert world.review.escalated_to == "admins"
    await world.inbox.expire_due(NOW + 180)
    assert (world.review.state, world.call.state) == (ReviewState.EXPIRED, CallState.CLOSED)


async def test_a_stage_that_passes_keeps_an_editor_barred(world: World) -> None:
    world.park()
    await world.inbox.edit("r-1", person("anna"), world.seen(), {"amount": 6_000})
    world.records.reviews["r-1"] = replace(
        world.review, approval=Approval(timeout_sec=60, on_timeout=OnTimeout.ESCALATE), expires_at=NOW + 60
    )
    await world.inbox.expire_due(NOW + 60)
    with pytest.raises(NotAllowed, match="another person"):
        await world.inbox.approve("r-1", person("anna"), world.seen())


async def test_on_a_low_tier_the_policy_itself_may_approve(world: World) -> None:
    approval = Approval(timeout_sec=60, on_timeout=OnTimeout.APPROVE, undo_sec=30, grant_expires_sec=600)
    world.park(refund(decision=_tier(Risk.LOW)), approval)
    await world.inbox.expire_due(NOW + 60)
    review = world.review
    assert (review.state, review.settled_by) == (ReviewState.SPENDABLE, "policy:refunds#ask-over-100@v1:aaaa")
    assert review.grant_expires_at == NOW + 660
    (entry,) = world.records.entries
    assert (entry.actor, entry.body["binding"]) == (review.settled_by, review.binding)
    assert (entry.body["snapshot"], entry.body["risk"]) == ("v1:aaaa", "low")


async def test_silence_does_not_approve_what_a_person_took_back(world: World) -> None:
    approval = Approval(timeout_sec=60, on_timeout=OnTimeout.APPROVE)
    world.park(refund(decision=_tier(Risk.LOW)), approval)
    await world.inbox.approve("r-1", person("anna"), world.seen())
    await world.inbox.undo("r-1", person("anna"), world.seen())
    await world.inbox.expire_due(NOW + 60)
    assert (world.review.state, world.call.state) == (ReviewState.EXPIRED, CallState.CLOSED)


@pytest.mark.parametrize("risk", [Risk.MEDIUM, Risk.HIGH, None])
async def test_on_any_other_tier_nothing_is_approved_by_waiting(world: World, risk: Risk | None) -> None:
    world.park(refund(decision=_tier(risk)), Approval(timeout_sec=60, on_timeout=OnTimeout.APPROVE))
    await world.inbox.expire_due(NOW + 60)
    assert (world.review.state, world.call.state) == (ReviewState.EXPIRED, CallState.CLOSED)


@pytest.mark.parametrize("on_timeout", [OnTimeout.APPROVE, OnTimeout.ESCALATE])
async def test_erased_arguments_are_not_asked_about_again(world: World, on_timeout: OnTimeout) -> None:
    world.park(refund(decision=_tier(Risk.LOW)), Approval(timeout_sec=60, on_timeout=on_timeout))
    world.records.calls["c-1"] = refund(decision=_tier(Risk.LOW), proposed=None)
    await world.inbox.expire_due(NOW + 60)
    assert world.review.state is ReviewState.EXPIRED


async def test_when_the_undo_window_has_passed_the_grant_is_spendable(world: World) -> None:
    world.park(approval=Approval(undo_sec=5))
    await world.inbox.approve("r-1", person("anna"), world.seen())
    assert await world.inbox.expire_due(NOW + 4) == 0
    assert await world.inbox.expire_due(NOW + 5) == 1
    assert world.review.state is ReviewState.SPENDABLE


async def test_the_ticker_rests_until_the_next_thing_is_due_and_no_longer(world: World) -> None:
    assert await world.inbox.rest_sec(NOW, at_most=1) == 1
    world.park(approval=Approval(undo_sec=5))
    await world.inbox.approve("r-1", person("anna"), world.seen())
    assert await world.inbox.rest_sec(NOW + 1, at_most=1) == 1
    assert await world.inbox.rest_sec(NOW + 4.75, at_most=1) == 0.25
    assert await world.inbox.rest_sec(NOW + 6, at_most=1) == 1  # what is overdue is due now, not later


async def test_an_undo_window_is_not_cut_short_by_the_questions_expiry(world: World) -> None:
    world.park(approval=Approval(undo_sec=50, timeout_sec=60))
    world.clock.now = NOW + 40
    await world.inbox.approve("r-1", person("anna"), world.seen())
    assert await world.inbox.expire_due(NOW + 70) == 0
    assert world.review.state is ReviewState.APPROVED


async def test_a_grant_nobody_spends_lapses(world: World) -> None:
    world.park(approval=Approval(grant_expires_sec=100))
    await world.inbox.approve("r-1", person("anna"), world.seen())
    await world.inbox.expire_due(NOW + 100)
    assert (world.review.state, world.call.state) == (ReviewState.LAPSED, CallState.CLOSED)
    assert world.review.settled_by == "anna"


async def test_a_held_output_nobody_looked_at_is_destroyed(world: World) -> None:
    world.park(held_output(), Approval(timeout_sec=60))
    await world.inbox.expire_due(NOW + 60)
    assert (world.review.state, world.call.state, world.call.outcome) == (
        ReviewState.DESTROYED,
        CallState.DESTROYED,
        None,
    )
    (entry,) = world.records.entries
    assert entry.kind is EntryKind.OUTPUT_DESTROYED
    assert entry.body["output"].startswith("hmac-sha256:")


async def test_p14_what_is_not_due_stays(world: World) -> None:
    for state in ReviewState:
        world.park(state=state, expires_at=NOW + 1000, grant_expires_at=NOW + 1000, undo_until=NOW + 1000)
        assert await world.inbox.expire_due(NOW + 999) == 0


async def test_a_store_that_names_too_many_moves_nothing_that_is_not_due(world: World) -> None:
    review = world.park()

    async def everything(now: float, *, limit: int = 500) -> list[ReviewRecord]:
        return [replace(review, state=state) for state in ReviewState] + [replace(review, call_id="c-9")]

    world.records.due_reviews = everything  # type: ignore[method-assign]
    assert await world.inbox.expire_due(NOW - 1) == 0
    assert world.records.entries == []
