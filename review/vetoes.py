"""Calls that go by themselves unless people veto them: the veto, and what the end of their window brings.

Rules of this module (SEMANTICS §1.10):
* A veto is one person's no, with its reason, to exactly what they were shown (P11). It ends the call at once, and is
  possible until the call has been sent: one compare-and-set with sending decides which of the two happens.
* Whoever may reject a call may veto it; one's own agent's call too, for it only tightens.
* When the window has passed, the policy itself lets the call go, under its own name, if for the whole of the window
  somebody could have vetoed it (`review/feed.py`). Else it becomes a question with a deadline of its own.
"""

from __future__ import annotations

from typing import Any

from audit.entry import EntryDraft, EntryKind
from policies.model import Effect
from review import agreement
from review.binding import binding
from review.desk import Act, Acted, Desk, Seen, as_now, check_comment, check_seen, load
from review.lifecycle import ReviewEvent, after, states_allowing
from review.model import CallRecord, CallState, Reviewer, ReviewRecord, ReviewState, Verdict
from review.ports import Change, InsertVote, MoveCall, MoveReview, RowChange
from review.precedents import precedent
from review.refusals import Conflict, RefusalCode

_UNCLAIMED: dict[str, Any] = {"claimed_by": None, "claimed_until": None}
UNWATCHED = "for a part of its window nobody who may veto it was watching"


def can_be_vetoed(review: ReviewRecord, call: CallRecord) -> bool:
    """Whether it goes, or would have gone, without anybody's yes, and has not been sent."""
    if review.state is ReviewState.VETOABLE:
        return True
    went_unasked = review.is_by_policy and call.decision.get("effect") == Effect.ALLOW_UNLESS_VETOED.value
    return went_unasked and review.state in states_allowing(ReviewEvent.VETOED)


async def veto(desk: Desk, review_id: str, reviewer: Reviewer, seen: Seen, comment: str) -> Acted:
    """Say no to it, with the reason. Raises: NotFound, Conflict, NotAllowed, Unacceptable, StoreDown."""
    review, call = await load(desk, review_id)
    reviewer, now = await as_now(desk, reviewer), desk.clock()
    if not can_be_vetoed(review, call):
        raise Conflict(RefusalCode.OVER, f"This cannot be vetoed: it is {review.state}.")
    agreement.check_may_object(reviewer, review)
    check_seen(review, seen)
    said = check_comment(desk, comment, needed=True)
    act = Act(review, call, reviewer, Verdict.VETO, seen, said, now)
    state = after(review.state, ReviewEvent.VETOED)
    fields = {"settled_at": now, "settled_by": reviewer.name, "comment": said, **_UNCLAIMED}
    rows: list[RowChange] = [
        MoveReview(review.id, frozenset({review.state}), state, fields, review.version),
        MoveCall(call.id, frozenset({CallState.WAITING}), CallState.CLOSED, {"updated_at": now}),
        InsertVote(act.vote()),
        *precedent(desk, review, call, now),
    ]
    entries = [act.entry(kind, state) for kind in (EntryKind.REVIEW_VOTED, EntryKind.REVIEW_SETTLED)]
    return await act.commit(desk, state, rows, entries)


def window_passed(desk: Desk, review: ReviewRecord, call: CallRecord, now: float) -> Change:
    """The end of a window in which nobody has vetoed."""
    if desk.feed is not None and desk.feed.was_watched(review):
        return _let_go(review, call, now)
    return _asked(desk, review, call, now)


def _let_go(review: ReviewRecord, call: CallRecord, now: float) -> Change:
    rules = ",".join(review.answered_rules)
    approver = f"policy:{rules}@{call.snapshot}"
    state = after(review.state, ReviewEvent.WINDOW_PASSED)
    grant_expires_at = now + review.approval.grant_expires_sec
    fields = {"settled_at": now, "settled_by": approver, "grant_expires_at": grant_expires_at}
    evidence = {
        "binding": review.binding,
        "snapshot": call.snapshot,
        "window_sec": round(review.expires_at - review.opened_at),
        "grant_expires_at": int(grant_expires_at),
    }
    return _moved(review, state, fields, _entry(review, now, EntryKind.REVIEW_SETTLED, state, approver, **evidence))


def _asked(desk: Desk, review: ReviewRecord, call: CallRecord, now: float) -> Change:
    expires_at, nonce = now + review.approval.timeout_sec, desk.nonce()
    digest = binding(call, expires_at=expires_at, nonce=nonce, rules=review.answered_rules)
    fields = {"expires_at": expires_at, "nonce": nonce, "binding": digest}
    state = after(review.state, ReviewEvent.UNWATCHED)
    opened = {
        "kind": review.kind.value,
        "teams": list(review.approval.teams),
        "rules": list(review.answered_rules),
        "binding": digest,
        "expires_at": int(expires_at),
        "why": UNWATCHED,
    }
    return _moved(review, state, fields, _entry(review, now, EntryKind.REVIEW_OPENED, state, "gate", **opened))


def _moved(review: ReviewRecord, state: ReviewState, fields: dict[str, Any], entry: EntryDraft) -> Change:
    move = MoveReview(review.id, frozenset({review.state}), state, fields, review.version)
    return Change(rows=(move,), entries=(entry,))


def _entry(
    review: ReviewRecord, now: float, kind: EntryKind, state: ReviewState, actor: str, /, **more: Any
) -> EntryDraft:
    body = {
        "review": review.id,
        "review_kind": review.kind.value,
        "from_state": review.state.value,
        "to_state": state.value,
        **more,
    }
    return EntryDraft(kind=kind, at=now, actor=actor, call_id=review.call_id, body=body)
