"""What comes at once, and what comes after something broke: SEMANTICS §2.2's rows when two ask in the same moment."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from policies.model import Agent, Approval, Decision, ToolCall
from proxy.exchange import Answer, AnswerKind
from proxy.upstreams.inventory import InventoryUnavailable
from redaction.model import Inspection, Outcome
from review.model import CallState, ReviewRecord, ReviewState
from review.ports import Change, MoveCall, StoreDown
from tests.proxy.builders import ask, refund
from tests.proxy.test_runner import parked
from tests.proxy.world import World


def slow_reads(world: World) -> None:
    """A store whose reads take time, as a real one's do: others run meanwhile."""
    for name in ("call", "review"):
        read = getattr(world.records, name)

        async def slow(row_id: str, read: Any = read) -> Any:
            await asyncio.sleep(0)
            return await read(row_id)

        setattr(world.records, name, slow)


async def given(world: World, call: ToolCall | None = None, *, ticket: str | None = None) -> Answer:
    """One agent's request whose answer arrives."""
    exchange = world.exchange(call)
    exchange.ticket = ticket
    answer = await world.runner.call(exchange)
    await asyncio.sleep(0)
    world.runner.delivered(answer)
    return answer


async def test_p04_of_two_identical_repeats_at_once_one_spends_and_the_other_is_a_call_of_its_own() -> None:
    world = World(hold_sec=0.05)
    exchange, task, call_id = await parked(world)
    exchange.left.set()
    await task
    await world.settle(call_id, ReviewState.SPENDABLE)
    slow_reads(world)
    answers = await asyncio.gather(given(world), given(world))
    assert {answer.kind for answer in answers} == {AnswerKind.RESULT, AnswerKind.TICKET}
    assert len({answer.call_id for answer in answers}) == 2
    assert len(world.tool.dispatched) == 1


async def test_p07_an_approval_of_an_edited_form_is_not_voided_by_a_reader_who_saw_the_form_before() -> None:
    """The two rows are read one after the other, and the edit comes in between."""
    world = World()
    _, task, call_id = await parked(world)
    read, is_edited = world.records.review, False

    async def edited_meanwhile(review_id: str) -> ReviewRecord | None:
        nonlocal is_edited
        if not is_edited:
            is_edited = True
            approved = replace(world.only_call(), approved={"arguments": {"amount": 200}})
            binding = world.runner.rows.binding(approved, world.review_of(approved))
            await world.settle(call_id, ReviewState.SPENDABLE, binding=binding)
            move = MoveCall(call_id, frozenset({CallState.WAITING}), CallState.WAITING, {"approved": approved.approved})
            await world.records.apply(Change(rows=(move,)))
        return await read(review_id)

    world.records.review = edited_meanwhile  # type: ignore[method-assign]
    world.parking.ring(call_id)
    answer = await asyncio.wait_for(task, 5)
    assert (answer.kind, answer.call_id) == (AnswerKind.RESULT, call_id)
    assert [sent.arguments for sent in world.tool.dispatched] == [{"amount": 200}]


async def test_of_two_repeats_at_once_only_one_is_given_the_outcome_that_was_not_delivered() -> None:
    world = World(hold_sec=0.05)
    _, task, call_id = await parked(world)
    await world.settle(call_id, ReviewState.SPENDABLE)
    world.runner.undelivered(await task)
    await world.quiet()
    slow_reads(world)
    answers = await asyncio.gather(given(world), given(world))
    assert sorted(answer.meta.get("replayed", False) for answer in answers) == [False, True]


async def test_of_many_who_present_one_ticket_at_once_only_one_is_given_the_outcome() -> None:
    world = World(hold_sec=0.05)
    ticket = (await world.runner.call(world.exchange())).meta["ticket"]
    await world.settle(world.only_call().id, ReviewState.SPENDABLE)
    slow_reads(world)
    answers = await asyncio.gather(*(given(world, ticket=ticket) for _ in range(10)))
    assert [answer.kind for answer in answers].count(AnswerKind.RESULT) == 1
    assert len(world.tool.dispatched) == 1


async def test_a_ticket_is_worthless_on_behalf_of_another_person() -> None:
    world = World(hold_sec=0.05)
    call = refund(agent=Agent("demo", on_behalf_of="ann"))
    ticket = (await world.runner.call(world.exchange(call))).meta["ticket"]
    await world.settle(world.only_call().id, ReviewState.SPENDABLE)
    for person in ("ben", None):
        other = await given(world, replace(call, agent=Agent("demo", on_behalf_of=person)), ticket=ticket)
        assert (other.kind, other.call_id) == (AnswerKind.REFUSED, "")
    assert (await given(world, call, ticket=ticket)).kind is AnswerKind.RESULT


async def test_a_ticket_of_a_resolved_call_is_told_what_a_person_found_out() -> None:
    world = World(hold_sec=0.05)
    ticket = (await world.runner.call(world.exchange())).meta["ticket"]
    call_id = world.only_call().id
    happened = {"resolution": "happened: seen at the bank"}
    moved = MoveCall(call_id, frozenset({CallState.WAITING}), CallState.RESOLVED, happened)
    await world.records.apply(Change(rows=(moved,)))
    told = await given(world, ticket=ticket)
    assert told.text.startswith("EXECUTED")
    assert told.meta["executed"] is True


