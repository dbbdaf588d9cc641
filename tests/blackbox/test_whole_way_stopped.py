"""The kill switch from end to end: what waits, what is under way, a restart, a loop that hangs, a process that does."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from audit.verify import verify_file
from proxy.reviewer_client import save_session
from proxy.stop_watch import EXIT_CODE
from tests.blackbox.gate_process import (
    AGENT_KEYS,
    MODERN,
    Held,
    House,
    ToolHouse,
    call,
    call_bytes,
    environment,
    interlock,
    parked,
    text,
    told,
    tool,
)
from tests.blackbox.raw_client import RawAnswer, connection, post, request_bytes
from tests.faults.forked_gate import Launcher, WarmGate

POLICY = """
version: v1
name: stopped
rules:
  - id: ask-to-pay
    match: {tools: ["bank/pay"]}
    decision: require_approval
    reason: Payments need a person
  - id: the-rest
    match: {tools: ["bank/**", "child/**"]}
    decision: allow
"""
STDIO_TOOL = Path(__file__).parent / "servers" / "stdio_tool.py"
HANGS = """
import signal

def hang(*_):
    while True:
        pass

signal.signal(signal.SIGUSR1, hang)
"""


class HangingGate(WarmGate):
    """A gate whose event loop hangs in our own code from SIGUSR1 on; its other threads go on."""

    begins_with = HANGS

    def send(self, number: int) -> None:
        os.kill(self.process_id, number)

    def wait(self) -> int:
        """Until it has ended; its exit code."""
        assert self._process is not None
        code = self._process.wait(20)
        self._process = None
        return code


def house_with(launcher: Launcher, base: Path, kind: type[WarmGate]) -> House:
    tools = ToolHouse()
    tools.add("bank", [tool("echo", text="string"), tool("pay", amount="number")])
    servers = tools.config() | {"child": {"command": sys.executable, "args": [str(STDIO_TOOL)]}}
    agents = {name: {"key_sha256": sha256(key.encode()).hexdigest()} for name, key in AGENT_KEYS.items()}
    parking = {"hold_sec": 60, "keepalive_sec": 0.1, "clients": {"impatient": 0.1}}
    house = House(kind(launcher, base, POLICY, servers, parking=parking, agents=agents), tools)
    house.gate.start()
    house.gate.config_file.write_text(json.dumps(house.gate.config), encoding="utf-8")  # with the ports it has found
    sessions = base / ".config" / "interlock" / "reviewer-sessions.json"
    save_session(sessions, house.gate.reviewers_url, house.reviewer.client.token)
    return house


@pytest.fixture(scope="module")
def house(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = house_with(launcher, tmp_path_factory.mktemp("stopped"), WarmGate)
    yield made
    made.gate.stop()
    made.tools.close()


@pytest.fixture(autouse=True)
def lifted(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves a stop to the next one."""
    yield
    if "house" in request.fixturenames:
        made: House = request.getfixturevalue("house")
        made.gate.start()
        for stop in made.reviewer.client.stops():
            made.reviewer.client.lift(stop["id"], "the test is over")


@pytest.fixture
def hanging(launcher: Launcher, tmp_path: Path) -> Iterator[House]:
    made = house_with(launcher, tmp_path, HangingGate)
    yield made
    made.gate.kill()
    made.tools.close()


def run(house: House, *words: str) -> subprocess.CompletedProcess[str]:
    command = interlock(*words, "--config", str(house.gate.config_file))
    return subprocess.run(
        command, env=environment(house.gate.base), capture_output=True, text=True, timeout=60, check=False
    )


