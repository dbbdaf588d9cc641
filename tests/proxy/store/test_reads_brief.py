"""Lists of large calls: what they leave out is neither opened nor carried, and all they believe is still checked."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.store.base import Tampered
from proxy.store.sealing import Sealer
from proxy.store.sqlite import SqliteStore
from review import exact
from review.board import QueueName, Sought
from review.console import queues, views
from review.inbox import Inbox
from review.model import CallState
from review.ports import Change, InsertCall, InsertReview
from tests.proxy.store.builders import a_review, a_waiting_call, an_entry, decided, sqlite_store
from tests.review.builders import World, person

MB = 1_000_000


def large(call_id: str, size: int = MB) -> Change:
    call = a_waiting_call(call_id, proposed={"arguments": {"amount": 5, "text": "x" * size}})
    return Change(rows=(InsertCall(call), InsertReview(a_review(call_id))), entries=(an_entry(call_id),))


async def opened_store(directory: Path) -> SqliteStore:
    store = sqlite_store(directory)
    await store.open()
    return store


async def test_large_arguments_are_not_opened_for_a_list_and_whole_under_the_call_s_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opened_store(tmp_path)
    await store.apply(large("call_1"))
    opened: list[int] = []
    open_sealed = Sealer.open

    def counted(sealer: Sealer, table: str, row_id: str, column: str, sealed: bytes) -> bytes:
        opened.append(len(sealed))
        return open_sealed(sealer, table, row_id, column, sealed)

    monkeypatch.setattr(Sealer, "open", counted)
    for listed in (await store.open_reviews(), await store.listed(["rev of call_1"])):
        (one,) = listed
        assert (one.call.proposed, one.call.left_out.size_bytes > MB) == (None, True)  # type: ignore[union-attr]
    (session,) = await store.session_calls("demo", "s1", limit=5)
    assert session.left_out is not None
    assert max(opened) < 1_000
    whole = await store.call("call_1")
    assert whole is not None
    assert (whole.left_out, whole.proposed) == (None, {"arguments": {"amount": 5, "text": "x" * MB}})
    await store.close()


async def test_t12_a_list_still_checks_what_it_does_not_open(tmp_path: Path) -> None:
    store = await opened_store(tmp_path)
    for call_id in ("call_1", "call_2"):
        await store.apply(large(call_id))
    await store.close()
    with sqlite3.connect(tmp_path / "data" / "interlock.db") as other:
        theirs = "(SELECT proposed FROM calls WHERE id = 'call_2')"
        other.execute(f"UPDATE calls SET proposed = {theirs} WHERE id = 'call_1'")
    store = await opened_store(tmp_path)
    with pytest.raises(Tampered):
        await store.open_reviews()
    await store.close()


async def test_an_output_is_in_no_list(tmp_path: Path) -> None:
    store = await opened_store(tmp_path)
    await store.apply(decided("call_1", outcome={"result": {"text": "secret"}}))
    (found,) = await store.calls_in([CallState.DISPATCHING])
    assert (found.outcome, found.left_out) == (None, None)
    await store.close()


@pytest.mark.long
async def test_p14_lists_over_a_thousand_parked_calls_of_a_megabyte_each_stay_small(tmp_path: Path) -> None:
    store = await opened_store(tmp_path)
    for begin in range(0, 1_000, 20):
        await asyncio.gather(*(store.apply(large(f"call_{begin + n:04}")) for n in range(20)))
    world = World()
    world.inbox = Inbox(replace(world.desk, records=store))
    listed = await world.inbox.queue()
    assert len(listed.waiting) == 500
    assert len(exact.text(views.queue_data(listed))) < 1 * MB
    page = await world.inbox.page(person("anna"), Sought(queue=QueueName.WAITING, limit=200))
    assert (page.total, len(page.items)) == (1_000, 200)
    assert len(exact.text(queues.page_data(page))) < MB // 2
    await store.close()
