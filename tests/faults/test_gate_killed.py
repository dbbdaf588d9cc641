"""SIGKILL of the gate while one call is at every stage: what is found afterwards, by agents and by reviewers.

The gate is a process of its own, killed by its own id; the record is verified offline before it is started again. The
rows of kills at named places are in tests/faults/test_kill_cycles.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.blackbox.gate_process import (
    MODERN,
    GateProcess,
    Held,
    House,
    ToolHouse,
    call,
    call_bytes,
    parked,
    text,
    told,
    tool,
)
from tests.blackbox.raw_client import connection, request_bytes
from tests.blackbox.servers.counting import Recorded, Wire
from tests.faults.record_on_disk import Disk

POLICY = """
version: v1
name: killed
rules:
  - id: ask-to-pay
    match: {tools: ["bank/pay"]}
    decision: require_approval
    reason: Payments need a person
    approval: {timeout_sec: 3600}
  - id: the-rest
    match: {tools: ["bank/*", child/echo]}
    decision: allow
    reason: What these tests call
output:
  - id: no-keys-leave
    match: {servers: [bank]}
    detect: {aws_access_key: quarantine}
"""
TOOLS = [tool("echo", text="string"), tool("pay", amount="number")]
STDIO_TOOL = Path(__file__).parents[1] / "blackbox" / "servers" / "stdio_tool.py"
SECRET = "AKIAQ3EGRZ5XK7PLM2WT"
HASTE = {"client": "impatient"}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    tools = ToolHouse()
    tools.add("bank", TOOLS)
    servers = tools.config() | {"child": {"command": sys.executable, "args": [str(STDIO_TOOL)]}}
    parking = {"hold_sec": 30, "keepalive_sec": 0.1, "clients": {"impatient": 0.05}, "open_reviews_per_agent_max": 500}
    gate = GateProcess(tmp_path_factory.mktemp("killed"), POLICY, servers, parking=parking)
    try:
        gate.start()
        yield House(gate, tools)
    finally:
        gate.stop()
        tools.close()


@dataclass
class Killed:
    """A gate killed while one call was at every stage, and started again."""

    house: House
    rows: dict[str, dict[str, Any]]
    tickets: dict[str, str]
    orphans: list[int]


@pytest.fixture(scope="module")
def killed(started: House) -> Killed:
    return asyncio.run(_kill_in_the_middle(started))


async def _kill_in_the_middle(house: House) -> Killed:
    rows: dict[str, Any] = {}
    tickets: dict[str, str] = {}
    url = house.url("bank")
    await call(house.url("child"), "echo", how={"revision": MODERN})
    house.tools.servers["bank"].then(_answer_with_a_secret, method="tools/call")
    await call(url, "echo", text="what is the key?")
    rows["held"] = await house.reviewer.waiting("echo", text="what is the key?")
    tickets["ticketed"] = told(await call(url, "pay", how=HASTE, amount=5))["ticket"]
    rows["ticketed"] = await house.reviewer.waiting("pay", amount=5)
    await call(url, "pay", how=HASTE, amount=4)
    rows["rejected"] = await house.reviewer.waiting("pay", amount=4)
    await house.reviewer.act("reject", rows["rejected"], comment="no")
    async with contextlib.AsyncExitStack() as open_calls:
        open_calls.push_async_callback(_expect_nothing)
        await _dispatching(house, open_calls, "echo", {"text": "slow"})
        await open_calls.enter_async_context(parked(url, "pay", amount=1))
        rows["parked"] = await house.reviewer.waiting("pay", amount=1)
        await open_calls.enter_async_context(parked(url, "pay", amount=2))
        rows["dispatched"] = await house.reviewer.waiting("pay", amount=2)
        held = house.tools.held()
        house.tools.servers["bank"].then(held, method="tools/call")
        await house.reviewer.approve(rows["dispatched"])
        await asyncio.to_thread(held.arrived.wait, 10)
        await call(url, "pay", how=HASTE, amount=3)
        rows["approved"] = await house.reviewer.waiting("pay", amount=3)
        await house.reviewer.approve(rows["ticketed"])
        await house.reviewer.approve(rows["approved"])
        orphans = descendants(house.gate.process_id)
        house.gate.kill()
    Disk(house.gate).verify()
    tools = house.tools.servers["bank"].tools.tools
    tools.append(tool("look_up", "Added while the gate was away", name="string"))
    await asyncio.to_thread(house.gate.start)
    return Killed(house, rows, tickets, orphans)


async def _expect_nothing() -> None:
    """The connections end when the gate is gone; nobody reads them."""


async def _dispatching(house: House, open_calls: contextlib.AsyncExitStack, name: str, arguments: Any) -> Held:
    held = house.tools.held()
    house.tools.servers["bank"].then(held, method="tools/call")
    body, lines = call_bytes(name, arguments)
    wire = await open_calls.enter_async_context(connection(house.url("bank")))
    await wire.write(request_bytes(house.url("bank"), body, lines))
    await asyncio.to_thread(held.arrived.wait, 10)
    return held


async def _answer_with_a_secret(request: Recorded, wire: Wire) -> None:
    content = [{"type": "text", "text": f"The key is {SECRET}"}]
    await wire.json({"jsonrpc": "2.0", "id": request.message["id"], "result": {"content": content}})


def descendants(process_id: int) -> list[int]:
    """Every process that this one has started, and theirs."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [process_id]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


