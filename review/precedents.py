"""What people decided before in the like case: same agent, same tool, arguments of the same shape.

Rules of this module:
* The shape is which fields there are and of which kind, whatever stands in them and however many there are in a list.
  The store keeps only a keyed commitment to it: what fields a call had is not to be guessed from the database.
* It is of the call as the agent proposed it: that is what people will see again.
* A precedent points at its review. What was decided, by whom and why is read from there: a decision that was taken back
  is none, and nothing is said twice.
* It informs and decides nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from review import shape
from review.desk import Desk
from review.model import CallRecord, Precedent, ReviewRecord, ReviewState
from review.ports import InsertPrecedent

LOOKED_AT_MAX = 200
LATEST = 5

_APPROVED = (
    ReviewState.APPROVED,
    ReviewState.SPENDABLE,
    ReviewState.SPENT,
    ReviewState.LAPSED,
    ReviewState.SUPERSEDED,  # the policy asked anew; what the person had said stays said
    ReviewState.STOPPED,
)
_REFUSED = (ReviewState.REJECTED, ReviewState.VETOED)
_INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class Precedents:
    """Of the last `LOOKED_AT_MAX` like cases: how many were approved and rejected, and the last `LATEST` decisions."""

    approved: int = 0
    rejected: int = 0
    latest: tuple[ReviewRecord, ...] = ()


def shape_of(desk: Desk, call: CallRecord) -> str | None:
    """The commitment to the call's shape; None once its arguments have been erased."""
    if call.proposed is None:
        return None
    fields = {f"{_INDEX.sub('[*]', leaf.path)} {leaf.kind}" for leaf in shape.leaves(call.proposed.get("arguments"))}
    identity = [call.agent, call.server, call.tool, call.method, *sorted(fields)]
    return desk.commit("\x00".join(identity).encode("utf-8"), context="precedent")


def precedent(desk: Desk, review: ReviewRecord, call: CallRecord, at: float) -> tuple[InsertPrecedent, ...]:
    """The row that makes a settled review findable from the like case; none where the arguments have been erased."""
    found = shape_of(desk, call)
    return (InsertPrecedent(Precedent(review.id, found, at)),) if found is not None else ()


async def precedents_of(desk: Desk, call: CallRecord) -> Precedents:
    """What people decided in the like case. Raises: StoreDown."""
    sought = shape_of(desk, call)
    if sought is None:
        return Precedents()
    found = await desk.records.precedents(sought, limit=LOOKED_AT_MAX)
    settled = [review for review in found if review.call_id != call.id and _verdict(review) is not None]
    approved = sum(1 for review in settled if _verdict(review))
    return Precedents(approved, len(settled) - approved, tuple(settled[:LATEST]))


def was_approved(review: ReviewRecord) -> bool:
    return bool(_verdict(review))


def _verdict(review: ReviewRecord) -> bool | None:
    """True for approved, False for rejected, None for neither (any more)."""
    if review.settled_by is None:
        return None
    return True if review.state in _APPROVED else False if review.state in _REFUSED else None
