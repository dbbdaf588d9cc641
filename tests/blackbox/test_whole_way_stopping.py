"""SIGTERM: every waiting agent is answered with its ticket, the gate ends at once, the tickets work afterwards."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing
from typing import Any

import pytest

from audit.verify import verify_file
from tests.blackbox.gate_process import (
    LEGACY,
    MODERN,
    House,
    ToolHouse,
    call,
    call_bytes,
    text,
    told,
    tool,
)
from tests.blackbox.raw_client import RawConnection, connection, request_bytes
from tests.blackbox.servers.counting import never_answer
from tests.faults.forked_gate import Launcher, warm_house

POLICY = """
version: v1
name: stopping
rules:
  - id: ask-to-pay
    match: {tools: ["bank/pay"]}
    decision: require_approval
    reason: Payments need a person
  - id: the-rest
    match: {tools: ["bank/**"]}
    decision: allow
"""
HOLDS = 200
STOP_SEC_MAX = 10


@pytest.fixture(scope="module")
def bank(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    tools = ToolHouse()
    tools.add("bank", [tool("echo", text="string"), tool("pay", amount="number")])
    parking = {"hold_sec": 60, "open_reviews_per_agent_max": 1_000}
    with warm_house(launcher, tmp_path_factory.mktemp("stopping"), POLICY, tools, parking=parking) as house:
        yield house


async def hold(stack: AsyncExitStack, url: str, amount: int) -> RawConnection:
    body, lines = call_bytes("pay", {"amount": amount}, revision=LEGACY if amount % 2 else MODERN)
    wire = await stack.enter_async_context(connection(url))
    await wire.write(request_bytes(url, body, lines))
    await wire.until(b": keep-alive")
    return wire


async def test_p14_a_stopped_gate_answers_every_held_call_with_a_ticket_that_works_after_it_is_started_again(
    bank: House,
) -> None:
    url = bank.url("bank")
    async with AsyncExitStack() as stack:
        wires = await asyncio.gather(*(hold(stack, url, amount) for amount in range(HOLDS)))
        began = time.monotonic()
        stopping = asyncio.ensure_future(asyncio.to_thread(bank.gate.stop))
        answers = await asyncio.gather(*(wire.rest() for wire in wires))
        assert await stopping == 0
        assert time.monotonic() - began < STOP_SEC_MAX
    tickets = [told(answer)["ticket"] for answer in answers]
    assert len(set(tickets)) == HOLDS
    assert {told(answer)["executed"] for answer in answers} == {False}
    assert bank.tools.servers["bank"].count("tools/call") == 0
    verify_file(bank.gate.store, deep=True)
    assert last_kind(bank) == "gate_stopped"

    await asyncio.to_thread(bank.gate.start)
    rows = (await bank.reviewer.api("GET", "/approvals"))["waiting"]
    assert len(rows) == HOLDS
    for amount in (0, 1, HOLDS - 1):
        await bank.reviewer.approve(await bank.reviewer.waiting("pay", amount=amount))
        how = {"revision": MODERN}
        collected = await call(url, "interlock_collect", how=how, ticket=tickets[amount])
        assert text(collected) == f'pay ran with {{"amount": {amount}}}'
        assert bank.dispatched("bank", "pay", amount=amount) == 1
    assert bank.tools.servers["bank"].count("tools/call") == 3


async def test_p05_a_call_under_way_when_the_gate_stops_is_finished_or_named_as_doubt(bank: House) -> None:
    held = bank.tools.held()
    bank.tools.servers["bank"].then(held, method="tools/call")
    body, lines = call_bytes("echo", {"text": "under way"})
    async with connection(bank.url("bank")) as wire:
        await wire.write(request_bytes(bank.url("bank"), body, lines))
        await asyncio.to_thread(held.arrived.wait, 10)
        stopping = asyncio.ensure_future(asyncio.to_thread(bank.gate.stop))
        await asyncio.sleep(0.3)
        held.let_go()
        assert text(await wire.rest()) == "let go"
        assert await stopping == 0
    verify_file(bank.gate.store, deep=True)


@pytest.mark.long
async def test_p05_a_call_that_outlasts_the_stop_is_named_as_doubt(bank: House) -> None:
    await asyncio.to_thread(bank.gate.start)
    bank.tools.servers["bank"].then(never_answer, method="tools/call")
    body, lines = call_bytes("echo", {"text": "for ever"})
    async with connection(bank.url("bank")) as wire:
        await wire.write(request_bytes(bank.url("bank"), body, lines))
        async with asyncio.timeout(10):
            while not bank.dispatched("bank", "echo", text="for ever"):
                await asyncio.sleep(0.01)
        assert await asyncio.to_thread(bank.gate.stop) == 0
    await asyncio.to_thread(bank.gate.start)
    assert len(await bank.reviewer.in_doubt("echo", text="for ever")) == 1
    assert told(await call(bank.url("bank"), "echo", text="for ever"))["decision"] == "in_doubt"
    assert bank.dispatched("bank", "echo", text="for ever") == 1


def last_kind(bank: House) -> Any:
    query = "SELECT data FROM entries ORDER BY seq DESC LIMIT 1"
    with closing(sqlite3.connect(f"file:{bank.gate.store}?mode=ro", uri=True)) as store:
        return json.loads(store.execute(query).fetchone()[0])["kind"]
