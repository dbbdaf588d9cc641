"""What a life does between gate and exchange that no whole story shows."""

from __future__ import annotations

import asyncio

import pytest

from audit.entry import EntryKind
from proxy.exchange import AnswerKind
from proxy.tasks import spawn
from redaction.model import Inspection, Outcome
from review.model import CallState, ReviewState
from review.ports import Change
from tests.proxy.builders import refund, response
from tests.proxy.world import World


async def test_an_outcome_is_settled_once_whatever_the_door_says_twice() -> None:
    world = World()
    answer = await world.runner.call(world.exchange(refund(50)))
    world.runner.delivered(answer)
    world.runner.undelivered(answer)
    world.runner.delivered(answer)
    await world.quiet()
    assert [entry.kind for entry in world.records.entries] == [EntryKind.CALL_DECIDED, EntryKind.CALL_ANSWERED]


async def test_t05_the_agents_presence_is_looked_at_again_just_before_a_grant_is_spent() -> None:
    world = World()
    exchange = world.exchange()
    task = spawn(world.runner.call(exchange), name="call")
    async with asyncio.timeout(5):
        await exchange.was_parked.wait()
    call_id = exchange.parked_as[0]
    judge = world.judging.judge

    def leaving(call: object) -> object:
        exchange.left.set()  # it goes while we judge
        return judge(call)  # type: ignore[arg-type]

    world.judging.judge = leaving  # type: ignore[method-assign,assignment]
    await world.settle(call_id, ReviewState.SPENDABLE)
    await task
    assert world.tool.dispatched == []
    assert world.review_of(world.records.calls[call_id]).state is ReviewState.SPENDABLE


async def test_an_answer_to_an_agent_that_has_gone_is_kept_for_its_repeat() -> None:
    world = World()
    exchange = world.exchange(refund(50))

    async def leaving(call: object) -> dict[str, object]:
        exchange.left.set()
        return response("late")

    world.tool.answer = leaving
    await world.runner.call(exchange)
    await world.quiet()
    call = world.only_call()
    assert (call.state, call.delivered_at, call.outcome) == (CallState.ANSWERED, None, response("late"))


async def test_a_store_that_fails_after_the_tool_answered_leaves_doubt_not_silence() -> None:
    world = World()

    def failing(message: object) -> Inspection:
        world.records.is_down = True
        return Inspection(Outcome.REDACT, message)

    world.inspector.inspect_with = failing
    answer = await world.runner.call(world.exchange(refund(50)))
    assert answer.kind is AnswerKind.IN_DOUBT
    assert world.only_call().state is CallState.DISPATCHING  # recovery at the next start says `in_doubt`
    world.records.is_down = False
    world.start()
    assert await world.runner.recover() == 1


@pytest.mark.parametrize("is_written", [True, False])
async def test_p05_a_call_that_broke_before_its_first_byte_failed_before_it_was_sent(is_written: bool) -> None:
    world = World()
    apply, was_broken = world.records.apply, False

    async def breaking(change: Change) -> None:
        nonlocal was_broken
        if was_broken:
            await apply(change)
            return
        was_broken = True
        if is_written:
            await apply(change)
        raise RuntimeError("a fault of ours")

    world.records.apply = breaking  # type: ignore[method-assign]
    answer = await world.runner.call(world.exchange(refund(50)))
    assert (answer.kind, world.tool.dispatched) == (AnswerKind.REFUSED, [])
    states = [call.state for call in world.records.calls.values()]
    assert states == ([CallState.FAILED_BEFORE_SEND] if is_written else [])
    assert (await world.runner.call(world.exchange(refund(50)))).kind is AnswerKind.RESULT
