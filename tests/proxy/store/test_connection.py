"""`proxy.store.connection`: one function a hop, the settings that durability rests on, reads that end."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.store.connection import Connection, _prepare_writer, open_reader, open_writer, within
from review.ports import StoreDown


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "x.db"
    file.touch()
    return file


@asynccontextmanager
async def writer_of(path: Path) -> AsyncIterator[Connection]:
    connection = await open_writer(path)
    yield connection
    await connection.close()


def assert_ended(threads: set[threading.Thread]) -> None:
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def pragma(name: str) -> Any:
    return lambda connection: connection.execute(f"PRAGMA {name}").fetchone()[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),  # FULL
        ("wal_autocheckpoint", 0),
        ("journal_size_limit", 64 * 1024 * 1024),
        ("secure_delete", 1),
        ("trusted_schema", 0),
        ("query_only", 0),
    ],
)
async def test_the_writer_has_the_settings_that_durability_rests_on(path: Path, name: str, value: Any) -> None:
    async with writer_of(path) as connection:
        assert await connection.run(pragma(name)) == value


async def test_a_reader_cannot_write(path: Path) -> None:
    async with writer_of(path) as writer:
        await writer.run(lambda connection: connection.execute("CREATE TABLE t (x)"))
        reader = await open_reader(path)
        assert await reader.run(pragma("query_only")) == 1
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await reader.run(lambda connection: connection.execute("INSERT INTO t VALUES (1)"))
        await reader.close()


async def test_work_runs_in_one_thread_of_its_own_and_returns_its_value(path: Path) -> None:
    async with writer_of(path) as connection:
        threads = {await connection.run(lambda _: threading.get_ident()) for _ in range(5)}
        assert len(threads) == 1
        assert threading.get_ident() not in threads
        assert await connection.run(lambda c: c.execute("SELECT 1, ?", ("x",)).fetchall()) == [(1, "x")]


async def test_what_work_raises_comes_to_its_caller(path: Path) -> None:
    def fail(_connection: sqlite3.Connection) -> None:
        raise KeyError("mine")

    async with writer_of(path) as connection:
        with pytest.raises(KeyError, match="mine"):
            await connection.run(fail)
        assert await connection.run(lambda _: "still here") == "still here"


async def test_t9_work_is_run_to_its_end_although_its_caller_was_cancelled(path: Path) -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work(_connection: sqlite3.Connection) -> None:
        begun.set()
        go_on.wait(10)
        ended.set()

    async with writer_of(path) as connection:
        asked = asyncio.ensure_future(connection.run(work))
        await asyncio.to_thread(begun.wait, 10)
        asked.cancel()
        await asyncio.wait([asked])
        go_on.set()
        await connection.run(lambda _: None)
        assert ended.is_set()


async def test_a_closed_connection_refuses_and_its_thread_has_ended(path: Path) -> None:
    before = set(threading.enumerate())
    connection = await open_writer(path)
    await connection.close()
    await connection.close()
    with pytest.raises(StoreDown, match="closed"):
        await connection.run(lambda _: None)
    assert_ended(set(threading.enumerate()) - before)


async def test_opening_what_is_no_database_leaves_no_thread(path: Path) -> None:
    before = set(threading.enumerate())
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        await open_writer(path)
    with pytest.raises(sqlite3.OperationalError):
        await open_writer(path.with_name("absent"))
    assert_ended(set(threading.enumerate()) - before)


def test_a_place_without_a_write_ahead_log_is_refused() -> None:
    """As on some network disks; memory has none either."""
    connection = sqlite3.connect(":memory:")
    with pytest.raises(StoreDown, match=r"it says 'memory'.; put it on a local disk"):
        _prepare_writer(connection)
    connection.close()


async def test_a_database_that_somebody_holds_is_refused_after_a_while(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("CREATE TABLE t (x)")
    monkeypatch.setattr("proxy.store.connection._BUSY_MS", 1)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        await open_writer(path)
    holder.close()


def counting(upto: int) -> Any:
    recursive = f"WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {upto}) SELECT max(x) FROM n"
    return lambda connection: connection.execute(recursive).fetchone()[0]


def test_a_read_that_takes_too_long_is_interrupted_and_the_next_is_not() -> None:
    connection = sqlite3.connect(":memory:")
    ticks: Iterator[float] = iter(range(1_000_000))
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        within(counting(10_000_000), 3.0, lambda: next(ticks))(connection)
    assert within(counting(10), 3.0, lambda: 0.0)(connection) == 10
    assert counting(300_000)(connection) == 300_000
    connection.close()
