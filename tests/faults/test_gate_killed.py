"""SIGKILL of the gate, at every stage and at random moments: nothing acknowledged is lost, nothing runs twice.

The gate is a process of its own, killed by its own id; the tool counts, and looks into the gate's record itself the
moment a call reaches it; the record is verified offline before the gate is started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from audit.masks import commit
from audit.verify import verify_file
from proxy.keys import Keys
from proxy.reviewer_client import Refused, Unreachable
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
from tests.blackbox.raw_client import RawAnswer, connection, request_bytes
from tests.blackbox.servers.counting import Recorded, Wire

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
CYCLES, CYCLES_LONG = 5, 40
LATELY = 1_000  # entries: the decision to let a call go is among the last ones when it arrives


# ---- the record, as it lies on the disk ------------------------------------------------------------------------------


class Disk:
    """The gate's record read from outside, whether or not the gate lives."""

    def __init__(self, gate: GateProcess) -> None:
        self._path = gate.store
        keys = Keys.load_or_create(gate.base / "keys", data_dir=gate.base / "data")
        self._commit_key = keys.commit

    def verify(self) -> None:
        """Every entry, every link, deeply. Raises: Broken."""
        assert verify_file(self._path, deep=True).entries > 0

    def lets_go(self, tool: str, arguments: dict[str, Any]) -> bool:
        """Whether the durable decision that this call may leave stands in the record already (P3)."""
        commitment = commit(self._commit_key, {"arguments": arguments})
        query = "SELECT data FROM entries WHERE seq > (SELECT max(seq) - ? FROM entries) AND instr(data, ?)"
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as store:
            entries = [json.loads(data) for (data,) in store.execute(query, (LATELY, commitment.encode()))]
        return any(_is_let_go(entry, commitment) for entry in entries)


def _is_let_go(entry: dict[str, Any], commitment: str) -> bool:
    body = entry["body"]
    if entry["kind"] == "grant_spent":
        return bool(body["sent"] == commitment)
    return bool(entry["kind"] == "call_decided" and body["dispatched"] and body["proposed"] == commitment)


@dataclass
class Watching:
    """The bank's own eyes: each call that arrives is looked up in the record before it is executed."""

    house: House
    disk: Disk
    unrecorded: list[Any] = field(default_factory=list)
    is_slow: float = 0.0

    async def __call__(self, request: Recorded, wire: Wire) -> None:
        message = request.message
        if isinstance(message, dict) and message.get("method") == "tools/call":
            params = message["params"]
            if not self.disk.lets_go(params["name"], params["arguments"]):
                self.unrecorded.append(params)
            await asyncio.sleep(self.is_slow)
        await self.house.tools.servers["bank"]._properly(request, wire)


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


# ---- killed once, in the middle of everything ------------------------------------------------------------------------


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


# ---- killed at random moments ----------------------------------------------------------------------------------------


