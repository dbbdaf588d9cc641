from __future__ import annotations

import pytest

from audit.entry import EntryKind
from policies.model import Approval
from review.model import CallState, ReviewState
from review.refusals import Conflict, NotAllowed, RefusalCode, Unacceptable
from tests.review.builders import World, held_output, person, refund


async def test_releasing_lets_the_output_go(world: World) -> None:
    world.park(held_output())
    acted = await world.inbox.release("r-1", person("sam"), world.seen(), "a test key")
    assert acted.state is ReviewState.RELEASED
    assert (world.call.state, world.call.outcome) == (CallState.RELEASED, held_output().outcome)
    assert [entry.kind for entry in world.records.entries] == [EntryKind.REVIEW_VOTED, EntryKind.OUTPUT_RELEASED]
    assert "AKIA" not in repr(world.records.entries)
    assert world.bell.calls == ["c-1"]


async def test_destroying_erases_the_output_and_keeps_a_commitment(world: World) -> None:
    world.park(held_output())
    acted = await world.inbox.destroy("r-1", person("sam"), world.seen(), "a real key")
    assert acted.state is ReviewState.DESTROYED
    assert (world.call.state, world.call.outcome) == (CallState.DESTROYED, None)
    assert world.records.entries[-1].body["output"].startswith("hmac-sha256:")


@pytest.mark.parametrize("act", ["release", "destroy", "reveal"])
async def test_every_act_on_a_held_output_needs_a_reason_and_the_role(world: World, act: str) -> None:
    world.park(held_output())
    with pytest.raises(Unacceptable) as refused:
        await getattr(world.inbox, act)("r-1", person("sam"), world.seen(), " ")
    assert refused.value.code is RefusalCode.COMMENT_NEEDED
    with pytest.raises(NotAllowed):
        await getattr(world.inbox, act)("r-1", person("anna"), world.seen(), "please")
    assert (world.review.state, world.records.entries) == (ReviewState.QUARANTINED, [])


async def test_a_release_may_need_several_people(world: World) -> None:
    world.park(held_output(), Approval(quorum={"": 2}))
    first = await world.inbox.release("r-1", person("sam"), world.seen(), "ok")
    again = await world.inbox.release("r-1", person("sam"), world.seen(), "ok")
    assert (first.state, first.given, again.given) == (ReviewState.QUARANTINED, 1, 1)
    assert world.call.state is CallState.QUARANTINED
    assert (await world.inbox.release("r-1", person("root"), world.seen(), "ok")).state is ReviewState.RELEASED


async def test_p11_looking_in_clear_is_recorded_before_it_is_shown(world: World) -> None:
    world.park(held_output())
    outcome = await world.inbox.reveal("r-1", person("sam"), world.seen(), "to judge the key")
    assert outcome == held_output().outcome
    (entry,) = world.records.entries
    assert (entry.kind, entry.actor, entry.body["comment"]) == (
        EntryKind.OUTPUT_REVEALED,
        "reviewer:sam",
        "to judge the key",
    )
    assert world.review.state is ReviewState.QUARANTINED


async def test_p06_an_output_altered_behind_the_question_can_not_be_released(world: World) -> None:
    world.park(held_output())
    world.records.calls["c-1"] = held_output(outcome={"result": {"content": []}})
    with pytest.raises(Conflict, match="not what this question was asked about"):
        await world.inbox.release("r-1", person("sam"), world.seen(), "ok")


async def test_an_erased_output_can_not_be_released(world: World) -> None:
    world.park(held_output())
    world.records.calls["c-1"] = held_output(outcome=None)
    with pytest.raises(Conflict, match="has been erased"):
        await world.inbox.release("r-1", person("sam"), world.seen(), "ok")


async def test_a_waiting_call_is_not_released(world: World) -> None:
    world.park(refund())
    with pytest.raises(Unacceptable, match="approve or reject"):
        await world.inbox.release("r-1", person("sam"), world.seen(), "ok")
