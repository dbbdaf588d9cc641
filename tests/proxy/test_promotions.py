"""A promotion as a question: what people are shown, what their yes is bound to, and how it ends."""

from __future__ import annotations

from dataclasses import replace

from audit.entry import EntryKind
from policies.track_record import Tally
from proxy import promotions
from proxy.telling import Teller
from review.binding import binding_of
from review.model import AgentStanding, CallState, ReviewKind, ReviewState
from review.ports import InsertCall, InsertReview, MoveCall, MoveReview, PutStanding
from tests.policies.builders import snapshot
from tests.proxy.test_standings import FILE, Ids

STANDING = AgentStanding("bot", "crm", 0)


def test_the_question_shows_the_evidence_binds_it_and_is_one_of_the_agent_s_owner() -> None:
    ladder = snapshot(FILE.replace("SIGNED", "true")).autonomy
    assert ladder is not None
    shown = promotions.evidence(STANDING, ladder, Tally(3, 5, 1))
    assert (shown["from_level"], shown["to_level"], shown["to_name"], shown["errors"]) == (0, 1, "level 1", 1)
    change = promotions.asked(STANDING, shown, "v1:x", 5.0, ids=Ids(), commits=Teller(b"k" * 32))
    (call,) = [row.call for row in change.rows if isinstance(row, InsertCall)]
    (review,) = [row.review for row in change.rows if isinstance(row, InsertReview)]
    (kept,) = [row.standing for row in change.rows if isinstance(row, PutStanding)]
    assert call.proposed == {"arguments": shown}
    assert binding_of(review, call) == review.binding
    assert (review.kind, review.state, review.approval.four_eyes) == (ReviewKind.PROMOTION, ReviewState.PARKED, True)
    assert kept.review_id == review.id
    assert [entry.kind for entry in change.entries] == [EntryKind.REVIEW_OPENED]

    entry = promotions.moved(EntryKind.AGENT_PROMOTED, STANDING, 0, 6.0, by="reviewer:maria", call_id=call.id)
    assert (entry.call_id, entry.body["agent"], "call_id" in entry.body) == (call.id, "bot", False)
    granted = promotions.agreed(STANDING, replace(review, state=ReviewState.SPENDABLE), entry, 6.0)
    assert [type(row) for row in granted.rows] == [MoveReview, MoveCall, PutStanding]
    over = promotions.superseded(review, 6.0)
    assert [row.to for row in over.rows if isinstance(row, MoveReview | MoveCall)] == [
        ReviewState.SUPERSEDED,
        CallState.CLOSED,
    ]
