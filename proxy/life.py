"""One call's life as it is lived: a gate, an exchange, and the performing of commands between them.

Rules of this module:
* Commands are performed strictly in order; a lost compare-and-set ends the list and is told to the gate (P4).
* The agent's presence is looked at again just before a grant is spent (traps T5): approving after it has gone
  executes nothing by itself.
"""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING

import structlog

from policies.model import ToolCall
from proxy import answers
from proxy.commands import AwaitOutcome, Command, Detach, Forward, Inspect, Park, Record, Reply, Reread
from proxy.events import (
    AgentLeft,
    CallReceived,
    CallStopped,
    ChangeWasLost,
    Event,
    OutcomeChanged,
    PatienceEnded,
    ResponseInspected,
    ResponseReceived,
    ReviewChanged,
    UpstreamBroke,
)
from proxy.exchange import Answer, Exchange
from proxy.failpoints import failpoint
from proxy.gate import Gate, Stage
from proxy.heavy import away, is_heavy
from proxy.parking import TooManyHeld, Waiter, Woken
from proxy.tasks import spawn
from proxy.upstreams.base import Sent, UpstreamFailed
from proxy.watching import Times
from redaction.model import Outcome
from review.model import CallRecord, ReviewState
from review.ports import Change, ChangeLost, InsertCall, StoreDown

if TYPE_CHECKING:
    from proxy.runner import Runner

log = structlog.get_logger("interlock.life")


