"""A whole gate without sockets or threads, time that passes when told to, agents, reviewers and a tool that counts.

Rules of this module:
* The product's: runner, lives, gate, parking, inbox, expiry, recovery. The tests': time, exchange, policy, inspection.
* The tool's count is kept by record: the moment a byte leaves, a record of exactly this call must be being dispatched,
  with the entry that lets it go, and no other byte may have left for it. Anything else is an AssertionError there.
* A crash ends every task and forgets what was not committed; what tasks do while they end reaches no store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from audit.masks import commit
from policies.model import Agent, Decision, Effect, JsonObject, OutputRules, ToolCall
from proxy.config import Parking as ParkingConfig
from proxy.exchange import Answer, AnswerKind, Client, Dispatched
from proxy.gate_rows import GateRows
from proxy.parking import Parking
from proxy.runner import Runner
from proxy.stopped import Stopped
from proxy.telling import Teller
from proxy.upstreams.base import Sent, UpstreamFailed
from redaction.model import Inspection, Outcome, Surface
from review.desk import Desk, InboxSettings, Seen
from review.doubts import Found
from review.inbox import Inbox
from review.model import CallRecord, CallState, Reviewer, ReviewRecord, ReviewState, Stop, StopScope
from review.ports import StoreDown
from review.refusals import Refusal
from tests.proxy.builders import KEY, T0, CountedIds, allow, ask, deny, key_of, refund, response
from tests.proxy.inline_store import inline_store
from tests.proxy.world import GateRecords

TURNS = 80
HOLD_SEC, UNDO_SEC = 30, 5
SENT = frozenset(
    {
        CallState.DISPATCHING,
        CallState.ANSWERED,
        CallState.QUARANTINED,
        CallState.RELEASED,
        CallState.DESTROYED,
        CallState.IN_DOUBT,
        CallState.RESOLVED,
        CallState.FAILED_AFTER_SEND,
    }
)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time is the test's."""

    now = 0.0

    def time(self) -> float:
        return self.now


class Process:
    """The store as one process has it: gone when the process is, refusing while the disk is."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.why_not = ""

    def __getattr__(self, name: str) -> Any:
        if self.why_not:
            raise StoreDown(self.why_not)
        return getattr(self._records, name)


@dataclass(eq=False)
class Flight:
    """A call that was handed to its exchange."""

    call: ToolCall
    sent: Sent
    response: asyncio.Future[JsonObject]


@dataclass(eq=False)
class Request:
    """One agent request. Implements `proxy.exchange.Exchange`."""

    call: ToolCall
    flights: list[Flight]
    client: Client
    ticket: str | None = None
    left: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[Answer] | None = None

    async def dispatch(self, call: ToolCall, sent: Sent) -> Dispatched:
        flight = Flight(call, sent, asyncio.get_running_loop().create_future())
        self.flights.append(flight)
        try:
            return Dispatched(await flight.response)
        finally:
            self.flights.remove(flight)

    def parked(self, call_id: str, message: str) -> None: ...


class Policy:
    """What is judged now; `mode` is what a reload changes."""

    def __init__(self) -> None:
        self.mode = "as written"

    def judge(self, call: ToolCall) -> Decision:
        amount = call.arguments["amount"]
        if self.mode == "nothing" or amount > 10_000:
            return deny()
        if self.mode == "everything":
            return allow()
        if self.mode == "one more rule":
            return ask("refunds#require-approval-over-100", "refunds#new")
        return allow() if amount <= 100 else ask()

    def prepared(self, call: ToolCall, kept: CallRecord | None = None) -> Callable[[], Decision]:
        return lambda: self.judge(call)

    def lot(self, call: ToolCall, kept: CallRecord | None = None) -> None:
        return None

    def output_rules(self, call: ToolCall, kept: CallRecord | None = None) -> OutputRules:
        return OutputRules()

    async def call_now(self, record: CallRecord) -> ToolCall:
        await asyncio.sleep(0)
        assert record.to_send is not None
        return refund(arguments=record.to_send["arguments"], agent=Agent(record.agent))

    async def judge_edit(self, call: CallRecord, arguments: JsonObject) -> Decision:
        return self.judge(replace(await self.call_now(call), arguments=arguments))


class Inspector:
    """By the first word of the tool's text. What it lets through bears its mark."""

    async def inspect(
        self, message: Any, *, rules: OutputRules, surface: Surface, output_schema: Any = None
    ) -> Inspection:
        await asyncio.sleep(0)
        text = message["result"]["content"][0]["text"]
        if text.startswith("held"):
            return Inspection(Outcome.QUARANTINE, why="it must be held")
        outcome = Outcome.REDACT if text.startswith("redacted") else Outcome.ALLOW
        return Inspection(outcome, {**response("let through"), "inspected": True})


class People:
    async def reviewer(self, name: str) -> Reviewer | None:
        return Reviewer(name, frozenset({"admin", "reviewer", "security"}), frozenset({"finance"}))


