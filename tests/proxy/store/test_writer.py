"""`proxy.store.writer`: order, limits, and what happens when the database fails."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from audit.chain import START
from proxy.store.base import StoreBusy
from proxy.store.connection import Connection, open_reader, open_writer
from proxy.store.transaction import Transaction, Work
from proxy.store.writer import Writer, WriterLimits, checkpoint
from review.ports import ChangeLost, StoreDown
from tests.proxy.store.builders import answered, decided, opening, preparing, rows

ROWS = rows()
PREPARING = preparing(ROWS)


@dataclass
class Running:
    writer: Writer
    connection: Connection
    path: Path
    downs: list[str] = field(default_factory=list)

    def log_bytes(self) -> int:
        return Path(f"{self.path}-wal").stat().st_size


@asynccontextmanager
async def running(tmp_path: Path, **limits: Any) -> AsyncIterator[Running]:
    path = tmp_path / "x.db"
    path.touch()
    connection = await open_writer(path)
    opened = await connection.run(opening())
    downs: list[str] = []
    writer = Writer(connection, opened.head, ROWS, WriterLimits(**{"idle_sec": 60.0, **limits}), downs.append)
    writer.start()
    yield Running(writer, connection, path, downs)
    await writer.close()
    await connection.close()


@dataclass
class Gate:
    """Work that holds the writer until it is opened."""

    begun: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def work(self) -> Work:
        def wait(_transaction: Transaction) -> None:
            self.begun.set()
            assert self.go_on.wait(10)

        return Work(wait)

    async def is_held(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, 10)


def noting(seen: list[Any], name: Any) -> Work:
    return Work(lambda _transaction: seen.append(name))


async def test_items_are_worked_in_the_order_they_were_accepted_however_they_were(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        seen: list[Any] = []
        futures = []
        for number in range(50):
            if number % 3:
                futures.append(run.writer.submit(noting(seen, number)))
            else:
                run.writer.post(noting(seen, number))
        await asyncio.gather(*futures)
        await run.writer.submit(noting(seen, "last"))
        assert seen == [*range(50), "last"]


async def test_a_future_ends_with_the_result_or_the_refusal_of_its_item(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        good, bad = run.writer.submit(Work(lambda _: 42)), run.writer.submit(PREPARING.change(answered("nobody")).work)
        assert await good == 42
        with pytest.raises(ChangeLost):
            await bad


async def test_the_head_moves_when_a_batch_is_durable(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        assert run.writer.head == START
        await run.writer.submit(PREPARING.change(decided()).work)
        assert run.writer.head.seq == 1


async def test_what_comes_while_one_batch_is_written_is_the_next_batch(tmp_path: Path) -> None:
    async with running(tmp_path, batch_items_max=10) as run:
        gate = Gate()
        held = run.writer.submit(gate.work())
        await gate.is_held()
        futures = [run.writer.submit(Work(lambda transaction: transaction)) for _ in range(25)]
        assert run.writer.queue_length == 26
        gate.go_on.set()
        kept = await asyncio.gather(held, *futures)
        assert [len({id(one) for one in kept[1 + at : 11 + at]}) for at in (0, 10, 20)] == [1, 1, 1]
        assert len({id(one) for one in kept[1:]}) == 3


async def test_a_batch_is_bounded_in_bytes_but_takes_at_least_one_item(tmp_path: Path) -> None:
    async with running(tmp_path, batch_bytes_max=100) as run:
        gate = Gate()
        held = run.writer.submit(gate.work())
        await gate.is_held()
        futures = [run.writer.submit(Work(lambda t: t), weight_bytes=weight) for weight in (60, 40, 1, 500, 1)]
        gate.go_on.set()
        kept = await asyncio.gather(held, *futures)
        assert [first is second for first, second in pairwise(kept[1:])] == [True, False, False, False]


@pytest.mark.parametrize("more", [0, 1])
async def test_p14_a_full_queue_refuses_at_once(tmp_path: Path, more: int) -> None:
    async with running(tmp_path, queue_items_max=5) as run:
        gate = Gate()
        held = run.writer.submit(gate.work())
        await gate.is_held()
        futures = [run.writer.submit(Work(lambda _: None)) for _ in range(4 + more)]
        if more:
            with pytest.raises(StoreBusy, match=r"5 changes .0 bytes. wait to be written; try again later"):
                run.writer.submit(Work(lambda _: None))
            with pytest.raises(StoreBusy):
                run.writer.post(Work(lambda _: None))
        else:
            futures.append(run.writer.submit(Work(lambda _: None)))
        gate.go_on.set()
        await asyncio.gather(held, *futures)
        await run.writer.submit(Work(lambda _: None))


async def test_p14_the_queue_is_bounded_in_bytes(tmp_path: Path) -> None:
    async with running(tmp_path, queue_bytes_max=100) as run:
        gate = Gate()
        held = run.writer.submit(gate.work())
        await gate.is_held()
        futures = [run.writer.submit(Work(lambda _: None), weight_bytes=weight) for weight in (1, 99)]
        with pytest.raises(StoreBusy):
            run.writer.submit(Work(lambda _: None), weight_bytes=1)
        gate.go_on.set()
        await asyncio.gather(held, *futures)
        await run.writer.submit(Work(lambda _: None), weight_bytes=101)  # alone, anything is taken


async def test_a_refused_change_that_nobody_waits_for_is_logged(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        with capture_logs() as logs:
            run.writer.post(PREPARING.change(answered("nobody")).work)
            await run.writer.submit(Work(lambda _: None))
        assert [(line["event"], line["log_level"]) for line in logs] == [("change_refused", "error")]
        assert "nobody is absent" in logs[0]["error"]


async def test_closing_writes_what_was_accepted_and_refuses_what_comes_after(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        seen: list[Any] = []
        for number in range(300):
            run.writer.post(noting(seen, number))
        closing = asyncio.ensure_future(run.writer.close())
        await asyncio.sleep(0)
        with pytest.raises(StoreDown, match="the store is closing"):
            run.writer.submit(Work(lambda _: None))
        await closing
        assert len(seen) == 300
        assert run.downs == []


# --- items nobody waits for


def batch_of(seen: dict[Any, Transaction], name: Any) -> Work:
    """Notes the transaction it was worked in."""
    return Work(lambda transaction: seen.setdefault(name, transaction))


async def test_t28_an_item_nobody_waits_for_shares_the_next_one_s_commit(tmp_path: Path) -> None:
    async with running(tmp_path, linger_sec=60.0) as run:
        seen: dict[Any, Transaction] = {}
        run.writer.post(batch_of(seen, "outcome"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert seen == {}
        assert run.writer.has_posted
        await run.writer.submit(batch_of(seen, "decision"))
        assert list(seen) == ["outcome", "decision"]
        assert seen["outcome"] is seen["decision"]
        assert not run.writer.has_posted


async def test_t28_an_item_nobody_waits_for_is_written_after_a_while_all_the_same(tmp_path: Path) -> None:
    async with running(tmp_path, linger_sec=0.005) as run:
        for number in range(3):
            run.writer.post(PREPARING.change(decided(f"call_{number}")).work)
            async with asyncio.timeout(10):
                while run.writer.has_posted:
                    await asyncio.sleep(0.002)
        assert run.writer.head.seq == 3


async def test_items_nobody_waits_for_are_written_when_there_are_many(tmp_path: Path) -> None:
    async with running(tmp_path, linger_sec=60.0, batch_items_max=10) as run:
        for number in range(25):
            run.writer.post(PREPARING.change(decided(f"call_{number}")).work)
        async with asyncio.timeout(10):
            while run.writer.head.seq < 20:
                await asyncio.sleep(0.002)
        assert run.writer.queue_length == 5
        await run.writer.settle()
        assert run.writer.head.seq == 25


async def test_settling_brings_in_what_lingers(tmp_path: Path) -> None:
    async with running(tmp_path, linger_sec=60.0) as run:
        run.writer.post(PREPARING.change(decided()).work)
        await run.writer.settle()
        assert run.writer.head.seq == 1


async def test_what_is_posted_during_a_commit_lingers_and_is_written(tmp_path: Path) -> None:
    async with running(tmp_path, linger_sec=0.005) as run:
        gate = Gate()
        held = run.writer.submit(gate.work())
        await gate.is_held()
        run.writer.post(PREPARING.change(decided()).work)
        gate.go_on.set()
        await held
        async with asyncio.timeout(10):
            while run.writer.has_posted:
                await asyncio.sleep(0.002)
        assert run.writer.head.seq == 1


# --- failing


async def fill(connection: Connection) -> None:
    """No more pages: the next transaction finds the disk full."""

    def limit(raw: sqlite3.Connection) -> None:
        (pages,) = raw.execute("PRAGMA page_count").fetchone()
        raw.execute(f"PRAGMA max_page_count = {pages}")

    await connection.run(limit)


def large(name: str) -> Work:
    return PREPARING.change(decided(name, outcome="x" * 300_000)).work


async def test_d9_a_full_disk_refuses_everything_that_waits_and_all_that_follows(tmp_path: Path) -> None:
    async with running(tmp_path, batch_items_max=2) as run:
        await fill(run.connection)
        with capture_logs() as logs:
            futures = [run.writer.submit(large(f"call_{number}")) for number in range(5)]
            run.writer.post(large("call_5"))
            ended = await asyncio.gather(*futures, return_exceptions=True)
        assert [type(one) for one in ended] == [StoreDown] * 5
        assert "the database failed: database or disk is full; nothing is done until" in str(ended[0])
        with pytest.raises(StoreDown, match="disk is full"):
            run.writer.submit(Work(lambda _: None))
        with pytest.raises(StoreDown, match="disk is full"):
            run.writer.post(Work(lambda _: None))
        assert run.writer.head == START
        assert run.downs == [run.writer.why_down]
        assert [(line["event"], line["refused"]) for line in logs] == [("store_down", 6)]
        assert await run.connection.run(lambda raw: raw.in_transaction) is False


async def test_t10_a_second_writer_past_the_lock_takes_the_store_down(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        other = sqlite3.connect(run.path, isolation_level=None)
        other.execute("INSERT INTO entries VALUES (1, x'00', NULL, x'00')")
        other.close()
        with pytest.raises(StoreDown, match="entry 1 or a later one is there already, and not ours"):
            await run.writer.submit(PREPARING.change(decided()).work)
        assert run.downs != []


async def test_a_fault_of_ours_refuses_what_waits_and_is_reported(tmp_path: Path) -> None:
    def fail(_transaction: Transaction) -> None:
        raise KeyError("a fault of ours")

    async with running(tmp_path) as run:
        with capture_logs() as logs:
            futures = [run.writer.submit(Work(fail)), run.writer.submit(Work(lambda _: None))]
            ended = await asyncio.gather(*futures, return_exceptions=True)
            await run.writer.close()
        assert [str(one) for one in ended] == ["the store's writer has ended"] * 2
        assert run.downs == ["the store's writer has ended"]
        assert [line["event"] for line in logs] == ["store_down", "task_failed"]


async def test_a_writer_that_is_cancelled_refuses_what_waits(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        gate = Gate()
        held = run.writer.submit(gate.work())
        await gate.is_held()
        waiting = run.writer.submit(Work(lambda _: None))
        assert run.writer._task is not None
        run.writer._task.cancel()
        ended = await asyncio.gather(held, waiting, return_exceptions=True)
        gate.go_on.set()
        assert [type(one) for one in ended] == [StoreDown, StoreDown]


async def test_a_writer_cancelled_while_closing_refuses_what_it_could_not_write(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        gate = Gate()
        held = run.writer.submit(gate.work())
        await gate.is_held()
        closing = asyncio.ensure_future(run.writer.close())
        await asyncio.sleep(0)
        assert run.writer._task is not None
        run.writer._task.cancel()
        with pytest.raises(StoreDown, match="the store has closed"):
            await held
        gate.go_on.set()
        await closing


async def test_a_request_that_was_cancelled_is_not_answered(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        gate = Gate()
        cancelled = run.writer.submit(gate.work())
        await gate.is_held()
        cancelled.cancel()
        after = run.writer.submit(Work(lambda _: "after"))
        gate.go_on.set()
        assert await after == "after"
        await fill(run.connection)
        gone = run.writer.submit(large("call_1"))
        gone.cancel()
        with pytest.raises(StoreDown):
            await run.writer.submit(large("call_2"))


async def test_a_writer_that_was_never_started_closes(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await Writer(run.connection, START, ROWS, WriterLimits(), run.downs.append).close()


# --- the log (traps T11)


async def test_t11_the_log_is_moved_into_the_database_after_so_many_bytes(tmp_path: Path) -> None:
    async with running(tmp_path, checkpoint_bytes=500_000) as run:
        for number in range(120):
            await run.writer.submit(PREPARING.change(decided(f"call_{number}", outcome="x" * 30_000)).work)
        assert run.log_bytes() < 2_000_000  # 120 × 30 KB went through it
        assert run.path.stat().st_size > 2_000_000


async def test_t11_a_reader_that_stays_only_delays_it(tmp_path: Path) -> None:
    async with running(tmp_path, checkpoint_bytes=200_000) as run:
        reader = await open_reader(run.path)
        await reader.run(lambda raw: raw.execute("BEGIN").execute("SELECT count(*) FROM calls").fetchone())
        for number in range(40):
            await run.writer.submit(PREPARING.change(decided(f"call_{number}", outcome="x" * 20_000)).work)
        held = run.log_bytes()
        assert held > 600_000
        await reader.run(lambda raw: raw.execute("COMMIT").fetchall())
        for number in range(40, 80):
            await run.writer.submit(PREPARING.change(decided(f"call_{number}", outcome="x" * 20_000)).work)
        assert run.log_bytes() <= held + 400_000
        await reader.close()


async def test_t11_the_log_is_moved_when_idle(tmp_path: Path) -> None:
    async with running(tmp_path, idle_sec=0.02) as run:
        before = run.path.stat().st_size
        for number in range(30):
            await run.writer.submit(PREPARING.change(decided(f"call_{number}")).work)
        async with asyncio.timeout(10):
            while run.path.stat().st_size == before:
                await asyncio.sleep(0.01)


async def test_the_log_is_cut_when_something_was_erased(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await run.writer.submit(PREPARING.change(decided()).work)
        assert run.log_bytes() > 0
        run.writer.cut_log_soon()
        await run.writer.submit(Work(lambda _: None))
        async with asyncio.timeout(10):
            while run.log_bytes():
                await asyncio.sleep(0.01)


async def test_a_log_that_cannot_be_cut_now_is_cut_later(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        reader = await open_reader(run.path)
        await reader.run(lambda raw: raw.execute("BEGIN").execute("SELECT count(*) FROM calls").fetchone())
        await run.writer.submit(PREPARING.change(decided()).work)
        run.writer.cut_log_soon()
        await run.writer.submit(Work(lambda _: None))
        await run.writer.submit(Work(lambda _: None))
        assert run.log_bytes() > 0
        await reader.run(lambda raw: raw.execute("COMMIT").fetchall())
        await reader.close()
        await run.writer.submit(Work(lambda _: None))
        async with asyncio.timeout(10):
            while run.log_bytes():
                await asyncio.sleep(0.01)


async def test_d9_a_log_that_cannot_be_moved_takes_the_store_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_connection: sqlite3.Connection, mode: str) -> bool:
        raise sqlite3.OperationalError(f"disk I/O error in {mode}")

    async with running(tmp_path, checkpoint_bytes=1) as run:
        monkeypatch.setattr("proxy.store.writer.checkpoint", fail)
        await run.writer.submit(PREPARING.change(decided()).work)  # this one is durable all the same
        async with asyncio.timeout(10):
            while run.writer.why_down is None:
                await asyncio.sleep(0.01)
        assert "disk I/O error in PASSIVE" in run.writer.why_down


def test_a_checkpoint_says_whether_a_reader_held_it_back(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    writer, reader = (sqlite3.connect(path, isolation_level=None) for _ in range(2))
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("CREATE TABLE t (x)")
    reader.execute("BEGIN").execute("SELECT * FROM t").fetchall()
    writer.execute("INSERT INTO t VALUES (1)")
    assert [checkpoint(writer, mode) for mode in ("PASSIVE", "TRUNCATE")] == [False, False]
    reader.execute("COMMIT")
    assert [checkpoint(writer, mode) for mode in ("PASSIVE", "TRUNCATE")] == [True, True]
    assert writer.execute("PRAGMA busy_timeout").fetchone() == (2_000,)
    writer.close()
    reader.close()
