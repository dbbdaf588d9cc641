"""Cycles of traffic, SIGKILL at a failpoint, restart, and comparing the record with what really happened.

Rules of this module:
* All choices of a cycle (failpoint, hit, tools, what reviewers do) come from seed and cycle number. How agents and gate
  interleave is the machine's: the same seed makes the same choices, not the same race.
* Each failpoint has its turn in every round. `tool.has_it` and `outside` are kills from without: by the tool the moment
  it has read a call, and by the clock.
* After each restart: nothing acknowledged is lost, in doubt is exactly what was being dispatched; then everybody comes
  back, a reviewer resolves each doubt by what the tool knows, and every agent ends with an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.reviewer_client import Refused, Unreachable
from tests.blackbox.gate_process import MODERN, REVISIONS, DidNotStart, ToolHouse, call_bytes, told
from tests.blackbox.raw_client import RawAnswer, connection, request_bytes
from tests.faults.forked_gate import ForkedGate, Launcher
from tests.faults.ledger import Asked, Bank, Child, Ledger, Tally
from tests.faults.record_on_disk import Disk
from tests.faults.switches import NAMES, Action

POLICY = """
version: v1
name: killed
rules:
  - id: ask-to-pay
    match: {tools: ["bank/pay"]}
    decision: require_approval
    reason: Payments need a person
    approval: {timeout_sec: 36000, undo_sec: 0}
  - id: the-rest
    match: {tools: ["bank/*", "child/*"]}
    decision: allow
    reason: What these tests call
output:
  - id: no-keys-leave
    match: {servers: [bank]}
    detect: {aws_access_key: quarantine, EMAIL_ADDRESS: redact}
