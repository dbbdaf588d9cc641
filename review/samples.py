"""Judging calls that are over: as they should be, wrong, or harmful (SEMANTICS §1.10, §1.13).

Rules of this module:
* A sample is a finished call chosen for human judgement: because its rule wants every one looked at afterwards, or by
  another choice. Whoever chooses inserts the review; judging is the same.
* It blocks nobody. What is found stands in the state of the review, so that whoever hears of changes hears of it.
* Wrong and harmful need a note. One person's judgement settles it, of exactly the call they were shown (P11).
"""

from __future__ import annotations

from collections.abc import Mapping

from audit.entry import EntryKind
from review import agreement
from review.binding import binding_of
from review.desk import Act, Acted, Desk, Seen, as_now, check_comment, check_seen, load
from review.lifecycle import ReviewEvent, after
from review.model import Reviewer, ReviewKind, ReviewState, Verdict
from review.ports import InsertVote, Learned, Lesson, MoveReview, RowChange
from review.refusals import Conflict, RefusalCode, Unacceptable

FOUND: Mapping[Verdict, ReviewEvent] = {
    Verdict.OK: ReviewEvent.FOUND_OK,
    Verdict.WRONG: ReviewEvent.FOUND_WRONG,
    Verdict.HARMFUL: ReviewEvent.FOUND_HARMFUL,
}
LESSONS: Mapping[Verdict, Lesson] = {Verdict.WRONG: Lesson.JUDGED_WRONG, Verdict.HARMFUL: Lesson.INCIDENT}


async def judge(desk: Desk, review_id: str, reviewer: Reviewer, seen: Seen, verdict: str, note: str) -> Acted:
    """Say what one thinks of it. Raises: NotFound, Conflict, NotAllowed, Unacceptable, StoreDown."""
    review, call = await load(desk, review_id)
    reviewer, now = await as_now(desk, reviewer), desk.clock()
    if review.kind is not ReviewKind.AFTERWARDS:
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, "This is not a call to be judged afterwards.")
    if verdict not in [one.value for one in FOUND]:
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, f"The verdict is one of {', '.join(FOUND)}.")
    said = Verdict(verdict)
    if review.state is not ReviewState.UNJUDGED:
        raise Conflict(RefusalCode.OVER, f"This is {review.state.replace('_', ' ')} already.")
    agreement.check_may_decide(reviewer, review, call)
    check_seen(review, seen)
    if binding_of(review, call) != review.binding:
        raise Conflict(RefusalCode.CHANGED, "What is stored is not the call that was to be judged.")
    act = Act(review, call, reviewer, said, seen, check_comment(desk, note, needed=said is not Verdict.OK), now)
    state = after(review.state, FOUND[said])
    settled = {"settled_at": now, "settled_by": reviewer.name, "comment": act.comment}
    rows: list[RowChange] = [
        MoveReview(review.id, frozenset({review.state}), state, settled, review.version),
        InsertVote(act.vote()),
    ]
    learned = (Learned(LESSONS[said], call),) if said in LESSONS else ()
    entry = act.entry(EntryKind.REVIEW_SETTLED, state, snapshot=call.snapshot)
    return await act.commit(desk, state, rows, [entry], learned=learned)
