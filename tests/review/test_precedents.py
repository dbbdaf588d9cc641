"""Like cases: the same agent, tool and shape of arguments, and what people decided then."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policies.model import Approval
from review.model import CallRecord, CallState
from review.precedents import LATEST, Precedents, shape_of, was_approved
from tests.review.builders import World, person, question, refund


async def settle(world: World, call: CallRecord, act: str, comment: str, approval: Approval | None = None) -> None:
    review = question(call, approval, id=f"r of {call.id}")
    world.records.calls[call.id], world.records.reviews[review.id] = replace(call, review_id=review.id), review
    world.clock.pass_sec(1)
    does = world.inbox.approve if act == "approve" else world.inbox.reject
    await does(review.id, person("anna"), world.seen(review.id), comment)


async def like(world: World, call: CallRecord | None = None) -> Precedents:
    world.park(call or refund(id="c-now"))
    shown = await world.inbox.show((call or refund(id="c-now")).id, person("anna"))
    return (await world.inbox.background(shown)).precedents


async def test_what_people_decided_in_the_like_case_is_shown_with_who_and_why(world: World) -> None:
    await settle(world, refund(100, id="c-1"), "approve", "has the receipt")
    await settle(world, refund(9_000, id="c-2"), "reject", "far too much")
    found = await like(world)
    assert (found.approved, found.rejected) == (1, 1)
    told = [(was_approved(review), review.settled_by, review.comment) for review in found.latest]
    assert told == [(False, "anna", "far too much"), (True, "anna", "has the receipt")]


@pytest.mark.parametrize(
    "changes",
    [
        {"agent": "another-bot"},
        {"tool": "refund.cancel"},
        {"server": "bank"},
        {"proposed": {"arguments": {"amount": 250, "customer": "c_81", "note": "x"}}},
        {"proposed": {"arguments": {"amount": "250", "customer": "c_81"}}},
        {"proposed": None},
    ],
)
async def test_another_agent_tool_or_shape_is_another_case(world: World, changes: dict[str, Any]) -> None:
    await settle(world, refund(id="c-1"), "approve", "fine")
    review = question(refund(id="c-2"))
    world.records.reviews[review.id], world.records.calls["c-2"] = review, replace(refund(id="c-2"), **changes)
    shown = await world.inbox.show("c-2", person("anna"))
    assert (await world.inbox.background(shown)).precedents == Precedents()


async def test_how_many_there_are_of_a_list_is_no_matter(world: World) -> None:
    calls = [refund(proposed={"arguments": {"ids": ids}}) for ids in ([{"id": 1}], [{"id": 2}, {"id": 3}])]
    first, second = (shape_of(world.desk, call) for call in calls)
    assert first == second
    assert first is not None
    assert first.startswith("hmac-sha256:")


async def test_an_approval_taken_back_is_no_precedent(world: World) -> None:
    await settle(world, refund(id="c-1"), "approve", "oh", Approval(undo_sec=5))
    await world.inbox.undo("r of c-1", person("anna"), world.seen("r of c-1"))
    assert await like(world) == Precedents()
    await world.inbox.reject("r of c-1", person("anna"), world.seen("r of c-1"), "on second thoughts")
    assert (await like(world)).rejected == 1


async def test_an_edit_that_settles_is_one_under_the_shape_that_the_agent_proposed(world: World) -> None:
    world.park(refund(id="c-1", review_id="r-9"))
    await world.inbox.edit("r-9", person("anna"), world.seen("r-9"), {"amount": 200, "customer": "c", "note": "less"})
    assert (await like(world)).approved == 1


async def test_a_question_that_ran_out_is_nobodys_decision(world: World) -> None:
    world.park(refund(id="c-1", review_id="r-9"), Approval(timeout_sec=60))
    await world.inbox.expire_due(world.clock.now + 60)
    assert await like(world) == Precedents()


async def test_p14_the_last_few_are_listed_and_all_that_were_looked_at_counted(world: World) -> None:
    for number in range(LATEST + 3):
        await settle(world, refund(id=f"c-{number}"), "approve", f"{number}")
    found = await like(world)
    assert found.approved == LATEST + 3
    assert [review.comment for review in found.latest] == ["7", "6", "5", "4", "3"]


async def test_the_sessions_last_calls_come_newest_first_and_of_no_other_session(world: World) -> None:
    for number in range(12):
        world.records.calls[f"c-{number}"] = refund(id=f"c-{number}", session="s-1")
    world.records.calls["other"] = refund(id="other", session="s-2")
    world.records.calls["stranger"] = refund(id="stranger", session="s-1", agent="another-bot")
    world.park(refund(id="c-now", session="s-1"))
    shown = await world.inbox.show("c-now", person("anna"))
    found = (await world.inbox.background(shown)).session
    assert [call.id for call in found] == ["c-now", *(f"c-{number}" for number in range(11, 2, -1))]


async def test_an_answer_is_shown_with_the_one_open_question_it_can_be_for(world: World) -> None:
    asked: dict[str, Any] = {"session": "s-1", "method": "elicitation/create", "review_id": None}
    sent = {**asked, "direction": "tool_to_agent", "state": CallState.DISPATCHING}
    world.records.calls["q-0"] = refund(id="q-0", **{**sent, "state": CallState.ANSWERED})
    world.records.calls["q-1"] = refund(id="q-1", **sent)
    world.park(refund(id="c-now", **{**asked, "review_id": "r-1"}, direction="agent_answer"))
    shown = await world.inbox.show("c-now", person("anna"))
    found = (await world.inbox.background(shown)).question
    assert found is not None
    assert found.id == "q-1"
    world.records.calls["q-2"] = refund(id="q-2", **sent)
    assert (await world.inbox.background(shown)).question is None  # it may be either


async def test_without_a_session_there_is_no_timeline(world: World) -> None:
    world.park(refund(id="c-now", session=None))
    world.records.calls["c-1"] = refund(id="c-1", session=None)
    shown = await world.inbox.show("c-now", person("anna"))
    assert (await world.inbox.background(shown)).session == ()
