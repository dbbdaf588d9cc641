"""How the gate tells the record what happened: entries whose bodies hold commitments and labels, never values.

Rules of this module:
* Pure: the key and every time are arguments. Arguments and outputs appear only as keyed commitments (traps T27).
* A body is small and flat, with ASCII keys and no floats, so that its canonical form is cheap (traps §1).
"""

from __future__ import annotations

from typing import Any

from audit.entry import EntryDraft, EntryKind
from audit.masks import commit
from policies.constraints import said
from policies.model import Decision, JsonObject, ToolCall
from redaction.model import Inspection
from review.model import CallRecord, ReviewRecord, ReviewState


class Teller:
    """Builds entries with the installation's commitment key."""

    def __init__(self, commit_key: bytes) -> None:
        self._key = commit_key

    def commitment(self, value: object) -> str:
        return commit(self._key, value)

    def decided(
        self,
        call_id: str,
        call: ToolCall,
        proposed: JsonObject,
        decision: Decision,
        at: float,
        *,
        dispatched: bool,
        proposed_digest: str | None = None,
    ) -> EntryDraft:
        """The decision, and whether it is also the dispatch mark (an allowed call: one entry says both).

        `proposed_digest` is the commitment to `proposed`, where it has been made already.
        """
        body: dict[str, Any] = {
            "server": call.server,
            "tool": call.tool,
            "effect": decision.effect.value,
            "rules": list(decision.determining),
            "snapshot": decision.snapshot,
            "proposed": proposed_digest if proposed_digest is not None else self.commitment(proposed),
            "dispatched": dispatched,
        }
        if call.method != "tools/call":
            body["method"] = call.method
        if call.session is not None:
            body["session"] = self.commitment(call.session)
        if call.definition is not None:
            body["definition"] = call.definition.digest
        if call.agent.on_behalf_of is not None:
            body["on_behalf_of"] = self.commitment(call.agent.on_behalf_of)
        if decision.constraints:
            body["constraints"] = [
                {"kind": one.kind, "value": said(one.value), "rule": one.rule} for one in decision.constraints
            ]
        if decision.errors:
            body["errors"] = len(decision.errors)
        return EntryDraft(EntryKind.CALL_DECIDED, at, f"agent:{call.agent.id}", call_id, body)

    def review_opened(self, review: ReviewRecord, at: float, *, why: str) -> EntryDraft:
        body: dict[str, Any] = {
            "review": review.id,
            "kind": review.kind.value,
            "teams": list(review.approval.teams),
            "rules": list(review.answered_rules),
            "binding": review.binding,
            "expires_at": int(review.expires_at),
            "why": why,
        }
        if review.state is ReviewState.VETOABLE:
            body["goes_by_itself"] = True
        return EntryDraft(EntryKind.REVIEW_OPENED, at, "gate", review.call_id, body)

    def spent(self, record: CallRecord, review: ReviewRecord, snapshot: str, at: float) -> EntryDraft:
        """The dispatch mark of an approved call; names both snapshots where they differ (SEMANTICS §2.3)."""
        body = {
            "review": review.id,
            "binding": review.binding,
            "snapshot": snapshot,
            "asked_under": record.snapshot,
            "sent": self.commitment(record.to_send),
        }
        return EntryDraft(EntryKind.GRANT_SPENT, at, "gate", record.id, body)

    def voided(self, record: CallRecord, review: ReviewRecord, snapshot: str, at: float, *, why: str) -> EntryDraft:
        body = {"review": review.id, "snapshot": snapshot, "asked_under": record.snapshot, "why": why}
        return EntryDraft(EntryKind.REVIEW_VOIDED, at, "gate", record.id, body)

    def answered(
        self, call_id: str, response: JsonObject, inspection: Inspection, at: float, *, lot: JsonObject | None = None
    ) -> EntryDraft:
        """What came back, and the call's `lot` in the draw of samples, if it takes part."""
        body: dict[str, Any] = {
            "outcome": inspection.outcome.value,
            "is_error": is_error(response),
        }
        if inspection.findings:
            body["findings"] = sorted({finding.kind for finding in inspection.findings})
        if inspection.redactions:
            body["redacted"] = [{"kind": one.kind, "action": one.action} for one in inspection.redactions[:50]]
            body["redacted_count"] = len(inspection.redactions)
        if inspection.why:
            body["why"] = inspection.why
        if lot is not None:
            body["sample"] = lot
        return EntryDraft(EntryKind.CALL_ANSWERED, at, "gate", call_id, body)

    def simple(self, kind: EntryKind, call_id: str, at: float, *, actor: str = "gate", **body: Any) -> EntryDraft:
        return EntryDraft(kind, at, actor, call_id, body)


def is_error(response: JsonObject) -> bool:
    """Whether a tool's response says that it did not do what was asked."""
    return "error" in response or (response.get("result") or {}).get("isError") is True


def inspection_json(inspection: Inspection) -> JsonObject:
    """What was seen and done, without values, for the call's page."""
    return {
        "outcome": inspection.outcome.value,
        "why": inspection.why,
        "findings": [
            {
                "path": finding.path,
                "kind": finding.kind,
                "detector": finding.detector,
                "score": finding.score,
                "start": finding.start,
                "end": finding.end,
            }
            for finding in inspection.findings[:500]
        ],
        "redactions": [
            {"field": one.path, "kind": one.kind, "action": one.action, "reason": one.reason}
            for one in inspection.redactions[:500]
        ],
    }
