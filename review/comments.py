"""Saying something about a review without deciding it: for whoever decides next.

Rules of this module:
* A comment changes nothing that is decided or bound, moves no state and no version: nobody's page is outdated by it.
* It outlives a clearing of votes, and can be made when the question is over, by whoever may decide anything at all.
* Comments are people's own words and stand in the record in clear, as those of votes do; they are bounded in length and
  number.
"""

from __future__ import annotations

from collections.abc import Sequence

from audit.entry import EntryDraft, EntryKind
from review.desk import Acted, Desk, as_now, check_comment, load, write
from review.model import Reviewer, Verdict, Vote
from review.ports import Change, InsertVote
from review.refusals import NotAllowed, RefusalCode, Unacceptable

COMMENTS_MAX = 100  # of one review

_ROLES = frozenset({"reviewer", "security", "admin"})


async def comment(desk: Desk, review_id: str, reviewer: Reviewer, said: str) -> Acted:
    """Leave a comment. Raises: NotFound, Conflict, NotAllowed, Unacceptable, StoreDown."""
    review, call = await load(desk, review_id)
    reviewer, now = await as_now(desk, reviewer), desk.clock()
    if not reviewer.roles & _ROLES:
        raise NotAllowed(RefusalCode.ROLE, f"This needs one of the roles {', '.join(sorted(_ROLES))}.")
    said = check_comment(desk, said, needed=True)
    if len(comments_of(await desk.records.votes(review_id))) >= COMMENTS_MAX:
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, f"There are {COMMENTS_MAX} comments on this already.")
    row = InsertVote(Vote(review.id, reviewer.name, Verdict.COMMENT, now, comment=said, login=reviewer.login))
    body = {"review": review.id, "login": reviewer.login, "comment": said, "state": review.state.value}
    entry = EntryDraft(EntryKind.REVIEW_COMMENTED, now, f"reviewer:{reviewer.name}", call.id, body)
    await write(desk, Change(rows=(row,), entries=(entry,)), call.id)
    return Acted(call_id=call.id, review_id=review.id, state=review.state)


def comments_of(votes: Sequence[Vote]) -> tuple[Vote, ...]:
    return tuple(vote for vote in votes if vote.verdict is Verdict.COMMENT)


def without_comments(votes: Sequence[Vote]) -> tuple[Vote, ...]:
    """What people have decided."""
    return tuple(vote for vote in votes if vote.verdict is not Verdict.COMMENT)
