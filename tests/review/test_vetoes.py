"""Vetoes, and the end of the window in which one can be made (SEMANTICS §1.10, P4, P11)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from audit.entry import EntryKind
from policies.model import Approval, OnTimeout
from review.desk import Seen
from review.feed import Feed
from review.inbox import Inbox
from review.model import CallState, Reviewer, ReviewState, Verdict
from review.refusals import Conflict, NotAllowed, Unacceptable
from tests.review.builders import NOW, World, person, refund

STREAMS: list[AbstractContextManager[None]] = []  # a stream lasts as long as somebody holds it
ON_THE_LOOP = {"effect": "allow_unless_vetoed", "rules": ["reports#on-the-loop"], "risk": "medium"}
TERMS = Approval(timeout_sec=600, grant_expires_sec=300, on_timeout=OnTimeout.ESCALATE)


def vetoable(world: World, *, watched: bool = True) -> None:
    world.park(refund(decision=ON_THE_LOOP), TERMS, state=ReviewState.VETOABLE, expires_at=NOW + 60)
    feed = Feed(clock=lambda: world.clock.now)
    if watched:
        stream = feed.watched_by(Reviewer("anna"))
        stream.__enter__()
        STREAMS.append(stream)
    world.desk = replace(world.desk, feed=feed)
    world.inbox = Inbox(world.desk)


async def test_p11_a_veto_ends_the_call_and_says_who_why_and_what_they_saw(world: World) -> None:
    vetoable(world)
    seen = world.seen()
    acted = await world.inbox.veto("r-1", person("anna"), seen, " not this month ")
    assert (acted.state, world.call.state) == (ReviewState.VETOED, CallState.CLOSED)
    assert (world.review.settled_by, world.review.comment) == ("anna", "not this month")
    (vote,) = await world.records.votes("r-1")
    assert (vote.verdict, vote.shown_digest, vote.comment) == (Verdict.VETO, seen.shown, "not this month")
    kinds = [entry.kind for entry in world.records.entries]
    assert kinds == [EntryKind.REVIEW_VOTED, EntryKind.REVIEW_SETTLED]
    body = world.records.entries[-1].body
    assert (body["shown"], body["comment"], body["to_state"]) == (seen.shown, "not this month", "vetoed")


async def test_p11_a_veto_needs_a_reason_and_what_is_there_now(world: World) -> None:
    vetoable(world)
    with pytest.raises(Unacceptable, match="reason"):
        await world.inbox.veto("r-1", person("anna"), world.seen(), "  ")
    with pytest.raises(Conflict, match="changed since you looked"):
        await world.inbox.veto("r-1", person("anna"), Seen(1, "another"), "no")
    assert world.review.state is ReviewState.VETOABLE


async def test_who_may_not_reject_may_not_veto(world: World) -> None:
    vetoable(world)
    world.records.reviews["r-1"] = replace(world.review, approval=replace(TERMS, teams=("nobody",)))
    with pytest.raises(NotAllowed):
        await world.inbox.veto("r-1", person("anna"), world.seen(), "no")


async def test_a_question_is_rejected_and_not_vetoed_and_what_goes_by_itself_is_not_approved(world: World) -> None:
    world.park()
    with pytest.raises(Conflict, match="cannot be vetoed: it is parked"):
        await world.inbox.veto("r-1", person("anna"), world.seen(), "no")
    vetoable(world)
    with pytest.raises(Conflict, match="already vetoable"):
        await world.inbox.approve("r-1", person("anna"), world.seen())


async def test_when_the_window_has_passed_in_sight_the_policy_lets_it_go_under_its_own_name(world: World) -> None:
    vetoable(world)
    world.clock.now = NOW + 59
    assert await world.inbox.expire_due(NOW + 59) == 0
    world.clock.now = NOW + 60
    assert await world.inbox.expire_due(NOW + 60) == 1
    approver = f"policy:{','.join(world.review.answered_rules)}@v1:aaaa"
    assert (world.review.state, world.review.settled_by) == (ReviewState.SPENDABLE, approver)
    assert world.review.grant_expires_at == NOW + 360
    (entry,) = world.records.entries
    assert (entry.kind, entry.actor, entry.body["window_sec"]) == (EntryKind.REVIEW_SETTLED, approver, 60)


async def test_until_it_is_sent_it_can_still_be_vetoed_and_only_that(world: World) -> None:
    vetoable(world)
    world.clock.now = NOW + 60
    await world.inbox.expire_due(NOW + 60)
    with pytest.raises(Unacceptable, match="veto it"):
        await world.inbox.undo("r-1", person("anna"), world.seen())
    await world.inbox.veto("r-1", person("anna"), world.seen(), "late, but in time")
    assert world.review.state is ReviewState.VETOED


async def test_a_window_that_nobody_could_see_to_its_end_becomes_a_question_with_a_deadline_of_its_own(
    world: World,
) -> None:
    vetoable(world, watched=False)
    before = world.review
    world.clock.now = NOW + 60
    await world.inbox.expire_due(NOW + 60)
    after = world.review
    assert (after.state, after.expires_at, world.call.state) == (ReviewState.PARKED, NOW + 660, CallState.WAITING)
    assert after.nonce != before.nonce
    assert after.binding != before.binding
    (entry,) = world.records.entries
    assert entry.kind is EntryKind.REVIEW_OPENED
    assert "nobody who may veto it was watching" in entry.body["why"]
    await world.inbox.approve("r-1", person("anna"), world.seen())
    assert world.review.settled_by == "anna"


async def test_without_a_feed_at_all_nothing_goes_by_itself(world: World) -> None:
    vetoable(world)
    world.desk = replace(world.desk, feed=None)
    world.inbox = Inbox(world.desk)
    await world.inbox.expire_due(NOW + 60)
    assert world.review.state is ReviewState.PARKED
