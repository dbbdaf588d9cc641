"""The runner with a store in memory and a tool that counts: whole lives of calls, in the words of SEMANTICS §2."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from audit.entry import EntryKind
from policies.model import Agent, Direction, ToolCall
from proxy.exchange import Answer, AnswerKind, Client
from proxy.tasks import spawn
from proxy.upstreams.base import UpstreamFailed
from redaction.model import Inspection, Outcome
from review.model import CallState, ReviewState
from review.ports import StoreDown
from tests.proxy.builders import ask, definition, deny, refund, response
from tests.proxy.world import FakeExchange, World


async def parked(world: World, call: ToolCall | None = None) -> tuple[FakeExchange, asyncio.Task[Answer], str]:
    """A call that is held, its exchange and its id."""
    exchange = world.exchange(call)
    task = spawn(world.runner.call(exchange), name="call")
    async with asyncio.timeout(5):
        await exchange.was_parked.wait()
    return exchange, task, exchange.parked_as[0]


async def test_an_allowed_call_is_dispatched_once_and_answered() -> None:
    world = World()
    answer = await world.runner.call(world.exchange(refund(50)))
    assert answer.kind is AnswerKind.RESULT
    assert answer.response == response()
    assert [call.arguments["amount"] for call in world.tool.dispatched] == [50]
    world.runner.delivered(answer)
    await world.quiet()
    assert world.only_call().state is CallState.ANSWERED
    assert world.only_call().delivered_at is not None


async def test_p01_a_denied_call_never_reaches_the_tool() -> None:
    world = World()
    answer = await world.runner.call(world.exchange(refund(50_000)))
    assert answer.kind is AnswerKind.DENIED
    assert world.tool.dispatched == []


async def test_p01_a_store_that_is_down_refuses_every_call() -> None:
    world = World()
    world.records.is_down = True
    for amount in (50, 250, 50_000):
        answer = await world.runner.call(world.exchange(refund(amount)))
        assert answer.kind is AnswerKind.REFUSED
    assert world.tool.dispatched == []


async def test_p01_an_error_of_ours_while_judging_refuses_the_call() -> None:
    def broken(call: ToolCall) -> object:
        raise RuntimeError("a bug")

    world = World()
    world.judging.decide = broken  # type: ignore[assignment]
    answer = await world.runner.call(world.exchange())
    assert answer.kind is AnswerKind.REFUSED
    assert "a bug" not in answer.text
    assert world.tool.dispatched == []


async def test_an_approved_call_is_dispatched_while_its_agent_waits() -> None:
    world = World()
    _, task, call_id = await parked(world)
    await world.settle(call_id, ReviewState.SPENDABLE)
    answer = await task
    assert answer.kind is AnswerKind.RESULT
    assert len(world.tool.dispatched) == 1
    assert world.review_of(world.only_call()).state is ReviewState.SPENT


async def test_a_rejected_call_never_reaches_the_tool_and_its_repeat_gets_the_same_rejection() -> None:
    world = World()
    _, task, call_id = await parked(world)
    await world.settle(call_id, ReviewState.REJECTED)
    assert (await task).kind is AnswerKind.REJECTED
    again = await world.runner.call(world.exchange())
    assert (again.kind, again.call_id) == (AnswerKind.REJECTED, call_id)
    assert world.tool.dispatched == []


async def test_p04_a_hundred_identical_repeats_of_an_approved_call_are_one_dispatch() -> None:
    world = World(hold_sec=0.3)
    exchange, task, call_id = await parked(world)
    exchange.left.set()
    await task
    await world.settle(call_id, ReviewState.SPENDABLE)
    answers = await asyncio.gather(*(world.runner.call(world.exchange()) for _ in range(100)))
    same = [answer for answer in answers if answer.call_id == call_id]
    assert [call.arguments["amount"] for call in world.tool.dispatched] == [250]
    assert same
    assert {answer.kind for answer in same} == {AnswerKind.RESULT}


async def test_p04_a_client_that_gave_up_and_repeats_after_approval_gets_the_result_of_one_dispatch() -> None:
    world = World(hold_sec=0.01)
    exchange = world.exchange()
    ticket = await world.runner.call(exchange)
    assert ticket.kind is AnswerKind.TICKET
    await world.settle(ticket.call_id, ReviewState.SPENDABLE)
    await world.quiet()
    assert world.tool.dispatched == []  # approving after the client has gone executes nothing by itself
    answer = await world.runner.call(world.exchange())
    assert (answer.kind, answer.call_id) == (AnswerKind.RESULT, ticket.call_id)
    assert len(world.tool.dispatched) == 1
    world.runner.delivered(answer)
    await world.quiet()
    later = spawn(world.runner.call(world.exchange()), name="later")
    await world.quiet()
    assert len(world.records.calls) == 2  # delivered: the same again is a new question
    world.parking.close()
    assert (await later).kind is AnswerKind.TICKET


async def test_a_repeat_attaches_to_the_parked_call_and_opens_no_second_review() -> None:
    world = World()
    exchange, task, call_id = await parked(world)
    exchange.left.set()
    await task
    _, second_task, second_id = await parked(world)
    assert second_id == call_id
    assert len(world.records.reviews) == 1
    await world.settle(call_id, ReviewState.SPENDABLE)
    assert (await second_task).kind is AnswerKind.RESULT


async def test_p04_a_ticket_presented_by_many_at_once_is_one_dispatch_and_everybody_is_answered() -> None:
    world = World(hold_sec=5)
    first = spawn(world.runner.call(world.exchange(client=Client(name="impatient"))), name="first")
    await world.quiet()
    world.parking.close()
    ticket = (await first).meta["ticket"]
    world.start()
    await world.runner.recover()
    await world.settle(world.only_call().id, ReviewState.SPENDABLE)

    async def present() -> Answer:
        exchange = world.exchange()
        exchange.ticket = ticket
        answer = await world.runner.call(exchange)
        if answer.call_id:
            world.runner.delivered(answer)
        return answer

    async with asyncio.timeout(5):
        answers = await asyncio.gather(*(present() for _ in range(20)))
    assert len(world.tool.dispatched) == 1
    assert {answer.kind for answer in answers} <= {AnswerKind.RESULT, AnswerKind.REFUSED}
    assert AnswerKind.RESULT in {answer.kind for answer in answers}


async def test_while_the_earlier_one_still_waits_a_twin_is_a_call_of_its_own() -> None:
    world = World()
    _, first, first_id = await parked(world)
    _, second, second_id = await parked(world)
    assert first_id != second_id
    assert world.records.calls[second_id].labels == {"twin_waits": True}
    world.parking.close()
    assert {(await first).kind, (await second).kind} == {AnswerKind.TICKET}


async def test_another_agents_identical_call_is_another_question() -> None:
    world = World()
    exchange, task, call_id = await parked(world)
    exchange.left.set()
    await task
    _, other, other_id = await parked(world, refund(agent=Agent("other")))
    assert other_id != call_id
    world.parking.close()
    await other


async def test_a_ticket_can_be_presented_instead_of_the_call() -> None:
    world = World(hold_sec=0.01)
    first = await world.runner.call(world.exchange())
    await world.settle(first.call_id, ReviewState.SPENDABLE)
    again = world.exchange(refund(1, arguments={}))
    again.ticket = first.meta["ticket"]
    answer = await world.runner.call(again)
    assert (answer.kind, answer.call_id) == (AnswerKind.RESULT, first.call_id)
    assert [call.arguments["amount"] for call in world.tool.dispatched] == [250]


async def test_the_collect_tool_presents_a_ticket_for_any_tool_of_the_server() -> None:
    world = World(hold_sec=0.01)
    first = await world.runner.call(world.exchange())
    await world.settle(first.call_id, ReviewState.SPENDABLE)
    collecting = world.exchange(refund(tool="interlock_collect", arguments={}))
    collecting.ticket = first.meta["ticket"]
    answer = await world.runner.collect(collecting)
    assert answer.kind is AnswerKind.RESULT
    assert [call.tool for call in world.tool.dispatched] == ["refund"]


@pytest.mark.parametrize(
    "call",
    [refund(agent=Agent("other")), refund(server="other"), refund(tool="other")],
    ids=["another agent", "another server", "another tool"],
)
async def test_a_ticket_is_worthless_elsewhere(call: ToolCall) -> None:
    world = World(hold_sec=0.01)
    first = await world.runner.call(world.exchange())
    await world.settle(first.call_id, ReviewState.SPENDABLE)
    other = world.exchange(call)
    other.ticket = first.meta["ticket"]
    assert (await world.runner.call(other)).kind is AnswerKind.REFUSED
    assert world.tool.dispatched == []


async def test_a_ticket_whose_call_is_awaited_or_delivered_already_is_refused() -> None:
    world = World()
    _, task, call_id = await parked(world)
    ticket = world.runner.rows.ticket(world.records.calls[call_id])
    again = world.exchange()
    again.ticket = ticket
    assert (await world.runner.call(again)).kind is AnswerKind.REFUSED
    await world.settle(call_id, ReviewState.SPENDABLE)
    world.runner.delivered(await task)
    await world.quiet()
    assert (await world.runner.call(again)).kind is AnswerKind.REFUSED
    assert len(world.tool.dispatched) == 1


async def test_p05_an_upstream_that_dies_after_reading_yields_in_doubt_and_one_dispatch() -> None:
    world = World()
    world.tool.fail = UpstreamFailed("reset", sent=True)
    answer = await world.runner.call(world.exchange(refund(50)))
    assert answer.kind is AnswerKind.IN_DOUBT
    assert world.only_call().state is CallState.IN_DOUBT
    world.tool.fail = None
    again = await world.runner.call(world.exchange(refund(50)))
    assert again.kind is AnswerKind.IN_DOUBT
    assert len(world.tool.dispatched) == 1


async def test_a_grant_whose_call_never_left_is_spent_by_the_repeat() -> None:
    world = World()
    world.tool.fail = UpstreamFailed("connection refused", sent=False)
    _, task, call_id = await parked(world)
    await world.settle(call_id, ReviewState.SPENDABLE)
    assert (await task).kind is AnswerKind.FAILED
    assert world.review_of(world.records.calls[call_id]).state is ReviewState.SPENDABLE
    world.tool.fail = None
    answer = await world.runner.call(world.exchange())
    assert (answer.kind, answer.call_id) == (AnswerKind.RESULT, call_id)


async def test_an_outcome_that_could_not_be_delivered_is_replayed_once_without_a_dispatch() -> None:
    world = World()
    first = await world.runner.call(world.exchange(refund(50)))
    world.runner.undelivered(first)
    await world.quiet()
    again = await world.runner.call(world.exchange(refund(50)))
    assert (again.call_id, again.meta["replayed"]) == (first.call_id, True)
    world.runner.delivered(again)
    await world.quiet()
    third = await world.runner.call(world.exchange(refund(50)))
    assert third.call_id != first.call_id
    assert len(world.tool.dispatched) == 2


async def test_an_agent_that_leaves_while_its_call_is_dispatched_collects_the_outcome_by_the_repeat() -> None:
    world = World()
    go_on = asyncio.Event()

    async def slow(call: ToolCall) -> dict[str, object]:
        await go_on.wait()
        return response("late")

    world.tool.answer = slow
    exchange = world.exchange(refund(50))
    first = spawn(world.runner.call(exchange), name="first")
    await world.quiet()
    exchange.left.set()
    go_on.set()
    await first
    await world.quiet()
    again = await world.runner.call(world.exchange(refund(50)))
    assert again.meta["replayed"] is True
    assert len(world.tool.dispatched) == 1


async def test_p04_whoever_is_sent_away_from_an_outcome_being_given_to_another_does_not_settle_it() -> None:
    world = World()
    given = await world.runner.call(world.exchange(refund(50)))
    beside = world.exchange(refund(50))
    beside.ticket = world.runner.rows.ticket(world.only_call())
    sent_away = await world.runner.call(beside)
    assert (sent_away.kind, sent_away.call_id) == (AnswerKind.REFUSED, given.call_id)
    world.runner.delivered(sent_away)
    world.runner.undelivered(given)
    await world.quiet()
    assert world.only_call().delivered_at is None
    again = await world.runner.call(world.exchange(refund(50)))
    assert (again.call_id, again.meta["replayed"]) == (given.call_id, True)
    assert len(world.tool.dispatched) == 1


async def test_an_identical_call_during_the_dispatch_of_one_whose_agent_has_gone_waits_for_its_outcome() -> None:
    world = World()
    go_on = asyncio.Event()

    async def slow(call: ToolCall) -> dict[str, object]:
        await go_on.wait()
        return response("late")

    world.tool.answer = slow
    exchange = world.exchange(refund(50))
    first = spawn(world.runner.call(exchange), name="first")
    await world.quiet()
    exchange.left.set()
    again = world.exchange(refund(50))
    second = spawn(world.runner.call(again), name="second")
    async with asyncio.timeout(5):
        await again.was_parked.wait()
    go_on.set()
    async with asyncio.timeout(5):
        answer = await second
    await first
    assert (answer.call_id, answer.meta["replayed"]) == (world.only_call().id, True)
    assert len(world.tool.dispatched) == 1
    world.runner.delivered(answer)
    await world.quiet()
    assert world.only_call().delivered_at is not None


async def test_p08_a_quarantined_output_reaches_the_agent_only_after_release_and_once() -> None:
    world = World()
    world.inspector.inspect_with = lambda message: Inspection(Outcome.QUARANTINE, None, why="a key")
    first = await world.runner.call(world.exchange(refund(50)))
    assert (first.kind, first.response) == (AnswerKind.HELD, None)
    again = await world.runner.call(world.exchange(refund(50)))
    assert (again.kind, again.call_id) == (AnswerKind.HELD, first.call_id)
    call = world.records.calls[first.call_id]
    world.records.calls[first.call_id] = replace(call, state=CallState.RELEASED, outcome=response("released"))
    released = await world.runner.call(world.exchange(refund(50)))
    assert released.response == response("released")
    assert len(world.tool.dispatched) == 1


async def test_p05_at_start_what_was_being_dispatched_is_in_doubt_and_what_was_parked_stays_parked() -> None:
    world = World()
    exchange, task, parked_id = await parked(world)
    exchange.left.set()
    await task
    never = asyncio.Event()

    async def hang(call: ToolCall) -> dict[str, object]:
        await never.wait()
        return response()

    world.tool.answer = hang
    flying = spawn(world.runner.call(world.exchange(refund(50))), name="flying")
    await world.quiet()
    snapshot = dict(world.records.calls)
    world.start()  # the process died: another runner over the same store
    world.records.calls = snapshot
    assert await world.runner.recover() == 1
    states = {call.state for call in world.records.calls.values()}
    assert states == {CallState.IN_DOUBT, CallState.WAITING}
    world.tool.answer = None
    assert (await world.runner.call(world.exchange(refund(50)))).kind is AnswerKind.IN_DOUBT
    await world.settle(parked_id, ReviewState.SPENDABLE)
    assert (await world.runner.call(world.exchange())).call_id == parked_id
    flying.cancel()
    await asyncio.wait([flying])


async def test_p05_a_runner_cancelled_while_sending_leaves_the_call_in_doubt() -> None:
    world = World()
    never = asyncio.Event()

    async def hang(call: ToolCall) -> dict[str, object]:
        await never.wait()
        return response()

    world.tool.answer = hang
    task = spawn(world.runner.call(world.exchange(refund(50))), name="hanging")
    await world.quiet()
    task.cancel()
    await asyncio.wait([task])
    assert world.only_call().state is CallState.IN_DOUBT


async def test_p05_an_error_of_ours_after_sending_leaves_the_call_in_doubt() -> None:
    world = World()

    def broken(message: object) -> Inspection:
        raise RuntimeError("a bug in the inspector's caller")

    world.inspector.inspect_with = broken
    answer = await world.runner.call(world.exchange(refund(50)))
    assert answer.kind is AnswerKind.IN_DOUBT
    assert world.only_call().state is CallState.IN_DOUBT


async def test_orderly_shutdown_answers_every_hold_with_its_ticket() -> None:
    world = World()
    held = [await parked(world, refund(101 + n)) for n in range(20)]
    world.parking.close()
    answers = [await task for _, task, _ in held]
    assert {answer.kind for answer in answers} == {AnswerKind.TICKET}
    assert all(answer.meta["ticket"] for answer in answers)
    assert world.parking.held == 0


async def test_p06_a_policy_that_became_stricter_voids_the_approval() -> None:
    world = World()
    _, task, call_id = await parked(world)
    world.judging.decide = lambda call: deny()
    await world.settle(call_id, ReviewState.SPENDABLE)
    assert (await task).kind is AnswerKind.DENIED
    assert world.tool.dispatched == []
    assert world.review_of(world.records.calls[call_id]).state is ReviewState.SUPERSEDED


async def test_p06_a_tool_that_changed_its_definition_is_asked_about_again() -> None:
    world = World()
    _, task, call_id = await parked(world)
    world.judging.definition_now = definition(digest="d2")
    await world.settle(call_id, ReviewState.SPENDABLE)
    await world.quiet()
    newer = [call for call in world.records.calls.values() if call.id != call_id]
    assert [call.previous_id for call in newer] == [call_id]
    assert world.tool.dispatched == []
    world.parking.close()
    assert (await task).kind is AnswerKind.TICKET


async def test_with_on_disconnect_execute_an_approval_executes_without_the_agent() -> None:
    world = World()
    approval = replace(ask().approval, on_disconnect_execute=True)  # type: ignore[type-var]
    world.judging.decide = lambda call: ask(approval=approval)
    exchange, task, call_id = await parked(world)
    exchange.left.set()
    await task
    await world.quiet()
    await world.settle(call_id, ReviewState.SPENDABLE)
    await world.quiet()
    assert len(world.tool.dispatched) == 1
    answer = await world.runner.call(world.exchange())
    assert answer.meta["replayed"] is True
    assert len(world.tool.dispatched) == 1


async def test_a_request_inside_a_result_is_judged_and_recorded() -> None:
    world = World()
    decision = await world.runner.judge(refund(50, method="elicitation/create", direction=Direction.TOOL_TO_AGENT))
    assert decision.effect.value == "allow"
    assert [entry.kind for entry in world.records.entries] == [EntryKind.CALL_DECIDED]


async def test_noted_traffic_is_recorded_and_refused_while_the_store_is_down() -> None:
    world = World()
    note = {"agent": "demo", "server": "payments", "method": "tools/list", "direction": Direction.AGENT_TO_TOOL}
    world.runner.note(**note, outcome="passed")  # type: ignore[arg-type]
    world.runner.refused(agent=None, server="payments", method=None, why="duplicate key", status=400)
    await world.quiet()
    assert [entry.kind for entry in world.records.entries] == [EntryKind.CALL_NOTED, EntryKind.CALL_REFUSED]
    world.records.is_down = True
    with pytest.raises(StoreDown):
        world.runner.note(**note, outcome="passed")  # type: ignore[arg-type]
    world.runner.refused(agent=None, server="payments", method=None, why="duplicate key", status=400)


async def test_a_client_that_leaves_early_is_answered_earlier_next_time() -> None:
    world = World(hold_sec=50)
    exchange, task, _ = await parked(world)
    world.now += 20
    exchange.left.set()
    await task
    assert world.parking.patience_sec(exchange.client) == 16
