"""The embedded store's own SQL, transactions and rows without its threads: for tests that must be the same each time.

Rules of this module:
* What is accepted is committed at a later turn of the loop, in order, as the writer does; a crash forgets what was not.
* The database is in memory and outlives every "process" of a test; nothing of durability is tested here.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from audit.chain import START, verify_run
from proxy.store.macs import RowMacs
from proxy.store.schema import Opening, migrations
from proxy.store.sqlite import SqliteStore
from proxy.store.transaction import Work, commit_batch
from tests.proxy.store.builders import KEYS, counted_bytes


class InlineEngine:
    """In place of `proxy.store.engine.Engine`, and of its writer."""

    why_down = None

    def __init__(self, store: SqliteStore, clock: Callable[[], float]) -> None:
        self._rows = store._rows
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        opening = Opening(RowMacs(KEYS.mac), counted_bytes(), clock, time.monotonic, 5, "memory", migrations())
        self.head = opening(self._connection).head
        self._accepted: deque[tuple[Work, asyncio.Future[Any] | None, Callable[[Any], None] | None]] = deque()

    @property
    def writer(self) -> InlineEngine:
        return self

    def submit(
        self, work: Work, *, weight_bytes: int = 0, then: Callable[[Any], None] | None = None
    ) -> asyncio.Future[Any]:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._accept(work, done, then)
        return done

    def post(self, work: Work, *, weight_bytes: int = 0, then: Callable[[Any], None] | None = None) -> None:
        self._accept(work, None, then)

    def _accept(self, work: Work, done: asyncio.Future[Any] | None, then: Callable[[Any], None] | None) -> None:
        self._accepted.append((work, done, then))
        asyncio.get_running_loop().call_soon(self._commit_next)

    def _commit_next(self) -> None:
        if not self._accepted:  # it was read in between, or the process has crashed
            return
        work, done, then = self._accepted.popleft()
        committed = commit_batch(self._connection, [work], self.head, self._rows)
        self.head = committed.head
        error = committed.refused.get(0)
        if error is None and then is not None:
            then(committed.results[0])
        if done is not None and not done.done():
            if error is None:
                done.set_result(committed.results[0])
            else:
                done.set_exception(error)

    async def read(self, question: Callable[..., Any], *about: Any) -> Any:
        await asyncio.sleep(0)
        while self._accepted:  # a read sees all that was accepted before
            self._commit_next()
        return question(self._connection, self._rows, *about)

    def crash(self) -> None:
        self._accepted.clear()

    def verify(self) -> None:
        """Raises: ChainBroken."""
        stored = self._connection.execute("SELECT seq, data, hash FROM entries ORDER BY seq").fetchall()
        assert verify_run([(seq, data, digest.hex()) for seq, data, digest in stored], after=START) == self.head

    def close(self) -> None:
        self._connection.close()


def inline_store(clock: Callable[[], float]) -> tuple[SqliteStore, InlineEngine]:
    store = SqliteStore(Path("/nowhere/interlock.db"), KEYS, clock=clock, node="node-1", random_bytes=counted_bytes())
    engine = InlineEngine(store, clock)
    store._engine = engine  # type: ignore[assignment]
    return store, engine
