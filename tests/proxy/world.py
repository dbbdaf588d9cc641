"""A small world for the runner: a store in memory, a policy that is a function, a tool that counts, an agent.

Rules of this module:
* The tool's side (`CountingTool`) judges "at most one dispatch": it counts what it was given, not what was meant.
* Inspection is a function too; by default everything is clean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

from policies.model import Agent, Decision, JsonObject, OutputRules, ToolCall
from proxy.config import Parking as ParkingConfig
from proxy.exchange import Answer, AnswerKind, Client, Dispatched
from proxy.gate_rows import GateRows
from proxy.parking import Parking
from proxy.runner import Runner
from proxy.sampling import Lot
from proxy.stopped import Stopped
from proxy.tasks import spawn
from proxy.telling import Teller
from proxy.upstreams.base import Sent, UpstreamFailed
from proxy.watching import Times
from redaction.model import Inspection, Outcome, Surface
from review.model import CallRecord, CallState, ReviewRecord, ReviewState
from review.ports import Change, ChangeLost, MoveCall, MoveReview, StoreDown
from tests.proxy.builders import KEY, T0, CountedIds, allow, ask, definition, deny, key_of, refund, response
from tests.review.memory_records import MemoryRecords


class GateRecords(MemoryRecords):
    """The in-memory store with what the gate needs besides: queued changes and what is unsettled."""

    def submit(self, change: Change) -> None:
        if self.is_down:
            raise StoreDown("the store is down")
        spawn(self._later(change), name="submitted")

    async def _later(self, change: Change) -> None:
        try:
            await self.apply(change)
        except ChangeLost:
            self.lost = change

    async def unsettled(self, *, since: float) -> list[tuple[str, str]]:
        done = (CallState.DENIED, CallState.FAILED_BEFORE_SEND, CallState.FAILED_AFTER_SEND)
        return [
            (call.repeat_key, call.id)
            for call in self.calls.values()
            if call.state not in done and call.delivered_at is None and call.updated_at >= since
        ]


class CountingTool:
    """What reached the tool, and how it answers."""

    def __init__(self) -> None:
        self.dispatched: list[ToolCall] = []
        self.answer: Callable[[ToolCall], Awaitable[JsonObject]] | None = None
        self.fail: UpstreamFailed | None = None


class FakeExchange:
    """One agent request."""

    def __init__(self, call: ToolCall, tool: CountingTool, *, client: Client | None = None) -> None:
        self.call = call
        self.client = client or Client(name="test", version="1")
        self.ticket: str | None = None
        self.size_bytes = 0
        self.left = asyncio.Event()
        self.parked_as: list[str] = []
        self.was_parked = asyncio.Event()
        self._tool = tool

    async def dispatch(self, call: ToolCall, sent: Sent) -> Dispatched:
        if self._tool.fail is not None and not self._tool.fail.sent:
            raise self._tool.fail
        sent.happened = True
        self._tool.dispatched.append(call)
        if self._tool.fail is not None:
            raise self._tool.fail
        answer = await self._tool.answer(call) if self._tool.answer is not None else response()
        return Dispatched(answer)

    def parked(self, call_id: str, message: str) -> None:
        self.parked_as.append(call_id)
        self.was_parked.set()


class FunctionJudging:
    """Policy as a function of the call; `now` may be changed by a test, as a reload would."""

    def __init__(self, decide: Callable[[ToolCall], Decision]) -> None:
        self.decide = decide
        self.definition_now = definition()
        self.hidden: frozenset[str] = frozenset()
        self.lot_of: Callable[[ToolCall], Lot | None] = lambda _: None

    def lot(self, call: ToolCall, kept: CallRecord | None = None) -> Lot | None:
        return self.lot_of(call)

    def judge(self, call: ToolCall) -> Decision:
        return self.decide(call)

    def prepared(self, call: ToolCall, kept: CallRecord | None = None) -> Callable[[], Decision]:
        return lambda: self.judge(call)

    def output_rules(self, call: ToolCall, kept: CallRecord | None = None) -> OutputRules:
        return OutputRules()

    def hidden_tools(self, agent: Agent, server: str, tools: Iterable[str]) -> frozenset[str]:
        return frozenset(tools) & self.hidden

    async def call_now(self, record: CallRecord) -> ToolCall:
        kept = record.to_send
        if kept is None:
            raise ValueError("erased")
        return (
            refund(arguments=kept["arguments"], tool=record.tool, agent=Agent(record.agent))
            if (self.definition_now is None)
            else replace(
                refund(),
                arguments=kept["arguments"],
                tool=record.tool,
                agent=Agent(record.agent),
                definition=self.definition_now,
            )
        )


class FunctionInspector:
    """Inspection as a function of the message."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.inspect_with: Callable[[Any], Inspection] = lambda message: Inspection(Outcome.ALLOW, message)

    async def inspect(
        self, message: Any, *, rules: OutputRules, surface: Surface, output_schema: Any = None
    ) -> Inspection:
        self.seen.append((message, output_schema))
        return self.inspect_with(message)


