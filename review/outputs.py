"""A held output: release it to the agent, destroy it, or look at it in clear.

Rules of this module:
* Releasing and destroying need a reason. Destroying erases the output at once; what it was is kept as a commitment.
* Releasing counts people as approving does; destroying needs one.
* Looking in clear is an act of its own: the record says who looked, why and when, before the values are handed out.
"""

from __future__ import annotations

from typing import Any

from audit.entry import EntryDraft, EntryKind
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
from review.ports import Change, InsertVote, MoveCall, MoveReview, RowChange
from review.refusals import Conflict, RefusalCode, Unacceptable

_HELD = frozenset({CallState.QUARANTINED})


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
        entries.append(act.entry(EntryKind.OUTPUT_RELEASED, state, output=commit_outcome(desk, call)))
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
    return await act.commit(desk, state, rows, entries)


async def reveal(desk: Desk, review_id: str, reviewer: Reviewer, seen: Seen, comment: str) -> Any:
    """The held output in clear, recorded first. Raises: NotFound, Conflict, NotAllowed, Unacceptable, StoreDown."""
    review, call, act = await _begin(desk, review_id, reviewer, seen, comment, Verdict.RELEASE)
    agreement.check_may_decide(act.reviewer, review, call)
    body = {"review": review.id, "login": act.reviewer.login, "shown": seen.shown, "comment": act.comment}
    entry = EntryDraft(EntryKind.OUTPUT_REVEALED, act.at, f"reviewer:{act.reviewer.name}", call.id, body)
    await write(desk, Change(entries=(entry,)), call.id)
    return call.outcome


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