class LifeModel:
    """One store, and one process after another on it."""

    def __init__(self, *, is_sql: bool) -> None:
        self.loop = VirtualLoop()
        self.wall = T0
        self.engine: Any = None
        if is_sql:
            self.store, self.engine = inline_store(lambda: self.wall)
        else:
            self.store = GateRecords()  # type: ignore[assignment]
        self.ids = CountedIds()
        self.policy, self.stopped = Policy(), Stopped()
        self.flights: list[Flight] = []
        self.requests: list[Request] = []
        self.sent: set[str] = set()  # records for which a byte has left
        self.released: set[str] = set()  # calls whose held output a person has let go
        self.acknowledged: dict[str, str] = {}  # by review, the last act that was acknowledged
        self.doubted: set[str] = set()
        self.begin()

    # -- a process -------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        self.process = Process(self.store)
        config = ParkingConfig.model_validate({"hold_sec": HOLD_SEC})
        self.parking = Parking(config, clock=lambda: self.wall)
        rows = GateRows(teller=Teller(KEY), ids=self.ids, ticket_key=KEY, repeat_key_of=key_of)
        self.runner = Runner(
            records=self.process,  # type: ignore[arg-type]
            judging=self.policy,
            inspectors=Inspector(),
            parking=self.parking,
            stopped=self.stopped,
            rows=rows,
            config=config,
            clock=lambda: self.wall,
            ticket_key=KEY,
            repeat_key_of=key_of,
            ids=self.ids.call,
        )
        self.desk = Desk(
            records=self.process,  # type: ignore[arg-type]
            judge=self.policy,
            bell=self.parking,
            people=People(),
            clock=lambda: self.wall,
            nonce=self.ids.nonce,
            commit=partial(commit, KEY),
            settings=InboxSettings(undo_sec={"unrated": UNDO_SEC}),
        )
        self.inbox = Inbox(self.desk)
        self.run(self.runner.recover())

    def crash(self) -> None:
        """Nothing more reaches the store; whoever waited has lost its connection."""
        self.process.why_not = "this process is dead"
        if self.engine is not None:
            self.engine.crash()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.turn()
        self.flights.clear()
        self.requests.clear()

    def crash_and_start_again(self) -> None:
        """P5: in doubt is exactly what was being dispatched, and what was in doubt before."""
        self.crash()
        doubtful = {call.id for call in self.calls() if call.state in (CallState.DISPATCHING, CallState.IN_DOUBT)}
        self.begin()
        assert {call.id for call in self.calls() if call.state is CallState.IN_DOUBT} == doubtful
        assert not [call for call in self.calls() if call.state is CallState.DISPATCHING]

    def close(self) -> None:
        self.crash()
        if self.engine is not None:
            self.engine.verify()
            self.engine.close()
        self.loop.close()

    # -- time ------------------------------------------------------------------------------------------------------

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def turn(self) -> None:
        """Let everything happen that needs no more time."""

        async def spin() -> None:
            for _ in range(TURNS):
                await asyncio.sleep(0)

        self.run(spin())

    def time_passes(self, sec: float) -> None:
        self.wall += sec
        self.loop.now += sec
        self.turn()

    # -- agents ----------------------------------------------------------------------------------------------------

    def ask(self, agent: str, amount: int, *, ticket: str | None = None) -> Request:
        client = Client(name="test", version="1", agent=agent)
        request = Request(refund(amount, agent=agent), self.flights, client, ticket)
        self.requests.append(request)
        request.task = self.loop.create_task(self.runner.call(request))
        self.turn()
        return request

    def answered(self) -> list[Request]:
        return [one for one in self.requests if one.task is not None and one.task.done()]

    def waiting(self) -> list[Request]:
        return [one for one in self.requests if one.task is not None and not one.task.done()]

    def give(self, request: Request, *, is_delivered: bool) -> None:
        """The door has written the answer, or could not."""
        assert request.task is not None
        answer = request.task.result()
        self.requests.remove(request)
        if answer.kind is AnswerKind.RESULT and not request.left.is_set():
            assert answer.response is not None
            assert answer.response.get("inspected") or answer.call_id in self.released, "P8: not inspected"

        async def settle() -> None:
            (self.runner.delivered if is_delivered else self.runner.undelivered)(answer)

        self.run(settle())
        self.turn()

    # -- the tool --------------------------------------------------------------------------------------------------

    def bytes_leave(self, flight: Flight) -> None:
        """P3 and P4, seen from the tool."""
        records = [one for one in self.calls() if one.state is CallState.DISPATCHING and one.id not in self.sent]
        fitting = [
            one
            for one in records
            if one.to_send is not None
            and one.to_send["arguments"] == flight.call.arguments
            and one.agent == flight.call.agent.id
        ]
        assert fitting, f"P3, P4: no record that is being dispatched lets {flight.call.arguments} go"
        entries = self.run(self.store.entries_for(fitting[0].id))
        lets_go = [one for one in entries if one["kind"] == "grant_spent" or one["body"].get("dispatched")]
        assert lets_go, f"P3: no entry lets {fitting[0].id} go"
        flight.sent.mark()
        self.sent.add(fitting[0].id)

    def tool_answers(self, flight: Flight, text: str) -> None:
        if not flight.response.done():
            flight.response.set_result(response(text))
        self.turn()

    def tool_breaks(self, flight: Flight) -> None:
        if not flight.response.done():
            flight.response.set_exception(UpstreamFailed("it broke", sent=flight.sent.happened))
        self.turn()

    # -- people ----------------------------------------------------------------------------------------------------

    def act(self, act: str, review: ReviewRecord, *more: Any) -> bool:
        """What a reviewer does who looks now; False if it was refused."""
        acting = getattr(self.inbox, act)
        reviewer = Reviewer("anna", frozenset({"admin", "reviewer"}), frozenset({"finance"}))

        async def look_and_act() -> None:
            shown = await self.inbox.show(review.id, reviewer)
            assert shown.review is not None
            seen = Seen(shown.review.version, shown.digest or "", 4_000)
            await acting(review.id, reviewer, seen, *more)

        try:
            self.run(look_and_act())
        except (Refusal, StoreDown):
            return False
        finally:
            self.turn()
        self.acknowledged[review.id] = act
        return True

    def resolve(self, call: CallRecord, found: Found) -> None:
        reviewer = Reviewer("anna", frozenset({"admin", "reviewer"}), frozenset({"finance"}))
        try:
            self.run(self.inbox.resolve(call.id, reviewer, found, "the bank says so", version=call.version))
        except (Refusal, StoreDown):
            return
        finally:
            self.turn()

    def throw_the_switch(self, agent: str) -> None:
        """As `proxy/kill_switch.py` does at once; what it keeps and records are that module's tests."""
        stop = Stop(f"stop {agent}", StopScope.AGENT, agent, "anna", "", self.wall)

        async def at_once() -> None:
            self.stopped.add(stop)
            for life in self.runner.lives.all():
                if stop.covers(life.agent, life.server):
                    life.look_again()

        self.run(at_once())
        self.turn()

    # -- the record, past every process ----------------------------------------------------------------------------

    def calls(self) -> list[CallRecord]:
        return list(self.run(self.store.calls_in(list(CallState), limit=10_000)))

    def reviews(self) -> dict[str, ReviewRecord]:
        found = [self.run(self.store.review(one.review_id)) for one in self.calls() if one.review_id is not None]
        return {review.id: review for review in found if review is not None}


