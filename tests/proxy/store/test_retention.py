"""`proxy.store.retention`: what stays of a decision, and what becomes of forged rows; the rest is in the contract."""

from __future__ import annotations

from typing import Any

import pytest

from audit.chain import START, prepare
from policies.model import Classification, Decision, Effect, TraceStep
from proxy.store import reads
from proxy.store.base import Tampered
from proxy.store.retention import _ENDED, erase_some, without_values
from proxy.store.transaction import commit_batch
from review.decisions import to_json
from review.model import CallState
from tests.proxy.store.builders import T0, an_entry, decided, fresh, preparing, rows

ROWS = rows()


def test_nothing_that_was_read_from_the_call_stays_of_a_decision() -> None:
    step = TraceStep("refunds", "ask", True, Effect.REQUIRE_APPROVAL, "98765 > 100", {"amount": 98765}, "bad 98765")
    decision = Decision(
        Effect.REQUIRE_APPROVAL,
        "Refunds over 100 need a person",
        ("refunds#ask",),
        "v1:b4e2c1",
        Classification(True, frozenset({"job.refund"})),
        (step,),
        facts={"amount": 98765},
        errors=("98765 is odd",),
    )
    whole = to_json(decision)
    kept = without_values(whole)
    assert "98765" not in str(kept)
    assert kept == {key: value for key, value in whole.items() if key not in ("facts", "errors", "trace")} | {
        "trace": [{"policy": "refunds", "rule": "ask", "matched": True, "effect": "require_approval"}]
    }


@pytest.mark.parametrize("decision", [{}, {"trace": None}, {"trace": "odd"}, {"trace": ["odd", 1]}])
def test_a_decision_of_another_form_loses_what_is_not_known(decision: dict[str, Any]) -> None:
    assert without_values(decision) in ({}, {"trace": []})


def test_every_state_either_ended_or_wants_something() -> None:
    wants = {CallState.WAITING, CallState.DISPATCHING, CallState.IN_DOUBT, CallState.QUARANTINED}
    assert set(_ENDED) == set(CallState) - wants


def test_a_forged_row_loses_its_values_stays_unbelieved_and_holds_up_nobody() -> None:
    database = fresh()
    works = [preparing(ROWS).change(decided(name, state=CallState.CLOSED)).work for name in ("forged", "honest")]
    head = commit_batch(database, works, START, ROWS).head
    database.execute("UPDATE calls SET agent = 'somebody else' WHERE id = 'forged'")
    told: list[Any] = []

    def entry(before: float, calls: list[str], forged: list[str]) -> Any:
        told.append((before, calls, forged))
        return prepare(an_entry(None), node="n", boot="b")

    committed = commit_batch(database, [erase_some(ROWS, T0 + 1, T0 + 2, entry)] * 2, head, ROWS)
    assert (committed.results, committed.refused) == ([2, 0], {})
    assert told == [(T0 + 1, ["forged", "honest"], ["forged"])]
    assert database.execute(
        "SELECT count(*) FROM calls WHERE proposed IS NULL AND erased_at = ?", (T0 + 2,)
    ).fetchone() == (2,)
    honest = reads.call(database, ROWS, "honest")
    assert honest is not None
    assert honest.proposed is None
    with pytest.raises(Tampered):
        reads.call(database, ROWS, "forged")
    database.close()
