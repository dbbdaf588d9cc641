"""What the runner bears, and what it does past it (P14): questions, holds, reopenings, refusals."""

from __future__ import annotations

import asyncio

import pytest

from policies.model import Agent
from proxy.exchange import AnswerKind
from proxy.runner import REFUSALS_PER_SEC_MAX
from review.model import ReviewState
from tests.proxy.builders import refund
from tests.proxy.test_runner import parked
from tests.proxy.world import World


async def test_p14_the_same_question_is_reopened_at_most_three_times_within_a_day() -> None:
    world = World(hold_sec=0.01, reopen_max=3)
    for _ in range(1 + 3):
        answer = await world.runner.call(world.exchange())
        assert answer.kind is AnswerKind.TICKET
        await world.settle(answer.call_id, ReviewState.EXPIRED)
    linked = [call.previous_id for call in world.records.calls.values()]
    assert linked[0] is None
    assert all(linked[1:])
    assert (await world.runner.call(world.exchange())).kind is AnswerKind.REFUSED
    world.now += 86_400
    assert (await world.runner.call(world.exchange())).kind is AnswerKind.TICKET


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_p14_open_reviews_per_agent_are_capped(limit: int) -> None:
    world = World(hold_sec=0.01, open_reviews_per_agent_max=limit)
    kinds = [(await world.runner.call(world.exchange(refund(101 + n)))).kind for n in range(limit + 1)]
    assert kinds == [AnswerKind.TICKET] * limit + [AnswerKind.REFUSED]
    assert (await world.runner.call(world.exchange(refund(200, agent=Agent("other"))))).kind is AnswerKind.TICKET
    first = next(iter(world.records.calls))
    await world.settle(first, ReviewState.REJECTED)
    assert (await world.runner.call(world.exchange(refund(300)))).kind is AnswerKind.TICKET


async def test_p14_a_reopening_allowed_never_refuses_the_first_repeat() -> None:
    kinds = []
    for reopen_max in (0, 1):
        world = World(hold_sec=0.01, reopen_max=reopen_max)
        first = await world.runner.call(world.exchange())
        await world.settle(first.call_id, ReviewState.EXPIRED)
        kinds.append((await world.runner.call(world.exchange())).kind)
    assert kinds == [AnswerKind.REFUSED, AnswerKind.TICKET]


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_p14_calls_that_come_at_once_do_not_pass_the_cap_on_an_agents_questions_together(limit: int) -> None:
    world = World(hold_sec=0.05, open_reviews_per_agent_max=limit)
    answers = await asyncio.gather(*(world.runner.call(world.exchange(refund(101 + n))) for n in range(20)))
    assert [one.kind for one in answers].count(AnswerKind.TICKET) == limit
    assert len(world.records.reviews) == limit


async def test_p14_calls_that_come_at_once_do_not_pass_the_cap_on_all_questions_together() -> None:
    world = World(hold_sec=0.05, open_reviews_max=3)
    calls = (refund(101, agent=Agent(f"a{n}")) for n in range(20))
    await asyncio.gather(*(world.runner.call(world.exchange(call)) for call in calls))
    assert len(world.records.reviews) == 3


async def test_p14_a_question_that_was_claimed_or_escalated_still_counts_though_its_agent_has_gone() -> None:
    world = World(hold_sec=0.01, open_reviews_per_agent_max=1)
    first = await world.runner.call(world.exchange())
    await world.settle(first.call_id, ReviewState.PARKED, claimed_by="maria")
    await world.quiet()
    assert (await world.runner.call(world.exchange(refund(300)))).kind is AnswerKind.REFUSED
    await world.settle(first.call_id, ReviewState.EXPIRED)
    assert (await world.runner.call(world.exchange(refund(300)))).kind is AnswerKind.TICKET


async def test_p14_a_question_that_could_not_be_written_gives_its_place_back() -> None:
    world = World(hold_sec=0.01, open_reviews_per_agent_max=1)
    world.records.is_down = True
    assert (await world.runner.call(world.exchange())).kind is AnswerKind.REFUSED
    world.records.is_down = False
    assert (await world.runner.call(world.exchange())).kind is AnswerKind.TICKET


async def test_p14_open_reviews_in_all_are_capped() -> None:
    world = World(hold_sec=0.01, open_reviews_max=2)
    kinds = [(await world.runner.call(world.exchange(refund(101 + n, agent=Agent(f"a{n}"))))).kind for n in range(3)]
    assert kinds == [AnswerKind.TICKET, AnswerKind.TICKET, AnswerKind.REFUSED]


async def test_p14_past_the_cap_of_held_responses_the_ticket_comes_at_once() -> None:
    world = World(held_responses_max=1)
    _, task, _ = await parked(world)
    async with asyncio.timeout(1):
        answer = await world.runner.call(world.exchange(refund(300)))
    assert answer.kind is AnswerKind.TICKET
    world.parking.close()
    await task


async def test_p14_refusals_are_recorded_up_to_a_rate_and_the_next_entry_says_how_many_were_left_out() -> None:
    world = World()
    for _ in range(REFUSALS_PER_SEC_MAX + 7):
        world.runner.refused(agent=None, server="payments", method=None, why="not JSON", status=400)
    world.now += 1
    world.runner.refused(agent=None, server="payments", method=None, why="not JSON", status=400)
    await world.quiet()
    assert len(world.records.entries) == REFUSALS_PER_SEC_MAX + 1
    assert world.records.entries[-1].body["left_out_before"] == 7
