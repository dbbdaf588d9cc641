"""Answering a parked call: approve, reject, take an approval back, escalate.

Rules of this module:
* The next state comes from review/lifecycle.py, who may say it from review/agreement.py; here they meet in one Change.
* Whoever wrote an edit that needed another person does not count for it.
* Approving twice counts once. One reject ends the question and closes the call.
* Taking back clears the votes, but an editor who did not count still does not: the edited form needs somebody else.
* Escalating widens who may answer; it moves neither the deadline nor anything the approval binds.
"""

from __future__ import annotations

from typing import Any

from audit.entry import EntryKind
from policies.model import Approval
from review import agreement
from review.desk import (
    Act,
    Acted,
    Desk,
    Seen,
    as_now,
    check_bound,
    check_claim,
    check_comment,
    check_open,
    check_seen,
    load,
    recount,
    undo_sec,
)
from review.lifecycle import ReviewEvent, follow, states_allowing
from review.model import CallState, Reviewer, ReviewKind, ReviewRecord, ReviewState, Verdict
from review.ports import InsertVote, MoveCall, MoveReview, RowChange
from review.precedents import precedent
from review.refusals import Conflict, NotAllowed, RefusalCode, Unacceptable
from review.vetoes import can_be_vetoed

_UNCLAIMED: dict[str, Any] = {"claimed_by": None, "claimed_until": None}


async def approve(desk: Desk, review_id: str, reviewer: Reviewer, seen: Seen, comment: str = "") -> Acted:
    """Agree. Raises: NotFound, Conflict, NotAllowed, Unacceptable, StoreDown."""
    review, call = await load(desk, review_id)
    reviewer, now = await as_now(desk, reviewer), desk.clock()
    _check_answerable(review)
    check_open(review, states_allowing(ReviewEvent.VOTED), now)
    agreement.check_may_decide(reviewer, review, call)
    votes = await desk.records.votes(review_id)
    before = await recount(desk, review, call, votes)
    if reviewer.name in agreement.agreeing(votes):
        review, _ = await load(desk, review_id)  # their vote may have settled it since it was loaded
        return Acted(call.id, review.id, review.state, before.given, before.wanted)
    check_seen(review, seen)
    check_bound(review, call)
    check_claim(review, reviewer, now)
    if reviewer.name in agreement.uncounted_editors(votes):
        raise NotAllowed(RefusalCode.OWN_EDIT, "You changed this call: another person must agree to it.")
    said = check_comment(desk, comment, needed=review.approval.require_comment)
    act = Act(review, call, reviewer, Verdict.APPROVE, seen, said, now)
    tally = await recount(desk, review, call, votes, and_now=reviewer)
    held_sec = undo_sec(desk, review.approval, call.decision)
    state, fields = settle(review.state, review.approval, act, held_sec, is_met=tally.is_met)
    rows: list[RowChange] = [
        MoveReview(review.id, frozenset({review.state}), state, fields, review.version),
        InsertVote(act.vote(team=_team_stood_for(before, tally))),
    ]
    entries = [act.entry(EntryKind.REVIEW_VOTED, state, given=tally.given, wanted=tally.wanted)]
    if tally.is_met:
        rows += precedent(desk, review, call, now)
        entries.append(act.entry(EntryKind.REVIEW_SETTLED, state, binding=review.binding, **_terms(fields)))
    return await act.commit(desk, state, rows, entries, tally, undo_until=fields.get("undo_until"))


def settle(
    state: ReviewState, approval: Approval, act: Act, held_sec: int, *, is_met: bool, at_once: bool = False
) -> tuple[ReviewState, dict[str, Any]]:
    """The state after one more person agrees, and the fields to set with it. `held_sec` is the undo window."""
    if not (is_met or at_once):
        return follow(state, ReviewEvent.VOTED), _UNCLAIMED
    has_window = held_sec > 0
    events = (ReviewEvent.AGREED,) if has_window else (ReviewEvent.AGREED, ReviewEvent.UNDO_PASSED)
    undo_until = act.at + held_sec
    return follow(state, *events), {
        "settled_at": act.at,
        "settled_by": act.reviewer.name,
        "comment": act.comment,
        "undo_until": undo_until if has_window else None,
        "grant_expires_at": undo_until + approval.grant_expires_sec,
        **_UNCLAIMED,
    }


