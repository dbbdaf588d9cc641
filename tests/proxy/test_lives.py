"""Who waits for a call, and who is being given its answer."""

from __future__ import annotations

from dataclasses import replace

from proxy.lives import Lives
from tests.proxy.builders import refund
from tests.proxy.test_runner import parked
from tests.proxy.world import World


async def test_an_answer_is_settled_once_by_the_life_that_gave_it_and_not_by_one_that_reads_the_same() -> None:
    world = World()
    answer = await world.runner.call(world.exchange(refund(50)))
    lives = world.runner.lives
    assert lives.given(replace(answer)) is None
    assert lives.are_about(answer.call_id)
    assert lives.given(answer) is not None
    assert lives.given(answer) is None
    assert not lives.are_about(answer.call_id)


async def test_a_call_whose_agent_has_left_is_awaited_by_nobody_and_lived_until_that_is_recorded() -> None:
    world = World()
    exchange, task, call_id = await parked(world)
    lives = world.runner.lives
    assert lives.is_awaited(call_id)
    exchange.left.set()
    assert (lives.is_awaited(call_id), lives.are_about(call_id)) == (False, True)
    await task
    assert not lives.are_about(call_id)


async def test_a_call_is_awaited_while_its_answer_is_on_its_way() -> None:
    world = World()
    answer = await world.runner.call(world.exchange(refund(50)))
    assert world.runner.lives.is_awaited(answer.call_id)
    world.runner.delivered(answer)
    assert not world.runner.lives.is_awaited(answer.call_id)


def test_nobody_waits_for_a_call_never_heard_of() -> None:
    assert not Lives().is_awaited("call_1")
    assert not Lives().are_about("call_1")