async def cli(house: House, *words: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(run, house, *words)


async def resumed(house: House, *words: str) -> None:
    done = await cli(house, "resume", *words, "--reason", "mended")
    assert done.returncode == 0, done.stderr


def as_agent(name: str, **more: Any) -> dict[str, Any]:
    return {"Authorization": f"Bearer {AGENT_KEYS[name]}"} | more


async def under_way(house: House, held: Held, how: dict[str, Any]) -> asyncio.Task[RawAnswer]:
    """A call that its tool has read and does not answer."""
    house.tools.servers["bank"].then(held, method="tools/call")
    task = asyncio.ensure_future(call(house.url("bank"), "echo", how=how, timeout_sec=60, text="under way"))
    assert await asyncio.to_thread(held.arrived.wait, 20)
    return task


async def test_p01_p05_a_stop_reaches_what_waits_and_what_is_under_way_of_one_agent_and_of_nobody_else(
    house: House,
) -> None:
    url, anna, bert = house.url("bank"), as_agent("anna"), as_agent("bert")
    held = house.tools.held()
    ticket = told(await call(url, "pay", how=as_agent("anna", client="impatient"), amount=1))["ticket"]
    async with parked(url, "pay", how=anna, amount=2) as annas, parked(url, "pay", how=bert, amount=3) as berts:
        sent = await under_way(house, held, anna)
        done = await cli(house, "stop", "--agent", "an*", "--reason", "it pays too much")
        assert (done.returncode, done.stderr) == (0, "")
        assert "The gate has it in force: nothing more is sent." in done.stdout
        assert "It ended 2 questions and 0 streams, cut 1 calls" in done.stdout
        answers = [await annas.rest(), await sent, await call(url, "interlock_collect", how=anna, ticket=ticket)]
        assert [told(answer)["decision"] for answer in answers] == ["stopped"] * 3
        assert [told(answer)["executed"] for answer in answers] == [False, None, False]
        assert "NOT executed: stopped by the people who run this gate" in text(answers[0])
        assert told(await call(url, "echo", how=anna, text="new"))["decision"] == "stopped"
        shaken = await post(url, INITIALIZE, **anna)
        assert (shaken.status, "Stopped" in shaken.message["error"]["message"]) == (502, True)
        await house.reviewer.approve(await house.reviewer.waiting("pay", amount=3))
        assert "pay ran" in text(await berts.rest())
    held.let_go()
    assert len(await house.reviewer.in_doubt("echo", text="under way")) == 1
    status = await cli(house, "status", "--json")
    (stop,) = json.loads(status.stdout)["stops"]
    assert (status.returncode, stop["target"], stop["why"], stop["is_recorded"]) == (1, "an*", "it pays too much", True)
    assert house.dispatched("bank", "pay", amount=2) == house.dispatched("bank", "echo", text="new") == 0

    await resumed(house, "--agent", "an*")
    assert "echo ran" in text(await call(url, "echo", how=anna, text="new"))
    assert (await cli(house, "status")).returncode == 0
    async with parked(url, "pay", how=anna, amount=2):  # it is asked again: the old question is over
        await house.reviewer.waiting("pay", amount=2)
    verify_file(house.gate.store, deep=True)


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}},
}


async def test_p01_a_stopped_server_gets_nothing_its_processes_end_and_others_go_on(house: House) -> None:
    how = as_agent("bert", revision=MODERN)
    await call(house.url("child"), "echo", how=how, text="before")
    done = await cli(house, "stop", "--server", "child")
    assert done.returncode == 0
    (stop,) = json.loads((await cli(house, "status", "--json")).stdout)["stops"]
    assert stop["reached"]["processes_ended"] >= 1
    assert told(await call(house.url("child"), "echo", how=how, text="after"))["decision"] == "stopped"
    assert "echo ran" in text(await call(house.url("bank"), "echo", how=how, text="beside"))
    await resumed(house, "--server", "child")
    assert told(await call(house.url("child"), "echo", how=how, text="again")).get("decision") is None


