"""What waiting does: questions expire, windows for an undo or a veto pass, grants lapse, held outputs are destroyed.

Rules of this module:
* Time is given; each row that is due is moved by its own compare-and-set. Losing one means somebody acted first: fine.
* An unanswered question is denied, or escalated to the next stage with a new deadline (and so a new binding, and no
  votes: they were for the question that ran out), or, where the rule says approve, approved only if its own tier is low
  and nobody has taken an approval of it back (SEMANTICS §1.11); the approver is then `policy:<rule>@<snapshot>`.
* A held output that nobody looked at is destroyed. Nothing is let go by waiting but what the policy itself approves.
"""

from __future__ import annotations

import asyncio
from typing import Any

from audit.entry import EntryDraft, EntryKind
from policies.model import OnTimeout, Risk
from review import agreement, decisions, vetoes
from review.binding import binding
from review.desk import Desk, commit_outcome
from review.lifecycle import ReviewEvent, after, follow, states_allowing
from review.model import CallRecord, CallState, ReviewRecord, ReviewState, Verdict, Vote
from review.ports import Change, ChangeLost, InsertVote, MoveCall, MoveReview, RowChange
from review.votes import next_stage

MOVED_AT_ONCE = 50

_QUESTIONS = states_allowing(ReviewEvent.EXPIRED)
_UNCLAIMED: dict[str, Any] = {"claimed_by": None, "claimed_until": None}


async def expire_due(desk: Desk, now: float) -> int:
    """Move everything that is due at `now`; returns how many reviews moved. Raises: StoreDown."""
    due = await desk.records.due_reviews(now)
    moved = 0
    for begin in range(0, len(due), MOVED_AT_ONCE):  # together, so that they share the store's commits
        piece = due[begin : begin + MOVED_AT_ONCE]
        moved += sum(await asyncio.gather(*(_move(desk, review, now) for review in piece)))
    return moved


async def _move(desk: Desk, review: ReviewRecord, now: float) -> bool:
    call = await desk.records.call(review.call_id)
    change = await _due(desk, review, call, now) if call is not None else None
    if change is None:
        return False
    try:
        await desk.records.apply(change)
    except ChangeLost:
        return False  # somebody decided, spent or took back in the same moment: theirs stands
    desk.bell.ring(review.call_id)
    return True


async def _due(desk: Desk, review: ReviewRecord, call: CallRecord, now: float) -> Change | None:
    if review.state is ReviewState.VETOABLE and now >= review.expires_at:
        return vetoes.window_passed(desk, review, call, now)
    if review.state in _QUESTIONS and now >= review.expires_at:
        return await _out_of_time(desk, review, call, now)
    if review.state is ReviewState.APPROVED and now >= (review.undo_until or 0):
        state = after(review.state, ReviewEvent.UNDO_PASSED)
        return _change(review, state, {}, [], _entry(review, now, EntryKind.REVIEW_SETTLED, state))
    if review.state is ReviewState.SPENDABLE and review.grant_expires_at is not None and now >= review.grant_expires_at:
        return _closed(review, now, ReviewEvent.LAPSED)
    if review.state is ReviewState.QUARANTINED and now >= review.expires_at:
        return _destroyed(desk, review, call, now)
    return None


async def _out_of_time(desk: Desk, review: ReviewRecord, call: CallRecord, now: float) -> Change:
    is_erased = call.to_send is None  # by retention: there is nothing left to ask about
    match review.approval.unanswered:
        case OnTimeout.ESCALATE if not is_erased:
            target = next_stage(review, desk.settings.escalation_default)
            if target is not None:
                return await _next_stage(desk, review, call, now, target)
        case OnTimeout.APPROVE if not is_erased and decisions.risk_of(call.decision) is Risk.LOW:
            if not await _was_taken_back(desk, review):
                return _approved_by_policy(review, call, now)
        case _:
            pass
    return _closed(review, now, ReviewEvent.EXPIRED)


