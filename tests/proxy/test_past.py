"""After a restart the facts are what they were: read back from the calls the store has kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit.entry import EntryKind
from policies.model import ToolCall
from proxy import past
from proxy.events import CallReceived
from proxy.history import History
from proxy.past import rebuild
from proxy.store.sqlite import SqliteStore
from redaction.model import Inspection, Outcome
from review.model import CallState, ReviewState
from review.ports import Change, InsertCall, InsertReview, MoveCall, MoveReview
from tests.proxy.builders import T0, allow, deny, key_of, parked, refund, response, rows
from tests.proxy.store.builders import sqlite_store

ERROR: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "result": {"isError": True, "content": []}}
ASKED = [refund(amount) for amount in (90, 95, 777, 5, 12, 90_000)] + [refund(tool="other"), refund(agent="new")]


class Gate:
    """A store and the history that hears of it."""

    def __init__(self, store: SqliteStore) -> None:
        self.now = T0
        self.rows, self.store = rows(), store
        self.history = self.empty()
        store.listen(self.history.heard)

    def empty(self) -> History:
        return History(repeat_key_of=key_of, clock=lambda: self.now)

    async def call(self, call: ToolCall, message: dict[str, Any] | None = None) -> None:
        self.now += 7
        event = CallReceived(call, allow(), self.now)
        self.history.counted(call)
        record = self.rows.call(event, CallState.DISPATCHING)
        await self.store.apply(self.rows.decided(record, event))
        clean = Inspection(Outcome.ALLOW, message or response())
        change = self.rows.answered(record, clean, self.now, delivered=True)
        self.history.heard(change)
        await self.store.apply(change)

    async def denied(self, call: ToolCall) -> None:
        event = CallReceived(call, deny(), self.now)
        self.history.counted(call)
        await self.store.apply(self.rows.decided(self.rows.call(event, CallState.DENIED), event))

    async def asked(self, call: ToolCall, fate: ReviewState) -> None:
        record, review = parked(self.rows, call)
        record = replace(record, created_at=self.now, updated_at=self.now)
        self.history.counted(call)
        await self.store.apply(Change(rows=(InsertCall(record), InsertReview(review))))
        closed = MoveCall(record.id, frozenset({CallState.WAITING}), CallState.CLOSED, {"updated_at": self.now})
        await self.store.apply(Change(rows=(MoveReview(review.id, frozenset({review.state}), fate, {}), closed)))
        if fate is not ReviewState.REJECTED:
            return
        entry = self.rows.teller.simple(EntryKind.CALL_REATTACHED, record.id, self.now, got="same_rejection")
        again = Change(entries=(entry,), durable=False)
        self.history.heard(again)
        await self.store.apply(again)


@pytest.fixture
async def gate(tmp_path: Path) -> Any:
    store = sqlite_store(tmp_path)
    await store.open()
    yield Gate(store)
    await store.close()


async def test_a_restart_keeps_tries_first_times_counts_and_what_is_usual(gate: Gate) -> None:
    for number in range(30):
        await gate.call(refund(80 + number), ERROR if number in (10, 15) else None)
    await gate.call(refund(90), ERROR)
    await gate.denied(refund(777))
    await gate.denied(refund(777))
    await gate.asked(refund(5), ReviewState.REJECTED)
    await gate.asked(refund(12), ReviewState.LAPSED)
    again = gate.empty()
    assert await rebuild(again, gate.store, gate.now) == 1
    for call in ASKED:
        assert again.facts(call) == gate.history.facts(call)
    assert [again.facts(call)["retry_count"] for call in ASKED[:5]] == [2, 1, 2, 2, 0]
    assert again.facts(ASKED[0])["calls_last_hour"] == 35
    assert again.facts(ASKED[0])["first_time_action"] is False
    assert again.facts(ASKED[5])["anomaly_score"] == 1


async def test_p14_a_start_reads_back_no_more_than_its_bounds(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        await gate.call(refund(number, tool=f"tool {number % 3}"), ERROR)
    monkeypatch.setattr(past, "_ACTIONS_READ_MAX", 2)
    monkeypatch.setattr(past, "_ENDED_BADLY_MAX", 0)
    again = gate.empty()
    assert await rebuild(again, gate.store, gate.now) == 2
    assert [again.facts(refund(n, tool=f"tool {n % 3}"))["first_time_action"] for n in range(3)] == [False, False, True]
    assert again.facts(refund(0, tool="tool 0"))["retry_count"] == 0
