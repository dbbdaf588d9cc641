"""Approving with changed arguments: an edited call is a new call (P7, SEMANTICS §2.4).

Rules of this module:
* The changed arguments are validated and judged under the policy in force now. If it denies, the edit is refused and
  nothing is written. If it would let the call go by itself, the editor settles the question.
* If it asks, the editor's approval counts once, provided no rule asks that did not ask before and the risk tier did not
  rise; otherwise another person must agree.
* An edit clears earlier votes, takes a new nonce and so a new binding, and keeps the proposed form beside the approved.
* It does not move the question's deadline.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from audit.canonical import canonical
from audit.entry import EntryKind
from policies.model import Approval, Decision, Effect, JsonObject
from review import agreement, decisions
from review.binding import binding
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
    undo_sec,
)
from review.lifecycle import ReviewEvent, after, states_allowing
from review.model import CallRecord, CallState, Reviewer, ReviewKind, ReviewRecord, ReviewState, Verdict
from review.ports import InsertVote, MoveCall, MoveReview, RowChange
from review.precedents import precedent
from review.refusals import Conflict, NotAllowed, RefusalCode, Unacceptable
from review.votes import settle


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The question as it stands after an edit."""

    review: ReviewRecord
    call: CallRecord
    decision: Decision
    is_allowed: bool  # the policy would let the edited call go by itself
    editor_counts: bool


async def edit(
    desk: Desk, review_id: str, reviewer: Reviewer, seen: Seen, arguments: JsonObject, comment: str = ""
) -> Acted:
    """Approve with `arguments` in place of the proposed ones.

    Raises: NotFound, Conflict, NotAllowed, Unacceptable, StoreDown.
    """
    review, call = await load(desk, review_id)
    reviewer, now = await as_now(desk, reviewer), desk.clock()
    if review.kind is not ReviewKind.APPROVAL:
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, "A held output cannot be edited: release or destroy it.")
    check_open(review, states_allowing(ReviewEvent.EDITED), now)
    agreement.check_may_decide(reviewer, review, call)
    check_seen(review, seen)
    check_bound(review, call)
    check_claim(review, reviewer, now)
    said = check_comment(desk, comment, needed=review.approval.require_comment)
    decision = await _judged(desk, call, arguments)
    barred = reviewer.name in agreement.uncounted_editors(await desk.records.votes(review_id))
    new = _rewrite(review, call, arguments, decision, reviewer, nonce=desk.nonce(), is_barred=barred)
    act = Act(review, call, reviewer, Verdict.EDIT, seen, said, now)
    tally = agreement.tally(new.review, [reviewer] if new.editor_counts else [])
    parked = after(review.state, ReviewEvent.EDITED)
    state: ReviewState = parked
    fields: dict[str, Any] = {"claimed_by": None, "claimed_until": None}
    if new.editor_counts:
        held_sec = undo_sec(desk, new.review.approval, new.call.decision)
        state, fields = settle(parked, new.review.approval, act, held_sec, is_met=tally.is_met, at_once=new.is_allowed)
    rows = _rows(act, new, state, fields)
    facts = _facts(desk, call, new)
    entries = [act.entry(EntryKind.REVIEW_EDITED, state, given=tally.given, wanted=tally.wanted, **facts)]
    if state not in (ReviewState.PARKED, ReviewState.APPROVING):
        rows += precedent(desk, review, call, now)
        entries.append(act.entry(EntryKind.REVIEW_SETTLED, state, binding=new.review.binding))
    return await act.commit(desk, state, rows, entries, tally, undo_until=fields.get("undo_until"))


async def preview(desk: Desk, review_id: str, reviewer: Reviewer, arguments: JsonObject) -> Rewritten:
    """What an edit would come to, unwritten. Raises: NotFound, Conflict, NotAllowed, Unacceptable, StoreDown."""
    review, call = await load(desk, review_id)
    reviewer = await as_now(desk, reviewer)
    check_open(review, states_allowing(ReviewEvent.EDITED), desk.clock())
    agreement.check_may_decide(reviewer, review, call)
    decision = await _judged(desk, call, arguments)
    barred = reviewer.name in agreement.uncounted_editors(await desk.records.votes(review_id))
    return _rewrite(review, call, arguments, decision, reviewer, nonce="preview", is_barred=barred)


