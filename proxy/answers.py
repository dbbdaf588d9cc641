"""What an agent is told (SEMANTICS §1.18): the decision, the call's id, a public sentence, how to go on.

Rules of this module:
* Never rule text, values or thresholds: the only text of an operator's that passes is a rule's `agent_message`.
* A sentence says first whether the call was executed, then what to do; a model reads it, so it says it plainly.
* `meta` is small and stable: programs read `decision`, `call_id`, `executed`, `ticket`, `retry`.
"""

from __future__ import annotations

from typing import Any

from policies.model import JsonObject
from proxy.exchange import Answer, AnswerKind
from redaction.model import Inspection, Outcome
from review.doubts import Found, found_of
from review.model import CallRecord, CallState, ReviewRecord, ReviewState

RETRY_AFTER_SEC = 30


def denied(call_id: str, agent_message: str | None) -> Answer:
    text = f"NOT executed: policy does not allow this call (decision deny, call {call_id})."
    text += f" {agent_message}" if agent_message else " Do not repeat it; choose another way or ask a person."
    return Answer(AnswerKind.DENIED, call_id, text, meta=_meta("deny", call_id, executed=False))


def ticket(call_id: str, issued: str, agent_message: str | None, *, is_vetoable: bool = False) -> Answer:
    waits = (
        "people may still veto it, and it goes on when they have not"
        if is_vetoable
        else "waiting for a person's approval"
    )
    text = (
        f"NOT executed: {waits} (call {call_id}). To go on, repeat exactly this call later "
        f"with unchanged arguments, or present the ticket {issued} to the tool interlock_collect. "
        f"Do not ask again sooner than in {RETRY_AFTER_SEC} seconds, and do other work meanwhile."
    )
    if agent_message:
        text += f" {agent_message}"
    decision = "allow_unless_vetoed" if is_vetoable else "require_approval"
    meta = _meta(decision, call_id, executed=False) | {"ticket": issued, "retry_after_sec": RETRY_AFTER_SEC}
    return Answer(AnswerKind.TICKET, call_id, text, meta=meta, retry_after_sec=RETRY_AFTER_SEC)


def executing(call_id: str, issued: str) -> Answer:
    text = (
        f"STILL EXECUTING: this call was approved and sent, and has not answered yet (call {call_id}). Repeat exactly "
        f"this call later, or present the ticket {issued} to the tool interlock_collect, to get its outcome; it is not "
        "executed again."
    )
    meta = _meta("executing", call_id, executed=True) | {"ticket": issued, "retry_after_sec": RETRY_AFTER_SEC}
    return Answer(AnswerKind.TICKET, call_id, text, meta=meta, retry_after_sec=RETRY_AFTER_SEC)


def rejected(call_id: str, state: ReviewState = ReviewState.REJECTED) -> Answer:
    """A person has said no: rejected, or vetoed."""
    text = f"NOT executed: a person {state} this call (call {call_id}). Do not repeat it; choose another way."
    return Answer(AnswerKind.REJECTED, call_id, text, meta=_meta(state.value, call_id, executed=False))


def expired(call_id: str, state: str) -> Answer:
    text = (
        f"NOT executed: the approval this call waited for ended without it ({state}, call {call_id}). "
        "Repeating the call asks again."
    )
    return Answer(AnswerKind.EXPIRED, call_id, text, meta=_meta(state, call_id, executed=False))


_STOPPED: dict[bool | None, tuple[str, str]] = {
    False: ("NOT executed", "It was not sent to its tool, and no approval of it can be used any more."),
    None: ("STOPPED", "It was being executed, and may or may not have taken effect."),
    True: (
        "EXECUTED, and its outcome withheld",
        "Once work goes on, repeating exactly this call gives its outcome; it is not executed again.",
    ),
}


