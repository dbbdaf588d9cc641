"""What an approval is for, as one digest (P6): change any part of it and it is another approval.

Rules of this module:
* The digest is sha256 over the canonical JSON (RFC 8785) of a named structure, never over joined strings: no two
  different calls can be written so that they give the same bytes.
* It covers agent, person on whose behalf, server, tool, method, direction, arguments, input responses and request
  state in the form that would be sent, the tool definition's digest, the question's expiry, its nonce, and the rules
  it answers.
* The nonce keeps the digest from being guessed back to the arguments when the record is exported (traps T27).
* A release binds the whole held output instead; what people say of a call afterwards, the call as it was sent.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from audit.canonical import canonical
from review import exact
from review.model import CallRecord, ReviewKind, ReviewRecord

APPROVAL_FORM = "interlock-approval-v1"
RELEASE_FORM = "interlock-release-v1"
AFTERWARDS_FORM = "interlock-afterwards-v1"


def binding(call: CallRecord, *, expires_at: float, nonce: str, rules: tuple[str, ...]) -> str:
    """The digest an approval of `call` binds. Raises: ValueError if the call's arguments have been erased."""
    to_send = call.to_send
    if to_send is None:
        raise ValueError(f"the arguments of call {call.id} have been erased: there is nothing to approve")
    return _digest(
        {
            "form": APPROVAL_FORM,
            **_who_and_where(call),
            "arguments": to_send.get("arguments"),
            "input_responses": to_send.get("input_responses"),
            "request_state": to_send.get("request_state"),
            "definition_digest": call.definition_digest,
            "expires_at_ms": round(expires_at * 1000),
            "nonce": nonce,
            "rules": sorted(rules),
        }
    )


def release_binding(call: CallRecord, *, expires_at: float, nonce: str) -> str:
    """The digest a release of `call`'s held output binds. Raises: ValueError if the output has been erased."""
    if call.outcome is None:
        raise ValueError(f"the output of call {call.id} has been erased: there is nothing to release")
    return _digest(
        {
            "form": RELEASE_FORM,
            **_who_and_where(call),
            "call": call.id,
            "outcome": _exact_digest(call.outcome),
            "inspection": _exact_digest(call.inspection),
            "expires_at_ms": round(expires_at * 1000),
            "nonce": nonce,
        }
    )


def afterwards_binding(call: CallRecord, *, nonce: str) -> str:
    """The digest a judgement of a call that is over is about: which call, as it was sent. Its outcome may still be
    released or resolved meanwhile. Raises: ValueError if the call's arguments have been erased."""
    to_send = call.to_send
    if to_send is None:
        raise ValueError(f"the arguments of call {call.id} have been erased")
    who = _who_and_where(call)
    return _digest({"form": AFTERWARDS_FORM, **who, "call": call.id, "sent": _exact_digest(to_send), "nonce": nonce})


def binding_of(review: ReviewRecord, call: CallRecord) -> str | None:
    """The digest of `call` as it stands, under this review's terms; None once what it is about has been erased.

    A review whose `binding` is not this one must not be answered with yes: rows were changed behind our back.
    """
    try:
        if review.kind is ReviewKind.RELEASE:
            return release_binding(call, expires_at=review.expires_at, nonce=review.nonce)
        if review.kind is ReviewKind.AFTERWARDS:
            return afterwards_binding(call, nonce=review.nonce)
        return binding(call, expires_at=review.expires_at, nonce=review.nonce, rules=review.answered_rules)
    except ValueError:
        return review.binding if review.kind is ReviewKind.AFTERWARDS else None  # nothing is let go by judging


def _who_and_where(call: CallRecord) -> dict[str, Any]:
    return {
        "agent": call.agent,
        "on_behalf_of": call.on_behalf_of,
        "server": call.server,
        "tool": call.tool,
        "method": call.method,
        "direction": call.direction,
    }


def _digest(value: dict[str, Any]) -> str:
    return "sha256:" + sha256(canonical(value)).hexdigest()


def _exact_digest(value: Any) -> str:
    """Results keep numbers that RFC 8785 cannot carry (traps T17), so they are digested as their exact text."""
    return sha256(exact.text(value).encode("utf-8")).hexdigest()
