"""What every store must do: the tests each implementation passes, by inheriting `StoreContract`.

Rules of this module:
* Only the port's words (`proxy/store/base.py`): nothing here knows how a store keeps anything.
* `contract_lists.py` and `contract_people.py` have the rest.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from audit.chain import verify_run
from audit.entry import EntryKind
from proxy.store.base import Store
from review.model import CallState, ReviewState
from review.ports import (
    Change,
    ChangeLost,
    InsertReview,
    InsertVote,
    MoveCall,
    MoveReview,
    StoreDown,
)
from tests.proxy.store.builders import (
    T0,
    a_call,
    a_review,
    a_vote,
    a_waiting_call,
    an_entry,
    answered,
    approved,
    decided,
    opened,
    spent,
)

type Open = Callable[[], Awaitable[Store]]

PARKED = frozenset({ReviewState.PARKED})
WAITING = frozenset({CallState.WAITING})


async def all_entries(store: Store) -> list[dict[str, Any]]:
    return [entry async for entry in store.entries(limit=100_000)]


async def kinds(store: Store) -> list[str]:
    return [entry["kind"] for entry in await all_entries(store)]


async def chain_holds(store: Store) -> bool:
    """The record verifies from its first entry to the head the store names."""
    lines = [line async for line in store.entry_lines(limit=100_000)]  # type: ignore[attr-defined]
    entries = await all_entries(store)
    head = verify_run((entry["seq"], line, entry["hash"]) for entry, line in zip(entries, lines, strict=True))
    health = await store.health()
    return (head.seq, head.hash) == (health.entries, health.head)


class Opened:
    """One open store a test. An implementation provides the fixture `reopen`: each call opens the same data anew."""

    @pytest.fixture
    async def store(self, reopen: Open) -> AsyncIterator[Store]:
        store = await reopen()
        yield store
        await store.close()


class StoreContract(Opened):
    """Calls and reviews: atomic changes, races, what survives."""

    # --- one change, all or nothing

    async def test_p13_a_change_writes_its_rows_and_its_entries(self, store: Store) -> None:
        await store.apply(opened())
        call, review = a_waiting_call(), a_review()
        assert await store.call("call_1") == call
        assert await store.review("rev of call_1") == review
        assert await kinds(store) == ["call_decided", "review_opened"]
        assert await chain_holds(store)

    async def test_what_is_not_there_is_none(self, store: Store) -> None:
        assert await store.call("nobody") is None
        assert await store.review("nobody") is None
        assert await store.votes("nobody") == []
        assert await store.entries_for("nobody") == []

    async def test_p13_a_lost_move_writes_nothing_of_its_change(self, store: Store) -> None:
        await store.apply(opened())
        with pytest.raises(ChangeLost) as lost:
            await store.apply(spent())  # the review is parked, not spendable
        assert (lost.value.table, lost.value.row_id, lost.value.found) == ("reviews", "rev of call_1", "parked")
        assert (await store.call("call_1")) == a_waiting_call()
        assert await kinds(store) == ["call_decided", "review_opened"]

    async def test_p13_a_change_lost_at_its_last_row_leaves_nothing_of_the_first(self, store: Store) -> None:
        await store.apply(opened())
        move = MoveReview("rev of call_1", PARKED, ReviewState.REJECTED)
        other = MoveCall("call_1", frozenset({CallState.ANSWERED}), CallState.CLOSED)
        with pytest.raises(ChangeLost):
            await store.apply(Change(rows=(move, other), entries=(an_entry(),)))
        assert (await store.review("rev of call_1")) == a_review()
        assert len(await kinds(store)) == 2

    async def test_a_move_of_what_is_not_there_is_lost(self, store: Store) -> None:
        with pytest.raises(ChangeLost) as lost:
            await store.apply(answered("nobody"))
        assert (lost.value.table, lost.value.row_id, lost.value.found) == ("calls", "nobody", None)

    async def test_a_move_sets_its_fields_state_and_version(self, store: Store) -> None:
        await store.apply(decided())
        await store.apply(answered(outcome={"result": {"n": 1}}, inspection={"why": ""}))
        assert await store.call("call_1") == replace(
            a_call(),
            state=CallState.ANSWERED,
            version=2,
            updated_at=T0 + 2,
            answered_at=T0 + 2,
            delivered_at=T0 + 2,
            outcome_kind="allow",
            outcome={"result": {"n": 1}},
            inspection={"why": ""},
        )

    async def test_a_field_that_is_set_to_none_is_none(self, store: Store) -> None:
        await store.apply(decided(outcome={"kept": True}, failure="x"))
        await store.apply(answered(outcome=None, failure=None))
        call = await store.call("call_1")
        assert call is not None
        assert (call.outcome, call.failure) == (None, None)

    async def test_a_move_that_asks_for_a_version_is_lost_at_another(self, store: Store) -> None:
        await store.apply(opened())
        claim = MoveReview("rev of call_1", PARKED, ReviewState.PARKED, {"claimed_by": "maria"}, version=1)
        await store.apply(Change(rows=(claim,), entries=(an_entry(),)))
        with pytest.raises(ChangeLost) as lost:
            await store.apply(Change(rows=(claim,), entries=(an_entry(),)))
        assert lost.value.found == "parked at version 2"

    async def test_a_second_call_of_one_id_is_lost(self, store: Store) -> None:
        await store.apply(decided())
        with pytest.raises(ChangeLost) as lost:
            await store.apply(decided(agent="somebody else"))
        assert (lost.value.table, lost.value.found) == ("calls", "dispatching")
        assert await store.call("call_1") == a_call()

    async def test_a_second_review_of_one_id_is_lost(self, store: Store) -> None:
        await store.apply(opened())
        with pytest.raises(ChangeLost) as lost:
            await store.apply(Change(rows=(InsertReview(a_review(nonce="another")),), entries=(an_entry(),)))
        assert (lost.value.table, lost.value.found) == ("reviews", "parked")

    async def test_a_review_of_a_call_that_is_not_there_is_lost(self, store: Store) -> None:
        with pytest.raises(ChangeLost) as lost:
            await store.apply(Change(rows=(InsertReview(a_review()),), entries=(an_entry(),)))
        assert (lost.value.table, lost.value.row_id, lost.value.found) == ("calls", "call_1", None)

    async def test_a_vote_on_a_review_that_is_not_there_is_lost(self, store: Store) -> None:
        with pytest.raises(ChangeLost) as lost:
            await store.apply(Change(rows=(InsertVote(a_vote()),), entries=(an_entry(),)))
        assert (lost.value.table, lost.value.found) == ("reviews", None)

    async def test_a_change_may_move_what_it_has_just_inserted(self, store: Store) -> None:
        insert = opened()
        move = MoveReview("rev of call_1", PARKED, ReviewState.APPROVING, {"claimed_by": "maria"})
        vote = InsertVote(a_vote())
        await store.apply(Change(rows=(*insert.rows, move, vote), entries=insert.entries))
        assert await store.review("rev of call_1") == replace(
            a_review(), state=ReviewState.APPROVING, claimed_by="maria", version=2
        )
        assert await store.votes("rev of call_1") == [a_vote()]

    @pytest.mark.parametrize(
        "fields", [{"nonsense": 1}, {"state": "answered"}, {"version": 7}, {"id": "x"}, {"mac": b""}]
    )
    async def test_a_move_sets_only_fields_of_the_record(self, store: Store, fields: dict[str, Any]) -> None:
        await store.apply(decided())
        with pytest.raises(ValueError):
            await store.apply(answered(**fields))
        assert await store.call("call_1") == a_call()

    @pytest.mark.parametrize(
        "changes",
        [
            {"created_at": float("nan")},
            {"labels": {"x": float("inf")}},
            {"agent": "\ud800"},
            {"proposed": {"arguments": object()}},
            {"agent": None},
            {"version": 2**70},
            {"tool": b"bytes"},
        ],
    )
    async def test_a_value_that_cannot_be_kept_refuses_its_change_alone(
        self, store: Store, changes: dict[str, Any]
    ) -> None:
        bad = store.apply(decided("bad", **changes))
        results = await asyncio.gather(
            store.apply(decided("call_1")), bad, store.apply(decided("call_2")), return_exceptions=True
        )
        assert [type(result) for result in results][::2] == [type(None), type(None)]
        assert isinstance(results[1], ValueError | TypeError | OverflowError)
        assert await store.call("bad") is None
        assert await kinds(store) == ["call_decided", "call_decided"]
        assert await chain_holds(store)

    async def test_an_entry_that_cannot_be_canonical_refuses_its_change(self, store: Store) -> None:
        change = replace(decided(), entries=(an_entry(number=2**60),))
        with pytest.raises(ValueError, match="canonical JSON"):
            await store.apply(change)
        assert await store.call("call_1") is None

    async def test_values_come_back_as_they_went_in(self, store: Store) -> None:
        kept = {"z": 1, "a": [1.5, "é\u2028\x00", None, True, {"": {}}], "big": 2**63, "m": -0.5}
        await store.apply(decided(proposed={"arguments": kept}, outcome=[kept], labels=kept, inspection=kept))
        call = await store.call("call_1")
        assert call is not None
        assert call.proposed == {"arguments": kept}
        assert list(call.proposed["arguments"]) == ["z", "a", "big", "m"]  # the tool sees the order it was sent in
        assert (call.outcome, call.labels, call.inspection) == ([kept], kept, kept)

    # --- racing and order

    async def test_p04_of_a_hundred_racing_spends_one_wins_and_the_chain_has_no_gap(self, store: Store) -> None:
        await store.apply(opened())
        await store.apply(approved())
        results = await asyncio.gather(
            *(store.apply(spent(by=f"racer {number}")) for number in range(100)), return_exceptions=True
        )
        assert sum(result is None for result in results) == 1
        assert all(isinstance(result, ChangeLost) for result in results if result is not None)
        assert (await kinds(store)).count("grant_spent") == 1
        assert await chain_holds(store)

    async def test_a_lost_change_leaves_its_neighbours_intact(self, store: Store) -> None:
        for number in range(20):
            await store.apply(opened(f"call_{number}"))
        results = await asyncio.gather(
            *(store.apply(approved(f"call_{number % 20}")) for number in range(40)), return_exceptions=True
        )
        assert [result is None for result in results] == [True] * 20 + [False] * 20
        for number in range(20):
            review = await store.review(f"rev of call_{number}")
            assert review is not None
            assert (review.state, review.version) == (ReviewState.SPENDABLE, 2)
        assert await chain_holds(store)

    async def test_changes_are_written_in_the_order_they_came(self, store: Store) -> None:
        await asyncio.gather(*(store.apply(Change(entries=(an_entry(None, n=number),))) for number in range(200)))
        entries = await all_entries(store)
        assert [entry["body"]["n"] for entry in entries] == list(range(200))
        assert [entry["seq"] for entry in entries] == list(range(1, 201))

    async def test_a_change_nobody_waits_for_is_written_before_those_that_follow(self, store: Store) -> None:
        await store.apply(replace(decided(), durable=False))
        store.submit(Change(entries=(an_entry(None, EntryKind.CALL_NOTED),), durable=False))
        await store.apply(answered())
        call = await store.call("call_1")
        assert call is not None
        assert call.state is CallState.ANSWERED
        assert await kinds(store) == ["call_decided", "call_noted", "call_answered"]

    async def test_a_read_sees_what_was_accepted_before_it(self, store: Store) -> None:
        store.submit(decided())
        assert await store.call("call_1") == a_call()
        await store.apply(replace(answered(), durable=False))
        call = await store.call("call_1")
        assert call is not None
        assert call.state is CallState.ANSWERED
        assert len(await store.entries_for("call_1")) == 2

    async def test_a_change_nobody_waits_for_may_be_lost_without_harm(self, store: Store) -> None:
        store.submit(answered("nobody"))
        await store.apply(decided())
        assert await kinds(store) == ["call_decided"]

    async def test_a_cancelled_request_leaves_no_transaction_open(self, store: Store) -> None:
        """Traps T9: whatever the moment, the change is written whole or not at all, and the next one is not in it."""
        chance = random.Random(7)
        for number in range(60):
            asked = asyncio.ensure_future(store.apply(opened(f"call_{number}")))
            for _ in range(chance.randrange(6)):
                await asyncio.sleep(0)
            asked.cancel()
            await asyncio.wait([asked])
        await store.apply(decided("after"))
        for number in range(60):
            call, review = await store.call(f"call_{number}"), await store.review(f"rev of call_{number}")
            assert (call is None) is (review is None)
        assert await store.call("after") is not None
        assert await chain_holds(store)

    async def test_what_was_accepted_is_written_although_its_request_was_cancelled(self, store: Store) -> None:
        asked = asyncio.ensure_future(store.apply(decided()))
        await asyncio.sleep(0)  # accepted now
        asked.cancel()
        await store.apply(Change(entries=(an_entry(None),)))
        assert await store.call("call_1") == a_call()

    # --- keeping

    async def test_everything_is_there_after_opening_anew(self, reopen: Open) -> None:
        store = await reopen()
        await store.apply(opened())
        await store.apply(approved())
        await store.apply(spent())
        before = (await store.call("call_1"), await store.review("rev of call_1"), await all_entries(store))
        await store.close()
        store = await reopen()
        assert (await store.call("call_1"), await store.review("rev of call_1"), await all_entries(store)) == before
        await store.apply(answered())
        assert await chain_holds(store)
        boots = [entry["boot"] for entry in await all_entries(store)]
        assert len(set(boots[:-1])) == 1
        assert boots[-1] != boots[0]
        await store.close()

    async def test_a_closed_store_refuses_everything(self, reopen: Open) -> None:
        store = await reopen()
        await store.close()
        await store.close()
        with pytest.raises(StoreDown, match="closed"):
            await store.apply(decided())
        with pytest.raises(StoreDown):
            store.submit(decided())
        with pytest.raises(StoreDown):
            await store.call("call_1")
        assert (await store.health()).is_writable is False

    async def test_closing_writes_what_was_accepted(self, reopen: Open) -> None:
        store = await reopen()
        for number in range(300):
            store.submit(decided(f"call_{number}"))
        await store.close()
        store = await reopen()
        assert (await store.health()).entries == 300
        await store.close()