async def reject(desk: Desk, review_id: str, reviewer: Reviewer, seen: Seen, comment: str) -> Acted:
    """Say no, with the reason. Raises: NotFound, Conflict, NotAllowed, Unacceptable, StoreDown."""
    review, call = await load(desk, review_id)
    reviewer, now = await as_now(desk, reviewer), desk.clock()
    _check_answerable(review)
    check_open(review, states_allowing(ReviewEvent.REJECTED), now)
    agreement.check_may_object(reviewer, review)
    check_seen(review, seen)
    said = check_comment(desk, comment, needed=True)
    act = Act(review, call, reviewer, Verdict.REJECT, seen, said, now)
    state = follow(review.state, ReviewEvent.REJECTED)
    fields = {
        "settled_at": now,
        "settled_by": reviewer.name,
        "comment": said,
        **_UNCLAIMED,
    }
    rows: list[RowChange] = [
        MoveReview(review.id, frozenset({review.state}), state, fields, review.version),
        MoveCall(call.id, frozenset({CallState.WAITING}), CallState.CLOSED, {"updated_at": now}),
        InsertVote(act.vote()),
        *precedent(desk, review, call, now),
    ]
    return await act.commit(
        desk, state, rows, [act.entry(EntryKind.REVIEW_VOTED, state), act.entry(EntryKind.REVIEW_SETTLED, state)]
    )


async def undo(desk: Desk, review_id: str, reviewer: Reviewer, seen: Seen, comment: str = "") -> Acted:
    """Take the approval back before it is spent: one compare-and-set with spending (SEMANTICS §2.5).

    Raises: NotFound, Conflict, NotAllowed, Unacceptable, StoreDown.
    """
    review, call = await load(desk, review_id)
    reviewer, now = await as_now(desk, reviewer), desk.clock()
    if review.state not in states_allowing(ReviewEvent.UNDONE):
        raise Conflict(RefusalCode.OVER, f"Too late to take it back: this is already {review.state}.")
    if can_be_vetoed(review, call):
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, "Nobody has approved this: veto it.")
    agreement.check_may_object(reviewer, review)
    check_seen(review, seen)
    act = Act(review, call, reviewer, Verdict.UNDO, seen, check_comment(desk, comment, needed=False), now)
    state = follow(review.state, ReviewEvent.UNDONE)
    emptied = ("settled_at", "settled_by", "undo_until", "grant_expires_at", "claimed_by", "claimed_until")
    fields: dict[str, Any] = {**dict.fromkeys(emptied), "comment": ""}
    votes = await desk.records.votes(review_id)
    rows: list[RowChange] = [
        MoveReview(review.id, frozenset({review.state}), state, fields, review.version),
        InsertVote(act.vote(), clear_earlier=True),
        *(InsertVote(vote) for vote in agreement.bars(votes)),
    ]
    return await act.commit(desk, state, rows, [act.entry(EntryKind.REVIEW_VOTED, state)])


async def escalate(desk: Desk, review_id: str, reviewer: Reviewer, seen: Seen, comment: str = "") -> Acted:
    """Ask the next ones too. Raises: NotFound, Conflict, NotAllowed, Unacceptable, StoreDown."""
    review, call = await load(desk, review_id)
    reviewer, now = await as_now(desk, reviewer), desk.clock()
    check_open(review, states_allowing(ReviewEvent.ESCALATED), now)
    agreement.check_may_object(reviewer, review)
    check_seen(review, seen)
    target = next_stage(review, desk.settings.escalation_default)
    if target is None:
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, "This is already with the admins: there is nobody further to ask.")
    said = check_comment(desk, comment, needed=False)
    act = Act(review, call, reviewer, Verdict.ESCALATE, seen, said, now)
    state = follow(review.state, ReviewEvent.ESCALATED)
    fields = {"escalated_to": target, **_UNCLAIMED}
    rows: list[RowChange] = [
        MoveReview(review.id, frozenset({review.state}), state, fields, review.version),
        InsertVote(act.vote(team=target)),
    ]
    return await act.commit(desk, state, rows, [act.entry(EntryKind.REVIEW_ESCALATED, state, escalated_to=target)])


def next_stage(review: ReviewRecord, default: str | None) -> str | None:
    """Whom an escalation asks now: the rule's target, else the default one, and last the admins (SEMANTICS §1.11)."""
    first = review.approval.escalate_to or default
    if first is not None and review.escalated_to is None:
        return first
    return agreement.ADMINS if review.escalated_to != agreement.ADMINS else None


def _check_answerable(review: ReviewRecord) -> None:
    if review.kind not in (ReviewKind.APPROVAL, ReviewKind.PROMOTION):
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, "This is a held output: release or destroy it.")


def _team_stood_for(before: agreement.Tally, after: agreement.Tally) -> str:
    """The team whose number grew by this person."""
    return next((team for team, count in after.have.items() if count > before.have.get(team, 0)), "")


def _terms(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: _whole(fields[name]) for name in ("undo_until", "grant_expires_at")}


def _whole(at: float | None) -> int | None:
    return int(at) if at is not None else None
