"""A SQLite connection in a thread of its own, given whole functions to run. The only importer of aiosqlite.

Rules of this module:
* One hop per piece of work: a function runs in the connection's thread from beginning to end, so that a cancelled
  request can never leave a transaction open or see another's (traps T9).
* The writing connection commits with FULL synchronisation to a write-ahead log, checkpoints only when told, and
  overwrites what it deletes. Reading connections cannot write, never checkpoint, and every read has a deadline.
* All connections of a process live and die together: only then does a reopened one see what is on the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import aiosqlite

from review.ports import StoreDown

_RUN = "-- run the function given as the only parameter"
_BUSY_MS = 2_000  # somebody else's lock (a copy being made): wait this long, then refuse
_CACHE_KIB = 16 * 1024
_WAL_KEPT_BYTES_MAX = 64 * 1024 * 1024
_STEPS_BETWEEN_CHECKS = 20_000


class _Threaded(sqlite3.Connection):
    """A connection whose `execute` also runs functions.

    aiosqlite offers no way to run a function in its thread, but hands what it is given to `execute` there: this is the
    supported door (`factory` of sqlite3.connect) to a whole transaction in one hop.
    """

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        if sql is _RUN:
            (work,) = parameters
            return _Returned(work(self))
        return super().execute(sql, parameters)


class _Returned:
    def __init__(self, value: Any) -> None:
        self._value = value

    def fetchall(self) -> list[Any]:
        return [self._value]


class Connection:
    """One open connection."""

    def __init__(self, inner: aiosqlite.Connection) -> None:
        self._inner = inner
        self._is_closed = False

    async def run[T](self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the connection's thread. It is run to its end even if the caller is cancelled.

        Raises: whatever `work` raises; StoreDown if the connection is closed.
        """
        if self._is_closed:
            raise StoreDown("the database is closed")
        rows: Iterable[Any] = await self._inner.execute_fetchall(_RUN, (work,))
        (value,) = rows
        return value  # type: ignore[no-any-return] # aiosqlite's rows are Any; `work` says what it returns

    async def close(self) -> None:
        """Close after what is running, and end the thread. Raises: sqlite3.Error; the thread has ended all the same."""
        if not self._is_closed:
            self._is_closed = True
            await self._inner.close()


async def open_writer(path: Path) -> Connection:
    """Open the one writing connection; the path is absolute. Raises: sqlite3.Error, StoreDown."""
    return await _open(path, "rw", _prepare_writer)


async def open_reader(path: Path) -> Connection:
    """Open a connection that can only read; the path is absolute. Raises: sqlite3.Error."""
    return await _open(path, "ro", _prepare_reader)


async def _open(path: Path, mode: str, prepare: Callable[[sqlite3.Connection], None]) -> Connection:
    inner = await aiosqlite.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        factory=_Threaded,
        cached_statements=256,
        timeout=_BUSY_MS / 1000,
    )
    connection = Connection(inner)
    try:
        await connection.run(prepare)
    except BaseException:
        await connection.close()
        raise
    return connection


def _prepare_writer(connection: sqlite3.Connection) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreDown(f"the database cannot use a write-ahead log here (it says {mode!r}); put it on a local disk")
    connection.execute("PRAGMA synchronous = FULL")  # NORMAL may lose the last commits: a spent grant could return
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute("PRAGMA checkpoint_fullfsync = ON")
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # proxy/store/writer.py says when
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES_MAX}")
    connection.execute("PRAGMA secure_delete = ON")  # what retention erases is overwritten
    connection.execute("PRAGMA cell_size_check = ON")
    _prepare_both(connection)


def _prepare_reader(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    _prepare_both(connection)


def _prepare_both(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA trusted_schema = OFF")  # a forged schema calls no functions
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")


def within[T](
    work: Callable[[sqlite3.Connection], T], sec_max: float, monotonic: Callable[[], float]
) -> Callable[[sqlite3.Connection], T]:
    """`work`, interrupted once it has run for `sec_max`: a long read would let the log grow (traps T11)."""

    def bounded(connection: sqlite3.Connection) -> T:
        deadline = monotonic() + sec_max
        connection.set_progress_handler(lambda: monotonic() > deadline, _STEPS_BETWEEN_CHECKS)
        try:
            return work(connection)
        finally:
            connection.set_progress_handler(None, 0)

    return bounded
