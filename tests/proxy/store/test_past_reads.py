"""`proxy.store.past_reads`: asked by index, bounded, and believed only with a MAC that holds."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from proxy.store import past_reads
from proxy.store.base import Tampered
from review.model import CallState
from review.ports import Change, InsertCall
from tests.proxy.store.builders import T0, a_call, connection_to, sqlite_store

ACTION = ("demo", "payments", "refund")


async def test_actions_are_found_one_look_each_and_in_pages(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path)
    await store.open()
    for number, (agent, tool) in enumerate([("b", "x"), ("a", "y"), ("b", "x"), ("a", "x")]):
        await store.apply(Change(rows=(InsertCall(a_call(f"call_{number}", agent=agent, tool=tool)),)))
    first = await store.actions(("", "", ""), limit=2)
    assert first == [("a", "payments", "x"), ("a", "payments", "y")]
    assert await store.actions(first[-1], limit=2) == [("b", "payments", "x")]
    await store.close()


async def test_a_past_is_counts_by_step_hours_and_the_newest_dispatched_calls(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path)
    await store.open()
    for number, at in enumerate((T0 - 90_000, T0 - 50, T0 - 48, T0 - 1)):
        call = a_call(f"call_{number}", created_at=at, dispatched_at=None if number == 1 else at)
        await store.apply(Change(rows=(InsertCall(call),)))
    past = await store.past(ACTION, since_day=T0 - 86_400, since_hours=T0 - 1e6, limit=2)
    assert past.counts == ((T0 - 50, 2), (T0 - 5, 1))
    assert past.hours == (int((T0 - 90_000) // 3600), int((T0 - 50) // 3600))
    assert [call_id for call_id, _ in past.dispatched] == ["call_2", "call_3"]
    await store.close()


async def test_t12_a_forged_row_is_not_learned_from(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path)
    await store.open()
    await store.apply(Change(rows=(InsertCall(a_call(state=CallState.IN_DOUBT, dispatched_at=T0)),)))
    other = connection_to(tmp_path / "data" / "interlock.db")
    other.execute("UPDATE calls SET repeat_key = 'another'")
    other.close()
    with pytest.raises(Tampered):
        await store.ended_badly((math.inf, 0), since=0, limit=10)
    with pytest.raises(Tampered):
        await store.past(ACTION, since_day=0, since_hours=0, limit=10)
    await store.close()


async def test_the_questions_are_answered_by_their_indexes(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path)
    await store.open()
    await store.close()
    other = connection_to(tmp_path / "data" / "interlock.db")

    def plan(sql: str) -> str:
        return " ".join(row[3] for row in other.execute(f"EXPLAIN QUERY PLAN {sql}"))

    of_action = past_reads._OF_ACTION.replace("?", "'x'")
    assert "COVERING INDEX calls_by_action" in plan(f"SELECT created_at {of_action} AND created_at >= 1")
    assert "calls_ended_badly" in plan(f"SELECT id FROM calls WHERE {past_reads._BAD} AND updated_at >= 1")
    other.close()