OPEN = frozenset({ReviewState.PARKED, ReviewState.APPROVING, ReviewState.APPROVED, ReviewState.SPENDABLE})
ENDED = frozenset(
    {ReviewState.REJECTED, ReviewState.EXPIRED, ReviewState.SUPERSEDED, ReviewState.STOPPED, ReviewState.LAPSED}
)
HELD = frozenset({ReviewState.QUARANTINED, ReviewState.RELEASED, ReviewState.DESTROYED})


def check(model: LifeModel) -> None:
    """What holds between any two things that happen, read from the store alone and from what the tool saw."""
    reviews = model.reviews()
    for call in model.calls():
        review = reviews.get(call.review_id) if call.review_id is not None else None
        state = review.state if review is not None else None
        if call.state is CallState.WAITING:
            assert state in OPEN, (call.id, state)
        elif call.state is CallState.CLOSED:
            assert state in ENDED, (call.id, state)
        else:
            assert state in {None, ReviewState.SPENT} | HELD, (call.id, call.state, state)
        if call.id in model.sent:
            assert call.state in SENT, f"P5: {call.id} has left us, and stands as {call.state}"
        if call.state is CallState.IN_DOUBT:
            model.doubted.add(call.id)
        elif call.id in model.doubted:
            assert call.state is CallState.RESOLVED, f"P5: {call.id} was in doubt, and is {call.state} now"
        if call.decision.get("effect") == Effect.DENY.value:
            assert call.id not in model.sent
    for review_id, act in model.acknowledged.items():
        assert reviews[review_id].state in MAY_BE[act], f"{review_id}: {act}, and {reviews[review_id].state} now"


_GRANTED = (
    frozenset({ReviewState.SPENT})
    | OPEN - {ReviewState.PARKED, ReviewState.APPROVING}
    | ENDED
    - {
        ReviewState.REJECTED,
        ReviewState.EXPIRED,
    }
)
MAY_BE = {
    "approve": _GRANTED,
    "edit": _GRANTED | {ReviewState.PARKED},
    "reject": {ReviewState.REJECTED},
    "escalate": OPEN | ENDED | {ReviewState.SPENT},
    "undo": OPEN | ENDED | {ReviewState.SPENT},
    "release": {ReviewState.RELEASED},
    "destroy": {ReviewState.DESTROYED},
}