async def test_p01_a_stop_ordered_while_the_gate_is_away_counts_from_its_first_moment_on(house: House) -> None:
    url, bert = house.url("bank"), as_agent("bert")
    ticket = told(await call(url, "pay", how=as_agent("bert", client="impatient"), amount=7))["ticket"]
    await asyncio.to_thread(house.gate.stop)
    done = await cli(house, "stop", "--all")
    assert (done.returncode, "The gate is not running: nothing is sent." in done.stdout) == (0, True)
    before = len(house.tools.servers["bank"].requests)
    await asyncio.to_thread(house.gate.start)
    assert told(await call(url, "echo", how=bert, text="x"))["decision"] == "stopped"
    assert told(await call(url, "interlock_collect", how=bert, ticket=ticket))["executed"] is False
    assert await house.reviewer.questions("pay", amount=7) == []
    assert len(house.tools.servers["bank"].requests) == before
    await resumed(house, "--all")
    assert "echo ran" in text(await call(url, "echo", how=bert, text="x"))
    verify_file(house.gate.store, deep=True)


async def _hung(house: House) -> None:
    """Until the loop has stopped answering."""
    assert isinstance(house.gate, HangingGate)
    house.gate.send(signal.SIGUSR1)
    while await asyncio.to_thread(house.reviewer.client.answers):
        await asyncio.sleep(0.1)


async def test_p01_p05_a_stop_works_when_the_event_loop_hangs(hanging: House) -> None:
    assert isinstance(hanging.gate, HangingGate)
    url, bert, held = hanging.url("bank"), as_agent("bert"), hanging.tools.held()
    sent = await under_way(hanging, held, bert)
    await _hung(hanging)
    body, lines = call_bytes("echo", {"text": "comes meanwhile"}, **bert)
    async with connection(url) as wire:
        await wire.write(request_bytes(url, body, lines))
        done = await cli(hanging, "stop", "--all")
        assert done.returncode == 0
        assert "The gate has it in force: nothing more is sent." in done.stdout
        assert "The gate was ended, with everything under way." in done.stdout
    assert await asyncio.to_thread(hanging.gate.wait) == EXIT_CODE
    assert "interlock: stopped, and the gate has not answered for 5 s: it is ended." in "".join(hanging.gate.said)
    await asyncio.gather(sent, return_exceptions=True)
    assert hanging.dispatched("bank", "echo", text="comes meanwhile") == 0

    await asyncio.to_thread(hanging.gate.start)
    assert len(await hanging.reviewer.in_doubt("echo", text="under way")) == 1
    assert told(await call(url, "echo", how=bert, text="x"))["decision"] == "stopped"
    assert hanging.dispatched("bank", "echo", text="under way") == 1
    held.let_go()
    verify_file(hanging.gate.store, deep=True)


@pytest.mark.long
async def test_p01_a_gate_that_does_not_react_at_all_is_ended_by_the_command(hanging: House) -> None:
    assert isinstance(hanging.gate, HangingGate)
    hanging.gate.send(signal.SIGSTOP)
    done = await cli(hanging, "stop", "--all")
    assert (done.returncode, done.stderr) == (0, "")
    assert "The gate did not react and was ended (SIGKILL)." in done.stdout
    assert await asyncio.to_thread(hanging.gate.wait) == -signal.SIGKILL
    status = await cli(hanging, "status")
    assert status.returncode == 3
    assert "STOPPED: everything" in status.stdout


@pytest.mark.long
async def test_what_is_touched_in_need_stops_everything_without_any_program_of_ours(house: House) -> None:
    (house.gate.base / "data" / "stops" / "now").touch()
    async with asyncio.timeout(20):
        while not (standing := await asyncio.to_thread(house.reviewer.client.stops)):
            await asyncio.sleep(0.05)
    assert told(await call(house.url("bank"), "echo", text="x"))["decision"] == "stopped"
    assert standing[0]["scope"] == "all"
    await resumed(house, "--all")
    assert not (house.gate.base / "data" / "stops" / "now").exists()
    assert "echo ran" in text(await call(house.url("bank"), "echo", text="x"))
