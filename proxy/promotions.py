"""A promotion as a question to people: the rows and entries of asking, agreeing, refusing, and of falling.

Rules of this module:
* Pure. The question is a review of kind `promotion` about a call of the gate's own, `interlock/promote`, whose
  arguments are the evidence; so it is decided, escalated and taken back as any approval is. It is never sent.
* Whoever owns the agent does not decide (four eyes).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from audit.entry import EntryDraft, EntryKind
from policies.autonomy import Autonomy
from policies.model import Approval, Classification, Decision, Effect, JsonObject
from policies.track_record import Tally
from review import decisions
from review.binding import binding
from review.lifecycle import ReviewEvent, after
from review.model import AgentStanding, CallRecord, CallState, ReviewKind, ReviewRecord, ReviewState
from review.ports import Change, InsertCall, InsertReview, MoveCall, MoveReview, PutStanding

SERVER, TOOL, METHOD = "interlock", "promote", "interlock/promote"
ASKED_FOR_SEC = 7 * 86_400


class Naming(Protocol):
    def call(self) -> str: ...
    def review(self) -> str: ...
    def nonce(self) -> str: ...


class Commits(Protocol):
    def commitment(self, value: object) -> str: ...


def evidence(standing: AgentStanding, ladder: Autonomy, tally: Tally) -> JsonObject:
    """What the people who are asked are shown."""
    return {
        "agent": standing.agent,
        "domain": standing.domain,
        "from_level": ladder.held(standing.level),
        "from_name": ladder.name(standing.level),
        "to_level": ladder.held(standing.level) + 1,
        "to_name": ladder.name(standing.level + 1),
        "successes": tally.successes,
        "calls": tally.calls,
        "errors": tally.errors,
    }


def asked(
    standing: AgentStanding, shown: JsonObject, snapshot: str, at: float, *, ids: Naming, commits: Commits
) -> Change:
    """The question, and the standing that knows of it."""
    decision = Decision(
        effect=Effect.REQUIRE_APPROVAL,
        reason=f"{standing.agent} has earned level {shown['to_level']} in {standing.domain}: promote it?",
        determining=("interlock/built-in#promotion",),
        snapshot=snapshot,
        classification=Classification(is_classified=True),
    )
    proposed: JsonObject = {"arguments": shown}
    call = CallRecord(
        id=ids.call(),
        agent=standing.agent,
        server=SERVER,
        tool=TOOL,
        method=METHOD,
        state=CallState.WAITING,
        created_at=at,
        updated_at=at,
        repeat_key=f"promotion/{ids.nonce()}",
        proposed_digest=commits.commitment(proposed),
        snapshot=snapshot,
        proposed=proposed,
        decision=decisions.to_json(decision),
    )
    review = ReviewRecord(
        id=ids.review(),
        call_id=call.id,
        kind=ReviewKind.PROMOTION,
        state=ReviewState.PARKED,
        opened_at=at,
        expires_at=at + ASKED_FOR_SEC,
        approval=Approval(timeout_sec=ASKED_FOR_SEC, four_eyes=True, undo_sec=0),
        binding="",
        nonce=ids.nonce(),
        answered_rules=decision.determining,
    )
    bound = binding(call, expires_at=review.expires_at, nonce=review.nonce, rules=review.answered_rules)
    review = replace(review, binding=bound)
    call = replace(call, review_id=review.id)
    body = {**_numbers(shown), "review": review.id, "kind": review.kind.value, "binding": bound}
    entry = EntryDraft(EntryKind.REVIEW_OPENED, at, "gate", call.id, body)
    row = PutStanding(replace(standing, review_id=review.id))
    return Change(rows=(InsertCall(call), InsertReview(review), row), entries=(entry,))


def agreed(standing: AgentStanding, review: ReviewRecord, entry: EntryDraft, at: float) -> Change:
    """The approval is spent on the promotion: one compare-and-set."""
    move = MoveReview(
        review.id, frozenset({review.state}), after(review.state, ReviewEvent.SPENT), {}, version=review.version
    )
    return Change(rows=(move, _closed(review, at), PutStanding(standing)), entries=(entry,))


def superseded(review: ReviewRecord, at: float) -> Change:
    """The agent's level has changed since the question was asked."""
    state = after(review.state, ReviewEvent.SUPERSEDED)
    fields = {"settled_at": at, "settled_by": "gate", "claimed_by": None, "claimed_until": None}
    move = MoveReview(review.id, frozenset({review.state}), state, fields, version=review.version)
    body = {"review": review.id, "review_kind": review.kind.value, "to_state": state.value}
    entry = EntryDraft(EntryKind.REVIEW_SETTLED, at, "gate", review.call_id, body)
    return Change(rows=(move, _closed(review, at)), entries=(entry,))


def _closed(review: ReviewRecord, at: float) -> MoveCall:
    return MoveCall(review.call_id, frozenset({CallState.WAITING}), CallState.CLOSED, {"updated_at": at})


def moved(
    kind: EntryKind, standing: AgentStanding, was: int, at: float, *, by: str = "gate", **more: object
) -> EntryDraft:
    """The entry of a rise, a fall or a refused promotion: from which level to which, and why."""
    call_id = more.pop("call_id", None)
    body = {"agent": standing.agent, "domain": standing.domain, "from_level": was, "to_level": standing.level, **more}
    return EntryDraft(kind, at, by, str(call_id) if call_id is not None else None, body)


def _numbers(shown: JsonObject) -> JsonObject:
    return {key: shown[key] for key in ("agent", "domain", "from_level", "to_level", "successes", "calls", "errors")}
