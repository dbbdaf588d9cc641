"""The machinery under the embedded store: lock, connections, writer and readers, and coming back after a failure.

Rules of this module:
* When the database fails, everything is refused with `StoreDown` until it has been opened anew: all connections closed,
  pages, keys and the record's end checked, the log moved into the database and synchronised (`recover`).
* Reads run in threads of their own, bounded in number and time; one whose asker has gone is dropped.
* Whatever was opened is closed again, also when opening fails half-way.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from proxy.store.base import StoreBusy
from proxy.store.connection import Connection, open_reader, open_writer, within
from proxy.store.place import Lock, take
from proxy.store.schema import Opened, Opening
from proxy.store.tables import Rows
from proxy.store.writer import Writer, WriterLimits, checkpoint
from proxy.tasks import spawn
from review.ports import StoreDown

log = structlog.get_logger("interlock.store")


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """Bounds of the embedded store."""

    writer: WriterLimits = field(default_factory=WriterLimits)
    readers: int = 2
    reads_waiting_max: int = 256
    read_sec_max: float = 5.0
    check_sec_max: float = 5.0  # for checking the pages when opening
    recover_every_sec: float = 5.0  # 0: only when `recover` is called


@dataclass(frozen=True, slots=True)
class Connected:
    """Everything open between one opening and the next failure."""

    opened: Opened
    connection: Connection
    readers: tuple[Connection, ...]
    writer: Writer


class Engine:
    """Opens, keeps open, and closes. `rows` checks MACs in the reading threads."""

    def __init__(
        self, path: Path, rows: Rows, opening: Opening, limits: StoreLimits, monotonic: Callable[[], float]
    ) -> None:
        self.path = path
        self._rows = rows
        self._opening = opening
        self._limits = limits
        self._monotonic = monotonic
        self._changing = asyncio.Lock()  # opening, recovering and closing exclude each other
        self._lock: Lock | None = None
        self._connected: Connected | None = None
        self._why_down = "the store is not open"
        self._recovering: asyncio.Task[None] | None = None
        self._is_closing = False
        self._reading = 0
        self._turn = 0

    async def open(self) -> None:
        """Take the lock, open, check. Raises: StoreDown."""
        async with self._changing:
            if self._lock is not None:
                raise StoreDown("the store is open already")
            self._is_closing = False
            self._lock = take(self.path)
            try:
                self._connected = await self._connect(must_checkpoint=False)
            except BaseException:
                self._lock.release()
                self._lock = None
                raise

    async def recover(self) -> None:
        """After a failure: close everything, open it anew, and go on if it holds. Raises: StoreDown if it does not."""
        async with self._changing:
            if self._lock is None:
                raise StoreDown("the store is closed")
            if self._connected is not None:
                if self._connected.writer.why_down is None:
                    return
                await self._disconnect(self._connected)
                self._connected = None
            self._connected = await self._connect(must_checkpoint=True)
            log.warning("store_recovered", head=self._connected.opened.head.seq)

    async def close(self) -> None:
        """Write what was accepted, then let go of everything. Harmless when not open."""
        self._is_closing = True
        if self._recovering is not None:
            self._recovering.cancel()
            await asyncio.wait([self._recovering])
        async with self._changing:
            if self._lock is None:
                return
            self._why_down = "the store is closed"
            connected, self._connected = self._connected, None
            if connected is not None:
                await connected.writer.close()
                await self._disconnect(connected)
            self._lock.release()
            self._lock = None

    async def _connect(self, *, must_checkpoint: bool) -> Connected:
        try:
            async with AsyncExitStack() as stack:
                connection = await open_writer(self.path)
                stack.push_async_callback(connection.close)
                opened = await connection.run(self._opening)
                # After a failed synchronisation the system may call pages clean that never reached the disk: only
                # what has been written again, into the database, is believed.
                if not await connection.run(partial(checkpoint, mode="TRUNCATE")) and must_checkpoint:
                    raise StoreDown("another process reads the database; it is opened again when that has ended")
                readers = []
                for _ in range(self._limits.readers):
                    readers.append(await open_reader(self.path))
                    stack.push_async_callback(readers[-1].close)
                writer = Writer(connection, opened.head, self._rows, self._limits.writer, self._went_down)
                writer.start()
                stack.pop_all()
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:  # the last: SQLite names a damaged table as it is
            raise StoreDown(f"the database {self.path} cannot be opened: {error}") from error
        return Connected(opened, connection, tuple(readers), writer)

    async def _disconnect(self, connected: Connected) -> None:
        try:
            for reader in connected.readers:
                await reader.close()
            if connected.writer.why_down is None:
                await connected.connection.run(partial(checkpoint, mode="TRUNCATE"))
            await connected.connection.close()
        except sqlite3.Error as error:  # everything acknowledged is in the log: the next opening finds it there
            log.error("store_closed_badly", error=repr(error))
            for connection in (*connected.readers, connected.connection):
                await connection.close()

    def _went_down(self, why: str) -> None:
        self._why_down = why
        if self._limits.recover_every_sec > 0 and not self._is_closing:
            # The one before has ended: the writer that went down now is the one it had opened.
            self._recovering = spawn(self._recover_until_up(), name="store-recovery")

    async def _recover_until_up(self) -> None:
        while True:
            await asyncio.sleep(self._limits.recover_every_sec)
            try:
                await self.recover()
            except StoreDown as error:
                self._why_down = str(error)
                log.error("store_still_down", why=str(error))
            else:
                return

    # --- using what is open

    @property
    def connected(self) -> Connected | None:
        """What is open now, also when it is down."""
        return self._connected

    @property
    def why_down(self) -> str:
        return self._why_down

    @property
    def writer(self) -> Writer:
        """Raises: StoreDown."""
        return self._up().writer

    async def read[T](self, question: Callable[..., T], *about: Any) -> T:
        """Ask `question(connection, rows, *about)` in a reading thread; it sees all that was accepted before.

        Raises: StoreDown, StoreBusy.
        """
        connected = self._up()
        if self._reading >= self._limits.reads_waiting_max:
            raise StoreBusy(f"{self._reading} reads are waiting; try again later")
        reader = connected.readers[self._turn % len(connected.readers)]
        self._turn += 1
        self._reading += 1
        asked = _Asked(question, self._rows, about)
        try:
            if connected.writer.has_posted:
                await connected.writer.settle()
            return await reader.run(within(asked, self._limits.read_sec_max, self._monotonic))
        except sqlite3.Error as error:
            raise StoreDown(f"the database could not be read: {error}") from error
        finally:
            asked.is_still_wanted = False
            self._reading -= 1

    def _up(self) -> Connected:
        connected = self._connected
        if connected is None or connected.writer.why_down is not None:
            raise StoreDown(self._why_down)
        return connected


class _Asked[T]:
    """A question on its way to a reading thread; dropped there if nobody wants the answer any more."""

    def __init__(self, question: Callable[..., T], rows: Rows, about: tuple[Any, ...]) -> None:
        self._question, self._rows, self._about = question, rows, about
        self.is_still_wanted = True

    def __call__(self, connection: sqlite3.Connection) -> T:
        if not self.is_still_wanted:
            raise StoreDown("nobody waits for this answer any more")
        return self._question(connection, self._rows, *self._about)
