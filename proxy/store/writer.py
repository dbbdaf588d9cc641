"""The one writer: takes changes in the order they came, commits as many at once as wait, and says when it is down.

Rules of this module:
* Only this task uses the writing connection; requests wait for a future and may be cancelled at any time. What was
  accepted is written, whether or not anybody still waits for it.
* Group commit without delay: whatever came while the last batch was being made durable is the next batch. Only items
  nobody waits for linger a little, so that they share the next one's synchronisation; `settle` brings them in.
* The head moves only after COMMIT returned. After any error of the database nothing is believed any more: everything
  waiting is refused with StoreDown, and so is everything after it, until the store has been opened anew (P1, traps T8).
* The queue is bounded in items and bytes (P14); past that, `StoreBusy` at once.
* The write-ahead log is moved into the database here, after so many bytes and when idle (traps T11). It is then written
  over from its beginning, not cut: committing into a file that need not grow costs half as much. It is cut only after
  erasing.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from audit.chain import Head
from proxy.failpoints import failpoint
from proxy.store.base import StoreBusy
from proxy.store.connection import Connection
from proxy.store.tables import Rows
from proxy.store.transaction import Committed, OutsideWriter, Passing, Work, commit_batch
from proxy.tasks import spawn
from review.ports import StoreDown

log = structlog.get_logger("interlock.store")


@dataclass(frozen=True, slots=True)
class WriterLimits:
    """How much may wait, how much is written at once, and when the log is moved into the database."""

    queue_items_max: int = 4_096
    queue_bytes_max: int = 256 * 1024 * 1024
    batch_items_max: int = 128
    batch_bytes_max: int = 16 * 1024 * 1024
    linger_sec: float = 0.02  # how long an item nobody waits for may wait for company
    checkpoint_bytes: int = 16 * 1024 * 1024
    idle_sec: float = 1.0


# What goes to the log besides the values: whole pages of the tables and indexes touched.
_COMMIT_BYTES = 32 * 1024
_ITEM_BYTES = 6 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    work: Work
    weight_bytes: int
    done: asyncio.Future[Any] | None  # None: nobody waits for it
    then: Callable[[Any], None] | None = None  # told its result once committed, whatever became of whoever waited


class Writer:
    """Runs from `start` until `close`, or until the database fails."""

    def __init__(
        self, connection: Connection, head: Head, rows: Rows, limits: WriterLimits, went_down: Callable[[str], None]
    ) -> None:
        self.head = head
        self._connection = connection
        self._rows = rows
        self._limits = limits
        self._went_down = went_down
        self._passing = Passing()
        self._queue: deque[_Item] = deque()
        self._queue_bytes = 0
        self._batch: list[_Item] = []
        self._why_down: str | None = None
        self._is_closing = False
        self._wake = asyncio.Event()
        self._posted = 0  # items nobody waits for, queued or being written
        self._has_lingered = False
        self._linger_timer: asyncio.TimerHandle | None = None
        self._log_bytes = 0  # written since the log was last moved into the database
        self._is_idle = False
        self._shall_cut = False
        self._idle_timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = spawn(self._write(), name="store-writer")

    @property
    def why_down(self) -> str | None:
        return self._why_down

    @property
    def queue_length(self) -> int:
        return len(self._queue) + len(self._batch)

    def submit(
        self, work: Work, *, weight_bytes: int = 0, then: Callable[[Any], None] | None = None
    ) -> asyncio.Future[Any]:
        """Accept an item; the future ends when it is durable, with its result or why it was refused. `then` is called
        with the result if it was committed, in the order of commits and before whoever waits goes on.

        Raises: StoreDown, StoreBusy.
        """
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._accept(_Item(work, weight_bytes, done, then))
        self._wake.set()
        return done

    def post(self, work: Work, *, weight_bytes: int = 0, then: Callable[[Any], None] | None = None) -> None:
        """Accept an item nobody waits for; if it is refused, the log tells. Raises: StoreDown, StoreBusy."""
        self._accept(_Item(work, weight_bytes, None, then))
        self._posted += 1
        if self._is_due():
            self._wake.set()
        else:
            self._let_linger()

    @property
    def has_posted(self) -> bool:
        return self._posted > 0

    async def settle(self) -> None:
        """Wait until everything accepted so far is written. Raises: StoreDown, StoreBusy."""
        await self.submit(_NOTHING)

    def _accept(self, item: _Item) -> None:
        if self._why_down is not None or self._is_closing:
            raise StoreDown(self._why_down or "the store is closing")
        queued_bytes = self._queue_bytes + item.weight_bytes
        if len(self._queue) >= self._limits.queue_items_max or (
            self._queue and queued_bytes > self._limits.queue_bytes_max
        ):
            raise StoreBusy(
                f"{len(self._queue)} changes ({self._queue_bytes} bytes) wait to be written; try again later"
            )
        self._queue.append(item)
        self._queue_bytes = queued_bytes

    def cut_log_soon(self) -> None:
        """Cut the log as soon as nothing waits: what was erased shall not stay in it."""
        self._shall_cut = True
        self._wake.set()

    async def close(self) -> None:
        """Write what was accepted, then end."""
        self._is_closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    # --- the task

    async def _write(self) -> None:
        try:
            while self._queue or not self._is_closing:
                self._wake.clear()
                if self._is_due():
                    await self._commit()
                await self._checkpoint_if_due()
                if not self._is_due() and not self._is_closing:
                    await self._wake.wait()
        except (sqlite3.Error, OutsideWriter, StoreDown) as error:
            self._go_down(f"the database failed: {error}; nothing is done until it can be opened again")
        finally:
            self._stop_timers()
            if self._why_down is None and not self._is_closing:
                self._go_down("the store's writer has ended")  # a fault of ours, or cancelled: refuse what waits
            elif self._queue or self._batch:
                self._refuse_all(self._why_down or "the store has closed")

    def _is_due(self) -> bool:
        """Whether something in the queue should be written now."""
        waiting = len(self._queue)
        somebody_waits = waiting + len(self._batch) > self._posted
        return waiting > 0 and (
            somebody_waits or self._has_lingered or self._is_closing or waiting >= self._limits.batch_items_max
        )

    def _let_linger(self) -> None:
        if self._linger_timer is None:
            loop = asyncio.get_running_loop()
            self._linger_timer = loop.call_later(self._limits.linger_sec, self._lingered)

    def _lingered(self) -> None:
        self._linger_timer = None
        self._has_lingered = True
        self._wake.set()

    async def _commit(self) -> None:
        self._take()
        works = [item.work for item in self._batch]
        committed = await self._connection.run(
            partial(commit_batch, works=works, head=self.head, rows=self._rows, passing=self._passing)
        )
        failpoint("commit.heard")
        self.head = committed.head
        batch, self._batch = self._batch, []
        self._log_bytes += committed.bytes_written + _COMMIT_BYTES + len(batch) * _ITEM_BYTES
        self._posted -= sum(item.done is None for item in batch)
        self._has_lingered = False
        if self._queue:
            self._let_linger()
        for number, item in enumerate(batch):
            _settle(item, committed, number)
        self._is_idle = False
        if self._idle_timer is None:
            self._idle_timer = asyncio.get_running_loop().call_later(
                self._limits.idle_sec, self._look_if_idle, self.head
            )

    def _take(self) -> None:
        bytes_left = self._limits.batch_bytes_max
        while self._queue and len(self._batch) < self._limits.batch_items_max:
            if self._batch and self._queue[0].weight_bytes > bytes_left:
                break
            item = self._queue.popleft()
            self._queue_bytes -= item.weight_bytes
            bytes_left -= item.weight_bytes
            self._batch.append(item)

    # --- the log

    def _look_if_idle(self, head_then: Head) -> None:
        self._idle_timer = None
        if self.head == head_then and not self._queue:
            self._is_idle = True
            self._wake.set()
        else:
            loop = asyncio.get_running_loop()
            self._idle_timer = loop.call_later(self._limits.idle_sec, self._look_if_idle, self.head)

    async def _checkpoint_if_due(self) -> None:
        if self._shall_cut and not self._queue:
            mode, self._shall_cut = "TRUNCATE", False
        elif self._log_bytes >= self._limits.checkpoint_bytes or (self._is_idle and self._log_bytes):
            mode, self._is_idle = "PASSIVE", False
        else:
            return
        if await self._connection.run(partial(checkpoint, mode=mode)):
            self._log_bytes = 0
        else:  # a reader still needs the log: again after half as much has come
            self._log_bytes = self._limits.checkpoint_bytes // 2
            self._shall_cut = mode == "TRUNCATE"

    def _stop_timers(self) -> None:
        for timer in (self._idle_timer, self._linger_timer):
            if timer is not None:
                timer.cancel()
        self._idle_timer = self._linger_timer = None

    # --- being down

    def _go_down(self, why: str) -> None:
        self._why_down = why
        log.error("store_down", why=why, refused=self.queue_length)
        self._refuse_all(why)
        self._went_down(why)

    def _refuse_all(self, why: str) -> None:
        refused = [*self._batch, *self._queue]
        self._batch = []
        self._queue.clear()
        self._queue_bytes = 0
        for item in refused:
            if item.done is not None and not item.done.done():
                item.done.set_exception(StoreDown(why))


_NOTHING = Work(lambda _transaction: None)


def _settle(item: _Item, committed: Committed, number: int) -> None:
    error = committed.refused.get(number)
    if error is None and item.then is not None:
        asyncio.get_running_loop().call_soon(
            item.then, committed.results[number]
        )  # what fails in it is logged, and does not end the writer
    if item.done is None:
        if error is not None:  # nobody waits: at least the log tells
            log.error("change_refused", error=repr(error))
    elif not item.done.done():
        if error is None:
            item.done.set_result(committed.results[number])
        else:
            item.done.set_exception(error)


def checkpoint(connection: sqlite3.Connection, mode: str) -> bool:
    """Move the log into the database; False if a reader held some of it back. Raises: sqlite3.Error."""
    failpoint("checkpoint.begun")
    connection.execute("PRAGMA busy_timeout = 0")  # do not wait for readers: writing goes on without
    try:
        busy, log_pages, moved_pages = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    finally:
        connection.execute("PRAGMA busy_timeout = 2000")
    return not busy and log_pages == moved_pages