def stopped(call_id: str, *, executed: bool | None) -> Answer:
    """The kill switch. Who threw it and why is for people; an agent learns that it is no matter of its arguments."""
    begin, goes_on = _STOPPED[executed]
    named = f" (call {call_id})" if call_id else ""
    text = (
        f"{begin}: stopped by the people who run this gate{named}. {goes_on} "
        "Wait until you are told that work goes on, and do not try another way."
    )
    return Answer(AnswerKind.STOPPED, call_id, text, meta=_meta("stopped", call_id, executed=executed))


def stopped_now(call_id: str) -> Answer:
    """For a request that meets an earlier call while a stop stands: it does nothing, and is given nothing."""
    text = (
        f"STOPPED: nothing was executed by this request, and nothing is given out at the moment: stopped by the people "
        f"who run this gate (call {call_id}). Wait until you are told that work goes on."
    )
    return Answer(AnswerKind.STOPPED, call_id, text, meta=_meta("stopped", call_id, executed=None))


def asked_too_often(call_id: str, asked: int) -> Answer:
    text = (
        f"NOT executed: this same call has been put to people {asked} times within a day without an answer "
        f"(call {call_id}). It is not asked again; speak to the people you work for."
    )
    return Answer(AnswerKind.REFUSED, call_id, text, meta=_meta("refused", call_id, executed=False))


def held(call_id: str, issued: str) -> Answer:
    text = (
        f"EXECUTED, but its output is held for a person's inspection (call {call_id}). Do not repeat it to act again. "
        f"Once it is released, repeating exactly this call, or presenting the ticket {issued} to the tool "
        "interlock_collect, returns the output without executing anything."
    )
    meta = _meta("quarantined", call_id, executed=True) | {"ticket": issued, "retry_after_sec": RETRY_AFTER_SEC}
    return Answer(AnswerKind.HELD, call_id, text, meta=meta, retry_after_sec=RETRY_AFTER_SEC)


def destroyed(call_id: str) -> Answer:
    text = f"EXECUTED, but its output was withheld for good after inspection (call {call_id})."
    return Answer(AnswerKind.HELD, call_id, text, meta=_meta("destroyed", call_id, executed=True))


def delivered_already(call_id: str) -> Answer:
    text = (
        f"EXECUTED: the outcome of this call has been delivered already (call {call_id}), or is no longer kept. "
        "Nothing was executed again."
    )
    return Answer(AnswerKind.REFUSED, call_id, text, meta=_meta("delivered_already", call_id, executed=True))


def awaited_already(call_id: str) -> Answer:
    text = (
        f"WAITING: this call is being waited for already (call {call_id}), by another request. Nothing was executed "
        f"by this one. Do not ask again sooner than in {RETRY_AFTER_SEC} seconds."
    )
    meta = _meta("awaited_already", call_id, executed=None) | {"retry_after_sec": RETRY_AFTER_SEC}
    return Answer(AnswerKind.REFUSED, call_id, text, meta=meta, retry_after_sec=RETRY_AFTER_SEC)


def erased(call_id: str) -> Answer:
    text = (
        f"ERASED: this call is so old that what was kept of it has been erased (call {call_id}). Nothing was executed "
        "now; what became of it then is in the record."
    )
    return Answer(AnswerKind.REFUSED, call_id, text, meta=_meta("erased", call_id, executed=None))


_FOUND: dict[Found, tuple[bool | None, str]] = {
    Found.HAPPENED: (True, "EXECUTED"),
    Found.DID_NOT_HAPPEN: (False, "NOT executed"),
    Found.UNKNOWN: (None, "STILL IN DOUBT"),
}


def resolved(record: CallRecord) -> Answer:
    """What a person found out about a call that was in doubt; their note is not for the agent."""
    executed, says = _FOUND[found_of(record)]
    text = (
        f"{says}: a person has looked into this call, which was in doubt (call {record.id}). "
        "It has no outcome to give. Repeating it now makes a new call."
    )
    return Answer(AnswerKind.FAILED, record.id, text, meta=_meta("resolved", record.id, executed=executed))


