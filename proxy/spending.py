"""Whether what was agreed about a call still covers what the policy in force says of it (SEMANTICS §2.3). Trust kernel.

Rules of this module:
* Pure. It is asked at spend, of a grant that is bound to exactly this call; a denial is not its business.
* What a person agreed to covers a veto window of any length: the more is covered by who could have said no.
* What nobody said no to covers no question, and no longer window than was waited. What a policy approved by itself
  covers a question only while the call's own tier is low (§1.11).
* Constraints that were not shown, or are tighter than those, void it; those that were shown hold (§1.8).
"""

from __future__ import annotations

from policies.constraints import AtDispatch, at_dispatch, is_no_tighter
from policies.model import Decision, Effect, Risk
from review import decisions
from review.model import CallRecord, ReviewRecord


def why_void(record: CallRecord, review: ReviewRecord, now: Decision) -> str | None:
    """Why the grant cannot be spent under this decision; None if it stands."""
    if not is_no_tighter(now.constraints, decisions.constraints(record.decision)):
        return "policy now holds it to tighter constraints"
    match now.effect:
        case Effect.ALLOW:
            return None
        case Effect.ALLOW_WITH_CONSTRAINTS if now.constraints:
            return None
        case Effect.ALLOW_UNLESS_VETOED:
            waited_sec = round(review.expires_at - review.opened_at)
            if review.is_by_policy and (now.veto_window_sec or 0) > waited_sec:
                return "the policy now lets people veto it for longer than it has waited"
            return None
        case Effect.REQUIRE_APPROVAL:
            return _why_not_answered(record, review, now)
        case _:
            return "policy now demands what nobody approved"


def held_to(record: CallRecord) -> AtDispatch | None:
    """What its dispatch is held to: what people were told will hold. None: nobody here holds it to that."""
    return at_dispatch(decisions.constraints(record.decision))


def _why_not_answered(record: CallRecord, review: ReviewRecord, now: Decision) -> str | None:
    if review.is_by_policy and record.decision.get("effect") != Effect.REQUIRE_APPROVAL.value:
        return "the policy now asks, and no person has agreed"
    if review.is_by_policy and now.classification.risk is not Risk.LOW:
        return "no person has agreed, and its risk is no longer low"
    if set(now.determining) - set(review.answered_rules):
        return "rules ask now that this approval did not answer"
    return None