@dataclass
class Traffic:
    """Agents that call and a reviewer who approves, until the gate is gone."""

    house: House
    numbers: Iterator[int]
    sent: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    ended: set[tuple[str, str]] = field(default_factory=set)  # the agent has a whole answer, and asks no more
    acknowledged: dict[str, dict[str, Any]] = field(default_factory=dict)
    arrived: Counter[tuple[str, str]] = field(default_factory=Counter)
    _requests_counted: int = 0

    def count_arrived(self) -> Counter[tuple[str, str]]:
        """How often each call has arrived at the bank."""
        requests = self.house.tools.servers["bank"].requests
        until = len(requests)
        for request in requests[self._requests_counted : until]:
            if "tools/call" in request.methods:
                params = request.message["params"]
                self.arrived[params["name"], json.dumps(params["arguments"])] += 1
        self._requests_counted = until
        return self.arrived

    async def agent(self, name: str) -> None:
        while True:
            number = next(self.numbers)
            arguments = {"amount": number} if name == "pay" else {"text": f"number {number}"}
            key = (name, json.dumps(arguments))
            self.sent[key] = arguments
            await self.ask(key)

    async def ask(self, key: tuple[str, str]) -> str:
        """One call, and what came of it."""
        outcome = _outcome(await call(self.house.url("bank"), key[0], how=HASTE, **self.sent[key]))
        if outcome not in ("require_approval", "executing"):
            self.ended.add(key)
        return outcome

    async def reviewer(self) -> None:
        while True:
            queue = await asyncio.to_thread(self.house.reviewer.client.queue)
            for row in queue["waiting"]:
                with contextlib.suppress(Refused):  # it moved meanwhile
                    await self.house.reviewer.approve(row)
                    self.acknowledged[row["call"]["id"]] = row
            await asyncio.sleep(0.01)

    async def until_killed(self, after_sec: float) -> None:
        async with self._all_of_them():
            await asyncio.sleep(after_sec)
            self.house.gate.kill()

    @asynccontextmanager
    async def _all_of_them(self) -> AsyncIterator[None]:
        work = [self.agent("echo"), self.agent("echo"), self.agent("pay"), self.agent("pay"), self.reviewer()]
        tasks = [asyncio.ensure_future(one) for one in work]
        try:
            yield
        finally:
            await asyncio.wait(tasks, timeout=5)
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            broken = (OSError, asyncio.IncompleteReadError, Unreachable, ValueError, IndexError, KeyError)
            assert all(isinstance(end, broken) for end in ends), ends  # the gate went from under them


def _outcome(answer: RawAnswer) -> str:
    return str(told(answer).get("decision", "ran")) if "result" in answer.message else "refused"


async def random_kills(house: House, cycles: int, seed: int) -> None:
    rng = random.Random(seed)
    disk = Disk(house.gate)
    watching = Watching(house, disk)
    house.tools.servers["bank"].always(watching)
    traffic = Traffic(house, iter(range(10_000 * seed, 10**9)))
    traffic.count_arrived()
    traffic.arrived.clear()  # what others sent before
    for _ in range(cycles):
        watching.is_slow = rng.choice((0.0, 0.0, 0.02))
        await traffic.until_killed(rng.uniform(0.05, 0.8))
        disk.verify()
        await asyncio.to_thread(house.gate.start)
        lately = list(traffic.acknowledged.values())[-50:]
        await _nothing_acknowledged_is_lost(house, lately)
        await _everybody_comes_back(traffic)
        assert watching.unrecorded == []
        assert {key: n for key, n in traffic.count_arrived().items() if n > 1} == {}
    await _nothing_acknowledged_is_lost(house, list(traffic.acknowledged.values()))
    assert len(traffic.acknowledged) > cycles
    assert len(traffic.arrived) > 10 * cycles


async def _nothing_acknowledged_is_lost(house: House, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        shown = await house.reviewer.show(row)
        assert shown["review"]["state"] in ("spendable", "spent"), shown["review"]
        assert [vote["verdict"] for vote in shown["votes"]] == ["approve"]


async def _everybody_comes_back(traffic: Traffic) -> None:
    """Each call without a whole answer is repeated until it has one; what waits for people is approved."""
    reviewing = asyncio.ensure_future(traffic.reviewer())
    try:
        async with asyncio.timeout(30):
            for key in [key for key in traffic.sent if key not in traffic.ended]:
                while await traffic.ask(key) in ("require_approval", "executing"):
                    await asyncio.sleep(0.01)
    finally:
        reviewing.cancel()
        await asyncio.gather(reviewing, return_exceptions=True)


async def test_p03_p04_p13_killed_at_random_nothing_acknowledged_is_lost_and_nothing_runs_twice_or_unrecorded(
    started: House,
) -> None:
    await random_kills(started, CYCLES, seed=int(os.environ.get("INTERLOCK_KILL_SEED", "1")))


@pytest.mark.long
async def test_p03_p04_p13_killed_at_random_many_times(started: House) -> None:
    await random_kills(started, CYCLES_LONG, seed=int(os.environ.get("INTERLOCK_KILL_SEED", "2")))
