"""A held output: release it to the agent, destroy it, or look at it in clear.

Rules of this module:
* Releasing and destroying need a reason. Destroying erases the output at once; what it was is kept as a commitment.
* Releasing counts people as approving does; destroying needs one.
* Looking in clear is an act of its own: the record says who looked, why, when and for how long they may, before the
  values are handed out. So is looking at what releasing a redacted form would give.
* A redacted form is what the inspector makes of the held output now, asked to take out what it would hold, and looked
  at again by it. What cannot be redacted is released whole by somebody who answers for it, or destroyed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from audit.entry import EntryDraft, EntryKind
from policies.model import JsonObject
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
    commit_outcome,
    load,
    recount,
    write,
)
from review.lifecycle import ReviewEvent, after, states_allowing
from review.model import CallRecord, CallState, Reviewer, ReviewKind, ReviewRecord, Verdict
from review.ports import Change, InsertVote, Learned, Lesson, MoveCall, MoveReview, Redacted, RowChange
from review.refusals import Conflict, RefusalCode, Unacceptable

WHOLE, REDACTED = "whole", "redacted"

_HELD = frozenset({CallState.QUARANTINED})
_BY_RULE = ("field_rule",)


async def release(desk: Desk, review_id: str, reviewer: Reviewer, seen: Seen, comment: str) -> Acted:
    """Let the agent have the output. Raises: NotFound, Conflict, NotAllowed, Unacceptable, StoreDown."""
    review, call, act = await _begin(desk, review_id, reviewer, seen, comment, Verdict.RELEASE)
    agreement.check_may_decide(act.reviewer, review, call)
    votes = await desk.records.votes(review_id)
    if act.reviewer.name in agreement.agreeing(votes):
        tally = await recount(desk, review, call, votes)
        review, _ = await load(desk, review_id)  # their vote may have settled it since it was loaded
        return Acted(call.id, review.id, review.state, tally.given, tally.wanted)
    check_bound(review, call)
    check_claim(review, act.reviewer, act.at)
    tally = await recount(desk, review, call, votes, and_now=act.reviewer)
    state = after(review.state, ReviewEvent.RELEASED if tally.is_met else ReviewEvent.VOTED)
    rows: list[RowChange] = [
        MoveReview(review.id, frozenset({review.state}), state, _settled(act) if tally.is_met else {}, review.version),
        InsertVote(act.vote()),
    ]
    entries = [act.entry(EntryKind.REVIEW_VOTED, state, given=tally.given, wanted=tally.wanted)]
    if tally.is_met:
        rows.append(MoveCall(call.id, _HELD, CallState.RELEASED, {"updated_at": act.at}))
        entries.append(act.entry(EntryKind.OUTPUT_RELEASED, state, output=commit_outcome(desk, call), form=WHOLE))
    return await act.commit(desk, state, rows, entries, tally)


async def release_redacted(
    desk: Desk, review_id: str, reviewer: Reviewer, seen: Seen, comment: str, let_through: frozenset[str] = frozenset()
) -> Acted:
    """Let the agent have the output without what was found in it, but for the kinds `let_through`.

    Raises: NotFound, Conflict, NotAllowed, Unacceptable, StoreDown.
    """
    review, call, act = await _begin(desk, review_id, reviewer, seen, comment, Verdict.RELEASE)
    agreement.check_may_decide(act.reviewer, review, call)
    check_bound(review, call)
    check_claim(review, act.reviewer, act.at)
    tally = await recount(desk, review, call, (), and_now=act.reviewer)
    if not tally.is_met:  # a yes to one form is not a yes to another
        raise Unacceptable(
            RefusalCode.NOT_POSSIBLE, "Several people must agree to releasing this: redacting is for one person alone."
        )
    redacted = await _redacted(desk, call, let_through)
    state = after(review.state, ReviewEvent.RELEASED)
    fields = {"outcome": redacted.message, "outcome_kind": "redact", "inspection": redacted.inspection}
    rows: list[RowChange] = [
        MoveReview(review.id, frozenset({review.state}), state, _settled(act), review.version),
        InsertVote(act.vote()),
        MoveCall(call.id, _HELD, CallState.RELEASED, {**fields, "updated_at": act.at}, call.version),
    ]
    released = commit_outcome(desk, replace(call, outcome=redacted.message))
    told: dict[str, Any] = {"output": commit_outcome(desk, call), "released": released, "form": REDACTED}
    entries = [
        act.entry(EntryKind.REVIEW_VOTED, state, given=tally.given, wanted=tally.wanted),
        act.entry(EntryKind.OUTPUT_RELEASED, state, **told, let_through=sorted(let_through)),
    ]
    return await act.commit(desk, state, rows, entries, tally)


async def destroy(desk: Desk, review_id: str, reviewer: Reviewer, seen: Seen, comment: str) -> Acted:
    """Erase the output for good. Raises: NotFound, Conflict, NotAllowed, Unacceptable, StoreDown."""
    review, call, act = await _begin(desk, review_id, reviewer, seen, comment, Verdict.DESTROY)
    agreement.check_may_object(act.reviewer, review)
    state = after(review.state, ReviewEvent.DESTROYED)
    rows: list[RowChange] = [
        MoveReview(review.id, frozenset({review.state}), state, _settled(act), review.version),
        MoveCall(call.id, _HELD, CallState.DESTROYED, {"outcome": None, "updated_at": act.at}),
        InsertVote(act.vote()),
    ]
    entries = [
        act.entry(EntryKind.REVIEW_VOTED, state),
        act.entry(EntryKind.OUTPUT_DESTROYED, state, output=commit_outcome(desk, call)),
    ]
    # That somebody destroys it is what confirms that holding it was right (SEMANTICS §1.12).
    return await act.commit(desk, state, rows, entries, learned=(Learned(Lesson.INCIDENT, call),))


@dataclass(frozen=True, slots=True)
class Revealed:
    """A held output in clear, whole or in the form a redacted release would have; to be shown until then."""

    outcome: Any
    until: float
    inspection: JsonObject


async def reveal(
    desk: Desk,
    review_id: str,
    reviewer: Reviewer,
    seen: Seen,
    comment: str,
    *,
    redacted_but: frozenset[str] | None = None,
) -> Revealed:
    """The held output in clear, recorded first; with `redacted_but`, what a redacted release would give the agent.

    Raises: NotFound, Conflict, NotAllowed, Unacceptable, StoreDown.
    """
    review, call, act = await _begin(desk, review_id, reviewer, seen, comment, Verdict.RELEASE)
    agreement.check_may_decide(act.reviewer, review, call)
    form = await _redacted(desk, call, redacted_but) if redacted_but is not None else None
    until = act.at + desk.settings.reveal_sec
    body = {
        "review": review.id,
        "login": act.reviewer.login,
        "shown": seen.shown,
        "comment": act.comment,
        "form": WHOLE if form is None else REDACTED,
        "until": int(until),
    }
    entry = EntryDraft(EntryKind.OUTPUT_REVEALED, act.at, f"reviewer:{act.reviewer.name}", call.id, body)
    await write(desk, Change(entries=(entry,)), call.id)
    if form is None:
        return Revealed(call.outcome, until, call.inspection)
    return Revealed(form.message, until, form.inspection)


async def _redacted(desk: Desk, call: CallRecord, let_through: frozenset[str]) -> Redacted:
    """Raises: Conflict, Unacceptable."""
    found = call.inspection.get("findings") or ()
    strange = let_through - {str(one.get("kind")) for one in found if one.get("detector") not in _BY_RULE}
    if strange:
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, f"No detector found this here: {', '.join(sorted(strange))}.")
    if desk.redactor is None or call.to_send is None:
        raise Conflict(RefusalCode.OVER, "The call has been erased: its output can be released whole or destroyed.")
    redacted = await desk.redactor.redact(call, let_through)
    if redacted.message is None:
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, f"It cannot be redacted: {redacted.why_not}.")
    return redacted


async def _begin(
    desk: Desk, review_id: str, reviewer: Reviewer, seen: Seen, comment: str, verdict: Verdict
) -> tuple[ReviewRecord, CallRecord, Act]:
    review, call = await load(desk, review_id)
    reviewer, now = await as_now(desk, reviewer), desk.clock()
    if review.kind is not ReviewKind.RELEASE:
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, "This is a question about a call: approve or reject it.")
    check_open(review, states_allowing(ReviewEvent.RELEASED), now)
    check_seen(review, seen)
    if call.outcome is None:
        raise Conflict(RefusalCode.OVER, "The held output has been erased.")
    said = check_comment(desk, comment, needed=True)
    return review, call, Act(review, call, reviewer, verdict, seen, said, now)


def _settled(act: Act) -> dict[str, Any]:
    return {
        "settled_at": act.at,
        "settled_by": act.reviewer.name,
        "comment": act.comment,
        "claimed_by": None,
        "claimed_until": None,
    }
