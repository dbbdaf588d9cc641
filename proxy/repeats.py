"""What an identical call gets, by where the earlier one is: the table of SEMANTICS §2.2 as data.

Rules of this module:
* Pure. The table is closed: a state without a row is an error when the module is loaded, not a surprise at night.
* It speaks only of earlier calls whose waiter has gone. While that one waits, a twin is a call of its own.
* The key has no policy version in it, and no session: the same agent asking the same is the same question.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from audit.keyed import keyed_digest
from policies.model import JsonObject, ToolCall
from review.doubts import Found, found_of
from review.model import CallRecord, CallState, ReviewRecord, ReviewState


class Repeat(StrEnum):
    """What happens to the identical call."""

    NEW = "new"
    ATTACH = "attach"
    SPEND = "spend"
    AWAIT_OUTCOME = "await_outcome"
    REPLAY = "replay"
    PLACEHOLDER = "placeholder"
    SAME_REJECTION = "same_rejection"
    REFUSE = "refuse"
    FINDING = "finding"
    REOPEN = "reopen"


BY_CALL_STATE: dict[CallState, Repeat] = {
    CallState.DENIED: Repeat.NEW,
    CallState.DISPATCHING: Repeat.AWAIT_OUTCOME,
    CallState.ANSWERED: Repeat.REPLAY,  # only while not delivered
    CallState.FAILED_BEFORE_SEND: Repeat.NEW,
    CallState.FAILED_AFTER_SEND: Repeat.NEW,
    CallState.IN_DOUBT: Repeat.REFUSE,
    CallState.RESOLVED: Repeat.FINDING,  # only until it has been told, and not of what did not happen
    CallState.QUARANTINED: Repeat.PLACEHOLDER,
    CallState.RELEASED: Repeat.REPLAY,  # only while not delivered
    CallState.DESTROYED: Repeat.NEW,
}

BY_REVIEW_STATE: dict[ReviewState, Repeat] = {
    ReviewState.VETOABLE: Repeat.ATTACH,
    ReviewState.VETOED: Repeat.SAME_REJECTION,  # only for `reject_holds_sec`
    ReviewState.PARKED: Repeat.ATTACH,
    ReviewState.APPROVING: Repeat.ATTACH,
    ReviewState.APPROVED: Repeat.ATTACH,
    ReviewState.SPENDABLE: Repeat.SPEND,
    ReviewState.SPENT: Repeat.AWAIT_OUTCOME,
    ReviewState.REJECTED: Repeat.SAME_REJECTION,  # only for `reject_holds_sec`
    ReviewState.EXPIRED: Repeat.REOPEN,
    ReviewState.SUPERSEDED: Repeat.REOPEN,
    ReviewState.STOPPED: Repeat.NEW,
    ReviewState.LAPSED: Repeat.REOPEN,
}

_NOT_BEFORE_IT_GOES = {
    *(ReviewState.QUARANTINED, ReviewState.RELEASED, ReviewState.DESTROYED),
    *(ReviewState.UNJUDGED, ReviewState.JUDGED_OK, ReviewState.JUDGED_WRONG, ReviewState.JUDGED_HARMFUL),
}
if set(BY_CALL_STATE) != set(CallState) - {CallState.WAITING, CallState.CLOSED}:
    raise AssertionError("proxy.repeats: a call state has no row")
if set(BY_REVIEW_STATE) != set(ReviewState) - _NOT_BEFORE_IT_GOES:
    raise AssertionError("proxy.repeats: a review state has no row")


def repeat_of(
    record: CallRecord, review: ReviewRecord | None, *, now: float, reject_holds_sec: float, reopen_within_sec: float
) -> Repeat:
    """The row of the table for an earlier call whose waiter has gone."""
    if record.state in (CallState.WAITING, CallState.CLOSED):
        if review is None:
            return Repeat.REFUSE  # a waiting call without its question: ours to mend, never to guess about (P1)
        row = BY_REVIEW_STATE.get(review.state, Repeat.REFUSE)
        settled_at = review.settled_at or record.updated_at
        if row is Repeat.SAME_REJECTION and now - settled_at >= reject_holds_sec:
            return Repeat.NEW
        if row is Repeat.REOPEN and now - settled_at >= reopen_within_sec:
            return Repeat.NEW
        return row
    row = BY_CALL_STATE[record.state]
    if row is Repeat.FINDING and (record.delivered_at is not None or found_of(record) is Found.DID_NOT_HAPPEN):
        return Repeat.NEW
    if row is Repeat.REPLAY and (record.delivered_at is not None or record.outcome is None):
        return Repeat.NEW
    return row


def repeat_key(key: bytes, call: ToolCall, canonical: Callable[[object], bytes], arguments: JsonObject) -> str:
    """The name under which identical calls find each other; `arguments` are the call's without its volatile paths."""
    identity = [
        call.agent.id,
        call.agent.on_behalf_of,
        call.server,
        call.tool,
        call.method,
        call.direction.value,
        arguments,
        call.input_responses,
        call.request_state,
    ]
    return keyed_digest(key, b"interlock repeat v1\x00" + canonical(identity)).hex()


def asked_once(key_of: Callable[[ToolCall], str]) -> Callable[[ToolCall], str]:
    """`key_of`, worked out once for a call that is asked about twice in a row: for earlier ones, then for its row."""
    last: tuple[ToolCall | None, str] = (None, "")

    def key_of_this(call: ToolCall) -> str:
        nonlocal last
        known = (
            last  # heavy calls are asked about in another thread: what stands here may be another's by the next line
        )
        if known[0] is not call:
            known = last = (call, key_of(call))
        return known[1]

    return key_of_this
