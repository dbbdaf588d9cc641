"""What every store does with a change of which a part is drawn (SEMANTICS §1.13)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from audit.entry import EntryKind
from proxy.store.base import Store
from review.model import CallState
from review.ports import Change, ChangeLost, Drawn, InsertReview, MoveCall
from tests.proxy.store.builders import a_review, an_entry, answered, decided
from tests.proxy.store.contract import Opened, all_entries, chain_holds, kinds

ANSWERED = frozenset({CallState.ANSWERED})


def drawn(falls_on: Callable[[bytes], bool], *, durable: bool = True) -> Change:
    """An answer whose sample keeps the outcome and opens a review."""
    kept = MoveCall("call_1", ANSWERED, CallState.ANSWERED, {"outcome": {"result": {"a": 1}}})
    sample = Drawn(
        falls_on, (kept, InsertReview(a_review("call_1", id="rev_s"))), (an_entry("call_1", EntryKind.REVIEW_OPENED),)
    )
    return replace(answered(), durable=durable, drawn=sample)


class DrawsContract(Opened):
    async def test_a_draw_is_asked_with_the_hash_of_the_change_s_last_entry(self, store: Store) -> None:
        asked: list[bytes] = []

        def never(entry_hash: bytes) -> bool:
            asked.append(entry_hash)
            return False

        await store.apply(decided())
        await store.apply(drawn(never))
        assert [found.hex() for found in asked] == [(await all_entries(store))[-1]["hash"]]

    @pytest.mark.parametrize("durable", [True, False])
    async def test_what_is_drawn_is_written_with_the_change_and_told_with_it(self, store: Store, durable: bool) -> None:
        told: list[Change | None] = []
        store.listen(told.append)
        await store.apply(decided())
        await store.apply(drawn(lambda _: True, durable=durable))
        await store.apply(Change(entries=(an_entry("call_1"),)))  # and what came before it is written
        call, review = await store.call("call_1"), await store.review("rev_s")
        assert call is not None
        assert (call.state, call.outcome, review is not None) == (CallState.ANSWERED, {"result": {"a": 1}}, True)
        assert (await kinds(store))[1:3] == ["call_answered", "review_opened"]
        rows = [row for change in told if change is not None for row in change.rows]
        assert any(isinstance(row, InsertReview) for row in rows)
        assert await chain_holds(store)

    @pytest.mark.parametrize("durable", [True, False])
    async def test_of_what_is_not_drawn_nothing_is_written(self, store: Store, durable: bool) -> None:
        await store.apply(decided())
        await store.apply(drawn(lambda _: False, durable=durable))
        await store.apply(Change(entries=(an_entry("call_1"),)))
        call = await store.call("call_1")
        assert call is not None
        assert (call.state, call.outcome) == (CallState.ANSWERED, None)
        assert await store.review("rev_s") is None
        assert (await kinds(store))[1] == "call_answered"
        assert await chain_holds(store)

    async def test_what_is_drawn_and_cannot_be_written_takes_the_change_with_it(self, store: Store) -> None:
        await store.apply(decided())
        lost = Drawn(lambda _: True, (MoveCall("call_9", ANSWERED, CallState.ANSWERED, {}),))
        with pytest.raises(ChangeLost):
            await store.apply(replace(answered(), drawn=lost))
        call = await store.call("call_1")
        assert call is not None
        assert call.state is CallState.DISPATCHING
        assert len(await kinds(store)) == 1
        assert await chain_holds(store)
