"""The rows and entries behind each of the gate's commands: what is kept of a call, and the atomic changes to it.

Rules of this module:
* Pure: ids and keys come in at construction, times with each event.
* Every change of state is a compare-and-set from the states the gate believes in, with its entry beside it (P13).
* A quarantined output's review is opened in the very change that holds the output: none is ever held unseen. So is the
  one that people make of a call afterwards, in the change that ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from audit.entry import EntryDraft, EntryKind
from policies.model import Approval, Decision, JsonObject, ToolCall
from proxy import tickets
from proxy.events import CallReceived
from proxy.sampling import Lot
from proxy.telling import Teller, inspection_json, is_error
from redaction.model import Inspection
from review import decisions
from review.binding import afterwards_binding, binding, release_binding
from review.lifecycle import ReviewEvent, after, follow
from review.model import CallRecord, CallState, ReviewKind, ReviewRecord, ReviewState, Stop
from review.ports import Change, Drawn, InsertCall, InsertReview, Learned, Lesson, MoveCall, MoveReview

RELEASE_EXPIRES_SEC = 7 * 24 * 3600
JUDGED_WITHIN_SEC = 7 * 24 * 3600  # what is shown as late after it; nothing ends by it
TOOL_ERROR = "the tool answered with an error"
_DISPATCHING = frozenset({CallState.DISPATCHING})


class Naming(Protocol):
    def call(self) -> str: ...
    def review(self) -> str: ...
    def nonce(self) -> str: ...


class GateRows:
    """Builds rows; one per installation, shared by all gates."""

    def __init__(
        self,
        *,
        teller: Teller,
        ids: Naming,
        ticket_key: bytes,
        repeat_key_of: Callable[[ToolCall], str],
        release_expires_sec: float = RELEASE_EXPIRES_SEC,
    ) -> None:
        self.teller = teller
        self._ids = ids
        self._ticket_key = ticket_key
        self._repeat_key_of = repeat_key_of
        self._release_expires_sec = release_expires_sec

    # -- rows ----------------------------------------------------------------------------------------------------

    def call(self, event: CallReceived, state: CallState) -> CallRecord:
        call, decision = event.call, event.decision
        proposed = proposed_of(call)
        labels: JsonObject = {"twin_waits": True} if event.twin_waits else {}
        return CallRecord(
            id=self._ids.call(),
            agent=call.agent.id,
            server=call.server,
            tool=call.tool,
            method=call.method,
            state=state,
            created_at=event.at,
            updated_at=event.at,
            repeat_key=self._repeat_key_of(call),
            proposed_digest=self.teller.commitment(proposed),
            snapshot=decision.snapshot,
            session=call.session,
            on_behalf_of=call.agent.on_behalf_of,
            direction=call.direction.value,
            previous_id=event.continues,
            proposed=proposed,
            decision=decisions.to_json(decision, is_whole=decision.waits_for_people or not decision.effect.is_allowing),
            definition_digest=call.definition.digest if call.definition is not None else None,
            dispatched_at=event.at if state is CallState.DISPATCHING else None,
            labels=labels,
        )

    def approval_review(self, record: CallRecord, decision: Decision, at: float) -> ReviewRecord:
        approval = decision.approval if decision.approval is not None else Approval()
        review = ReviewRecord(
            id=self._ids.review(),
            call_id=record.id,
            kind=ReviewKind.APPROVAL,
            state=ReviewState.PARKED,
            opened_at=at,
            expires_at=at + approval.timeout_sec,
            approval=approval,
            binding="",
            nonce=self._ids.nonce(),
            answered_rules=decision.determining,
        )
        return replace(review, binding=self.binding(record, review))

    def vetoable(self, record: CallRecord, review: ReviewRecord, window_sec: int) -> ReviewRecord:
        """The same question, to which no answer in time means yes (SEMANTICS §1.10)."""
        waits = replace(review, state=ReviewState.VETOABLE, expires_at=review.opened_at + window_sec)
        return replace(waits, binding=self.binding(record, waits))

    def release_review(self, record: CallRecord, inspection: Inspection, at: float) -> ReviewRecord:
        review = ReviewRecord(
            id=self._ids.review(),
            call_id=record.id,
            kind=ReviewKind.RELEASE,
            state=ReviewState.QUARANTINED,
            opened_at=at,
            expires_at=at + self._release_expires_sec,
            approval=Approval(),
            binding="",
            nonce=self._ids.nonce(),
            comment=inspection.why,
        )
        bound = release_binding(record, expires_at=review.expires_at, nonce=review.nonce)
        return replace(review, binding=bound)

    def afterwards_review(
        self, record: CallRecord, at: float, *, teams: tuple[str, ...] = (), rules: tuple[str, ...] = ()
    ) -> ReviewRecord:
        """A sample: people are to judge this call, which is over. Nothing waits for it, and no time ends it."""
        review = ReviewRecord(
            id=self._ids.review(),
            call_id=record.id,
            kind=ReviewKind.AFTERWARDS,
            state=ReviewState.UNJUDGED,
            opened_at=at,
            expires_at=at + JUDGED_WITHIN_SEC,
            approval=Approval(teams=teams),
            binding="",
            nonce=self._ids.nonce(),
            answered_rules=rules or decisions.determining(record.decision),
        )
        return replace(review, binding=afterwards_binding(record, nonce=review.nonce))

    def _sampled(self, record: CallRecord, inspection: Inspection, lot: Lot | None, at: float) -> Drawn | None:
        """What is written where the draw falls on this call: its output is kept, and people are to say how it was."""
        if lot is None or record.to_send is None:
            return None
        review = self.afterwards_review(record, at, teams=lot.teams, rules=tuple(lot.told["by"]))
        answered = frozenset({CallState.ANSWERED})
        kept = MoveCall(record.id, answered, CallState.ANSWERED, {"outcome": inspection.message})
        opened = self.teller.review_opened(review, at, why="it was drawn as a sample")
        return Drawn(lot.falls_on, (kept, InsertReview(review)), (opened,))

    def binding(self, record: CallRecord, review: ReviewRecord) -> str:
        """What an approval of this review is for (P6)."""
        return binding(record, expires_at=review.expires_at, nonce=review.nonce, rules=review.answered_rules)

    def ticket(self, record: CallRecord) -> str:
        return tickets.issue(self._ticket_key, record.id, record.agent)

    # -- changes -------------------------------------------------------------------------------------------------

    def decided(self, record: CallRecord, event: CallReceived) -> Change:
        """The decision of a call that is not asked about; for an allowed one this is also its dispatch mark."""
        entry = self.teller.decided(
            record.id,
            event.call,
            record.proposed or {},
            event.decision,
            event.at,
            dispatched=record.state is CallState.DISPATCHING,
            proposed_digest=record.proposed_digest,
        )
        violated = record.state is CallState.DENIED and event.decision.violates_policy
        learned = (Learned(Lesson.VIOLATION, record),) if violated else ()
        return Change(rows=(InsertCall(record),), entries=(entry,), learned=learned)

    def asked(self, record: CallRecord, review: ReviewRecord, event: CallReceived, *, why: str) -> Change:
        entry = self.teller.decided(
            record.id,
            event.call,
            record.proposed or {},
            event.decision,
            event.at,
            dispatched=False,
            proposed_digest=record.proposed_digest,
        )
        opened = self.teller.review_opened(review, event.at, why=why)
        return Change(rows=(InsertCall(record), InsertReview(review)), entries=(entry, opened))

    def spent(self, record: CallRecord, review: ReviewRecord, decision: Decision, at: float) -> Change:
        """P4: the grant is spent and the call marked dispatching by one compare-and-set."""
        return Change(
            rows=(
                MoveReview(
                    review.id,
                    frozenset({ReviewState.SPENDABLE}),
                    ReviewState.SPENT,
                    {"settled_at": review.settled_at or at},
                    version=review.version,
                ),
                MoveCall(
                    record.id,
                    frozenset({CallState.WAITING}),
                    CallState.DISPATCHING,
                    {"dispatched_at": at, "updated_at": at},
                    version=record.version,
                ),
            ),
            entries=(self.teller.spent(record, review, decision.snapshot, at),),
        )

    def voided(self, record: CallRecord, review: ReviewRecord, decision: Decision, at: float, *, why: str) -> Change:
        return Change(
            rows=(
                MoveReview(
                    review.id,
                    frozenset({ReviewState.SPENDABLE}),
                    ReviewState.SUPERSEDED,
                    {"settled_at": at},
                    version=review.version,
                ),
                # What was judged may be void by now: edited since it was read. Then so is the judgement.
                MoveCall(
                    record.id,
                    frozenset({CallState.WAITING}),
                    CallState.CLOSED,
                    {"updated_at": at},
                    version=record.version,
                ),
            ),
            entries=(self.teller.voided(record, review, decision.snapshot, at, why=why),),
        )

    def failed_before_send(
        self, record: CallRecord, review: ReviewRecord | None, why: str, at: float, **more: str
    ) -> Change:
        """Provably no byte left us: a spent grant becomes spendable again, with its old expiry (SEMANTICS §2)."""
        entry = self.teller.simple(EntryKind.CALL_FAILED, record.id, at, sent=False, **more)
        to = CallState.FAILED_BEFORE_SEND if review is None else CallState.WAITING
        move = MoveCall(record.id, _DISPATCHING, to, {"updated_at": at, "failure": why, "dispatched_at": None})
        if review is None:
            return Change(rows=(move,), entries=(entry,))
        unspent = MoveReview(review.id, frozenset({ReviewState.SPENT}), ReviewState.SPENDABLE, {})
        return Change(rows=(move, unspent), entries=(entry,))

    def turned_away(self, call: ToolCall, stop: Stop, at: float) -> Change:
        """A call that came while a stop stands: nothing is kept of it but that it came."""
        body = {"server": call.server, "method": call.method, "why": "stopped", "stop": stop.id}
        entry = EntryDraft(EntryKind.CALL_REFUSED, at, f"agent:{call.agent.id}", None, body)
        return Change(entries=(entry,), durable=False)

    def stopped(self, record: CallRecord, review: ReviewRecord, stop: Stop, at: float) -> Change:
        """A question, or a grant that is not spent, is over by the kill switch."""
        return self._stopped_from(record, CallState.WAITING, review, after(review.state, ReviewEvent.STOPPED), stop, at)

    def stopped_before_send(self, record: CallRecord, review: ReviewRecord | None, stop: Stop, at: float) -> Change:
        """Provably no byte left us: what was approved of it is void all the same."""
        if review is None:
            return self.failed_before_send(record, None, f"{stop.says} was stopped", at, stop=stop.id)
        spent = replace(review, state=ReviewState.SPENT)
        state = follow(spent.state, ReviewEvent.SEND_FAILED, ReviewEvent.STOPPED)
        return self._stopped_from(record, CallState.DISPATCHING, spent, state, stop, at)

    def _stopped_from(
        self, record: CallRecord, found: CallState, review: ReviewRecord, state: ReviewState, stop: Stop, at: float
    ) -> Change:
        body = {
            "review": review.id,
            "review_kind": review.kind.value,
            "from_state": review.state.value,
            "to_state": state.value,
            "stop": stop.id,
        }
        unclaimed = {"claimed_by": None, "claimed_until": None}
        settled = {"settled_at": at, "settled_by": stop.ordered_by, **unclaimed}
        closed = {"updated_at": at, "dispatched_at": None}
        return Change(
            rows=(
                MoveReview(review.id, frozenset({review.state}), state, settled),
                MoveCall(record.id, frozenset({found}), CallState.CLOSED, closed),
            ),
            entries=(EntryDraft(EntryKind.REVIEW_SETTLED, at, stop.ordered_by, record.id, body),),
        )

    def failed_after_send(self, record: CallRecord, why: str, at: float, **more: str) -> Change:
        """`more` says that it was stopped, where it was: that is held against nobody."""
        entry = self.teller.simple(EntryKind.CALL_FAILED, record.id, at, sent=True, **more)
        change = self._from_dispatching(record, CallState.FAILED_AFTER_SEND, at, entry, failure=why)
        return change if more else replace(change, learned=(Learned(Lesson.WENT_WRONG, record),))

    def in_doubt(self, record: CallRecord, why: str, at: float, *, broke: bool = False, **more: str) -> Change:
        """`broke`: the exchange with the tool did, and not something of ours."""
        entry = self.teller.simple(EntryKind.CALL_IN_DOUBT, record.id, at, **more)
        change = self._from_dispatching(record, CallState.IN_DOUBT, at, entry, failure=why)
        return replace(change, learned=(Learned(Lesson.WENT_WRONG, record),)) if broke else change

    def answered(
        self,
        record: CallRecord,
        inspection: Inspection,
        at: float,
        review: ReviewRecord | None = None,
        *,
        delivered: bool,
        otherwise: Change | None = None,
        lot: Lot | None = None,
    ) -> Change:
        """A released or redacted outcome. A clean one that was delivered need not be kept or awaited (traps T28).

        `otherwise` is the change for the other case of the same outcome: one entry tells of both, and one lot is drawn.
        A call that nobody but the policy itself approved in `review` earns nothing, and may still count against its
        agent (§1.11).
        """
        clean = not inspection.findings and not inspection.redactions
        is_judged = decisions.wants_review_after(record.decision)
        failure = TOOL_ERROR if is_error(inspection.message) else None  # an earlier one is over by this answer
        fields: JsonObject = {"answered_at": at, "outcome_kind": inspection.outcome.value, "failure": failure}
        if delivered:
            fields["delivered_at"] = at
        if not delivered or record.review_id is not None or is_judged:
            fields["outcome"] = inspection.message
        if not clean:
            fields["inspection"] = inspection_json(inspection)
        entries = (
            otherwise.entries
            if otherwise is not None
            else (self.teller.answered(record.id, inspection.message, inspection, at, lot=lot.told if lot else None),)
        )
        drawn = otherwise.drawn if otherwise is not None else self._sampled(record, inspection, lot, at)
        move = MoveCall(record.id, _DISPATCHING, CallState.ANSWERED, {"updated_at": at, **fields})
        durable = not (clean and delivered) or is_judged
        lesson = Lesson.WENT_WRONG if failure is not None else Lesson.WENT_WELL
        earns = review is None or not review.is_by_policy
        learned = (Learned(lesson, record),) if earns or lesson is Lesson.WENT_WRONG else ()
        change = Change(rows=(move,), entries=entries, durable=durable, drawn=drawn, learned=learned)
        return self._afterwards(record, at, change)

    def delivered(self, record: CallRecord, state: CallState, at: float) -> Change:
        """The answer's last byte went out. No entry of its own: the outcome's entry stands already."""
        return Change(rows=(MoveCall(record.id, frozenset({state}), state, {"delivered_at": at}),), durable=False)

    def quarantined(self, record: CallRecord, response: JsonObject, inspection: Inspection, at: float) -> Change:
        seen = inspection_json(inspection)
        review = self.release_review(replace(record, outcome=response, inspection=seen), inspection, at)
        entry = self.teller.answered(record.id, response, inspection, at)
        opened = self.teller.review_opened(review, at, why=inspection.why)
        move = MoveCall(
            record.id,
            _DISPATCHING,
            CallState.QUARANTINED,
            {
                "updated_at": at,
                "answered_at": at,
                "outcome": response,
                "outcome_kind": inspection.outcome.value,
                "inspection": seen,
                "review_id": review.id,
            },
        )
        return self._afterwards(record, at, Change(rows=(move, InsertReview(review)), entries=(entry, opened)))

    def _afterwards(self, record: CallRecord, at: float, change: Change) -> Change:
        """The end of a call, and with it the question what people think of it, where its policy wants one. A call that
        is marked as sent ends by one of these changes, after a crash too, so none escapes."""
        if not decisions.wants_review_after(record.decision) or record.to_send is None:
            return change
        review = self.afterwards_review(record, at)
        opened = self.teller.review_opened(review, at, why="its rule wants people to look at it afterwards")
        return replace(change, rows=(*change.rows, InsertReview(review)), entries=(*change.entries, opened))

    def _from_dispatching(
        self, record: CallRecord, to: CallState, at: float, entry: EntryDraft, **fields: object
    ) -> Change:
        move = MoveCall(record.id, _DISPATCHING, to, {"updated_at": at, **fields})
        return self._afterwards(record, at, Change(rows=(move,), entries=(entry,)))


def proposed_of(call: ToolCall) -> JsonObject:
    """What is kept of a call's payload: the arguments, and what a multi-round retry added."""
    kept: JsonObject = {"arguments": call.arguments}
    if call.input_responses is not None:
        kept["input_responses"] = call.input_responses
    if call.request_state is not None:
        kept["request_state"] = call.request_state
    return kept