async def _next_stage(desk: Desk, review: ReviewRecord, call: CallRecord, now: float, target: str) -> Change:
    expires_at, nonce = now + review.approval.timeout_sec, desk.nonce()
    digest = binding(call, expires_at=expires_at, nonce=nonce, rules=review.answered_rules)
    fields = {"escalated_to": target, "expires_at": expires_at, "nonce": nonce, "binding": digest, **_UNCLAIMED}
    state = after(review.state, ReviewEvent.STAGE_PASSED)
    vote = Vote(review.id, "gate", Verdict.ESCALATE, now, shown_digest=review.binding, login="gate", team=target)
    bars = agreement.bars(await desk.records.votes(review.id))
    rows: list[RowChange] = [InsertVote(vote, clear_earlier=True), *(InsertVote(bar) for bar in bars)]
    more: dict[str, Any] = {"escalated_to": target, "binding": digest, "expires_at": int(expires_at)}
    return _change(review, state, fields, rows, _entry(review, now, EntryKind.REVIEW_ESCALATED, state, **more))


async def _was_taken_back(desk: Desk, review: ReviewRecord) -> bool:
    return any(vote.verdict is Verdict.UNDO for vote in await desk.records.votes(review.id))


def _approved_by_policy(review: ReviewRecord, call: CallRecord, now: float) -> Change:
    """`on_timeout: approve` on a low tier: the policy itself is the approver, under its own name and snapshot."""
    rules = ",".join(review.answered_rules) or "default"
    approver = f"policy:{rules}@{call.snapshot}"
    state = follow(review.state, ReviewEvent.AGREED, ReviewEvent.UNDO_PASSED)
    fields = {
        "settled_at": now,
        "settled_by": approver,
        "grant_expires_at": now + review.approval.grant_expires_sec,
        **_UNCLAIMED,
    }
    evidence = {"binding": review.binding, "snapshot": call.snapshot, "risk": Risk.LOW.value}
    entry = _entry(review, now, EntryKind.REVIEW_SETTLED, state, actor=approver, **evidence)
    return _change(review, state, fields, [], entry)


def _closed(review: ReviewRecord, now: float, event: ReviewEvent) -> Change:
    """The question or the grant is over, and with it the call: it was never sent."""
    state = after(review.state, event)
    settled = {"settled_at": now, "settled_by": "gate"} if event is ReviewEvent.EXPIRED else {}
    close = MoveCall(review.call_id, frozenset({CallState.WAITING}), CallState.CLOSED, {"updated_at": now})
    entry = _entry(review, now, EntryKind.REVIEW_SETTLED, state)
    return _change(review, state, {**settled, **_UNCLAIMED}, [close], entry)


def _destroyed(desk: Desk, review: ReviewRecord, call: CallRecord, now: float) -> Change:
    state = after(review.state, ReviewEvent.DESTROYED)
    held = frozenset({CallState.QUARANTINED})
    erase = MoveCall(call.id, held, CallState.DESTROYED, {"outcome": None, "updated_at": now})
    fields = {"settled_at": now, "settled_by": "gate", **_UNCLAIMED}
    entry = _entry(review, now, EntryKind.OUTPUT_DESTROYED, state, output=commit_outcome(desk, call))
    return _change(review, state, fields, [erase], entry)


def _change(
    review: ReviewRecord, state: ReviewState, fields: dict[str, Any], rows: list[RowChange], entry: EntryDraft
) -> Change:
    move = MoveReview(review.id, frozenset({review.state}), state, fields, review.version)
    return Change(rows=(move, *rows), entries=(entry,))


def _entry(
    review: ReviewRecord, now: float, kind: EntryKind, state: ReviewState, *, actor: str = "gate", **more: Any
) -> EntryDraft:
    body = {
        "review": review.id,
        "review_kind": review.kind.value,
        "from_state": review.state.value,
        "to_state": state.value,
        "on_timeout": review.approval.unanswered.value,
        **more,
    }
    return EntryDraft(kind=kind, at=now, actor=actor, call_id=review.call_id, body=body)
