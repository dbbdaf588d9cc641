"""Entries tell what happened, in commitments and labels; the kept decision tells reviewers why."""

from __future__ import annotations

from dataclasses import replace

from audit.entry import EntryKind
from policies.model import Agent
from proxy.telling import Teller, inspection_json
from redaction.model import Finding, Inspection, Outcome, Redaction
from tests.proxy.builders import KEY, SNAPSHOT, T0, allow, ask, parked, refund, response, rows

TELLER = Teller(KEY)


def test_a_decisions_entry_names_rules_and_snapshot_and_holds_no_value() -> None:
    call = replace(refund(98_765), agent=Agent("demo", on_behalf_of="ann@example.com"))
    entry = TELLER.decided("call_1", call, {"arguments": call.arguments}, ask(), T0, dispatched=False)
    assert (entry.kind, entry.actor, entry.call_id, entry.at) == (EntryKind.CALL_DECIDED, "agent:demo", "call_1", T0)
    assert entry.body["effect"] == "require_approval"
    assert entry.body["rules"] == ["refunds#require-approval-over-100"]
    assert entry.body["snapshot"] == SNAPSHOT
    assert entry.body["definition"] == "d1"
    text = str(entry.body)
    assert "98765" not in text
    assert "ann@example.com" not in text


def test_p10_a_decision_with_errors_says_how_many_and_another_method_is_named() -> None:
    call = refund(method="resources/read", session=None, definition=None)
    entry = TELLER.decided("c", call, {}, replace(allow(), errors=("boom",)), T0, dispatched=True)
    assert (entry.body["errors"], entry.body["method"]) == (1, "resources/read")
    assert "session" not in entry.body
    assert "definition" not in entry.body


def test_t27_equal_arguments_have_equal_commitments_only_under_the_same_key() -> None:
    assert TELLER.commitment({"amount": 7}) == TELLER.commitment({"amount": 7})
    assert TELLER.commitment({"amount": 7}) != TELLER.commitment({"amount": 8})
    assert TELLER.commitment({"amount": 7}) != Teller(b"x" * 32).commitment({"amount": 7})


def test_a_spent_grants_entry_names_both_snapshots() -> None:
    record, review = parked(rows())
    body = TELLER.spent(record, review, "v1:newer", T0).body
    assert (body["snapshot"], body["asked_under"]) == ("v1:newer", SNAPSHOT)
    assert body["binding"] == review.binding


def test_an_answers_entry_tells_kinds_and_actions_and_never_values_or_paths_with_values() -> None:
    inspection = Inspection(
        Outcome.REDACT,
        response(),
        (Finding("response.ssn", "US_SSN", "presidio"), Finding("response.x", "EMAIL_ADDRESS", "presidio")),
        (Redaction("response.ssn", "US_SSN", "replaced with [REDACTED]", "PII detected"),),
        "two findings",
    )
    body = TELLER.answered("c", response(), inspection, T0).body
    assert body == {
        "outcome": "redact",
        "is_error": False,
        "findings": ["EMAIL_ADDRESS", "US_SSN"],
        "redacted": [{"kind": "US_SSN", "action": "replaced with [REDACTED]"}],
        "redacted_count": 1,
        "why": "two findings",
    }


def test_an_error_is_told_as_one() -> None:
    clean = Inspection(Outcome.ALLOW, None)
    failed = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "x"}}
    assert TELLER.answered("c", failed, clean, T0).body["is_error"] is True
    told = {"jsonrpc": "2.0", "id": 1, "result": {"content": [], "isError": True}}
    assert TELLER.answered("c", told, clean, T0).body["is_error"] is True


def test_what_is_kept_of_an_inspection_has_paths_and_kinds_and_no_values() -> None:
    finding = Finding("response.ssn", "US_SSN", "presidio", 0.85, 0, 11)
    kept = inspection_json(Inspection(Outcome.QUARANTINE, None, (finding,), (), "why"))
    assert kept["findings"] == [
        {"path": "response.ssn", "kind": "US_SSN", "detector": "presidio", "score": 0.85, "start": 0, "end": 11}
    ]
    assert kept["outcome"] == "quarantine"