def in_doubt(call_id: str) -> Answer:
    text = (
        f"IN DOUBT: the connection to the tool broke after the call may have been sent (call {call_id}). It may or "
        "may not have been executed, and is not sent again until a person has resolved it. "
        "Do not repeat it in another form."
    )
    return Answer(AnswerKind.IN_DOUBT, call_id, text, meta=_meta("in_doubt", call_id, executed=None), http_status=200)


def failed(call_id: str, *, sent: bool) -> Answer:
    text = (
        f"FAILED: the tool did not answer this read (call {call_id}); it may be repeated."
        if sent
        else f"NOT executed: the tool server could not be reached (call {call_id}); the call may be repeated later."
    )
    meta = _meta("failed", call_id, executed=None if sent else False) | {"retry_after_sec": RETRY_AFTER_SEC}
    return Answer(AnswerKind.FAILED, call_id, text, meta=meta, retry_after_sec=RETRY_AFTER_SEC)


def refused(call_id: str, why: str, *, http_status: int = 200, retry_after_sec: int | None = None) -> Answer:
    """An error or a limit of ours: `why` is a public sentence."""
    text = f"NOT executed: {why} (call {call_id})." if call_id else f"NOT executed: {why}."
    return Answer(
        AnswerKind.REFUSED,
        call_id,
        text,
        meta=_meta("refused", call_id, executed=False),
        http_status=http_status,
        retry_after_sec=retry_after_sec,
    )


def result(
    call_id: str,
    response: JsonObject,
    inspection: Inspection | None,
    *,
    http_status: int,
    extra: dict[str, Any],
    snapshot: str = "",
) -> Answer:
    """The tool's inspected response; `_meta` only where something was changed, replayed or edited."""
    meta: dict[str, Any] = {}
    if inspection is not None and inspection.outcome is Outcome.REDACT:
        meta = redaction_details(call_id, inspection, snapshot)
    if extra:
        meta = {"call_id": call_id, **meta, **extra}
    return Answer(AnswerKind.RESULT, call_id, response=response, meta=meta, http_status=http_status)


def redaction_details(call_id: str, inspection: Inspection, snapshot: str) -> dict[str, Any]:
    """The seed's shape (SEMANTICS §1.20): what was taken out, where and why, never the value."""
    return {
        "job_id": call_id,
        "output_safety_decision": inspection.outcome.value.upper(),
        "original_fields_redacted": len(inspection.redactions),
        "redaction_details": [
            {"field": one.path, "reason": one.reason, "action": one.action} for one in inspection.redactions
        ],
        "policy_snapshot": snapshot,
    }


def changes_told(record: CallRecord) -> dict[str, Any]:
    """What a reviewer changed, for the agent: the argument names, so that it reads the result rightly."""
    if record.approved is None or record.proposed is None:
        return {}
    before, after = record.proposed.get("arguments") or {}, record.approved.get("arguments") or {}
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return {
        "arguments_changed_by_reviewer": changed,
        "arguments_sent": {name: after[name] for name in changed if name in after},
    }


def what_became(record: CallRecord, review: ReviewRecord | None) -> Answer:
    """For the ticket of a call that is over: never "not executed" of one that was, or may have been."""
    match record.state:
        case CallState.WAITING | CallState.CLOSED if review is not None and review.state is ReviewState.STOPPED:
            return stopped(record.id, executed=False)
        case CallState.WAITING | CallState.CLOSED if review is not None:
            return expired(record.id, review.state.value)
        case CallState.ANSWERED | CallState.RELEASED:
            return delivered_already(record.id)
        case CallState.DESTROYED:
            return destroyed(record.id)
        case CallState.RESOLVED:
            return resolved(record)
        case CallState.FAILED_BEFORE_SEND | CallState.FAILED_AFTER_SEND:
            return failed(record.id, sent=record.state is CallState.FAILED_AFTER_SEND)
        case CallState.DENIED:
            return denied(record.id, None)
        case _:
            return in_doubt(record.id)


def _meta(decision: str, call_id: str, *, executed: bool | None) -> dict[str, Any]:
    return {"decision": decision, "call_id": call_id, "executed": executed}
