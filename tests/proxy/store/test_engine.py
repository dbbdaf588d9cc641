"""`proxy.store.engine`: opening and closing whole, reading within bounds, and coming back after a failure."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from proxy.store.base import StoreBusy
from proxy.store.engine import Engine, StoreLimits
from proxy.store.tables import Rows
from review.ports import StoreDown
from tests.proxy.store.builders import decided, opening, preparing, rows

ROWS = rows()
PREPARING = preparing(ROWS)


def engine(tmp_path: Path, monotonic: Any = lambda: 0.0, **limits: Any) -> Engine:
    options = StoreLimits(**{"recover_every_sec": 0.0, **limits})
    return Engine(tmp_path / "data" / "x.db", ROWS, opening(), options, monotonic)


@asynccontextmanager
async def running(tmp_path: Path, **options: Any) -> AsyncIterator[Engine]:
    one = engine(tmp_path, **options)
    await one.open()
    yield one
    await one.close()


async def write(one: Engine, name: str, size: int = 1) -> None:
    await one.writer.submit(PREPARING.change(decided(name, outcome="x" * size)).work)


def names(connection: sqlite3.Connection, _rows: Rows) -> list[str]:
    return [name for (name,) in connection.execute("SELECT id FROM calls ORDER BY id")]


async def break_down(one: Engine) -> None:
    """The disk is full for one large change."""

    def limit(raw: sqlite3.Connection) -> None:
        (pages,) = raw.execute("PRAGMA page_count").fetchone()
        raw.execute(f"PRAGMA max_page_count = {pages}")

    assert one.connected is not None
    await one.connected.connection.run(limit)
    with pytest.raises(StoreDown, match="disk is full"):
        await write(one, "lost", 500_000)


# --- opening and closing


async def test_an_engine_opens_once_and_closes_as_often_as_one_likes(tmp_path: Path) -> None:
    one = engine(tmp_path)
    await one.close()
    await one.open()
    with pytest.raises(StoreDown, match="open already"):
        await one.open()
    await write(one, "a")
    await one.close()
    await one.close()
    await one.open()
    assert await one.read(names) == ["a"]
    await one.close()


async def test_what_is_not_open_refuses(tmp_path: Path) -> None:
    one = engine(tmp_path)
    for match in ("the store is not open", "the store is closed"):
        with pytest.raises(StoreDown, match=match):
            await one.read(names)
        with pytest.raises(StoreDown, match=match):
            _ = one.writer
        await one.open()
        await one.close()
    with pytest.raises(StoreDown, match="the store is closed"):
        await one.recover()


async def test_t10_a_second_engine_on_the_same_database_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as first:
        second = engine(tmp_path)
        with pytest.raises(StoreDown, match="another process"):
            await second.open()
        await write(first, "a")
    await second.open()
    await second.close()


def ended(threads: set[threading.Thread]) -> bool:
    for thread in threads:
        thread.join(10)
    return not any(thread.is_alive() for thread in threads)


async def test_opening_that_fails_lets_go_of_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(threading.enumerate())

    async def fail(_path: Path) -> Any:
        raise sqlite3.OperationalError("no more files")

    one = engine(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("proxy.store.engine.open_reader", fail)
        with pytest.raises(StoreDown, match=r"x.db cannot be opened: no more files"):
            await one.open()
    assert ended(set(threading.enumerate()) - before)
    await one.open()
    await one.close()
    assert ended(set(threading.enumerate()) - before)


async def test_a_damaged_file_is_refused_at_opening(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "x.db").write_bytes(b"nothing of a database")
    (tmp_path / "data" / "x.db").chmod(0o600)
    with pytest.raises(StoreDown, match="not a database"):
        await engine(tmp_path).open()


async def test_a_file_whose_tables_are_damaged_is_refused_whatever_its_bytes_are(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        await write(one, "a")
    file = tmp_path / "data" / "x.db"
    file.write_bytes(file.read_bytes().replace(b"CREATE TABLE", b"CREATE TA\xf6LE"))
    with pytest.raises(StoreDown, match="cannot be opened"):
        await engine(tmp_path).open()


async def test_closing_moves_the_log_into_the_database_and_removes_it(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        await write(one, "a")
    assert [path.name for path in sorted((tmp_path / "data").iterdir())] == ["x.db", "x.db.lock"]


async def test_closing_that_fails_still_lets_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_connection: sqlite3.Connection, mode: str) -> bool:
        raise sqlite3.OperationalError("disk I/O error")

    before = set(threading.enumerate())
    one = engine(tmp_path)
    await one.open()
    await write(one, "a")
    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr("proxy.store.engine.checkpoint", fail)
        await one.close()
    assert [line["event"] for line in logs] == ["store_closed_badly"]
    assert ended(set(threading.enumerate()) - before)
    await one.open()
    assert await one.read(names) == ["a"]
    await one.close()


# --- coming back


async def test_d9_after_a_failure_everything_is_refused_until_recovered(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        await write(one, "a")
        head = one.writer.head
        await break_down(one)
        with pytest.raises(StoreDown, match="disk is full"):
            await write(one, "b")
        with pytest.raises(StoreDown, match="disk is full"):
            await one.read(names)
        assert "disk is full" in one.why_down
        await one.recover()  # the limit was the connection's: there is room again
        assert one.writer.head == head
        await write(one, "b")
        assert await one.read(names) == ["a", "b"]
        await one.recover()  # nothing to do
        assert await one.read(names) == ["a", "b"]


async def test_d9_the_engine_tries_to_come_back_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = iter([True, True, False])

    class Reluctant(Engine):
        async def recover(self) -> None:
            if next(failures):
                raise StoreDown("still no room")
            await super().recover()

    one = Reluctant(tmp_path / "data" / "x.db", ROWS, opening(), StoreLimits(recover_every_sec=0.005), lambda: 0.0)
    await one.open()
    await write(one, "a")
    with capture_logs() as logs:
        await break_down(one)
        async with asyncio.timeout(10):
            while one.connected is None or one.connected.writer.why_down is not None:
                await asyncio.sleep(0.002)
    await write(one, "b")
    assert await one.read(names) == ["a", "b"]
    events = [line["event"] for line in logs]
    assert events == ["store_down", "store_still_down", "store_still_down", "store_recovered"]
    await one.close()


async def test_closing_ends_the_attempts_to_come_back(tmp_path: Path) -> None:
    one = engine(tmp_path, recover_every_sec=60.0)
    await one.open()
    await break_down(one)
    await asyncio.wait_for(one.close(), 10)
    await one.open()
    assert await one.read(names) == []
    await one.close()


async def test_a_writer_that_fails_while_closing_is_not_recovered(tmp_path: Path) -> None:
    one = engine(tmp_path, recover_every_sec=0.001)
    await one.open()

    def limit(raw: sqlite3.Connection) -> None:
        raw.execute("PRAGMA max_page_count = 1")

    assert one.connected is not None
    await one.connected.connection.run(limit)
    for number in range(5):
        one.writer.post(PREPARING.change(decided(f"call_{number}", outcome="x" * 500_000)).work)
    await one.close()
    assert one._recovering is None
    assert one.why_down.startswith("the database failed")


async def test_d9_a_recovery_that_cannot_be_sure_is_none(tmp_path: Path) -> None:
    """While somebody else reads, the log cannot be moved whole; what is in it may never have reached the disk."""
    async with running(tmp_path) as one:
        await write(one, "a")
        await break_down(one)
        reader = sqlite3.connect(one.path, isolation_level=None)
        reader.execute("BEGIN").execute("SELECT count(*) FROM calls").fetchone()
        writer = sqlite3.connect(one.path, isolation_level=None)
        writer.execute("INSERT INTO meta VALUES ('x', x'00')")  # so that there is something to move
        with pytest.raises(StoreDown, match="another process reads the database"):
            await one.recover()
        with pytest.raises(StoreDown):
            await one.read(names)
        reader.close()
        writer.close()
        await one.recover()
        assert await one.read(names) == ["a"]


async def test_a_recovery_that_fails_leaves_the_engine_closed_and_can_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_path: Path) -> Any:
        raise sqlite3.OperationalError("unable to open")

    async with running(tmp_path) as one:
        await break_down(one)
        with monkeypatch.context() as patched:
            patched.setattr("proxy.store.engine.open_writer", fail)
            with pytest.raises(StoreDown, match="cannot be opened: unable to open"):
                await one.recover()
        assert one.connected is None
        await one.recover()
        await write(one, "a")


async def test_an_engine_that_could_not_come_back_closes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_path: Path) -> Any:
        raise sqlite3.OperationalError("unable to open")

    one = engine(tmp_path)
    await one.open()
    await break_down(one)
    with monkeypatch.context() as patched:
        patched.setattr("proxy.store.engine.open_writer", fail)
        with pytest.raises(StoreDown):
            await one.recover()
    await one.close()
    await one.open()
    await one.close()


# --- reading


async def test_p14_reads_that_wait_are_bounded(tmp_path: Path) -> None:
    go_on = threading.Event()

    def wait(_connection: sqlite3.Connection, _rows: Rows) -> str:
        assert go_on.wait(10)
        return "answer"

    async with running(tmp_path, readers=1, reads_waiting_max=3) as one:
        waiting = [asyncio.ensure_future(one.read(wait)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(StoreBusy, match="3 reads are waiting"):
            await one.read(names)
        go_on.set()
        assert await asyncio.gather(*waiting) == ["answer"] * 3
        assert await one.read(names) == []


async def test_a_read_nobody_waits_for_any_more_is_not_done(tmp_path: Path) -> None:
    begun, go_on, done = threading.Event(), threading.Event(), []

    def wait(_connection: sqlite3.Connection, _rows: Rows) -> None:
        begun.set()
        assert go_on.wait(10)

    async with running(tmp_path, readers=1) as one:
        first = asyncio.ensure_future(one.read(wait))
        await asyncio.to_thread(begun.wait, 10)
        dropped = asyncio.ensure_future(one.read(lambda _connection, _rows: done.append("dropped")))
        await asyncio.sleep(0)
        dropped.cancel()
        await asyncio.wait([dropped])
        go_on.set()
        await first
        await one.read(lambda _connection, _rows: done.append("asked"))
        assert done == ["asked"]


async def test_t11_a_read_that_takes_too_long_is_refused_and_the_reader_lives_on(tmp_path: Path) -> None:
    ticks = iter(range(10**9))

    def endless(connection: sqlite3.Connection, _rows: Rows) -> Any:
        return connection.execute(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
        ).fetchone()

    async with running(tmp_path, readers=1, monotonic=lambda: float(next(ticks)), read_sec_max=5.0) as one:
        with pytest.raises(StoreDown, match="the database could not be read: interrupted"):
            await one.read(endless)
        assert await one.read(names) == []


async def test_reads_are_shared_out_among_the_readers(tmp_path: Path) -> None:
    async with running(tmp_path, readers=2) as one:
        threads = [await one.read(lambda _connection, _rows: threading.get_ident()) for _ in range(4)]
        assert len(set(threads)) == 2
        assert threads[:2] == threads[2:]