def by_amount(call: ToolCall) -> Decision:
    """The refunds policy: up to 100 allowed, up to 10,000 asked, more denied."""
    amount = call.arguments.get("amount", 0)
    if amount <= 100:
        return allow()
    return ask() if amount <= 10_000 else deny()


class Watcher:
    """Keeps what those who watch are told."""

    def __init__(self) -> None:
        self.ended_calls: list[tuple[str, AnswerKind, Times]] = []
        self.refused_with: list[int] = []

    def ended(self, call: ToolCall, answer: Answer, times: Times) -> None:
        self.ended_calls.append((call.server, answer.kind, times))

    def refused(self, status: int) -> None:
        self.refused_with.append(status)


class World:
    """Everything a runner needs, and the acts of reviewers."""

    def __init__(self, decide: Callable[[ToolCall], Decision] = by_amount, **parking: object) -> None:
        self.now = T0
        self.records = GateRecords()
        self.tool = CountingTool()
        self.judging = FunctionJudging(decide)
        self.inspector = FunctionInspector()
        self.config = ParkingConfig.model_validate(parking)
        self.start()

    def start(self) -> None:
        """A runner over the same store: at first, and again after a restart."""
        ids = CountedIds()
        ids._n = len(self.records.calls) * 10
        self.watcher = Watcher()
        self.parking = Parking(self.config, clock=lambda: self.now)
        self.stopped = Stopped()
        rows = GateRows(teller=Teller(KEY), ids=ids, ticket_key=KEY, repeat_key_of=key_of)
        self.runner = Runner(
            records=self.records,
            judging=self.judging,
            inspectors=self.inspector,
            parking=self.parking,
            stopped=self.stopped,
            rows=rows,
            config=self.config,
            clock=lambda: self.now,
            ticket_key=KEY,
            repeat_key_of=key_of,
            ids=ids.call,
            watchers=(self.watcher,),
        )

    def exchange(self, call: ToolCall | None = None, **how: Any) -> FakeExchange:
        return FakeExchange(call or refund(), self.tool, **how)

    def only_call(self) -> CallRecord:
        (call,) = self.records.calls.values()
        return call

    def review_of(self, call: CallRecord) -> ReviewRecord:
        assert call.review_id is not None
        return self.records.reviews[call.review_id]

    async def settle(self, call_id: str, to: ReviewState, **fields: Any) -> None:
        """A reviewer's act as the inbox writes it, and the bell."""
        record = self.records.calls[call_id]
        review = self.review_of(record)
        rows: list[Any] = [
            MoveReview(
                review.id, frozenset({review.state}), to, {"settled_at": self.now, "settled_by": "maria"} | fields
            )
        ]
        if to not in (ReviewState.SPENDABLE, ReviewState.APPROVED, ReviewState.APPROVING, ReviewState.PARKED):
            rows.append(MoveCall(call_id, frozenset({CallState.WAITING}), CallState.CLOSED, {"updated_at": self.now}))
        await self.records.apply(Change(rows=tuple(rows)))
        self.parking.ring(call_id)

    async def quiet(self) -> None:
        """Let everything that was submitted be written."""
        for _ in range(20):
            await asyncio.sleep(0)
