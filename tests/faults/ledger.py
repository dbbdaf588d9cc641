"""What really happened, kept outside the gate: what agents asked, the tools executed, reviewers had acknowledged.

Rules of this module:
* Every call has a number of its own in its arguments, which no edit changes: the ledger knows it in every form.
* The tools count what reaches them, and nothing that the gate says of itself.
* A finding is a sentence about a promise that was not kept; the promise's number begins it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.blackbox.gate_process import ToolHouse, result, tool
from tests.blackbox.servers.counting import Recorded, Wire
from tests.faults.record_on_disk import Disk

SECRET = "AKIAQ3EGRZ5XK7PLM2WT"
ADDRESS = "carla.fuentes@bank.example"
SAYS = {"look": "it is there", "leak": f"the key is {SECRET}", "mail": f"write to {ADDRESS}", "pay": "paid"}
TOOLS = [tool(name, number="number", amount="number") for name in SAYS]


@dataclass
class Asked:
    """One call of an agent: at most one of it may ever reach the tool."""

    server: str
    tool: str
    arguments: dict[str, Any]
    has_ended: bool = False  # the agent has a whole answer, and asks no more
    may_be_seen: bool = False  # a reviewer has begun to release its output

    @property
    def number(self) -> int:
        return int(self.arguments["number"])


@dataclass
class Tally:
    """What a run comes to. All that is not a count of what was done must be 0."""

    cycles: int = 0
    kills: int = 0
    at: Counter[str] = field(default_factory=Counter)  # by failpoint, how often the gate died there
    missed: Counter[str] = field(default_factory=Counter)  # by failpoint, how often it was not reached
    asked: int = 0
    executed: int = 0
    acknowledged: int = 0
    in_doubt: int = 0
    in_doubt_and_sent: int = 0
    findings: dict[str, list[str]] = field(default_factory=dict)

    def found(self, what: str, sentence: str) -> None:
        self.findings.setdefault(what, []).append(sentence)

    def line(self) -> str:
        broken = {name: len(self.findings.get(name, ())) for name in PROMISES}
        counts = {"cycles": self.cycles, "kills": self.kills, "asked": self.asked, "executed": self.executed}
        counts |= {"acknowledged": self.acknowledged} | broken
        counts |= {"in doubt": self.in_doubt, "of which really sent": self.in_doubt_and_sent}
        return ", ".join(f"{name} {count}" for name, count in counts.items())

    def lines_by_failpoint(self) -> list[str]:
        names = sorted(self.at | self.missed)
        return [f"  {name:<18} killed {self.at[name]:>5}  not reached {self.missed[name]:>4}" for name in names]


PROMISES = ("lost", "double", "unaudited", "breaks", "uninspected", "doubts wrong", "stuck")


class Ledger:
    """Shared by the agents and the reviewer (one loop) and the tools (a thread of their own)."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.calls: dict[int, Asked] = {}
        self.acknowledged: dict[str, dict[str, Any]] = {}  # by call id, the row that was approved, rejected or edited
        self.seen: Counter[int] = Counter()
        self._lock = threading.Lock()

    def ask(self, asked: Asked) -> Asked:
        self.calls[asked.number] = asked
        self.tally.asked += 1
        return asked

    def arrived(self, arguments: dict[str, Any], *, is_recorded: bool) -> None:
        """A tool has read this call and executes it."""
        with self._lock:
            number = int(arguments["number"])
            self.seen[number] += 1
            self.tally.executed += 1
            if self.seen[number] > 1:
                self.tally.found("double", f"P4: call {number} was executed {self.seen[number]} times")
            if not is_recorded:
                self.tally.found("unaudited", f"P3: no entry lets {arguments} go, and it was executed")

    def look_at(self, raw: bytes, asked: Asked) -> None:
        """Everything that an agent has received of an answer."""
        for hidden in (SECRET, ADDRESS):
            if hidden.encode() in raw and not asked.may_be_seen:
                self.tally.found("uninspected", f"P8: the agent of call {asked.number} ({asked.tool}) read {hidden}")


class Bank:
    """The tool server over HTTP: looks each call up in the record, counts it, answers."""

    def __init__(self, tools: ToolHouse, ledger: Ledger) -> None:
        self.ledger = ledger
        self.disk: Disk | None = None
        self.answers_after_sec = 0.0
        self.on_arrival: Callable[[], None] = lambda: None
        self._server = tools.add("bank", TOOLS)
        self._server.always(self)

    async def __call__(self, request: Recorded, wire: Wire) -> None:
        message = request.message
        if not isinstance(message, dict) or message.get("method") != "tools/call":
            return await self._server._properly(request, wire)
        params = message["params"]
        assert self.disk is not None
        self.ledger.arrived(params["arguments"], is_recorded=self.disk.lets_go(params["arguments"]))
        self.on_arrival()
        if self.answers_after_sec:
            await asyncio.sleep(self.answers_after_sec)
        self._server.requests.clear()
        await wire.json(result(message["id"], SAYS[params["name"]]))
        return None

    @property
    def is_quiet(self) -> bool:
        """Nobody is connected: what a dead gate had sent has been read to its end."""
        return not self._server._writers


class Child:
    """The tool on stdio: what it has read stands in its log, whoever was killed meanwhile."""

    def __init__(self, log: Path, ledger: Ledger) -> None:
        self._log, self._ledger = log, ledger
        self._lines_read = 0

    @property
    def is_quiet(self) -> bool:
        """No process of it is left, nor any that would start one: nobody will read what a dead gate left in a pipe."""
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    if str(self._log).encode() in (process / "cmdline").read_bytes():
                        return False
        return True

    def count(self, disk: Disk) -> None:
        """Tell the ledger of what has arrived since the last time."""
        lines = self._log.read_bytes().splitlines() if self._log.exists() else []
        for line in lines[self._lines_read :]:
            arguments = json.loads(line)["params"]["arguments"]
            self._ledger.arrived(arguments, is_recorded=disk.lets_go(arguments))
        self._lines_read = len(lines)
