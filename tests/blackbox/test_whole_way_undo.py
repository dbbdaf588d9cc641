"""The undo window, the whole way: an approved call is held, and taking the approval back in time sends nothing (P4)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.reviewer_client import Refused
from tests.blackbox.gate_process import House, ToolHouse, call, parked, text, tool
from tests.faults.forked_gate import Launcher, warm_house

POLICY = """
version: v1
name: undo
classify:
  - {tools: ["shop/*"], topics: [job.pay], risk_tags: [write], risk: medium}
rules:
  - {id: ask, match: {tools: ["shop/pay"]}, decision: require_approval}
  - {id: ask-at-length, match: {tools: ["shop/pay_much"]}, decision: require_approval, approval: {undo_sec: 600}}
"""


@pytest.fixture(scope="module")
def house(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    base: Path = tmp_path_factory.mktemp("undo")
    tools = ToolHouse()
    tools.add("shop", [tool("pay", amount="number"), tool("pay_much", amount="number")])
    with warm_house(launcher, base, POLICY, tools, reviewing={"undo_sec": {"medium": 1}}) as house:
        yield house


async def standing(house: House) -> tuple[int, int]:
    """How many wait for people, and how many are approved and not yet sent."""
    counts = await house.reviewer.api("GET", "/counts")
    return counts["waiting"]["count"], counts["undoable"]["count"]


async def test_p04_an_approval_taken_back_within_the_window_sends_nothing(house: House) -> None:
    async with parked(house.url("shop"), "pay_much", amount=1) as wire:
        row = await house.reviewer.waiting("pay_much", amount=1)
        approved = await house.reviewer.approve(row)
        assert approved["state"] == "approved"
        assert approved["undo_until"] > time.time() + 500
        assert await standing(house) == (0, 1)
        assert (await house.reviewer.act("undo", row))["state"] == "parked"
        assert await standing(house) == (1, 0)
        shown = await house.reviewer.show(row)
        assert (shown["agree"], [vote["verdict"] for vote in shown["votes"]]) == (0, ["undo"])
        await house.reviewer.act("reject", row)
        assert "rejected" in text(await wire.rest())
    assert house.dispatched("shop", "pay_much", amount=1) == 0


async def test_p04_when_the_window_has_passed_the_held_call_is_sent_once(house: House) -> None:
    async with parked(house.url("shop"), "pay", amount=2) as wire:
        row = await house.reviewer.waiting("pay", amount=2)
        undo_until = (await house.reviewer.approve(row))["undo_until"]
        assert undo_until is not None
        assert house.dispatched("shop", "pay", amount=2) == 0
        assert "pay ran" in text(await wire.rest())
    assert (await house.reviewer.show(row))["call"]["dispatched_at"] >= undo_until
    assert house.dispatched("shop", "pay", amount=2) == 1
    with pytest.raises(Refused, match="Too late"):
        await house.reviewer.act("undo", row)


async def test_p04_a_window_that_passes_while_the_gate_is_away_lets_the_call_go_once_when_it_is_asked_for_again(
    house: House,
) -> None:
    async with parked(house.url("shop"), "pay", amount=3):
        row = await house.reviewer.waiting("pay", amount=3)
        await house.reviewer.approve(row)
        await asyncio.to_thread(house.gate.kill)
    await asyncio.to_thread(house.gate.start)
    assert house.dispatched("shop", "pay", amount=3) == 0
    assert "pay ran" in text(await call(house.url("shop"), "pay", amount=3))
    assert house.dispatched("shop", "pay", amount=3) == 1
