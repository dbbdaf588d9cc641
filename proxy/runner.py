"""The runner: performs the gate's commands and feeds it what happened. The only thing doors know of the core.

Rules of this module:
* It decides nothing. Order is the gate's: commands are performed from first to last, each awaited.
* Whatever goes wrong here refuses the call (P1). The one catch-all of the product is in `call`.
* A call that was being dispatched when something broke is left `in_doubt`, never silently forgotten (P5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from audit.entry import EntryDraft, EntryKind
from policies.model import Agent, Decision, Direction, JsonObject, OutputRules, ToolCall
from proxy import answers, tickets
from proxy.config import Parking as ParkingConfig
from proxy.events import CallReceived, CallRepeated
from proxy.exchange import Answer, Exchange
from proxy.failpoints import failpoint
from proxy.gate import Gate, IsWatched
from proxy.gate_rows import GateRows, proposed_of
from proxy.heavy import away, is_heavy
from proxy.history import History
from proxy.life import Life
from proxy.lives import Lives
from proxy.open_questions import Full, OpenQuestions
from proxy.parking import Parking
from proxy.per_second import PerSecond
from proxy.recent import Recent
from proxy.repeats import Repeat, repeat_of
from proxy.sampling import Lot
from proxy.stopped import Stopped
from proxy.tasks import spawn
from proxy.upstreams.inventory import InventoryUnavailable
from proxy.watching import Watches
from redaction.model import Inspection, Surface
from review.model import CallRecord, CallState, ReviewRecord
from review.ports import Change, ChangeLost, InsertCall, InsertReview, MoveCall, Records, StoreDown

log = structlog.get_logger("interlock.runner")

REOPEN_WITHIN_SEC = 24 * 3600
REFUSALS_PER_SEC_MAX = 50
MODERN = "2026-07-28"


class Inspects(Protocol):
    async def inspect(
        self, message: object, *, rules: OutputRules, surface: Surface, output_schema: JsonObject | None = None
    ) -> Inspection: ...


class Judges(Protocol):
    """Judging, as `proxy/judging.py` does it."""

    def judge(self, call: ToolCall) -> Decision: ...
    def prepared(self, call: ToolCall, kept: CallRecord | None = None) -> Callable[[], Decision]: ...
    def output_rules(self, call: ToolCall, kept: CallRecord | None = None) -> OutputRules: ...
    def hidden_tools(self, agent: Agent, server: str, tools: Iterable[str]) -> frozenset[str]: ...
    def lot(self, call: ToolCall, kept: CallRecord | None = None) -> Lot | None: ...
    async def call_now(self, record: CallRecord) -> ToolCall: ...


class Runner:
    """One per process. `call` never raises but CancelledError."""

    def __init__(
        self,
        *,
        records: Records,
        judging: Judges,
        inspectors: Inspects,
        parking: Parking,
        stopped: Stopped,
        rows: GateRows,
        config: ParkingConfig,
        clock: Callable[[], float],
        ticket_key: bytes,
        repeat_key_of: Callable[[ToolCall], str],
        ids: Callable[[], str],
        watchers: Sequence[Watches] = (),
        is_watched: IsWatched = lambda _: False,
        history: History | None = None,
    ) -> None:
        self.records = records
        self.judging = judging
        self.inspectors = inspectors
        self.parking = parking
        self.stopped = stopped
        self.rows = rows
        self.config = config
        self.clock = clock
        self.recent = Recent()
        self._ticket_key = ticket_key
        self._repeat_key_of = repeat_key_of
        self._new_call_id = ids
        self._watchers = watchers
        self._is_watched = is_watched
        self._history = history
        self._refusals = PerSecond(REFUSALS_PER_SEC_MAX)
        self.lives = Lives()
        self.questions = OpenQuestions(open_max=config.open_reviews_max, of_agent_max=config.open_reviews_per_agent_max)
        parking.listen(self._rung)

    # -- for doors -----------------------------------------------------------------------------------------------

    async def call(self, exchange: Exchange) -> Answer:
        """The whole life of one judged request."""
        life = Life(self, exchange, self._gate(exchange))
        return await self._watched(life, self._begin(exchange, life))

    async def collect(self, exchange: Exchange) -> Answer:
        """A ticket presented without the call itself (tool `interlock_collect`)."""
        life = Life(self, exchange, self._gate(exchange))
        return await self._watched(life, self._present(exchange, life, any_tool=True))

    async def stay(self, life: Life, call_id: str) -> None:
        """The agent has gone, and the rule says execute on approval: the life goes on, and nobody reads its answer."""
        await self._guarded(life, life.stay_for(call_id))

    async def judge(self, call: ToolCall) -> Decision:
        """Judge and record durably without forwarding: for requests inside a result. Raises: StoreDown."""
        decision = await self.judged(call)
        entry = self.rows.teller.decided(
            self._new_call_id(), call, proposed_of(call), decision, self.clock(), dispatched=False
        )
        await self.records.apply(Change(entries=(entry,)))
        return decision

    def output_rules(self, call: ToolCall, kept: CallRecord | None = None) -> OutputRules:
        return self.judging.output_rules(call, kept)

    def hidden_tools(self, agent: Agent, server: str, tools: Iterable[str]) -> frozenset[str]:
        return self.judging.hidden_tools(agent, server, tools)

    def note(self, *, agent: str, server: str, method: str, direction: Direction, outcome: str) -> None:
        """Record noted traffic, unawaited. Raises: StoreDown (then the door refuses: no record, no call)."""
        body = {"server": server, "method": method, "direction": direction.value, "outcome": outcome}
        self.records.submit(
            Change(
                entries=(EntryDraft(EntryKind.CALL_NOTED, self.clock(), f"agent:{agent}", None, body),), durable=False
            )
        )

    def refused(self, *, agent: str | None, server: str, method: str | None, why: str, status: int) -> None:
        """Record what a door would not read. A store that is down does not make the refusal less of one.

        At most `REFUSALS_PER_SEC_MAX` entries a second (P14); the next entry says how many were left out.
        """
        for watcher in self._watchers:
            watcher.refused(status)
        left_out = self._refusals.admit(self.clock())
        if left_out is None:
            return
        body: dict[str, Any] = {"server": server, "method": method, "why": why[:300], "status": status}
        if left_out:
            body["left_out_before"] = left_out
        entry = EntryDraft(EntryKind.CALL_REFUSED, self.clock(), f"agent:{agent or '?'}", None, body)
        try:
            self.records.submit(Change(entries=(entry,), durable=False))
        except StoreDown as down:
            log.warning("refusal_not_recorded", why=str(down))

    def delivered(self, answer: Answer) -> None:
        """The last byte of the answer that `call` or `collect` gave was written and the agent had not left."""
        self._settle(answer, delivered=True)

    def undelivered(self, answer: Answer) -> None:
        """The answer could not be written: its outcome is kept for the identical call."""
        self._settle(answer, delivered=False)

    def _settle(self, answer: Answer, *, delivered: bool) -> None:
        life = self.lives.given(answer)
        if life is not None:
            life.settle(delivered=delivered)

    # -- start and recovery --------------------------------------------------------------------------------------

    async def recover(self) -> int:
        """At start: what was being dispatched when we died is in doubt (P5); what was parked stays parked.

        Returns how many calls were left in doubt. Raises: StoreDown.
        """
        now = self.clock()
        doubtful = 0
        failpoint("recovery.begun")
        while batch := await self.records.calls_in([CallState.DISPATCHING], limit=500):
            for record in batch:
                await self.records.apply(self.rows.in_doubt(record, "the gate stopped while this was being sent", now))
                doubtful += 1
                failpoint("recovery.named")
        self.recent.load(await self.records.unsettled(since=now - REOPEN_WITHIN_SEC))
        for listed in await self.records.open_reviews(limit=self.config.open_reviews_max):
            self.questions.count(listed.call.id, listed.call.agent)
        failpoint("recovery.done")
        return doubtful

    async def name_doubts(self, *, sent_before: float) -> int:
        """Calls marked as sent that nobody here lives any more, because the store was down when they ended: in doubt.

        Returns how many. Raises: StoreDown.
        """
        doubtful = 0
        for record in await self.records.calls_in([CallState.DISPATCHING], limit=500):
            if self.lives.are_about(record.id) or (record.dispatched_at or record.created_at) >= sent_before:
                continue
            why = "the record could not be written while this was being sent"
            try:
                await self.records.apply(self.rows.in_doubt(record, why, self.clock()))
            except ChangeLost:
                continue  # its outcome was on its way after all
            self.parking.ring(record.id)
            doubtful += 1
        return doubtful

    # -- inside --------------------------------------------------------------------------------------------------

    def _gate(self, exchange: Exchange) -> Gate:
        return Gate(
            self.rows,
            stop_over=self.stopped.over,
            is_watched=self._is_watched,
            reject_holds_sec=self.config.reject_holds_sec,
            reopen_within_sec=REOPEN_WITHIN_SEC,
            may_stay=exchange.client.revision < MODERN,
        )

    async def _watched(self, life: Life, work: object) -> Answer:
        """A guarded life, and then those who watch are told where its time went."""
        now = asyncio.get_running_loop().time
        began = now()
        answer = await self._guarded(life, work)
        life.times.whole = now() - began
        for watcher in self._watchers:
            watcher.ended(life.exchange.call, answer, life.times)
        return answer

    async def _guarded(self, life: Life, work: object) -> Answer:
        """The top of a call: every failure refuses, and one that happened while sending is named as doubt."""
        try:
            return await work  # type: ignore[misc,no-any-return]  # always one of our coroutines
        except asyncio.CancelledError:
            await asyncio.shield(life.broke("the gate was stopped while this was being sent"))
            raise
        except StoreDown as down:
            log.error("store_down", call=life.gate.call_id, why=str(down))
            return await life.refuse("the record cannot be written at the moment", retry_after_sec=30)
        except InventoryUnavailable as unavailable:  # where a grant was to be spent: it is kept for the repeat
            log.warning("tools_unknown", call=life.gate.call_id, why=str(unavailable))
            return await life.refuse("the tools of this server cannot be listed at the moment", retry_after_sec=30)
        except Exception as error:
            log.error("call_failed", call=life.gate.call_id, error=repr(error), exc_info=error)
            return await life.refuse("an error of the gate's own; it has been recorded", retry_after_sec=None)

    async def _begin(self, exchange: Exchange, life: Life) -> Answer:
        if exchange.ticket is not None:
            return await self._present(exchange, life, any_tool=False)
        now = self.clock()
        key, heavy = await self._ahead(life)
        earlier = await self._earlier(key, now)
        if earlier.repeated is not None:
            record, review = earlier.repeated
            return await life.run(CallRepeated(exchange.call, record, review, now))
        decision = heavy or self.judging.judge(exchange.call)
        if self._history is not None:
            self._history.counted(exchange.call)
        failpoint("call.judged")
        received = CallReceived(
            exchange.call, decision, now, continues=earlier.continues, twin_waits=earlier.twin_waits
        )
        if not decision.waits_for_people:
            return await life.run(received)
        return await self._refuse_review(exchange.call.agent.id, earlier) or await self._ask(life, received)

    async def _ahead(self, life: Life) -> tuple[str, Decision | None]:
        """The call's repeat key; of a heavy one the decision too, worked out where it holds up nobody.

        Before earlier calls are looked at: what is found of them is acted on with nothing awaited in between.
        """
        call = life.exchange.call
        if not life.is_heavy:
            return self._repeat_key_of(call), None
        key = await away(lambda: self._repeat_key_of(call))
        return key, await away(self.judging.prepared(call))

    async def judged(self, call: ToolCall, kept: CallRecord | None = None) -> Decision:
        """The decision on this call, or on a kept one once more; a heavy one's worked out where it holds up nobody."""
        judge = self.judging.prepared(call, kept)
        return await away(judge) if is_heavy((call.arguments, call.input_responses)) else judge()

    async def _ask(self, life: Life, received: CallReceived) -> Answer:
        """Its place among the open questions is taken before anything is awaited, and is its own once it is written."""
        life.place = self.questions.take_place(received.call.agent.id)
        try:
            return await life.run(received)
        finally:
            self.questions.over(life.place)

    async def _present(self, exchange: Exchange, life: Life, *, any_tool: bool) -> Answer:
        """A ticket instead of the call: it names the earlier call, and where that is decides (SEMANTICS §2.2)."""
        call = exchange.call
        call_id = tickets.read(self._ticket_key, exchange.ticket or "", call.agent.id)
        record = await self.records.call(call_id) if call_id is not None else None
        if record is None or record.server != call.server or record.on_behalf_of != call.agent.on_behalf_of:
            return answers.refused("", "this ticket is not one of yours for this server")
        if not any_tool and (record.tool, record.method) != (call.tool, call.method):
            return answers.refused(record.id, "this ticket is for a call of another tool")
        if any_tool and record.method != "tools/call":
            return answers.refused(record.id, f"this ticket is for {record.method}: repeat that request instead")
        review = await self._review_of(record)
        record = await self.records.call(record.id) or record  # read last: what another has just been given is seen
        if self.lives.is_awaited(record.id):
            return answers.awaited_already(record.id)
        if record.delivered_at is not None and record.state is not CallState.RESOLVED:
            return answers.delivered_already(record.id)
        if record.to_send is None:
            return answers.erased(record.id)
        # Which call is sent, if it still is to be, is made and judged anew when the grant is spent.
        return await life.run(CallRepeated(call, record, review, self.clock()))

    async def _review_of(self, record: CallRecord) -> ReviewRecord | None:
        return await self.records.review(record.review_id) if record.review_id is not None else None

    async def _earlier(self, key: str, now: float) -> _Earlier:
        """What stands in the way of a new call of this key."""
        found = _Earlier()
        for record in await self._candidates(key, now):
            review = await self._review_of(record)
            # Asked after the last read, with nothing awaited until we wait ourselves: of two that come at once, one.
            if self.lives.is_awaited(record.id):
                found.twin_waits = True
                continue
            if self._is_done_with(record.id):
                continue
            row = repeat_of(
                record,
                review,
                now=now,
                reject_holds_sec=self.config.reject_holds_sec,
                reopen_within_sec=REOPEN_WITHIN_SEC,
            )
            if row is Repeat.NEW:
                self.recent.drop(record.id)  # it will never speak for a call again
                continue
            if row is Repeat.REOPEN:
                found.reopened += 1
                found.continues = found.continues or record.id
                continue
            found.repeated = (record, review)
            break
        return found

    async def _candidates(self, key: str, now: float) -> list[CallRecord]:
        if not self.recent.is_complete:
            return list(await self.records.latest_by_key(key, since=now - REOPEN_WITHIN_SEC))
        ids = self.recent.ids(key)
        if not ids:
            return []
        return [record for record in [await self.records.call(one) for one in ids] if record is not None]

    async def _refuse_review(self, agent: str, earlier: _Earlier) -> Answer | None:
        """The caps on questions (P14). The first question of a call is not a reopened one."""
        if earlier.reopened > self.config.reopen_max and earlier.continues is not None:
            return answers.asked_too_often(earlier.continues, earlier.reopened)
        if self.questions.full_for(agent) is not None:
            for call_id in self.questions.doubtful():
                await self._look_if_open(call_id)
        match self.questions.full_for(agent):
            case Full.IN_ALL:
                return answers.refused("", "too many calls wait for people at the moment", retry_after_sec=60)
            case Full.OF_AGENT:
                return answers.refused("", "too many of your calls wait for people already", retry_after_sec=60)
            case None:
                return None

    # -- what a Life tells ---------------------------------------------------------------------------------------

    def recorded(self, change: Change, life: Life) -> None:
        """Keep the in-memory views true after a change committed."""
        if not change.durable:
            self.queued(change)
        for row in change.rows:
            match row:
                case InsertCall(call):
                    if call.state is not CallState.DENIED:
                        self.recent.add(call.repeat_key, call.id)
                        life.attach(call.id)
                case InsertReview(review) if review.state.is_open:
                    self.questions.count(review.call_id, life.exchange.call.agent.id)
                    self.questions.over(life.place)
                case MoveCall(call_id, _, to, _):
                    if to in (CallState.FAILED_BEFORE_SEND, CallState.FAILED_AFTER_SEND):
                        self.recent.drop(call_id)
                    self.parking.ring(call_id)
                case _:
                    pass

    def queued(self, change: Change) -> None:
        """A change that nobody waits for, of which the store tells nobody: the next call may follow at once."""
        if self._history is not None:
            self._history.heard(change)

    def _is_done_with(self, call_id: str) -> bool:
        """True if somebody else was given its outcome between our reading it and now."""
        return self.recent.is_complete and call_id not in self.recent

    def _rung(self, call_id: str) -> None:
        """A review of this call changed: if it counts as open, see whether it still is."""
        if self.questions.changed(call_id):
            spawn(self._look_if_open(call_id), name=f"open:{call_id}")

    async def _look_if_open(self, call_id: str) -> None:
        try:
            record = await self.records.call(call_id)
            review = await self._review_of(record) if record is not None else None
        except StoreDown as down:
            log.warning("open_question_not_looked_at", call=call_id, why=str(down))
            return  # it counts until somebody can look
        if review is None or not review.state.is_open:
            self.questions.over(call_id)
        elif record is not None:
            self.questions.count(call_id, record.agent)

    def still_open(self, record: CallRecord, review: ReviewRecord) -> None:
        """A waiter read its review again and it is still a question: it counts again."""
        if review.state.is_open:
            self.questions.count(record.id, record.agent)


@dataclass(slots=True)
class _Earlier:
    """What was found of earlier identical calls."""

    repeated: tuple[CallRecord, ReviewRecord | None] | None = None
    continues: str | None = None
    reopened: int = 0
    twin_waits: bool = False
