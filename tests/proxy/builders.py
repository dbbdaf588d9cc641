"""Builders for the gate's tests: a call, a decision, rows with fixed keys and counted ids. No clock, no chance."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from audit.canonical import canonical
from policies.model import (
    Agent,
    Approval,
    Classification,
    Decision,
    Effect,
    JsonObject,
    Risk,
    ToolCall,
    ToolDefinition,
)
from proxy.events import CallReceived
from proxy.gate import Gate, IsWatched
from proxy.gate_rows import GateRows
from proxy.repeats import repeat_key
from proxy.stopped import Stopped
from proxy.telling import Teller
from redaction.model import Inspection, Outcome
from review.model import CallRecord, CallState, ReviewRecord, ReviewState, Stop, StopScope

T0 = 1_800_000_000.0
KEY = b"k" * 32
SNAPSHOT = "v1:b4e2c1b4e2c1"


class CountedIds:
    """Ids that count: call_1, rev_1, nonce_1 …"""

    def __init__(self) -> None:
        self._n = 0

    def _next(self, kind: str) -> str:
        self._n += 1
        return f"{kind}_{self._n}"

    def call(self) -> str:
        return self._next("call")

    def review(self) -> str:
        return self._next("rev")

    def nonce(self) -> str:
        return self._next("nonce")

    def token(self) -> str:
        return self._next("token")


def definition(name: str = "refund", *, digest: str = "d1", drifted: bool = False) -> ToolDefinition:
    return ToolDefinition(name=name, digest=digest, input_schema={"type": "object"}, drifted=drifted)


def refund(amount: Any = 250, *, agent: str | Agent = "demo", **changes: Any) -> ToolCall:
    call = ToolCall(
        server="payments",
        tool="refund",
        arguments={"customer_id": "c1", "amount": amount},
        agent=agent if isinstance(agent, Agent) else Agent(agent),
        session="s1",
        definition=definition(),
    )
    return replace(call, **changes)


def allow(**changes: Any) -> Decision:
    return replace(Decision(Effect.ALLOW, "small refunds pass", ("refunds#allow-small",), SNAPSHOT), **changes)


def deny(**changes: Any) -> Decision:
    return replace(Decision(Effect.DENY, "no", ("refunds#never",), SNAPSHOT), **changes)


def ask(*rules: str, approval: Approval | None = None, risk_tags: frozenset[str] = frozenset()) -> Decision:
    return Decision(
        Effect.REQUIRE_APPROVAL,
        "Refunds over 100 need a person",
        rules or ("refunds#require-approval-over-100",),
        SNAPSHOT,
        classification=Classification(is_classified=True, risk_tags=risk_tags),
        approval=approval or Approval(teams=("finance",), timeout_sec=14_400),
    )


def vetoable(window_sec: int = 60, *, approval: Approval | None = None) -> Decision:
    return Decision(
        Effect.ALLOW_UNLESS_VETOED,
        "Reports go unless somebody objects",
        ("reports#on-the-loop",),
        SNAPSHOT,
        classification=Classification(is_classified=True, risk=Risk.MEDIUM),
        approval=approval or Approval(teams=("ops",)),
        veto_window_sec=window_sec,
    )


def key_of(call: ToolCall) -> str:
    return repeat_key(KEY, call, canonical, call.arguments)


def rows() -> GateRows:
    return GateRows(teller=Teller(KEY), ids=CountedIds(), ticket_key=KEY, repeat_key_of=key_of)


def gate(
    built: GateRows | None = None,
    *,
    may_stay: bool = True,
    stopped: Stopped | None = None,
    is_watched: IsWatched = lambda _: False,
) -> Gate:
    return Gate(
        built or rows(),
        stop_over=(stopped or Stopped()).over,
        reject_holds_sec=3600,
        reopen_within_sec=86_400,
        may_stay=may_stay,
        is_watched=is_watched,
    )


def stop_of(scope: StopScope = StopScope.ALL, target: str = "*", **more: Any) -> Stop:
    return replace(Stop("stop_1", scope, target, "reviewer:maria", "", T0), **more)


def response(text: str = "done", request_id: Any = 1) -> JsonObject:
    return {"jsonrpc": "2.0", "id": request_id, "result": {"content": [{"type": "text", "text": text}]}}


def clean(message: JsonObject) -> Inspection:
    return Inspection(Outcome.ALLOW, message)


def parked(
    built: GateRows, call: ToolCall | None = None, decision: Decision | None = None
) -> tuple[CallRecord, ReviewRecord]:
    """A call as it is kept while people are asked, and its review."""
    call = call or refund()
    event = CallReceived(call, decision or ask(), T0)
    record = built.call(event, CallState.WAITING)
    review = built.approval_review(record, event.decision, T0)
    return replace(record, review_id=review.id), review


def spendable(review: ReviewRecord) -> ReviewRecord:
    return replace(review, state=ReviewState.SPENDABLE, settled_at=T0 + 60, settled_by="maria")


def digest(value: object) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()
