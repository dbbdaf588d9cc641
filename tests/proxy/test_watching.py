"""Those who watch are told how each call ended and where its time went; the log of calls is bounded, without values."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from structlog.testing import capture_logs

from proxy import answers
from proxy.exchange import Answer, AnswerKind
from proxy.tasks import spawn
from proxy.watching import CALL_LINES_PER_SEC_MAX, CallLog, Times
from review.model import ReviewState
from tests.proxy.builders import refund
from tests.proxy.world import World

RESULT = Answer(AnswerKind.RESULT, "call_1", response={"result": {}})
DENIED = answers.denied("call_2", None)


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with capture_logs() as said:
        yield said


@pytest.mark.parametrize(
    ("which", "told"),
    [("none", []), ("unusual", ["denied"]), ("all", ["result", "denied"])],
)
def test_the_configuration_says_which_calls_get_a_line(
    which: Literal["none", "unusual", "all"], told: list[str], lines: list[Any]
) -> None:
    log = CallLog(which, clock=lambda: 0.0)
    for answer in (RESULT, DENIED):
        log.ended(refund(), answer, Times(whole=0.01))
    assert [line["answer"] for line in lines] == told


def test_a_result_from_which_something_was_taken_out_is_unusual(lines: list[Any]) -> None:
    log = CallLog("unusual", clock=lambda: 0.0)
    log.ended(refund(), Answer(AnswerKind.RESULT, "call_1", response={}, meta={"job_id": "call_1"}), Times())
    assert [line["call"] for line in lines] == ["call_1"]


def test_a_line_holds_names_and_times_and_no_value(lines: list[Any]) -> None:
    CallLog("all", clock=lambda: 0.0).ended(refund(), DENIED, Times(whole=61.0, people=60.0, tool=0.5, inspection=0.25))
    (line,) = lines
    assert (line["gate_ms"], line["people_ms"], line["tool_ms"], line["inspection_ms"]) == (
        250.0,
        60_000.0,
        500.0,
        250.0,
    )
    values = {str(value) for value in refund().arguments.values()}
    assert not values & {str(value) for value in line.values()}


@pytest.mark.parametrize("above", [-1, 0, 1])
def test_p14_so_many_lines_a_second_and_the_next_says_how_many_were_left_out(above: int, lines: list[Any]) -> None:
    now = [100.0]
    log = CallLog("all", clock=lambda: now[0])
    for _ in range(CALL_LINES_PER_SEC_MAX + above):
        log.ended(refund(), DENIED, Times())
    now[0] += 1
    log.ended(refund(), DENIED, Times())
    assert len(lines) == CALL_LINES_PER_SEC_MAX + min(above, 0) + 1
    assert lines[-1].get("left_out_before", 0) == max(above, 0)


def test_the_gates_own_time_is_never_less_than_none() -> None:
    assert Times(whole=1.0, people=0.7, tool=0.6).gate == 0.0


async def test_the_runner_tells_how_a_call_ended_and_what_the_tool_took_of_it() -> None:
    world = World()
    answer = await world.runner.call(world.exchange(refund(50)))
    ((server, kind, times),) = world.watcher.ended_calls
    assert (server, kind) == ("payments", answer.kind)
    assert 0 < times.tool <= times.whole
    assert times.people == 0


async def test_waiting_for_people_is_told_apart() -> None:
    world = World()
    exchange = world.exchange()
    task = spawn(world.runner.call(exchange), name="call")
    async with asyncio.timeout(5):
        await exchange.was_parked.wait()
    await world.settle(exchange.parked_as[0], ReviewState.SPENDABLE)
    assert (await task).kind is AnswerKind.RESULT
    ((_, kind, times),) = world.watcher.ended_calls
    assert kind is AnswerKind.RESULT
    assert 0 < times.people < times.whole


async def test_a_request_that_no_door_would_read_is_told_with_its_status() -> None:
    world = World()
    world.runner.refused(agent=None, server="payments", method=None, why="no such path", status=404)
    assert world.watcher.refused_with == [404]
