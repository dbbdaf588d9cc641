"""Tools that break: doubt is named, what was not sent may be repeated, and nothing is ever sent twice (P4, P5)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from mcp.client import Client

from tests.blackbox.gate_process import (
    LEGACY,
    MODERN,
    REVISIONS,
    House,
    call,
    call_bytes,
    parked,
    session_of,
    text,
    told,
)
from tests.blackbox.raw_client import connection, request_bytes
from tests.blackbox.servers.counting import close_after_reading, never_answer, reset_after_reading


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("break_it", [reset_after_reading, close_after_reading], ids=["reset", "close"])
async def test_p05_a_tool_that_dies_after_reading_leaves_doubt_and_one_dispatch_until_a_person_resolves_it(
    house: House, break_it: Any, revision: str
) -> None:
    said, url, how = f"{break_it.__name__} {revision}", house.url("fragile"), {"revision": revision}
    house.tools.servers["fragile"].then(break_it, method="tools/call")
    for _ in range(2):
        assert told(await call(url, "echo", how=how, text=said)) | {"call_id": ""} == {
            "decision": "in_doubt",
            "call_id": "",
            "executed": None,
        }
    assert house.dispatched("fragile", "echo", text=said) == 1
    (doubt,) = await house.reviewer.in_doubt("echo", text=said)
    await house.reviewer.resolve(doubt, "did_not_happen", "the tool's own books do not have it")
    assert await house.reviewer.in_doubt("echo", text=said) == []
    assert "echo ran" in text(await call(url, "echo", how=how, text=said))
    assert house.dispatched("fragile", "echo", text=said) == 2


async def test_p05_an_approved_call_whose_tool_dies_is_in_doubt_and_its_grant_is_spent(house: House) -> None:
    url = house.url("fragile")
    house.tools.servers["fragile"].then(reset_after_reading, method="tools/call")
    async with parked(url, "pay", amount=2_000) as wire:
        row = await house.reviewer.waiting("pay", amount=2_000)
        await house.reviewer.approve(row)
        assert told(await wire.rest())["decision"] == "in_doubt"
    assert told(await call(url, "pay", amount=2_000))["decision"] == "in_doubt"
    assert house.dispatched("fragile", "pay", amount=2_000) == 1
    assert (await house.reviewer.show(row))["review"]["state"] == "spent"
    (doubt,) = await house.reviewer.in_doubt("pay", amount=2_000)
    await house.reviewer.resolve(doubt, "happened", "paid, says the bank")
    assert told(await call(url, "pay", amount=2_000))["executed"] is True
    async with parked(url, "pay", amount=2_000):  # now a new question: the old answer is used up
        row = await house.reviewer.waiting("pay", amount=2_000)
    await house.reviewer.act("reject", row, comment="it has been paid")
    assert house.dispatched("fragile", "pay", amount=2_000) == 1


async def test_p05_a_tool_that_never_answers_leaves_doubt_when_its_time_is_over(house: House) -> None:
    how = {"revision": MODERN}
    assert told(await call(house.url("hasty"), "stay_silent", how=how, on="stdio"))["decision"] == "in_doubt"
    assert len(await house.reviewer.in_doubt("stay_silent", on="stdio")) == 1


@pytest.mark.long
async def test_p05_a_tool_over_http_that_never_answers_leaves_doubt_when_its_time_is_over(house: House) -> None:
    house.tools.servers["slow"].then(never_answer, method="tools/call")
    assert told(await call(house.url("slow"), "echo", text="silence"))["decision"] == "in_doubt"
    assert house.dispatched("slow", "echo", text="silence") == 1
    assert len(await house.reviewer.in_doubt("echo", text="silence")) == 1


async def test_a_read_that_broke_is_no_doubt_and_may_be_repeated(house: House) -> None:
    house.tools.servers["fragile"].then(reset_after_reading, method="tools/call")
    answered = await call(house.url("fragile"), "look_up", name="anna")
    assert told(answered)["decision"] == "failed"
    assert "may be repeated" in text(answered)
    assert await house.reviewer.in_doubt("look_up", name="anna") == []
    assert "look_up ran" in text(await call(house.url("fragile"), "look_up", name="anna"))


@pytest.mark.parametrize("revision", REVISIONS)
async def test_p04_a_tool_that_is_away_executes_nothing_and_the_approval_holds_until_it_is_back(
    house: House, revision: str
) -> None:
    amount, url, how = 2_010 + REVISIONS.index(revision), house.url("fragile"), {"revision": revision}
    await call(url, "echo", text="so that its tools are known")
    async with parked(url, "pay", how=how, amount=amount) as wire:
        row = await house.reviewer.waiting("pay", amount=amount)
        await asyncio.to_thread(house.tools.stop, "fragile")
        try:
            await house.reviewer.approve(row)
            away = await wire.rest()
            again = await call(url, "echo", how=how, text=f"away {revision}")
        finally:
            await asyncio.to_thread(house.tools.start, "fragile")
    assert (told(away)["decision"], told(away)["executed"]) == ("failed", False)
    assert again.message["result"]["isError"] is True
    assert "NOT executed" in text(again)
    assert house.dispatched("fragile", "pay", amount=amount) == 0
    assert "pay ran" in text(await call(url, "pay", how=how, amount=amount))
    assert "echo ran" in text(await call(url, "echo", how=how, text=f"away {revision}"))
    assert house.dispatched("fragile", "pay", amount=amount) == 1


async def test_a_server_that_loses_its_sessions_needs_no_restart_of_gate_or_client(house: House) -> None:
    async with Client(house.url("sessions"), mode="legacy") as client:
        for said in ("before", "after"):
            answered = await client.call_tool("echo", {"text": f"{said} its restart"})
            assert not answered.is_error, answered
            house.tools.run(_forget(house))
    assert house.dispatched("sessions", "echo", text="after its restart") >= 1


async def _forget(house: House) -> None:
    house.tools.servers["sessions"].forget_sessions()


@pytest.mark.parametrize("revision", REVISIONS)
async def test_p05_a_child_that_is_killed_in_the_middle_leaves_doubt_and_another_takes_its_place(
    house: House, revision: str
) -> None:
    url = house.url("child")
    how: dict[str, Any] = {"revision": revision}
    if revision == LEGACY:
        how["Mcp_Session_Id"] = await session_of(url)
    first = await child_of(url, how)
    body, lines = call_bytes("stay_silent", {"revision": revision}, **how)
    async with asyncio.timeout(20), connection(url) as wire:
        await wire.write(request_bytes(url, body, lines))
        await dispatching(house, "stay_silent")
        os.kill(first, signal.SIGKILL)
        assert told(await wire.rest())["decision"] == "in_doubt"
    assert told(await call(url, "stay_silent", how=how, revision=revision))["decision"] == "in_doubt"
    assert len(await house.reviewer.in_doubt("stay_silent", revision=revision)) == 1
    assert await child_of(url, how) != first


async def child_of(url: str, how: dict[str, Any]) -> int:
    return int(json.loads(text(await call(url, "echo", how=how)))["pid"])


async def dispatching(house: House, tool: str) -> None:
    """Until the record says that this call was let go; the pipe takes it at once."""
    query = "SELECT count(*) FROM calls WHERE tool = ? AND state = 'dispatching'"
    async with asyncio.timeout(10):
        with closing(sqlite3.connect(f"file:{house.gate.store}?mode=ro", uri=True)) as store:
            while not store.execute(query, (tool,)).fetchone()[0]:
                await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
