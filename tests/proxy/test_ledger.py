"""The record as those who watch it see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.entry import EntryDraft, EntryKind
from proxy.ledger import StoredLedger
from review.ports import Change, StoreDown
from tests.proxy.doctor.builders import store_of, subject


async def test_the_end_moves_with_every_entry_and_is_unknown_while_the_store_is_down(tmp_path: Path) -> None:
    store = store_of(subject(tmp_path))
    ledger = StoredLedger(store)
    with pytest.raises(StoreDown):
        await ledger.last()
    await store.open()
    try:
        assert await ledger.last() == 0
        for number in range(3):
            await store.apply(Change(entries=(EntryDraft(EntryKind.CALL_NOTED, 5.0, "gate", "call_1", {"n": number}),)))
        assert await ledger.last() == 3
        assert [entry["seq"] async for entry in ledger.entries(since_seq=1, limit=5)] == [2, 3]
        assert [entry["body"]["n"] for entry in await ledger.entries_for("call_1", limit=2)] == [0, 1]
    finally:
        await store.close()
