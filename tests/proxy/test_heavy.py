"""Heavy work is known for what it is, and holds up nobody: others are answered while it goes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from policies.model import Decision, ToolCall
from proxy.exchange import AnswerKind
from proxy.heavy import away, is_heavy
from proxy.tasks import spawn
from proxy.wire import mcp, strict_json
from tests.proxy.builders import allow, refund
from tests.proxy.doors.door_world import DoorWorld, call
from tests.proxy.world import World

NUMBERS = {"amount": 1, "rows": [float(number) for number in range(2_000)]}


@pytest.mark.parametrize(
    "value",
    [
        "x" * 200_000,
        list(range(1_000)),
        {"a": [{"b": "x" * 1_000}] * 200},
        dict.fromkeys(map(str, range(1_000))),
        {"k" * 200_000: 1},
        ({}, {"late": list(range(1_000))}),
    ],
)
def test_long_texts_and_many_values_are_heavy(value: Any) -> None:
    assert is_heavy(value)


@pytest.mark.parametrize("value", [None, 1.5, {}, "x" * 199_000, list(range(900)), {"amount": 5, "who": ["ada"] * 100}])
def test_what_a_call_usually_carries_is_not(value: Any) -> None:
    assert not is_heavy(value)


def test_a_large_value_is_not_looked_through_to_know_it() -> None:
    class Long(list[int]):
        def __iter__(self) -> Any:
            raise AssertionError("looked into")

    assert is_heavy({"rows": Long(range(1_000))})


async def test_heavy_work_is_done_in_one_thread_and_its_error_is_its_callers() -> None:
    here = threading.get_ident()
    assert len({here, await away(threading.get_ident), await away(threading.get_ident)}) == 2
    with pytest.raises(ZeroDivisionError):
        await away(lambda: 1 / 0)


@pytest.fixture(name="world")
async def fixture_world() -> DoorWorld:
    return DoorWorld()


class Blocked:
    """A piece of work that goes on until somebody else has been answered, or fails."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.has_begun = asyncio.Event()
        self.others_were_answered = threading.Event()

    def until_others_are_answered(self) -> None:
        self._loop.call_soon_threadsafe(self.has_begun.set)
        assert self.others_were_answered.wait(20), "the loop did nothing while this went on"


def blocking[T](blocked: Blocked, work: Callable[[ToolCall], T]) -> Callable[[ToolCall], T]:
    def blocks(call: ToolCall) -> T:
        if call.arguments is NUMBERS:
            blocked.until_others_are_answered()
        return work(call)

    return blocks


@pytest.mark.parametrize("stage", ["repeat key", "judging", "row"])
async def test_p14_others_are_answered_while_a_heavy_call_is_judged_and_its_row_is_built(stage: str) -> None:
    world, blocked = World(decide=lambda _call: allow()), Blocked()
    runner: Any = world.runner
    if stage == "repeat key":
        runner._repeat_key_of = blocking(blocked, runner._repeat_key_of)
    elif stage == "judging":
        judge: Callable[[ToolCall], Decision] = world.judging.decide
        world.judging.decide = blocking(blocked, judge)
    else:
        world.runner.rows._repeat_key_of = blocking(blocked, world.runner.rows._repeat_key_of)
    heavy = spawn(world.runner.call(world.exchange(refund(arguments=NUMBERS))), name="heavy")
    await asyncio.wait_for(blocked.has_begun.wait(), 20)
    assert (await world.runner.call(world.exchange(refund(5)))).kind is AnswerKind.RESULT
    assert not heavy.done()
    blocked.others_were_answered.set()
    assert (await heavy).kind is AnswerKind.RESULT
    assert [call.arguments for call in world.tool.dispatched] == [refund(5).arguments, NUMBERS]


@pytest.mark.parametrize("work", ["strict_json.read", "mcp.refuse_argument_variants"])
async def test_p14_others_are_answered_while_a_large_request_is_read_and_held_to_its_schema(
    world: DoorWorld, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    module, name = (strict_json, "read") if work.startswith("strict") else (mcp, "refuse_argument_variants")
    done: Callable[..., Any] = getattr(module, name)
    blocked = Blocked()

    def blocks(subject: Any, *more: Any) -> Any:
        if len(subject) > 1_000 or (isinstance(subject, dict) and "rows" in subject):
            blocked.until_others_are_answered()
        return done(subject, *more)

    monkeypatch.setattr(module, name, blocks)
    rows = ["a row of a table that is long"] * 3_000
    heavy = spawn(world.agent.send(call("allow", 1, rows=rows)), name="heavy")
    await asyncio.wait_for(blocked.has_begun.wait(), 20)
    assert (await world.agent.send(call("allow", 2))).status == 200
    assert not heavy.done()
    blocked.others_were_answered.set()
    assert (await heavy).status == 200
    assert world.server.posted[-1].message["params"]["arguments"] == {"rows": rows}
