"""Calls that people may veto, the whole way: they wait their window in sight of the live feed, then go once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.reviewer_client import Refused
from tests.blackbox.gate_process import House, ToolHouse, call, is_call, parked, text, told, tool
from tests.faults.forked_gate import Launcher, warm_house

POLICY = """
version: v1
name: loop
classify:
  - {tools: ["shop/*"], topics: [job.pay], risk_tags: [write], risk: medium}
rules:
  - {id: at-once, match: {tools: ["shop/report"]}, decision: on_the_loop}
  - {id: soon, match: {tools: ["shop/pay"]}, decision: on_the_loop, veto_window_sec: 2}
  - {id: looked-at, match: {tools: ["shop/mail"]}, decision: out_of_the_loop, require_review_after: true}
  - {id: later, match: {tools: ["shop/pay_much"]}, decision: allow_unless_vetoed, veto_window_sec: 600}
"""


@pytest.fixture(scope="module")
def house(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    base: Path = tmp_path_factory.mktemp("vetoable")
    tools = ToolHouse()
    tools.add("shop", [tool(name, amount="number") for name in ("report", "pay", "pay_much", "mail")])
    with warm_house(launcher, base, POLICY, tools) as house:
        yield house


@asynccontextmanager
async def watched(house: House) -> AsyncIterator[None]:
    """A reviewer receives the live feed, as `interlock tail` does."""
    stream = house.reviewer.client.stream("/tail?last=0", {"Accept": "text/event-stream"})
    await asyncio.to_thread(next, stream)
    try:
        yield
    finally:
        await asyncio.to_thread(stream.close)  # type: ignore[attr-defined]  # a generator


async def going(house: House, name: str, **arguments: Any) -> dict[str, Any]:
    """The row of this call among those that go by themselves, once it is there."""
    async with asyncio.timeout(20):
        while True:
            rows = (await asyncio.to_thread(house.reviewer.client.listed, "vetoable")).rows
            found = [row for row in rows if is_call(row["call"], name, arguments)]
            if found:
                return dict(found[0])
            await asyncio.sleep(0.01)


async def test_without_a_window_it_goes_at_once(house: House) -> None:
    assert "report ran" in text(await call(house.url("shop"), "report", amount=1))


async def test_p04_nobody_objects_in_its_window_and_it_is_sent_once(house: House) -> None:
    async with watched(house), parked(house.url("shop"), "pay", amount=1) as wire:
        row = await going(house, "pay", amount=1)
        assert house.dispatched("shop", "pay", amount=1) == 0
        assert "pay ran" in text(await wire.rest())
    shown = await house.reviewer.show(row)
    assert shown["review"]["settled_by"].startswith("policy:loop#soon@v1:")
    assert shown["call"]["dispatched_at"] >= row["review"]["expires_at"]
    assert house.dispatched("shop", "pay", amount=1) == 1
    with pytest.raises(Refused, match="cannot be vetoed: it is spent"):
        await house.reviewer.act("veto", row)


async def test_p11_a_veto_stops_it_and_its_repeat_and_says_who_and_why(house: House) -> None:
    async with watched(house), parked(house.url("shop"), "pay_much", amount=2) as wire:
        row = await going(house, "pay_much", amount=2)
        assert (await house.reviewer.act("veto", row, comment="too much"))["state"] == "vetoed"
        answer = await wire.rest()
    assert (told(answer)["decision"], told(answer)["executed"]) == ("vetoed", False)
    assert told(await call(house.url("shop"), "pay_much", amount=2))["decision"] == "vetoed"
    vote = (await house.reviewer.show(row))["votes"][0]
    assert (vote["verdict"], vote["comment"], vote["shown_digest"]) == ("veto", "too much", row["review"]["binding"])
    assert house.dispatched("shop", "pay_much", amount=2) == 0


async def test_p01_a_stop_reaches_it(house: House) -> None:
    async with watched(house), parked(house.url("shop"), "pay_much", amount=3) as wire:
        await going(house, "pay_much", amount=3)
        stop = await asyncio.to_thread(house.reviewer.client.stop, "server", "shop", "enough")
        try:
            assert told(await wire.rest())["decision"] == "stopped"
        finally:
            await asyncio.to_thread(house.reviewer.client.lift, stop["id"], "the test is over")
    assert house.dispatched("shop", "pay_much", amount=3) == 0


async def test_with_nobody_to_see_it_a_person_must_agree(house: House) -> None:
    house.gate.kill()  # whoever watched a moment ago is forgotten
    await asyncio.to_thread(house.gate.start)
    async with parked(house.url("shop"), "pay", amount=4) as wire:
        row = await house.reviewer.waiting("pay", amount=4)
        assert row["review"]["state"] == "parked"
        await house.reviewer.approve(row)
        assert "pay ran" in text(await wire.rest())
    assert house.dispatched("shop", "pay", amount=4) == 1


async def test_p04_a_restart_within_its_window_keeps_it_and_lets_nothing_go_that_was_not_in_sight(house: House) -> None:
    async with watched(house), parked(house.url("shop"), "pay", amount=5):
        row = await going(house, "pay", amount=5)
        await asyncio.to_thread(house.gate.kill)
    await asyncio.to_thread(house.gate.start)
    again = await house.reviewer.waiting("pay", amount=5)
    assert again["review"]["id"] == row["review"]["id"]
    assert house.dispatched("shop", "pay", amount=5) == 0
    await house.reviewer.approve(again)
    assert "pay ran" in text(await call(house.url("shop"), "pay", amount=5))
    assert house.dispatched("shop", "pay", amount=5) == 1


async def to_judge(house: House, **arguments: Any) -> dict[str, Any]:
    """The row of this call among those that people are to look at afterwards, once it is there."""
    async with asyncio.timeout(20):
        while True:
            rows = (await asyncio.to_thread(house.reviewer.client.unjudged)).rows
            found = [row for row in rows if is_call(row["call"], "mail", arguments)]
            if found:
                return dict(found[0])
            await asyncio.sleep(0.01)


async def test_p11_a_call_looked_at_afterwards_goes_at_once_and_is_judged_without_holding_anybody_up(
    house: House,
) -> None:
    assert "mail ran" in text(await call(house.url("shop"), "mail", amount=6))
    row = await to_judge(house, amount=6)
    assert row["review"]["state"] == "unjudged"
    shown = await asyncio.to_thread(house.reviewer.client.show, row["review"]["id"])
    assert "mail ran" in str(shown["outcome"])
    with pytest.raises(Refused, match="reason is needed"):
        await asyncio.to_thread(house.reviewer.client.act, "judge", shown, verdict="harmful", comment="")
    acted = await asyncio.to_thread(house.reviewer.client.act, "judge", shown, verdict="harmful", comment="wrong list")
    assert acted["state"] == "judged_harmful"
    assert (await house.reviewer.api("GET", "/afterwards"))["total"] == 0
