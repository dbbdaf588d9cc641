"""The gate: one call's life, sans-io. Events in, commands out; it waits for nothing and knows no clock.

Rules of this module:
* Rule 1: everything that decides whether bytes may leave for a tool is in this file, and of a grant whose policy has
  changed in `spending.py`. The runner only performs. The kill switch, a set in memory, is looked at here each time: no
  Forward while it covers the call, and no Reply with an outcome. A stop after the Forward is told as `CallStopped`.
* Rule 2: a `Forward` is preceded in its list by the durable `Record` of the decision or of the spent grant (P3, P4).
* Rule 3: an approval is for exactly this call (P6): at spend the binding is computed anew and the call judged anew.
* Rule 4: nothing reaches the agent but by `Reply`, and a tool's response only after `ResponseInspected` (P8).
* Rule 5: an event out of turn raises `OutOfTurn` and changes nothing.

`TURNS` is the table of which events each stage may hear; the diagram in the docs is generated from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Any, assert_never

from audit.entry import EntryKind
from policies.constraints import at_dispatch
from policies.model import Approval, Decision, Direction, Effect, JsonObject, ToolCall
from proxy import answers
from proxy.commands import AwaitOutcome, Command, Detach, Forward, Inspect, Park, Record, Reply, Reread
from proxy.events import (
    AgentLeft,
    CallReceived,
    CallRepeated,
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
from proxy.exchange import Answer
from proxy.gate_rows import GateRows
from proxy.repeats import Repeat, repeat_of
from proxy.spending import held_to, why_void
from redaction.model import Inspection, Outcome, Surface
from review.lifecycle import ReviewEvent, states_allowing
from review.model import CallRecord, CallState, ReviewRecord, ReviewState, Stop
from review.ports import Change


class Stage(StrEnum):
    """Where this gate is between two events."""

    NEW = "new"
    HELD = "held"  # the agent waits for people
    STAYING = "staying"  # the agent has gone, but the rule says execute on approval
    AWAITING = "awaiting"  # the agent waits for what another dispatch of its call brings
    DISPATCHING = "dispatching"
    INSPECTING = "inspecting"
    DONE = "done"


TURNS: dict[Stage, tuple[type, ...]] = {
    Stage.NEW: (CallReceived, CallRepeated),
    Stage.HELD: (ReviewChanged, PatienceEnded, AgentLeft, ChangeWasLost),
    Stage.STAYING: (ReviewChanged, PatienceEnded, ChangeWasLost),
    Stage.AWAITING: (OutcomeChanged, PatienceEnded, AgentLeft),
    Stage.DISPATCHING: (ResponseReceived, UpstreamBroke, CallStopped, ChangeWasLost),
    Stage.INSPECTING: (ResponseInspected,),
    Stage.DONE: (ChangeWasLost,),
}

type StopOver = Callable[[str, str], Stop | None]
"""What covers this agent at this server at this moment (`proxy/stopped.py`)."""

type IsWatched = Callable[[ReviewRecord], bool]
"""Whether somebody who may veto this is watching the live feed (`review/feed.py`)."""

_NEVER_SENT = (CallState.WAITING, CallState.CLOSED)
_STOPPABLE = states_allowing(ReviewEvent.STOPPED)
_ACTING = frozenset({"write", "delete"})  # beside one of these `read` does not make a call one that may be repeated


class OutOfTurn(Exception):
    """An event this stage cannot hear. Nothing was changed. It is a fault of ours, and refuses the call (P1)."""

    def __init__(self, stage: Stage, event: Event) -> None:
        super().__init__(f"{type(event).__name__} while {stage.value}")


class Gate:
    """One call's life. `rows` builds what is recorded; `handle` is the whole interface."""

    def __init__(
        self,
        rows: GateRows,
        *,
        stop_over: StopOver,
        reject_holds_sec: float,
        reopen_within_sec: float,
        may_stay: bool = True,
        is_watched: IsWatched,
    ) -> None:
        self.stage = Stage.NEW
        self.call_id = ""
        self._rows = rows
        self._stop_over = stop_over
        self._reject_holds_sec = reject_holds_sec
        self._reopen_within_sec = reopen_within_sec
        self._is_watched = is_watched
        self._may_stay = may_stay  # False where leaving is a cancellation by protocol (2026-07-28)
        self._call: ToolCall | None = None
        self._decision: Decision | None = None
        self._record: CallRecord | None = None
        self._review: ReviewRecord | None = None
        self._before_spend: tuple[CallRecord, ReviewRecord, Stage] | None = None  # while its record may still be lost

    def handle(self, event: Event) -> list[Command]:
        """What to do now. Raises: OutOfTurn."""
        if not isinstance(event, TURNS[self.stage]):
            raise OutOfTurn(self.stage, event)
        before, self._before_spend = self._before_spend, None
        match event:
            case CallReceived():
                return self._received(event)
            case CallRepeated():
                return self._repeated(event)
            case ReviewChanged():
                return self._review_changed(event)
            case OutcomeChanged():
                return self._outcome_changed(event)
            case PatienceEnded():
                return self._patience_ended(event)
            case AgentLeft():
                return self._agent_left(event)
            case ChangeWasLost():
                return self._change_was_lost(event, before)
            case ResponseReceived():
                return self._response_received(event)
            case UpstreamBroke():
                return self._upstream_broke(event)
            case CallStopped():
                return self._call_stopped(event)
            case ResponseInspected():
                return self._response_inspected(event)
            case _:
                assert_never(event)

    @property
    def record(self) -> CallRecord | None:
        """The call as last kept or read."""
        return self._record

    # -- a new question ------------------------------------------------------------------------------------------

    def _received(self, event: CallReceived) -> list[Command]:
        self._call, self._decision = event.call, event.decision
        decision = event.decision
        stop = self._stop_over(event.call.agent.id, event.call.server)
        if stop is not None:
            self.stage = Stage.DONE
            return [
                Record(self._rows.turned_away(event.call, stop, event.at)),
                Reply(answers.stopped("", executed=False)),
            ]
        if decision.waits_for_people:
            return self._open_review(event)
        within = at_dispatch(decision.constraints)
        if decision.goes_at_once and within is not None:
            record = self._keep(self._rows.call(event, CallState.DISPATCHING))
            self.stage = Stage.DISPATCHING
            return [
                Record(self._rows.decided(record, event)),
                Forward(record.id, event.call, self._is_read(event.call), within),
            ]
        # A deny; or an effect or a constraint that nobody here enforces, which is refused all the same (P1).
        record = self._keep(self._rows.call(event, CallState.DENIED))
        self.stage = Stage.DONE
        return [Record(self._rows.decided(record, event)), Reply(self._denied(decision))]

    def _open_review(self, event: CallReceived) -> list[Command]:
        record = self._rows.call(event, CallState.WAITING)
        review = self._rows.approval_review(record, event.decision, event.at)
        record = self._keep(replace(record, review_id=review.id))
        self._review = review
        self.stage = Stage.HELD
        why = "an identical call is waiting" if event.twin_waits else event.decision.reason
        if event.decision.veto_window_sec and event.decision.effect is Effect.ALLOW_UNLESS_VETOED:
            if self._is_watched(review):
                review = self._review = self._rows.vetoable(record, review, event.decision.veto_window_sec)
            else:
                why = f"nobody who may veto it is watching: {why}"
        return [Record(self._rows.asked(record, review, event, why=why)), self._park(record, review)]

    # -- a repeated one ------------------------------------------------------------------------------------------

    def _repeated(self, event: CallRepeated) -> list[Command]:
        record, review = self._keep(event.record), event.review
        self._call, self._review = event.call, review
        if record.state not in _NEVER_SENT and self._stopped(record) is not None:
            return self._finish(answers.stopped_now(record.id))
        match repeat_of(
            record,
            review,
            now=event.at,
            reject_holds_sec=self._reject_holds_sec,
            reopen_within_sec=self._reopen_within_sec,
        ):
            case Repeat.ATTACH | Repeat.SPEND:
                assert review is not None  # repeat_of refuses a waiting call that has no question
                self.stage = Stage.HELD
                entry = self._rows.teller.simple(
                    EntryKind.CALL_REATTACHED, record.id, event.at, actor=f"agent:{record.agent}"
                )
                return [Record(Change(entries=(entry,), durable=False)), self._park(record, review)]
            case Repeat.AWAIT_OUTCOME:
                self.stage = Stage.AWAITING
                return [self._await_outcome(record)]
            case Repeat.REPLAY:
                return self._replay(record, event.at)
            case Repeat.PLACEHOLDER:
                return self._finish(answers.held(record.id, self._rows.ticket(record)))
            case Repeat.SAME_REJECTION:
                entry = self._rows.teller.simple(
                    EntryKind.CALL_REATTACHED, record.id, event.at, actor=f"agent:{record.agent}", got="same_rejection"
                )
                self.stage = Stage.DONE
                said = answers.rejected(record.id, review.state if review is not None else ReviewState.REJECTED)
                return [Record(Change(entries=(entry,), durable=False)), Reply(said)]
            case Repeat.REFUSE:
                return self._finish(answers.in_doubt(record.id))
            case Repeat.FINDING | Repeat.REOPEN | Repeat.NEW:
                # The last two by a ticket only: a repeated call of these states is given to us as CallReceived.
                return self._tell_what_became(record, review, event.at)
            case other:
                assert_never(other)

    def _replay(self, record: CallRecord, at: float) -> list[Command]:
        extra: dict[str, Any] = {"replayed": True, **answers.changes_told(record)}
        answer = answers.result(record.id, record.outcome, None, http_status=200, extra=extra)
        self.stage = Stage.DONE
        return [Reply(answer, on_delivery=self._rows.delivered(record, record.state, at))]

    # -- waiting for people --------------------------------------------------------------------------------------

    def _review_changed(self, event: ReviewChanged) -> list[Command]:
        record, review = self._keep(event.record), event.review
        self._review = review
        if record.state not in (CallState.WAITING, CallState.CLOSED):
            return self._somebody_else_spent(record)
        stop = self._stopped(record)
        if stop is not None and record.state is CallState.WAITING and review.state in _STOPPABLE:
            answer = answers.stopped(record.id, executed=False)
            return [Record(self._rows.stopped(record, review, stop, event.at)), Reply(answer)]
        match review.state:
            case ReviewState.VETOABLE | ReviewState.PARKED | ReviewState.APPROVING | ReviewState.APPROVED:
                return [self._park(record, review)]
            case ReviewState.SPENDABLE if event.at >= (review.grant_expires_at or math.inf):
                # It has lapsed, though nobody has written so yet (we were away, the clock jumped): never spent (P6).
                return [self._park(record, review)]
            case ReviewState.SPENDABLE:
                return self._spend(event)
            case ReviewState.REJECTED | ReviewState.VETOED:
                return self._finish(answers.rejected(record.id, review.state))
            case ReviewState.STOPPED:
                return self._finish(answers.stopped(record.id, executed=False))
            case _:
                return self._finish(answers.expired(record.id, review.state.value))

    def _somebody_else_spent(self, record: CallRecord) -> list[Command]:
        if self.stage is Stage.STAYING:
            self.stage = Stage.DONE
            return []
        self.stage = Stage.AWAITING
        return [self._await_outcome(record)]

    def _spend(self, event: ReviewChanged) -> list[Command]:
        """SEMANTICS §2.3: judged again now; stricter demands void the approval."""
        record, review = event.record, event.review
        call, decision = event.call_now, event.decision_now
        if call is None or decision is None:
            raise OutOfTurn(self.stage, event)
        self._before_spend = (record, review, self.stage)
        if decision.effect is Effect.DENY:
            self.stage = Stage.DONE
            return [
                Record(self._rows.voided(record, review, decision, event.at, why="policy now denies it")),
                Reply(self._denied(decision)),
            ]
        same_definition = (call.definition.digest if call.definition is not None else None) == record.definition_digest
        if not same_definition or self._rows.binding(record, review) != review.binding:
            return self._supersede(event, call, decision, why="the call is no longer what was approved")
        void, within = why_void(record, review, decision), held_to(record)
        if void is not None or within is None:
            return self._supersede(event, call, decision, why=void or "nobody can hold it to what people were shown")
        self._call = call
        self.stage = Stage.DISPATCHING
        return [
            Record(self._rows.spent(record, review, decision, event.at)),
            Forward(record.id, call, self._is_read(call), within),
        ]

    def _supersede(self, event: ReviewChanged, call: ToolCall, decision: Decision, *, why: str) -> list[Command]:
        """The old approval is void; the question is asked anew where policy still lets it be asked."""
        voided = Record(self._rows.voided(event.record, event.review, decision, event.at, why=why))
        if self.stage is Stage.STAYING:  # nobody is there to wait for a new question
            self.stage = Stage.DONE
            return [voided]
        asked = decision
        if decision.effect is not Effect.REQUIRE_APPROVAL:
            asked = replace(decision, effect=Effect.REQUIRE_APPROVAL, approval=event.review.approval, reason=why)
        return [
            voided,
            *self._open_review(CallReceived(call, asked, event.at, continues=event.record.id)),
        ]

    def _patience_ended(self, event: PatienceEnded) -> list[Command]:
        record = self._known_record(event)
        if self.stage is Stage.STAYING:
            self.stage = Stage.DONE
            return [Detach(record.id)]
        entry = self._rows.teller.simple(EntryKind.TICKET_ISSUED, record.id, event.at, closing=event.closing)
        message = self._decision.agent_message if self._decision is not None else None
        issued = self._rows.ticket(record)
        answer = (
            answers.executing(record.id, issued)
            if self.stage is Stage.AWAITING
            else answers.ticket(record.id, issued, message, is_vetoable=self._is_vetoable())
        )
        self.stage = Stage.DONE
        return [Record(Change(entries=(entry,), durable=False)), Reply(answer)]

    def _agent_left(self, event: AgentLeft) -> list[Command]:
        """SEMANTICS §2.1: leaving ends the agent's wait, not the review."""
        record = self._known_record(event)
        waits_on = self.stage is Stage.HELD and self._review is not None
        stay = waits_on and self._may_stay and self._approval().on_disconnect_execute
        told: JsonObject = {"executes_on_approval": stay}
        if waits_on and not self._may_stay and self._approval().on_disconnect_execute:
            told["on_disconnect"] = "without effect: in this revision, leaving cancels the call"
        entry = self._rows.teller.simple(
            EntryKind.AGENT_LEFT, record.id, event.at, actor=f"agent:{record.agent}", **told
        )
        self.stage = Stage.STAYING if stay else Stage.DONE
        return [Record(Change(entries=(entry,), durable=False)), Detach(record.id, stay=stay)]

    def _change_was_lost(
        self, event: ChangeWasLost, before: tuple[CallRecord, ReviewRecord, Stage] | None
    ) -> list[Command]:
        """Somebody moved first: an undo, an edit, an expiry, a second spender, a person resolving. Look again."""
        if before is not None:  # neither spent nor voided: all is as it was, and a new question was never opened
            record, self._review, self.stage = before
            return [Reread(self._keep(record).id)]
        record = self._known_record(event)
        if self.stage in (Stage.HELD, Stage.STAYING):
            return [Reread(record.id)]
        self.stage = Stage.DONE
        return [Reply(answers.in_doubt(record.id))]

    def _outcome_changed(self, event: OutcomeChanged) -> list[Command]:
        record = self._keep(event.record)
        self._review = event.review
        if self._stopped(record) is not None:
            return self._finish(answers.stopped_now(record.id))
        match record.state:
            case CallState.DISPATCHING:
                return [self._await_outcome(record)]
            case CallState.ANSWERED | CallState.RELEASED if record.outcome is not None:
                return self._replay(record, event.at)
            case CallState.QUARANTINED:
                return self._finish(answers.held(record.id, self._rows.ticket(record)))
            case CallState.WAITING:  # it never left, and its approval can be spent again
                return self._finish(answers.failed(record.id, sent=False))
            case _:
                return self._tell_what_became(record, event.review, event.at)

    # -- the tool's side -----------------------------------------------------------------------------------------

    def _response_received(self, event: ResponseReceived) -> list[Command]:
        call = self._known_call(event)
        if event.held is not None:
            inspection = Inspection(Outcome.QUARANTINE, why=event.held)
            return self._response_inspected(ResponseInspected(event.response, event.http_status, inspection, event.at))
        self.stage = Stage.INSPECTING
        surface = Surface.ERROR if "error" in event.response else Surface.RESULT
        return [Inspect(call, event.response, event.http_status, surface)]

    def _upstream_broke(self, event: UpstreamBroke) -> list[Command]:
        record, call = self._known_record(event), self._known_call(event)
        self.stage = Stage.DONE
        if not event.sent:
            change = self._rows.failed_before_send(record, self._review, event.why, event.at)
            return [Record(change), Reply(answers.failed(record.id, sent=False))]
        if self._is_read(call):
            change = self._rows.failed_after_send(record, event.why, event.at)
            return [Record(change), Reply(answers.failed(record.id, sent=True))]
        return [
            Record(self._rows.in_doubt(record, event.why, event.at, broke=True)),
            Reply(answers.in_doubt(record.id)),
        ]

    def _call_stopped(self, event: CallStopped) -> list[Command]:
        """Cut while it was on its way: void if it never left, else as any exchange that broke."""
        record, call, stop = self._known_record(event), self._known_call(event), event.stop
        self.stage = Stage.DONE
        if not event.sent:
            change = self._rows.stopped_before_send(record, self._review, stop, event.at)
            return [Record(change), Reply(answers.stopped(record.id, executed=False))]
        why = f"{stop.says} was stopped while this was being sent"
        change = (
            self._rows.failed_after_send(record, why, event.at, stop=stop.id)
            if self._is_read(call)
            else self._rows.in_doubt(record, why, event.at, stop=stop.id)
        )
        return [Record(change), Reply(answers.stopped(record.id, executed=None))]

    def _response_inspected(self, event: ResponseInspected) -> list[Command]:
        record, inspection = self._known_record(event), event.inspection
        self.stage = Stage.DONE
        if inspection.outcome is Outcome.QUARANTINE:
            change = self._rows.quarantined(record, event.response, inspection, event.at)
            return [Record(change), Reply(answers.held(record.id, self._rows.ticket(record)))]
        answer = answers.result(
            record.id,
            inspection.message,
            inspection,
            http_status=event.http_status,
            extra=answers.changes_told(record),
            snapshot=record.snapshot,
        )
        review, at = self._review, event.at
        delivered = self._rows.answered(record, inspection, at, review, delivered=True, lot=event.lot)
        undelivered = self._rows.answered(record, inspection, at, review, delivered=False, otherwise=delivered)
        if self._stopped(record) is not None:  # kept for the identical call, once work goes on
            return [Record(undelivered), Reply(answers.stopped(record.id, executed=True))]
        if inspection.outcome is Outcome.REDACT:
            # SEMANTICS §3: an outcome that was redacted is durable before the answer.
            return [
                Record(undelivered),
                Reply(answer, on_delivery=self._rows.delivered(record, CallState.ANSWERED, event.at)),
            ]
        return [Reply(answer, on_delivery=delivered, otherwise=undelivered)]

    # -- small things --------------------------------------------------------------------------------------------

    def _keep(self, record: CallRecord) -> CallRecord:
        self._record, self.call_id = record, record.id
        return record

    def _known_record(self, event: Event) -> CallRecord:
        if self._record is None:
            raise OutOfTurn(self.stage, event)
        return self._record

    def _known_call(self, event: Event) -> ToolCall:
        if self._call is None:
            raise OutOfTurn(self.stage, event)
        return self._call

    def _stopped(self, record: CallRecord) -> Stop | None:
        return self._stop_over(record.agent, record.server)

    def _approval(self) -> Approval:
        return self._review.approval if self._review is not None else Approval()

    def _is_read(self, call: ToolCall) -> bool:
        """Labelled `read` by the operator and nothing that acts (labels of several entries add up), or an MCP method
        that reads by definition; a tool's hint is not enough."""
        labels: JsonObject = self._record.decision if self._record is not None else {}
        tags = set(labels.get("risk_tags", ()))
        return ("read" in tags and not tags & _ACTING and labels.get("reversible") is not False) or (
            call.method != "tools/call" and call.direction is Direction.AGENT_TO_TOOL
        )

    def _park(self, record: CallRecord, review: ReviewRecord) -> Park:
        if review.state is ReviewState.VETOABLE:
            return Park(record.id, review.id, f"Goes on soon, unless a person vetoes it (call {record.id}).")
        return Park(record.id, review.id, f"Waiting for a person's approval (call {record.id}).")

    def _is_vetoable(self) -> bool:
        return self._review is not None and self._review.state is ReviewState.VETOABLE

    def _await_outcome(self, record: CallRecord) -> AwaitOutcome:
        return AwaitOutcome(record.id, "This call is being executed; waiting for its outcome.")

    def _denied(self, decision: Decision) -> Answer:
        return answers.denied(self.call_id, decision.agent_message)

    def _tell_what_became(self, record: CallRecord, review: ReviewRecord | None, at: float) -> list[Command]:
        """What a person found out about a doubt counts as its outcome: given once, it no longer holds up the repeat."""
        is_finding = record.state is CallState.RESOLVED
        told = self._rows.delivered(record, record.state, at) if is_finding else None
        self.stage = Stage.DONE
        return [Reply(answers.what_became(record, review), on_delivery=told)]

    def _finish(self, answer: Answer) -> list[Command]:
        self.stage = Stage.DONE
        return [Reply(answer)]
