"""A network that resets, delays, half-closes, dribbles and drops, on either side of a real gate.

Whatever it does: at most one dispatch, and what the record says of the call is what can be known of it. A call is in
doubt once a byte of it may have left; what provably never left can be called again (P4, P5). An agent that was cut off
gets the outcome when it asks again.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.blackbox.gate_process import MODERN, ToolHouse, call_bytes, told
from tests.blackbox.raw_client import connection, request_bytes
from tests.faults.forked_gate import ForkedGate, Launcher
from tests.faults.kill_cycles import POLICY
from tests.faults.ledger import Bank, Ledger, Tally
from tests.faults.record_on_disk import Disk
from tests.faults.tcp_proxy import Direction, How, TcpProxy, Trouble

SILENCE_SEC = 1  # after which a tool that says nothing more counts as broken
HEAD = 40  # bytes: within the head of a request or of an answer
ANSWERED, IN_DOUBT, UNSENT = "answered", "in_doubt", "failed_before_send"
NUMBERS = itertools.count(1)


class Network:
    """A gate, and the two ways that lead to it and from it. Every call has a number of its own."""

    def __init__(self, gate: ForkedGate, bank: Bank, to_gate: TcpProxy, to_tool: TcpProxy) -> None:
        self.gate, self.bank, self.to_gate, self.to_tool = gate, bank, to_gate, to_tool

    def seen(self, arguments: dict[str, Any]) -> int:
        return self.bank.ledger.seen[arguments["number"]]

    async def stands_as(self, arguments: dict[str, Any], *states: str) -> None:
        """Until the record says just this of the calls with these arguments."""
        assert self.bank.disk is not None
        async with asyncio.timeout(20):
            while sorted(self.bank.disk.states_of(arguments).elements()) != sorted(states):
                await asyncio.sleep(0.02)

    async def ask(self, arguments: dict[str, Any]) -> str:
        """What the agent is told; `cut off` if it is told nothing whole."""
        url = self.gate.url("bank")
        body, lines = call_bytes("look", arguments, revision=MODERN)
        try:
            async with asyncio.timeout(5), connection(f"http://127.0.0.1:{self.to_gate.port}/") as wire:
                await wire.write(request_bytes(url, body, lines))
                answer = await wire.rest()
            return str(told(answer).get("decision", "ran")) if "result" in answer.message else "refused"
        except (OSError, EOFError, ValueError, IndexError, TimeoutError):
            return "cut off"


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


@asynccontextmanager
async def opened(launcher: Launcher, base: Path) -> AsyncIterator[Network]:
    tools = ToolHouse()
    bank = Bank(tools, Ledger(Tally()))
    async with TcpProxy(port_of(tools.servers["bank"].url)) as to_tool:
        server = {"url": f"http://127.0.0.1:{to_tool.port}/mcp", "timeout_sec": SILENCE_SEC}
        gate = ForkedGate(launcher, base, POLICY, {"bank": server})
        try:
            await asyncio.to_thread(gate.start)
            bank.disk = Disk(gate)
            async with TcpProxy(port_of(gate.url("bank"))) as to_gate:
                network = Network(gate, bank, to_gate, to_tool)
                assert await network.ask({"number": next(NUMBERS)}) == "ran"  # the tools are listed now
                yield network
            bank.disk.verify()
        finally:
            gate.kill()
            tools.close()


TO_TOOL = {
    "reset within the request": (Trouble(out=Direction(How.RESET, HEAD)), "in_doubt", 0),
    "closed within the request": (Trouble(out=Direction(How.CLOSE, HEAD)), "in_doubt", 0),
    "reset within the answer": (Trouble(back=Direction(How.RESET, HEAD)), "in_doubt", 1),
    "closed within the answer": (Trouble(back=Direction(How.CLOSE, HEAD)), "in_doubt", 1),
    "half closed within the answer": (Trouble(back=Direction(How.HALF_CLOSE, HEAD)), "in_doubt", 1),
    "dropped within the request": (Trouble(out=Direction(How.DROP, HEAD)), "in_doubt", 0),
    "dropped within the answer": (Trouble(back=Direction(How.DROP, HEAD)), "in_doubt", 1),
    "dribbled both ways": (Trouble(out=Direction(each=7), back=Direction(each=7)), "ran", 1),
    "delayed": (Trouble(back=Direction(wait_sec=0.3)), "ran", 1),
}
TO_AGENT = {
    "reset within the answer": (Trouble(back=Direction(How.RESET, HEAD)), 1),
    "closed within the answer": (Trouble(back=Direction(How.CLOSE, HEAD)), 1),
    "reset within the request": (Trouble(out=Direction(How.RESET, HEAD)), 0),
    "half closed within the request": (Trouble(out=Direction(How.HALF_CLOSE, HEAD)), 0),
}


async def test_p04_p05_whatever_the_network_to_a_tool_does_the_record_says_what_can_be_known(
    launcher: Launcher, tmp_path: Path
) -> None:
    async with opened(launcher, tmp_path) as network:
        for name, (trouble, decision, seen) in TO_TOOL.items():
            arguments = {"number": next(NUMBERS)}
            network.to_tool.trouble = trouble
            assert await network.ask(arguments) == decision, name
            await network.stands_as(arguments, IN_DOUBT if decision == "in_doubt" else ANSWERED)
            network.to_tool.trouble = Trouble()
            if decision == "in_doubt":  # never again by itself, though the network is well now
                assert await network.ask(arguments) == "in_doubt", name
            assert network.seen(arguments) == seen, name
        assert network.bank.ledger.tally.findings == {}


async def test_p05_where_no_connection_can_be_made_nobody_is_in_doubt(launcher: Launcher, tmp_path: Path) -> None:
    async with opened(launcher, tmp_path) as network:
        arguments = {"number": next(NUMBERS)}
        await network.to_tool.close_door()
        assert await network.ask(arguments) in ("failed", "refused")
        assert network.seen(arguments) == 0
        assert network.bank.disk is not None
        assert set(network.bank.disk.states_of(arguments)) <= {UNSENT}


async def test_p04_whatever_the_network_to_an_agent_does_its_call_runs_at_most_once_and_the_outcome_is_kept(
    launcher: Launcher, tmp_path: Path
) -> None:
    async with opened(launcher, tmp_path) as network:
        for name, (trouble, seen) in TO_AGENT.items():
            arguments = {"number": next(NUMBERS)}
            network.to_gate.trouble = trouble
            assert await network.ask(arguments) == "cut off", name
            network.to_gate.trouble = Trouble()
            assert network.seen(arguments) == seen, name
            assert await network.ask(arguments) == "ran", name
            await network.stands_as(arguments, *[ANSWERED] * network.seen(arguments))
        network.to_gate.trouble = Trouble(out=Direction(each=7), back=Direction(each=7))
        assert await network.ask({"number": next(NUMBERS)}) == "ran"
