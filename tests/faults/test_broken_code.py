"""An exception that nobody expects, at every place on a call's way: what a fault in our own code would be.

Until a byte may have left, the call is refused and nothing of it was sent; from then on it is in doubt and is never
sent again by itself; and what a tool said reaches nobody uninspected (P1, P4, P5, P8). The gate itself goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.reviewer_client import Refused
from tests.faults.forked_gate import Launcher
from tests.faults.kill_cycles import AT_START, GONE, House
from tests.faults.ledger import Asked, Tally
from tests.faults.switches import NAMES, Action

pytestmark = pytest.mark.long

NOTHING, DOUBT = "refused", "in_doubt"
# Where it breaks: the tool, what the agent is told, what of its repeat, and how often the tool has executed it then.
ON_THE_WAY: dict[str, tuple[str, str, str, int]] = {
    "call.read": ("look", NOTHING, "ran", 1),
    "call.judged": ("look", NOTHING, "ran", 1),
    "change.begun": ("look", NOTHING, "ran", 1),
    "change.durable": ("look", NOTHING, "ran", 1),
    "park.begun": ("pay", NOTHING, "require_approval", 0),
    "grant.judged": ("pay", NOTHING, "ran", 1),
    "dispatch.begun": ("look", DOUBT, DOUBT, 0),
    "http.first_byte": ("look", DOUBT, DOUBT, 0),
    "http.written": ("look", DOUBT, DOUBT, 1),
    "http.head": ("look", DOUBT, DOUBT, 1),
    "stdio.first_byte": ("echo", DOUBT, DOUBT, 0),
    "stdio.written": ("echo", DOUBT, DOUBT, 1),
    "response.read": ("leak", DOUBT, DOUBT, 1),
    "inspection.begun": ("leak", DOUBT, DOUBT, 1),
    "inspection.done": ("leak", DOUBT, DOUBT, 1),
    "answer.begun": ("look", NOTHING, "ran", 1),  # the repeat gets the outcome that is kept
}
IN_THE_STORE = ("commit.begun", "commit.done", "commit.heard")
AFTER_THE_ANSWER = "answer.given"
BACK_SEC_MAX = 60


@pytest.fixture(scope="module")
def house(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(launcher, tmp_path_factory.mktemp("broken"), Tally(), first_number=1)
    asyncio.run(_opened(house))
    yield house
    house.close()


async def _opened(house: House) -> None:
    await house.open()
    for server, tool in (("bank", "look"), ("child", "echo")):
        assert await house.ask(house.next_call(tool, server)) == "ran"  # the tools are listed now


async def told(house: House, asked: Asked) -> str:
    """What the gate says; nothing, and a bare 500, are refusals too."""
    try:
        return await house.ask(asked)
    except (*GONE, ValueError):
        return NOTHING


async def waiting(house: House, asked: Asked) -> list[dict[str, Any]]:
    """The open questions about it, as soon as the record can be read."""
    async with asyncio.timeout(BACK_SEC_MAX):
        while True:
            try:
                queue = await asyncio.to_thread(house.gate.reviewer.client.queue)
            except Refused:
                await asyncio.sleep(0.1)
            else:
                return [row for row in queue["waiting"] if row["call"]["proposed"]["arguments"] == asked.arguments]


def seen(house: House, asked: Asked) -> int:
    house.child.count(house.disk)
    return house.ledger.seen[asked.number]


async def is_answered(house: House, asked: Asked) -> None:
    """Until the record says so, and with it everything that was to be written before."""
    async with asyncio.timeout(BACK_SEC_MAX):
        while house.disk.states_of(asked.arguments) != {"answered": 1}:
            await asyncio.sleep(0.01)


def keeps_its_promises(house: House) -> None:
    house.disk.verify()
    assert house.tally.findings == {}


def test_every_failpoint_that_a_call_comes_by_is_here() -> None:
    assert {*ON_THE_WAY, *IN_THE_STORE, AFTER_THE_ANSWER} == set(NAMES) - set(AT_START)


@pytest.mark.parametrize("name", ON_THE_WAY)
async def test_p01_p05_a_call_that_breaks_on_its_way_was_not_sent_or_is_in_doubt(house: House, name: str) -> None:
    tool, first, second, executed = ON_THE_WAY[name]
    asked = house.next_call(tool, "child" if tool == "echo" else "bank", amount=5)
    if name == "grant.judged":
        assert await told(house, asked) == "require_approval"
        (row,) = await waiting(house, asked)
        await house.gate.reviewer.approve(row)
    house.gate.switches.set(name, Action.BREAK)
    assert await told(house, asked) == first
    assert house.gate.switches.struck(name) == 1
    if first == NOTHING and name != "answer.begun":
        assert seen(house, asked) == 0
    assert await told(house, asked) == second
    assert seen(house, asked) == executed
    keeps_its_promises(house)


@pytest.mark.parametrize("name", IN_THE_STORE)
async def test_p01_p04_a_store_that_breaks_refuses_and_comes_back_without_a_second_dispatch(
    house: House, name: str
) -> None:
    before, asked = house.next_call("look"), house.next_call("look")
    assert await told(house, before) == "ran"
    await is_answered(house, before)  # so that the next that is written is of the next call
    house.gate.switches.set(name, Action.BREAK)
    assert await told(house, asked) == NOTHING
    assert (house.gate.switches.struck(name), seen(house, asked)) == (1, 0)
    # Once the store is back, a call that was marked and never sent is named so: this looks before or after it.
    written = ({},) if name == "commit.begun" else ({"dispatching": 1}, {"failed_before_send": 1})
    assert house.disk.states_of(asked.arguments) in written
    await waiting(house, asked)  # the store is back
    assert await told(house, asked) in ("ran", DOUBT)  # nothing had left: either is true
    assert seen(house, asked) <= 1
    keeps_its_promises(house)


async def test_p04_an_answer_that_was_given_is_given_though_the_gate_breaks_behind_it(house: House) -> None:
    asked = house.next_call("look")
    house.gate.switches.set(AFTER_THE_ANSWER, Action.BREAK)
    assert await told(house, asked) == "ran"
    assert house.gate.switches.struck(AFTER_THE_ANSWER) == 1
    await is_answered(house, asked)
    assert seen(house, asked) == 1
    keeps_its_promises(house)