"""
STDIO_TOOL = Path(__file__).with_name("counting_stdio.py")
AT_START = ("recovery.begun", "recovery.named", "recovery.done", "checkpoint.begun")
FROM_WITHOUT = ("tool.has_it", "outside")
POINTS = (*NAMES, *FROM_WITHOUT)
AGENTS, CALLS_EACH = 5, 3
CYCLES_PER_HOUSE = 40  # then a fresh store: verifying a record costs time by its length
TRAFFIC_SEC_MAX, QUIET_SEC_MAX, COMING_BACK_SEC_MAX = 20, 30, 60
GONE = (OSError, EOFError, Unreachable, TimeoutError)  # how a gate looks that has been killed
SENT = ("answered", "quarantined", "released", "destroyed", "in_doubt", "resolved")


@dataclass(frozen=True)
class Plan:
    """What one cycle does."""

    cycle: int
    point: str
    nth: int
    seed: str
    tool_takes_sec: float
    with_child: bool

    @property
    def is_at_start(self) -> bool:
        return self.point in AT_START

    @classmethod
    def of(cls, seed: int, cycle: int) -> Plan:
        turn, place = divmod(cycle, len(POINTS))
        point = random.Random(f"{seed} round {turn}").sample(POINTS, len(POINTS))[place]
        chance = random.Random(f"{seed} cycle {cycle}")
        nth = 1 if point in AT_START else chance.randint(1, 4)
        with_child = point.startswith("stdio") or chance.random() < 0.1
        return cls(cycle, point, nth, f"{seed}/{cycle}", chance.choice((0.0, 0.0, 0.02)), with_child)


class House:
    """A gate with its tools, agents and reviewer, on a store of its own."""

    def __init__(self, launcher: Launcher, base: Path, tally: Tally, first_number: int) -> None:
        self.tally, self.ledger = tally, Ledger(tally)
        self.tools = ToolHouse()
        self.bank = Bank(self.tools, self.ledger)
        log = base / "child.log"
        self.child = Child(log, self.ledger)
        child = {"command": sys.executable, "args": ["-I", "-S", str(STDIO_TOOL), str(log)]}
        servers = self.tools.config() | {"child": child}
        parking = {"hold_sec": 30, "clients": {"impatient": 0.05}, "open_reviews_per_agent_max": 500}
        self.gate = ForkedGate(launcher, base, POLICY, servers, parking=parking)
        self._number = first_number

    async def open(self) -> None:
        await asyncio.to_thread(self.gate.start)
        self.disk = self.bank.disk = Disk(self.gate)

    def close(self) -> None:
        self.gate.kill()
        self.tools.close()

    # -- one cycle -------------------------------------------------------------------------------------------------

    async def cycle(self, plan: Plan) -> None:
        self.tally.cycles += 1
        first = self._number
        await self._until_dead(plan)
        await self._tools_are_quiet()
        self.child.count(self.disk)
        broken = self.disk.break_in_the_chain()
        if broken is not None:
            self.tally.found("breaks", f"P13: cycle {plan.cycle}, killed at {plan.point}: {broken}")
        doubtful = self.disk.calls_in("dispatching", "in_doubt")
        if plan.is_at_start:
            await self._killed_while_starting(plan)
        await asyncio.to_thread(self.gate.start)
        calls = [self.ledger.calls[number] for number in range(first, self._number)]
        await self._nothing_acknowledged_is_lost(plan)
        await self._in_doubt_is_what_was(plan, doubtful)
        self._what_was_sent_is_recorded_so(plan, calls)
        await self._everybody_comes_back(plan, calls)

    async def _tools_are_quiet(self) -> None:
        """What the dead gate had handed to the system may be read by a tool after its death: wait for that."""
        async with asyncio.timeout(QUIET_SEC_MAX):
            while not (self.bank.is_quiet and await asyncio.to_thread(lambda: self.child.is_quiet)):
                await asyncio.sleep(0.005)

    async def _until_dead(self, plan: Plan) -> None:
        """Traffic until the gate has been killed where the plan says; from without if it does not get there."""
        switches = self.gate.switches
        switches.reset()
        self.bank.answers_after_sec = plan.tool_takes_sec
        if plan.point == "tool.has_it":
            self._kill_on_arrival(plan.nth)
        elif plan.point in NAMES and not plan.is_at_start:
            switches.set(plan.point, Action.KILL, nth=plan.nth)
        after_sec = random.Random(f"{plan.seed} outside").uniform(0.02, 0.6)
        is_timed = plan.is_at_start or plan.point == "outside"
        async with self.traffic(plan) as agents:
            await self.ended(agents, within_sec=after_sec if is_timed else TRAFFIC_SEC_MAX)
            self._count_the_kill(plan)
            await asyncio.to_thread(self.gate.kill)
        self.bank.on_arrival = lambda: None

    def _kill_on_arrival(self, nth: int) -> None:
        left = nth

        def arrived() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self.gate.strike_dead()

        self.bank.on_arrival = arrived

    def _count_the_kill(self, plan: Plan) -> None:
        self.tally.kills += 1
        if plan.is_at_start or plan.point == "outside":
            self.tally.at["outside"] += 1
        elif plan.point == "tool.has_it":
            (self.tally.at if self.gate.is_struck else self.tally.missed)[plan.point] += 1
        else:
            (self.tally.at if self.gate.switches.struck(plan.point) else self.tally.missed)[plan.point] += 1

    async def ended(self, *others: asyncio.Future[Any], within_sec: float) -> None:
        """Until the gate's process has ended, or one of the others has, or the time is over."""
        loop = asyncio.get_running_loop()
        ended, handle = loop.create_future(), self.gate.handle
        loop.add_reader(handle, lambda: ended.done() or ended.set_result(None))
        try:
            await asyncio.wait([ended, *others], timeout=within_sec, return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_reader(handle)  # before anybody closes it

    async def _killed_while_starting(self, plan: Plan) -> None:
        self.gate.switches.reset()
        self.gate.switches.set(plan.point, Action.KILL, nth=plan.nth)
        try:
            await asyncio.to_thread(self.gate.start)
        except DidNotStart:
            self.tally.kills += 1
            self.tally.at[plan.point] += 1
        else:  # nothing was in doubt, or nothing to move
            self.tally.missed[plan.point] += 1
            await asyncio.to_thread(self.gate.kill)
        self.gate.switches.reset()

    # -- agents and reviewer ---------------------------------------------------------------------------------------

    @asynccontextmanager
    async def traffic(self, plan: Plan) -> AsyncIterator[asyncio.Future[Any]]:
        agents = asyncio.gather(*(self._agent(plan, number) for number in range(AGENTS)), return_exceptions=True)
        reviewer = asyncio.ensure_future(self._reviewer())
        try:
            yield agents
        finally:
            await asyncio.wait([agents, reviewer], timeout=5)
            agents.cancel()
            reviewer.cancel()
            ends = await asyncio.gather(agents, reviewer, return_exceptions=True)
            for end in [*(ends[0] if isinstance(ends[0], list) else ends[:1]), ends[1]]:
                if end is not None and not isinstance(end, (*GONE, asyncio.CancelledError)):
                    raise end

    def next_call(self, tool: str, server: str = "bank", **arguments: Any) -> Asked:
        """A call that nobody has made yet."""
        self._number += 1
        return self.ledger.ask(Asked(server, tool, {"number": self._number - 1} | arguments))

    async def _agent(self, plan: Plan, which: int) -> None:
        chance = random.Random(f"{plan.seed} agent {which}")
        for _ in range(CALLS_EACH):
            tool = chance.choice(("pay", "pay", "pay", "look", "look", "mail", "leak"))
            server = "bank"
            if plan.with_child and chance.random() < 0.5:
                server, tool = "child", "echo"
            amount = {"amount": chance.randrange(1, 100)} if tool == "pay" else {}
            await self._until_answered(self.next_call(tool, server, **amount))

    async def _until_answered(self, asked: Asked) -> None:
        """Ask, and ask again, as an agent does that was given a ticket or cut off."""
        while not asked.has_ended:
            decision = await self.ask(asked)
            asked.has_ended = decision not in ("require_approval", "executing", "in_doubt", "refused")
            if not asked.has_ended:
                await asyncio.sleep(0.02)

    async def ask(self, asked: Asked) -> str:
        """One request; what the gate says became of it. Raises: one of GONE."""
        url = self.gate.url(asked.server)
        revision = MODERN if asked.server == "child" else REVISIONS[asked.number % len(REVISIONS)]
        body, lines = call_bytes(asked.tool, asked.arguments, revision=revision, client="impatient")
        received = bytearray()
        try:
            async with asyncio.timeout(20), connection(url) as wire:
                await wire.write(request_bytes(url, body, [*lines, ("Connection", "close")]))
                while some := await wire.reader.read(65_536):
                    received += some
        finally:
            self.ledger.look_at(bytes(received), asked)
        answer = _parsed(bytes(received))
        self.ledger.look_at(answer.body, asked)
        return str(told(answer).get("decision", "ran")) if "result" in answer.message else "refused"

    async def _reviewer(self) -> None:
        """Approves, edits or rejects what waits; releases, destroys or leaves what is held."""
        while True:
            queue = await asyncio.to_thread(self.gate.reviewer.client.queue)
            for row in [*queue["waiting"], *queue["held"]]:
                with contextlib.suppress(Refused):  # it moved meanwhile
                    await self._act_on(row)
            await asyncio.sleep(0.01)

    async def _act_on(self, row: dict[str, Any]) -> None:
        arguments = row["call"]["proposed"]["arguments"]
        chance = random.Random(arguments["number"]).random()
        reviewer, ledger = self.gate.reviewer, self.ledger
        if row["review"]["kind"] == "release":
            if chance < 0.5:
                ledger.calls[arguments["number"]].may_be_seen = chance < 0.25
                await reviewer.act("release" if chance < 0.25 else "destroy", row)
            return
        if chance < 0.2:
            await reviewer.act("reject", row)
        elif chance < 0.45:
            await reviewer.act("edit", row, arguments=arguments | {"amount": 1_000 + arguments["amount"]})
        else:
            await reviewer.approve(row)
        ledger.acknowledged[row["call"]["id"]] = row | {"is_rejected": chance < 0.2}
        self.tally.acknowledged += 1

    # -- what must hold --------------------------------------------------------------------------------------------

    async def _nothing_acknowledged_is_lost(self, plan: Plan) -> None:
        rows, self.ledger.acknowledged = self.ledger.acknowledged, {}
        for row in rows.values():
            shown = await self.gate.reviewer.show(row)
            state, verdicts = shown["review"]["state"], [vote["verdict"] for vote in shown["votes"]]
            states = ("rejected",) if row["is_rejected"] else ("spendable", "spent")
            if state not in states or verdicts[-1:] != (["reject"] if row["is_rejected"] else ["approve"]):
                self.tally.found("lost", f"cycle {plan.cycle}: {row['call']['id']} is {state} with votes {verdicts}")

    async def _in_doubt_is_what_was(self, plan: Plan, doubtful: set[str]) -> None:
        """P5: what was being dispatched when the gate died, no more and no less, is shown as in doubt; resolve it."""
        queue = await asyncio.to_thread(self.gate.reviewer.client.queue)
        shown = {call["id"]: call for call in queue["in_doubt"]}
        if shown.keys() != doubtful:
            self.tally.found("doubts wrong", f"P5: cycle {plan.cycle}: {sorted(shown)} for {sorted(doubtful)}")
        for call in shown.values():
            number = call["proposed"]["arguments"]["number"]
            is_sent = self.ledger.seen[number] > 0
            self.tally.in_doubt += 1
            self.tally.in_doubt_and_sent += is_sent
            if await self.ask(self.ledger.calls[number]) != "in_doubt":
                self.tally.found("doubts wrong", f"P5: cycle {plan.cycle}: call {number} is not told to be in doubt")
            await self.gate.reviewer.resolve(call, "happened" if is_sent else "did_not_happen", "the bank says so")

    def _what_was_sent_is_recorded_so(self, plan: Plan, calls: list[Asked]) -> None:
        for asked in calls:
            states = self.disk.states_of(asked.arguments)
            sent = sum(states[state] for state in SENT)
            if self.ledger.seen[asked.number] > sent:
                why = f"cycle {plan.cycle}: call {asked.number} was executed, and stands as {dict(states)}"
                self.tally.found("doubts wrong", f"P5: {why}")

    async def _everybody_comes_back(self, plan: Plan, calls: list[Asked]) -> None:
        reviewing = asyncio.ensure_future(self._reviewer())
        back = asyncio.gather(*(self._until_answered(asked) for asked in calls))
        try:
            await asyncio.wait_for(back, COMING_BACK_SEC_MAX)
        except TimeoutError:
            left = [asked.number for asked in calls if not asked.has_ended]
            self.tally.found("stuck", f"cycle {plan.cycle}, killed at {plan.point}: {left} never ended")
        finally:
            reviewing.cancel()
            await asyncio.gather(reviewing, return_exceptions=True)


def _parsed(raw: bytes) -> RawAnswer:
    """A whole answer. Raises: EOFError for half a one."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body, is_whole = _without_chunks(body)
    else:
        is_whole = len(body) == int(headers.get("content-length", "-1"))
    answer = RawAnswer(int(first.split()[1]) if first else 0, headers, body)
    if not is_whole:
        raise EOFError("half an answer")
    return answer


def _without_chunks(body: bytes) -> tuple[bytes, bool]:
    data = b""
    while b"\r\n" in body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return data, True
        data, body = data + body[:length], body[length + 2 :]
    return data, False


async def run_cycles(
    launcher: Launcher, base: Path, *, cycles: int, seed: int, first: int = 0, tell: Any = None
) -> Tally:
    """So many cycles; what they come to. Stops at the first finding: the record that shows it is kept in `base`."""
    tally = Tally()
    for begin in range(first, first + cycles, CYCLES_PER_HOUSE):
        folder = base / f"house-{begin}"
        folder.mkdir()
        house = House(launcher, folder, tally, first_number=begin * 1_000)
        try:
            await house.open()
            for cycle in range(begin, min(begin + CYCLES_PER_HOUSE, first + cycles)):
                await house.cycle(Plan.of(seed, cycle))
                if tell is not None:
                    tell(tally)
                if tally.findings:
                    return tally
        finally:
            house.close()
    return tally


def findings_of(tally: Tally, seed: int) -> str:
    """For a person who reads why a run failed, and how to run it again."""
    again = f"again: uv run python -m tests.faults.soak --seed {seed} --first {tally.cycles - 1} --cycles 1"
    return json.dumps(tally.findings, indent=1) + f"\n{tally.line()}\n{again}"