async def _judged(desk: Desk, call: CallRecord, arguments: JsonObject) -> Decision:
    if call.to_send is None:
        raise Conflict(RefusalCode.OVER, "The arguments of this call have been erased.")
    try:
        is_same = canonical(arguments) == canonical(call.to_send.get("arguments"))
    except ValueError as error:
        raise Unacceptable(RefusalCode.ARGUMENTS_INVALID, f"These arguments cannot be kept exactly: {error}") from error
    if is_same:
        raise Unacceptable(RefusalCode.NOTHING_CHANGED, "The arguments are as they were: approve, or change something.")
    try:
        decision = await desk.judge.judge_edit(call, arguments)
    except ValueError as error:
        raise Unacceptable(RefusalCode.ARGUMENTS_INVALID, f"These arguments do not fit the tool: {error}") from error
    if decision.effect is Effect.DENY:
        raise Unacceptable(RefusalCode.DENIED_BY_POLICY, f"The policy denies the changed call: {decision.reason}")
    return decision


def _rewrite(
    review: ReviewRecord,
    call: CallRecord,
    arguments: JsonObject,
    decision: Decision,
    reviewer: Reviewer,
    *,
    nonce: str,
    is_barred: bool,
) -> Rewritten:
    is_allowed = decision.effect in (Effect.ALLOW, Effect.ALLOW_WITH_CONSTRAINTS)
    rules = () if is_allowed else tuple(decision.determining)
    judged = decisions.to_json(decision)
    # Rules and tier are compared with the form before this one, so whoever raised them stays barred: a second,
    # harmless-looking edit of one's own does not wash the first away.
    asks_no_more = set(rules) <= set(review.answered_rules) and not decisions.tier_rose(call.decision, judged)
    approval: Approval = review.approval if is_allowed else (decision.approval or review.approval)
    kept = call.to_send or {}
    approved: JsonObject = {**kept, "arguments": arguments}
    new_call = replace(call, approved=approved, decision=judged, snapshot=decision.snapshot)
    digest = binding(new_call, expires_at=review.expires_at, nonce=nonce, rules=rules)
    new_review = replace(review, binding=digest, nonce=nonce, approval=approval, answered_rules=rules)
    return Rewritten(
        review=new_review,
        call=new_call,
        decision=decision,
        is_allowed=is_allowed,
        editor_counts=is_allowed or (asks_no_more and not is_barred and _may_decide(reviewer, new_review, new_call)),
    )


def _may_decide(reviewer: Reviewer, review: ReviewRecord, call: CallRecord) -> bool:
    """The edited question may be put to other teams, or ask for four eyes, since the policy was loaded anew."""
    try:
        agreement.check_may_decide(reviewer, review, call)
    except NotAllowed:
        return False
    return True


def _rows(act: Act, new: Rewritten, state: ReviewState, fields: dict[str, Any]) -> list[RowChange]:
    kept = {name: getattr(new.review, name) for name in ("binding", "nonce", "approval", "answered_rules")}
    sent = {name: getattr(new.call, name) for name in ("approved", "decision", "snapshot")}
    waiting = frozenset({CallState.WAITING})
    rows: list[RowChange] = [
        MoveReview(act.review.id, frozenset({act.review.state}), state, {**kept, **fields}, act.review.version),
        MoveCall(act.call.id, waiting, CallState.WAITING, {**sent, "updated_at": act.at}, act.call.version),
        InsertVote(act.vote(), clear_earlier=True),
    ]
    if new.editor_counts:
        rows.append(InsertVote(act.vote(verdict=Verdict.APPROVE)))
    return rows


def _facts(desk: Desk, call: CallRecord, new: Rewritten) -> dict[str, Any]:
    """Both forms as commitments, both snapshots by name, and whether another person must agree."""
    return {
        "before": desk.commit(call.to_send, context=f"{call.id}/before_edit"),
        "after": desk.commit(new.call.approved, context=f"{call.id}/approved"),
        "binding": new.review.binding,
        "snapshot": new.decision.snapshot,
        "snapshot_before": call.snapshot,
        "effect": new.decision.effect.value,
        "rules": list(new.decision.determining),
        "another_person_must_agree": not new.editor_counts,
    }
