"""Judging calls that are over: by whom, with what, and what is kept of it (SEMANTICS §1.10, §1.13, P11)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit.entry import EntryKind
from review.binding import afterwards_binding
from review.desk import Seen
from review.model import CallState, ReviewKind, ReviewState, Verdict
from review.refusals import Conflict, NotAllowed, Unacceptable
from tests.review.builders import NOW, World, person, question, refund


def over(world: World) -> None:
    """A call that has been answered, for people to judge."""
    call = refund(state=CallState.ANSWERED, outcome={"result": "done"}, review_id=None)
    review = question(refund(), id="s-1", kind=ReviewKind.AFTERWARDS, state=ReviewState.UNJUDGED)
    review = replace(review, binding=afterwards_binding(call, nonce=review.nonce))
    world.records.calls[call.id], world.records.reviews["s-1"] = call, review


@pytest.mark.parametrize(
    ("verdict", "note", "state"),
    [
        ("ok", "", ReviewState.JUDGED_OK),
        ("wrong", "the wrong customer", ReviewState.JUDGED_WRONG),
        ("harmful", "it went out", ReviewState.JUDGED_HARMFUL),
    ],
)
async def test_p11_a_verdict_is_kept_with_who_saw_what(
    world: World, verdict: str, note: str, state: ReviewState
) -> None:
    over(world)
    seen = world.seen("s-1")
    acted = await world.inbox.judge("s-1", person("anna"), seen, verdict, note)
    review = world.records.reviews["s-1"]
    assert (acted.state, review.state, review.settled_by, review.comment) == (state, state, "anna", note)
    (vote,) = await world.records.votes("s-1")
    assert (vote.verdict, vote.shown_digest) == (Verdict(verdict), seen.shown)
    (entry,) = world.records.entries
    assert (entry.kind, entry.body["to_state"], entry.body["snapshot"]) == (
        EntryKind.REVIEW_SETTLED,
        state.value,
        world.call.snapshot,
    )
    assert world.call.state is CallState.ANSWERED
    with pytest.raises(Conflict, match="already"):
        await world.inbox.judge("s-1", person("anna"), world.seen("s-1"), "ok", "")


async def test_wrong_and_harmful_need_a_note_and_other_words_are_none(world: World) -> None:
    over(world)
    for verdict, note in (("wrong", ""), ("harmful", " "), ("fine", "x"), ("approve", "x")):
        with pytest.raises(Unacceptable):
            await world.inbox.judge("s-1", person("anna"), world.seen("s-1"), verdict, note)
    assert world.records.reviews["s-1"].state is ReviewState.UNJUDGED


async def test_only_what_was_shown_is_judged_and_only_by_those_who_decide(world: World) -> None:
    over(world)
    with pytest.raises(Conflict):
        await world.inbox.judge("s-1", person("anna"), Seen(1, "another"), "ok", "")
    world.records.calls["c-1"] = replace(world.call, proposed={"arguments": {"amount": 1}})
    with pytest.raises(Conflict, match="not the call that was to be judged"):
        await world.inbox.judge("s-1", person("anna"), world.seen("s-1"), "ok", "")
    world.records.reviews["s-1"] = replace(
        world.records.reviews["s-1"], approval=replace(world.records.reviews["s-1"].approval, teams=("nobody",))
    )
    with pytest.raises(NotAllowed):
        await world.inbox.judge("s-1", person("anna"), world.seen("s-1"), "ok", "")


async def test_what_retention_has_erased_can_still_be_judged(world: World) -> None:
    over(world)
    world.records.calls["c-1"] = replace(world.call, proposed=None, outcome=None)
    shown = await world.inbox.show("s-1", person("anna"))
    assert shown.digest == world.records.reviews["s-1"].binding
    await world.inbox.judge("s-1", person("anna"), world.seen("s-1"), "ok", "")


async def test_a_question_is_not_judged_and_no_time_ends_a_judgement(world: World) -> None:
    world.park()
    with pytest.raises(Unacceptable, match="not a call to be judged"):
        await world.inbox.judge("r-1", person("anna"), world.seen(), "ok", "")
    over(world)
    await world.inbox.expire_due(NOW + 10**9)
    assert world.records.reviews["s-1"].state is ReviewState.UNJUDGED
    assert [one.review.id for one in await world.inbox.unjudged(limit=9)] == ["s-1"]
    assert (await world.inbox.count_unjudged()).count == 1
    assert (await world.inbox.show("c-1", person("anna"))).review is not None
