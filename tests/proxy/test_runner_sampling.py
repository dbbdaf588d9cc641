"""Whole lives of calls that are drawn as samples, and of those that are not (SEMANTICS §1.13)."""

from __future__ import annotations

import pytest

from audit.entry import EntryKind
from proxy.sampling import Lot
from redaction.model import Inspection, Outcome
from review.model import CallState, ReviewKind, ReviewState
from tests.proxy.builders import refund, response
from tests.proxy.world import World

TOLD = {"by": ["audit.yaml#audit"], "period": "2026-11-18", "chance_ppm": 300_000}


def world_with(is_drawn: bool) -> World:
    world = World()
    world.judging.lot_of = lambda _: Lot(dict(TOLD), lambda _hash: is_drawn, ("ops",))
    return world


async def test_a_drawn_call_keeps_its_output_and_is_put_to_people_though_its_agent_has_had_it_all_along() -> None:
    world = world_with(True)
    answer = await world.runner.call(world.exchange(refund(50)))
    assert answer.response == response()
    world.runner.delivered(answer)
    await world.quiet()
    call = world.only_call()
    (review,) = world.records.reviews.values()
    assert (call.state, call.outcome, call.review_id) == (CallState.ANSWERED, response(), None)
    assert (review.kind, review.state, review.approval.teams) == (ReviewKind.AFTERWARDS, ReviewState.UNJUDGED, ("ops",))
    assert review.answered_rules == ("audit.yaml#audit",)
    kinds = [entry.kind for entry in world.records.entries]
    assert kinds[-2:] == [EntryKind.CALL_ANSWERED, EntryKind.REVIEW_OPENED]
    assert world.records.entries[-2].body["sample"] == TOLD


async def test_a_call_that_is_not_drawn_leaves_only_its_lot_in_the_record() -> None:
    world = world_with(False)
    answer = await world.runner.call(world.exchange(refund(50)))
    world.runner.delivered(answer)
    await world.quiet()
    assert world.only_call().outcome is None
    assert world.records.reviews == {}
    assert world.records.entries[-1].body["sample"] == TOLD


async def test_an_answer_that_could_not_be_delivered_is_drawn_once_and_replayed_all_the_same() -> None:
    world = world_with(True)
    answer = await world.runner.call(world.exchange(refund(50)))
    world.runner.undelivered(answer)
    await world.quiet()
    again = await world.runner.call(world.exchange(refund(50)))
    assert again.response is not None
    world.runner.delivered(again)
    await world.quiet()
    assert len(world.tool.dispatched) == len(world.records.reviews) == 1


@pytest.mark.parametrize("outcome", [Outcome.REDACT, Outcome.ALLOW])
async def test_a_redacted_output_is_judged_in_the_form_the_agent_was_given(outcome: Outcome) -> None:
    world = world_with(True)
    given = {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "[REDACTED]"}]}}
    world.inspector.inspect_with = lambda _: Inspection(outcome, given)
    answer = await world.runner.call(world.exchange(refund(50)))
    world.runner.delivered(answer)
    await world.quiet()
    assert world.only_call().outcome == given


async def test_a_held_output_is_reviewed_anyway_and_takes_no_part_in_the_draw() -> None:
    world = world_with(True)
    world.judging.lot_of = lambda _: pytest.fail("a held output was given a lot")
    world.inspector.inspect_with = lambda _: Inspection(Outcome.QUARANTINE, None, why="a key")
    await world.runner.call(world.exchange(refund(50)))
    (review,) = world.records.reviews.values()
    assert review.kind is ReviewKind.RELEASE


async def test_a_call_whose_tool_broke_is_no_sample() -> None:
    world = world_with(True)
    answer = await world.runner.call(world.exchange(refund(50_000)))
    world.runner.delivered(answer)
    await world.quiet()
    assert world.records.reviews == {}