async def test_a_ticket_collects_a_released_outcome_though_the_tool_server_is_away() -> None:
    world = World()
    world.inspector.inspect_with = lambda message: Inspection(Outcome.QUARANTINE, message, why="looks like a key")
    held = await given(world, refund(50))
    release = MoveCall(held.call_id, frozenset({CallState.QUARANTINED}), CallState.RELEASED)
    await world.records.apply(Change(rows=(release,)))

    async def away(record: object) -> ToolCall:
        raise InventoryUnavailable("no connection")

    world.judging.call_now = away  # type: ignore[method-assign,assignment]
    collected = await given(world, refund(50), ticket=held.meta["ticket"])
    assert collected.kind is AnswerKind.RESULT
    assert collected.meta["replayed"] is True


async def test_a_grant_is_kept_while_the_tools_of_its_server_are_unknown() -> None:
    world = World()
    _, task, call_id = await parked(world)

    async def away(record: object) -> ToolCall:
        raise InventoryUnavailable("no connection")

    call_now = world.judging.call_now
    world.judging.call_now = away  # type: ignore[method-assign,assignment]
    await world.settle(call_id, ReviewState.SPENDABLE)
    refused = await task
    assert refused.kind is AnswerKind.REFUSED
    assert "of the gate's own" not in refused.text
    assert refused.retry_after_sec is not None
    world.judging.call_now = call_now  # type: ignore[method-assign]
    assert (await given(world)).kind is AnswerKind.RESULT


async def test_p06_after_a_restart_a_grant_that_lapsed_meanwhile_is_not_spent() -> None:
    world = World(hold_sec=0.05)
    await world.runner.call(world.exchange())
    await world.settle(world.only_call().id, ReviewState.SPENDABLE, grant_expires_at=world.now + 3600)
    world.now += 3600
    world.start()
    await world.runner.recover()
    assert (await world.runner.call(world.exchange())).kind is AnswerKind.TICKET
    assert world.tool.dispatched == []


async def test_p05_calls_whose_end_could_not_be_recorded_are_in_doubt_once_the_store_is_back() -> None:
    world = World()
    answer = await world.runner.call(world.exchange(refund(50)))
    world.records.is_down = True
    world.runner.delivered(answer)  # the record of it is lost
    world.records.is_down = False
    held, task, parked_id = await parked(world)
    assert await world.runner.name_doubts(sent_before=world.now) == 0  # it was sent just now
    assert await world.runner.name_doubts(sent_before=world.now + 1) == 1
    assert world.records.calls[answer.call_id].state is CallState.IN_DOUBT
    assert world.records.calls[parked_id].state is CallState.WAITING
    held.left.set()
    await task


async def test_a_call_that_is_being_sent_is_not_taken_for_one_that_was_lost() -> None:
    world = World()
    doubtful: list[int] = []

    async def slow(call: ToolCall) -> dict[str, Any]:
        doubtful.append(await world.runner.name_doubts(sent_before=world.now + 1))
        return {"jsonrpc": "2.0", "id": 1, "result": {}}

    world.tool.answer = slow
    answer = await world.runner.call(world.exchange(refund(50)))
    doubtful.append(await world.runner.name_doubts(sent_before=world.now + 1))  # being given to its agent
    world.runner.delivered(answer)
    await world.quiet()
    assert doubtful == [0, 0]
    assert world.only_call().state is CallState.ANSWERED


def staying(call: ToolCall) -> Decision:
    return ask(approval=Approval(teams=("finance",), on_disconnect_execute=True))


@pytest.mark.parametrize("error", [StoreDown("away"), RuntimeError("a bug")])
async def test_p05_an_error_while_executing_without_the_agent_is_named_and_holds_no_place(error: Exception) -> None:
    world = World(staying)
    exchange, task, call_id = await parked(world)
    exchange.left.set()
    await task
    await world.quiet()
    assert world.parking.held == 1

    async def broken(call: ToolCall) -> dict[str, Any]:
        raise error

    world.tool.answer = broken
    await world.settle(call_id, ReviewState.SPENDABLE)
    await world.quiet()
    assert world.records.calls[call_id].state is CallState.IN_DOUBT
    assert world.parking.held == 0


async def test_an_agentless_wait_whose_review_cannot_be_read_ends_without_holding_a_place() -> None:
    world = World(staying)
    exchange, task, call_id = await parked(world)
    exchange.left.set()
    await task
    await world.quiet()

    async def unreadable(call_id: str) -> Any:
        raise StoreDown("away")

    world.records.call = unreadable  # type: ignore[method-assign]
    world.parking.ring(call_id)
    await world.quiet()
    assert world.parking.held == 0


async def test_a_call_that_will_never_speak_for_another_is_forgotten() -> None:
    world = World(hold_sec=0.01)
    first = await world.runner.call(world.exchange())
    await world.settle(first.call_id, ReviewState.REJECTED)
    world.now += 3600
    again = await world.runner.call(world.exchange())
    assert again.call_id != first.call_id
    assert first.call_id not in world.runner.recent
    assert again.call_id in world.runner.recent