class Life:
    """Lives one call; made and kept by the runner."""

    def __init__(self, runner: Runner, exchange: Exchange, gate: Gate) -> None:
        self.exchange = exchange
        self.gate = gate
        self.times = Times()
        self.place = ""  # taken among the open questions, until its own is written
        self._runner = runner
        self._waiter: Waiter | None = None
        self._reply: Reply | None = None
        self._detached = False
        self._settled = False
        self._forwarded = False
        self._inserts: CallRecord | None = None  # the call that the last change puts into the store, if it does
        self._attached: set[str] = set()
        self._cutting: asyncio.Timeout | None = None  # around the exchange with the tool, while there is one

    @cached_property
    def is_heavy(self) -> bool:
        """Whether judging this call, and building its row, would hold up everybody else."""
        call = self.exchange.call
        return is_heavy((call.arguments, call.input_responses))

    @property
    def agent(self) -> str:
        return self.exchange.call.agent.id

    @property
    def server(self) -> str:
        return self.exchange.call.server

    @property
    def asks(self) -> bool:
        """Whether people are being asked about this call."""
        return self.gate.stage in (Stage.HELD, Stage.STAYING)

    async def run(self, event: Event) -> Answer:
        """From the first event to the answer. Raises: StoreDown, and whatever a bug raises (the runner refuses)."""
        try:
            next_event: Event | None = event
            while next_event is not None and not self._detached:
                next_event = await self._perform(await self._turn(next_event))
        finally:
            self._leave()
        if self._reply is not None:
            return self._reply.answer
        return answers.refused(self.gate.call_id, "the agent has gone")  # nobody reads this

    async def _turn(self, event: Event) -> list[Command]:
        """What the gate wants done. The row of a heavy call is built where it holds up nobody; nothing else waits."""
        if isinstance(event, CallReceived) and self.is_heavy:
            return await away(lambda: self.gate.handle(event))
        return self.gate.handle(event)

    async def stay_for(self, call_id: str) -> Answer:
        """Go on without the agent: the rule says execute on approval. Raises as `run`; nobody reads the answer."""
        self._detached = False
        return await self.run(await self._park(Park(call_id, "", "")))

    async def _perform(self, commands: list[Command]) -> Event | None:
        """Perform in order; the event that the last one brings, or None when there is nothing more to hear."""
        for command in commands:
            match command:
                case Record(change):
                    lost = await self._record(change)
                    if lost is not None:
                        return lost
                case Forward():
                    return await self._forward(command)
                case Inspect():
                    return await self._inspect(command)
                case Park():
                    return await self._park(command)
                case AwaitOutcome():
                    return await self._await_outcome(command)
                case Reread(call_id):
                    return await self._review_event(call_id)
                case Reply():
                    self._answer(command)
                case Detach(call_id, stay):
                    self._detach(call_id, stay=stay)
        return None

    # -- commands ------------------------------------------------------------------------------------------------

    async def _record(self, change: Change) -> ChangeWasLost | None:
        runner = self._runner
        first = change.rows[0] if change.rows else None
        self._inserts = first.call if isinstance(first, InsertCall) else None
        try:
            if change.durable:
                failpoint("change.begun")
                await runner.records.apply(change)
                failpoint("change.durable")
            else:
                runner.records.submit(change)
        except ChangeLost as lost:
            return ChangeWasLost(lost.found, runner.clock())
        runner.recorded(change, self)
        return None

    async def _forward(self, command: Forward) -> Event:
        clock, call, within = self._runner.clock, command.call, command.within
        is_bounded = within.runtime_sec is not None or within.response_bytes is not None
        sent = Sent(is_read=command.is_read, response_bytes_max=within.response_bytes, is_bounded=is_bounded)
        stop = self._runner.stopped.over(call.agent.id, call.server)
        if stop is not None:  # it came while the decision was being written
            return CallStopped(stop, False, clock())
        self._forwarded = True
        cutting = self._cutting = asyncio.timeout(within.runtime_sec)
        began = _now()
        failpoint("dispatch.begun")
        try:
            async with cutting:
                dispatched = await self.exchange.dispatch(call, sent)
        except UpstreamFailed as failure:
            return self._broke_off(call, failure.why, sent=failure.sent or sent.happened)
        except TimeoutError:
            if not cutting.expired():
                raise
            is_late = within.runtime_sec is not None and _now() - began >= within.runtime_sec
            why = f"it ran for the {within.runtime_sec} s that max_runtime_sec allows" if is_late else "it was stopped"
            return self._broke_off(call, why, sent=sent.happened)
        finally:
            self._cutting = None
            self.times.tool += _now() - began
        failpoint("response.read")
        return ResponseReceived(dispatched.response, dispatched.http_status, clock(), dispatched.held)

    def _broke_off(self, call: ToolCall, why: str, *, sent: bool) -> Event:
        stop = self._runner.stopped.over(call.agent.id, call.server)
        if stop is not None:
            return CallStopped(stop, sent, self._runner.clock())
        return UpstreamBroke(why, sent, self._runner.clock())

    def look_again(self) -> bool:
        """The kill switch was thrown, and covers this call: whatever it waits for is over. True if it was cut.

        A call between two waits comes to the gate's own look by itself.
        """
        if self._cutting is not None and not self._cutting.expired():
            self._cutting.reschedule(asyncio.get_running_loop().time())
            return True
        if self._waiter is not None:
            self._waiter.ring()
        return False

    async def _inspect(self, command: Inspect) -> Event:
        runner = self._runner
        rules = runner.output_rules(command.call, self.gate.record)
        definition = command.call.definition
        began = _now()
        failpoint("inspection.begun")
        inspection = await runner.inspectors.inspect(
            command.response,
            rules=rules,
            surface=command.surface,
            output_schema=definition.output_schema if definition is not None else None,
        )
        self.times.inspection += _now() - began
        failpoint("inspection.done")
        lot = (
            runner.judging.lot(command.call, self.gate.record) if inspection.outcome is not Outcome.QUARANTINE else None
        )
        return ResponseInspected(command.response, command.http_status, inspection, runner.clock(), lot)

    async def _park(self, command: Park) -> Event:
        failpoint("park.begun")
        waiter = self._sit_down(command.call_id, command.message)
        if waiter is None:
            return PatienceEnded(self._runner.clock())
        return await self._woken(waiter, command.call_id, outcome=False)

    async def _await_outcome(self, command: AwaitOutcome) -> Event:
        waiter = self._sit_down(command.call_id, command.message)
        if waiter is None:
            return PatienceEnded(self._runner.clock())
        return await self._woken(waiter, command.call_id, outcome=True)

    async def _woken(self, waiter: Waiter, call_id: str, *, outcome: bool) -> Event:
        clock = self._runner.clock
        began = _now()
        woken = await waiter.woken(clock())
        self.times.people += _now() - began
        match woken:
            case Woken.LEFT:
                now = clock()
                self._runner.parking.learn_departure(self.exchange.client, now - waiter.since)
                return AgentLeft(now)
            case Woken.PATIENCE:
                return PatienceEnded(clock())
            case Woken.CLOSING:
                return PatienceEnded(clock(), closing=True)
            case Woken.BELL:
                return await (self._outcome_event(call_id) if outcome else self._review_event(call_id))

    async def _review_event(self, call_id: str) -> Event:
        """The call and its review read anew; judged again where the grant could be spent now."""
        runner = self._runner
        record = await runner.records.call(call_id)
        review = await runner.records.review(record.review_id) if record and record.review_id else None
        if record is None or review is None:
            raise StoreDown(f"call {call_id} or its review is missing from the store")
        runner.still_open(record, review)
        if review.state is not ReviewState.SPENDABLE or runner.stopped.over(record.agent, record.server) is not None:
            return ReviewChanged(record, review, runner.clock())
        call_now = await runner.judging.call_now(record)
        decision = await runner.judged(call_now, record)
        failpoint("grant.judged")
        if self.exchange.left.is_set() and self.gate.stage is Stage.HELD:
            return AgentLeft(runner.clock())
        return ReviewChanged(record, review, runner.clock(), call_now, decision)

    async def _outcome_event(self, call_id: str) -> Event:
        runner = self._runner
        record = await runner.records.call(call_id)
        if record is None:
            raise StoreDown(f"call {call_id} is missing from the store")
        review = await runner.records.review(record.review_id) if record.review_id else None
        return OutcomeChanged(record, review, runner.clock())

    # -- waiting and answering -----------------------------------------------------------------------------------

    def _sit_down(self, call_id: str, message: str) -> Waiter | None:
        """The one waiter of this life, for this call; None when too many are held: answered with a ticket at once."""
        if self._waiter is not None and self._waiter.call_id == call_id:
            return self._waiter
        self._stand_up()
        staying = self.gate.stage is Stage.STAYING
        runner = self._runner
        try:
            self._waiter = runner.parking.sit_down(
                call_id,
                client=self.exchange.client,
                left=None if staying else self.exchange.left,
                patience_sec=_STAY_SEC if staying else None,
                agent=self.exchange.call.agent.id,
                size_bytes=self.exchange.size_bytes,
            )
        except TooManyHeld:
            return None
        self.attach(call_id)
        self.exchange.parked(call_id, message)
        return self._waiter

    def _stand_up(self) -> None:
        if self._waiter is not None:
            self._runner.parking.stand_up(self._waiter)
            self._waiter = None

    def attach(self, call_id: str) -> None:
        """This life's agent waits for that call; a superseded question makes it wait for another."""
        self._attached.add(call_id)
        self._runner.lives.attach(call_id, self)

    def _leave(self) -> None:
        """Nobody waits here any more."""
        self._stand_up()
        for call_id in self._attached:
            self._runner.lives.detach(call_id, self)
        self._attached.clear()

    def _answer(self, reply: Reply) -> None:
        self._reply = reply
        if reply.on_delivery is not None:
            self._runner.queued(reply.on_delivery)
        call_id = reply.answer.call_id
        if self.exchange.left.is_set() or (reply.on_delivery is None and reply.otherwise is None):
            self.settle(delivered=False)
        else:
            self._runner.lives.answering(call_id, self)

    def is_giving(self, answer: Answer) -> bool:
        """True for the answer of this life itself, not for one that reads the same."""
        return self._reply is not None and self._reply.answer is answer

    def settle(self, *, delivered: bool) -> None:
        """The door knows whether the answer went out: record which it was, once, unawaited."""
        reply = self._reply
        if reply is None or self._settled:
            return
        self._settled = True
        change = reply.on_delivery if delivered else reply.otherwise
        if delivered:
            self._runner.recent.drop(reply.answer.call_id)
        if change is None:
            return
        if change.durable:
            spawn(self._record_outcome(change, reply.answer.call_id), name=f"outcome:{reply.answer.call_id}")
            return
        try:
            self._runner.records.submit(change)
        except StoreDown as down:
            log.error("outcome_not_recorded", call=reply.answer.call_id, why=str(down))
            return
        self._runner.parking.ring(reply.answer.call_id)

    async def _record_outcome(self, change: Change, call_id: str) -> None:
        """An outcome somebody may come back for: the bell rings only once it can be read."""
        try:
            await self._runner.records.apply(change)
        except (ChangeLost, StoreDown) as problem:
            # The call stays as it is kept, and `name_doubts` names it in doubt once the store is back.
            log.error("outcome_not_recorded", call=call_id, why=str(problem))
            return
        self._runner.parking.ring(call_id)

    def _detach(self, call_id: str, *, stay: bool) -> None:
        self._leave()
        self._detached = True
        if stay:
            spawn(self._runner.stay(self, call_id), name=f"stay:{call_id}")

    # -- when something broke ------------------------------------------------------------------------------------

    async def refuse(self, why: str, *, retry_after_sec: int | None) -> Answer:
        """Close the call as safely as it can be: in doubt if it may have been sent."""
        doubtful = await self.broke(why)
        if doubtful:
            return answers.in_doubt(self.gate.call_id)
        return answers.refused(self.gate.call_id, why, retry_after_sec=retry_after_sec)

    async def broke(self, why: str) -> bool:
        """Leave a call that may have been sent `in_doubt`. True if it may have been sent."""
        self._leave()
        if not self._forwarded and self.gate.stage is Stage.DISPATCHING and self._inserts is not None:
            await self._never_sent(self._inserts, why)
        if not self._forwarded or self._reply is not None:
            return False
        record = self.gate.record
        if record is not None:
            try:
                await self._runner.records.apply(self._runner.rows.in_doubt(record, why, self._runner.clock()))
            except (ChangeLost, StoreDown, asyncio.CancelledError) as problem:
                # It stays dispatching, and `name_doubts` says the same once the store is back.
                log.error("doubt_not_recorded", call=record.id, why=str(problem))
        return True

    async def _never_sent(self, record: CallRecord, why: str) -> None:
        """A call of this life alone that may be marked as sent, and of which no byte has left: it failed before that.

        The mark, if it was taken, is written before this change is; if it was not, there is no such call to move. A
        grant that was being spent is left to `name_doubts`: another life may have spent it.
        """
        change = self._runner.rows.failed_before_send(record, None, why, self._runner.clock())
        try:
            await self._runner.records.apply(change)
        except (ChangeLost, StoreDown, asyncio.CancelledError) as problem:
            log.warning("not_sent_not_recorded", call=record.id, why=str(problem))
            return
        self._runner.recent.drop(record.id)


def _now() -> float:
    """Monotonic seconds: of durations alone."""
    return asyncio.get_running_loop().time()


_STAY_SEC = 400 * 24 * 3600.0
