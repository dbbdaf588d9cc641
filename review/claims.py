"""Claiming: "I am looking at this one". A lease, so a claim ends by itself.

Rules of this module:
* Only where one person decides: with a quorum everybody must look anyway (SEMANTICS §2.4).
* A claim keeps others from letting the call go; it never keeps anybody from rejecting it.
* The holder may renew it or give it up; nobody takes a live claim from somebody else.
"""

from __future__ import annotations

from audit.entry import EntryDraft, EntryKind
from review import agreement
from review.desk import Acted, Desk, Seen, as_now, check_claim, check_open, check_seen, load, write
from review.lifecycle import ReviewEvent, after, states_allowing
from review.model import Reviewer, ReviewRecord
from review.ports import Change, MoveReview
from review.refusals import Conflict, RefusalCode, Unacceptable


async def claim(desk: Desk, review_id: str, reviewer: Reviewer, seen: Seen) -> Acted:
    """Take or renew the lease. Raises: NotFound, Conflict, NotAllowed, Unacceptable, StoreDown."""
    review, call = await load(desk, review_id)
    reviewer, now = await as_now(desk, reviewer), desk.clock()
    check_open(review, states_allowing(ReviewEvent.CLAIMED), now)
    agreement.check_may_decide(reviewer, review, call)
    if not agreement.is_claimable(review.approval):
        raise Unacceptable(
            RefusalCode.NOT_POSSIBLE, "Several people must look at this one, so nobody can claim it alone."
        )
    check_claim(review, reviewer, now)
    check_seen(review, seen)
    return await _hold(desk, review, reviewer, until=now + desk.settings.claim_sec)


async def unclaim(desk: Desk, review_id: str, reviewer: Reviewer, seen: Seen) -> Acted:
    """Give the lease up. Raises: NotFound, Conflict, NotAllowed, StoreDown."""
    review, _ = await load(desk, review_id)
    reviewer = await as_now(desk, reviewer)
    if review.claimed_by != reviewer.name or review.state not in states_allowing(ReviewEvent.CLAIMED):
        raise Conflict(RefusalCode.CLAIMED, "This is not claimed by you.")
    check_seen(review, seen)
    return await _hold(desk, review, reviewer, until=None)


async def _hold(desk: Desk, review: ReviewRecord, reviewer: Reviewer, *, until: float | None) -> Acted:
    state = after(review.state, ReviewEvent.CLAIMED)
    fields = {"claimed_by": reviewer.name if until is not None else None, "claimed_until": until}
    body = {"review": review.id, "login": reviewer.login, "until": int(until) if until is not None else None}
    entry = EntryDraft(EntryKind.REVIEW_CLAIMED, desk.clock(), f"reviewer:{reviewer.name}", review.call_id, body)
    move = MoveReview(review.id, frozenset({review.state}), state, fields, review.version)
    await write(desk, Change(rows=(move,), entries=(entry,)), review.call_id)
    return Acted(call_id=review.call_id, review_id=review.id, state=state)