async def test_a_parked_call_is_still_a_question_after_sigkill_and_approving_it_gives_one_dispatch(
    killed: Killed,
) -> None:
    house = killed.house
    row = await house.reviewer.waiting("pay", amount=1)
    assert row["review"]["id"] == killed.rows["parked"]["review"]["id"]
    assert (await house.reviewer.show(row))["agent_waiting_since"] is None
    await house.reviewer.approve(row)
    assert "pay ran" in text(await call(house.url("bank"), "pay", amount=1))
    assert house.dispatched("bank", "pay", amount=1) == 1


async def test_p04_an_approval_acknowledged_just_before_sigkill_holds_and_is_spent_once(killed: Killed) -> None:
    house = killed.house
    shown = await house.reviewer.show(killed.rows["approved"])
    assert (shown["review"]["state"], shown["call"]["state"]) == ("spendable", "waiting")
    assert "pay ran" in text(await call(house.url("bank"), "pay", amount=3))
    assert house.dispatched("bank", "pay", amount=3) == 1


async def test_a_ticket_from_before_sigkill_collects_after_it(killed: Killed) -> None:
    house = killed.house
    collected = await call(house.url("bank"), "interlock_collect", ticket=killed.tickets["ticketed"])
    assert text(collected) == 'pay ran with {"amount": 5}'
    assert house.dispatched("bank", "pay", amount=5) == 1


@pytest.mark.parametrize(("name", "arguments"), [("echo", {"text": "slow"}), ("pay", {"amount": 2})])
async def test_p05_what_was_being_dispatched_is_in_doubt_after_sigkill_until_a_person_resolves_it(
    killed: Killed, name: str, arguments: dict[str, Any]
) -> None:
    house = killed.house
    (doubt,) = await house.reviewer.in_doubt(name, **arguments)
    assert told(await call(house.url("bank"), name, **arguments))["decision"] == "in_doubt"
    assert house.dispatched("bank", name, **arguments) == 1
    await house.reviewer.resolve(doubt, "happened", "the bank says so")
    assert await house.reviewer.in_doubt(name, **arguments) == []
    found = told(await call(house.url("bank"), name, **arguments))  # told once; that asking again does nothing again
    assert (found["decision"], found["executed"]) == ("resolved", True)
    assert house.dispatched("bank", name, **arguments) == 1
    answered = await call(house.url("bank"), name, how=HASTE, **arguments)  # and now it is a new call
    if name == "pay":
        assert told(answered)["decision"] == "require_approval"
        assert house.dispatched("bank", name, **arguments) == 1
    else:
        assert "echo ran" in text(answered)
        assert house.dispatched("bank", name, **arguments) == 2


async def test_p08_an_output_held_before_sigkill_is_still_held_and_released_once(killed: Killed) -> None:
    house = killed.house
    again = await call(house.url("bank"), "echo", text="what is the key?")
    assert told(again)["decision"] == "quarantined"
    assert SECRET.encode() not in again.body
    await house.reviewer.act("release", await house.reviewer.waiting("echo", text="what is the key?"))
    released = await call(house.url("bank"), "echo", text="what is the key?")
    assert SECRET in text(released)
    assert house.dispatched("bank", "echo", text="what is the key?") == 1


async def test_a_rejection_holds_across_sigkill(killed: Killed) -> None:
    assert told(await call(killed.house.url("bank"), "pay", amount=4))["decision"] == "rejected"
    assert killed.house.dispatched("bank", "pay", amount=4) == 0


async def test_a_tool_that_appeared_while_the_gate_was_away_parks_under_an_allowing_glob(killed: Killed) -> None:
    house = killed.house
    answered = await call(house.url("bank"), "look_up", how=HASTE, name="anna")
    assert told(answered)["decision"] == "require_approval"
    row = await house.reviewer.waiting("look_up", name="anna")
    assert row["review"]["answered_rules"] == ["interlock/built-in#tool-definition-changed"]
    await house.reviewer.act("reject", row, comment="not before it is looked at")


async def test_a_killed_gate_leaves_no_process_behind(killed: Killed) -> None:
    assert len(killed.orphans) >= 3  # an inspector at work, the child and its leash
    async with asyncio.timeout(10):
        while any(Path(f"/proc/{orphan}").exists() for orphan in killed.orphans):
            await asyncio.sleep(0.05)
