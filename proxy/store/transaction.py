"""One batch of changes as one transaction, run as one function in the database's own thread (traps T8, T9).

Rules of this module:
* Items are worked in the order they were accepted, and each sees what the ones before it did. Rows are read (and their
  MACs checked) once, decided on in memory, and written together at the end: a batch takes a handful of statements,
  however many items it has, because every statement gives the interpreter lock away and must win it back.
* An item that is refused (a lost compare-and-set, a value that does not fit) leaves nothing: no row, no entry, and so
  no gap in the chain. If only writing shows that something does not fit, the batch is undone and worked again
  carefully: one item at a time, each under a savepoint.
* A row that this writer put in a moment ago, and that will be moved on in a moment, is remembered (`Passing`) and not
  read back: what was written is known better than what a file says, which is written over if it differs.
* Sequence numbers and hashes are given only to items that stay; the caller moves its head only when this returns.
* Whatever else happens, no transaction stays open: it is committed here or rolled back here.
* An error of the database is not caught: the caller closes the store (P1).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from audit.chain import Head, Prepared, link
from proxy.failpoints import failpoint
from proxy.store.base import Tampered
from proxy.store.macs import SqlValue
from proxy.store.tables import Row, Rows, Table, in_pieces
from review.ports import ChangeLost

type Key = tuple[Table, str]

PASSING_ROWS_MAX = 1_024
PASSING_ROW_BYTES_MAX = 16 * 1024

# What an item may be refused for; anything else is a fault of the store. ValueError includes text with lone surrogates
# and JSON that cannot be written, OverflowError an integer beyond 64 bits.
REFUSALS = (ChangeLost, Tampered, ValueError, TypeError, OverflowError)
_MISFITS = (sqlite3.IntegrityError, ValueError, OverflowError)  # what writing a row may show


class OutsideWriter(Exception):
    """The chain's next place is taken: somebody else writes to this database, past the file lock (traps T10)."""


@dataclass(frozen=True, slots=True)
class Work:
    """An item: what to do, and the rows it will ask for. `uses_sql`: it also runs statements of its own."""

    do: Callable[[Transaction], Any]
    touches: tuple[Key, ...] = ()
    uses_sql: bool = False


@dataclass(slots=True)
class _Pending:
    """A row to be written. `mac` is None until it is known that the row stays as it is."""

    row: Row
    mac: bytes | None
    is_new: bool


@dataclass(slots=True)
class _Staged:
    """What the present item has done so far."""

    head: Head
    rows: dict[Key, _Pending] = field(default_factory=dict)
    entries: list[tuple[SqlValue, ...]] = field(default_factory=list)


class Passing:
    """Rows put in by committed batches in the state they soon leave again; each is good for one change."""

    def __init__(self) -> None:
        self._rows: dict[Key, Row] = {}

    def take(self, table: Table, row_ids: Sequence[str]) -> dict[Key, Row | Tampered | None]:
        """Those that are remembered of these rows; they are not any longer."""
        rows = self._rows
        return {(table, row_id): rows.pop((table, row_id)) for row_id in row_ids if (table, row_id) in rows}

    def learn(self, rows: Mapping[Key, Row]) -> None:
        """Rows of a batch that was committed. The oldest make room: their calls take long, or have no end."""
        self._rows.update(rows)
        while len(self._rows) > PASSING_ROWS_MAX:
            del self._rows[next(iter(self._rows))]

    def clear(self) -> None:
        self._rows.clear()


class Transaction:
    """What an item may do. Reading and changing rows here is memory; `flush` writes."""

    def __init__(self, cursor: sqlite3.Cursor, rows: Rows, head: Head, passing: Passing, *, careful: bool) -> None:
        self.head = head
        self.passed: dict[Key, Row] = {}
        self._passing = passing
        self.bytes_written = 0
        self._cursor = cursor
        self._rows = rows
        self._careful = careful
        self._known: dict[Key, Row | Tampered | None] = {}
        self._pending = _Staged(head)
        self._item = _Staged(head)

    # --- for items

    def find(self, table: Table, row_id: str) -> Row | None:
        """The row as it now is; not to be changed in place. Raises: Tampered."""
        key = (table, row_id)
        if key in self._item.rows:
            return self._item.rows[key].row
        if key not in self._known:
            self.load(table, [row_id])
        row = self._known[key]
        if isinstance(row, Tampered):
            raise row
        return row

    def insert(self, table: Table, row: Row, mac: bytes) -> None:
        """A new row. Raises: ChangeLost if it is there already."""
        key = (table, str(row[0]))
        if self._careful or key in self._known or key in self._item.rows:
            found = self.find(*key)
            if found is not None:
                raise ChangeLost(table.name, key[1], str(found[table.position["state"]]))
        self._item.rows[key] = _Pending(row, mac, is_new=True)

    def replace(self, table: Table, row: Row) -> None:
        """A changed row, which was found before."""
        key = (table, str(row[0]))
        is_new = any(key in stage.rows and stage.rows[key].is_new for stage in (self._item, self._pending))
        self._item.rows[key] = _Pending(row, None, is_new)

    def append(self, entry: Prepared) -> None:
        """Chain an entry."""
        linked = link(entry, self.head)
        self.head = head = linked.head
        self.bytes_written += len(linked.data)
        self._item.entries.append((head.seq, bytes.fromhex(head.hash), linked.call_id, linked.data))

    def sql(self, text: str, values: Sequence[SqlValue]) -> list[tuple[SqlValue, ...]]:
        """Run a statement and fetch what it found; only for items that say `uses_sql`."""
        rows: list[tuple[SqlValue, ...]] = self._cursor.execute(text, values).fetchall()
        return rows

    # --- for the batch

    def load(self, table: Table, row_ids: Sequence[str]) -> None:
        """Read rows and check them; a forged one is remembered as such, and refuses whoever asks for it."""
        remembered = self._passing.take(table, row_ids)
        if remembered:
            self._known.update(remembered)
            row_ids = [row_id for row_id in row_ids if (table, row_id) not in remembered]
        for piece in in_pieces(row_ids):
            self._known.update({(table, row_id): None for row_id in piece})
            for stored in self._cursor.execute(table.select_many(len(piece)), piece).fetchall():
                try:
                    self._known[table, stored[0]] = self._rows.check(table, stored)
                except Tampered as error:
                    self._known[table, stored[0]] = error

    def begin_item(self) -> None:
        self._item = _Staged(self.head)

    def keep_item(self) -> None:
        item, pending = self._item, self._pending
        pending.rows.update(item.rows)
        pending.entries += item.entries
        self._known.update({key: changed.row for key, changed in item.rows.items()})

    def drop_item(self) -> None:
        self.head = self._item.head

    def forget(self) -> None:
        """What was read may no longer hold: a savepoint was rolled back, or an item ran statements of its own."""
        self._known.clear()
        self.passed.clear()
        self._passing.clear()

    def flush(self) -> None:
        """Write what is pending. Raises: sqlite3.IntegrityError, ValueError, OverflowError, OutsideWriter."""
        pending, self._pending = self._pending, _Staged(self.head)
        new: dict[Table, list[tuple[SqlValue, ...]]] = {}
        changed: dict[Table, list[tuple[SqlValue, ...]]] = {}
        for key, one in pending.rows.items():
            table = key[0]
            sealed_bytes = 0
            for value in one.row[table.first_sealed :] if table.sealed else ():
                if isinstance(value, bytes):
                    sealed_bytes += len(value)
            self.bytes_written += sealed_bytes
            if table.passing is not None:
                is_passing = one.is_new and one.row[table.position["state"]] == table.passing
                if is_passing and sealed_bytes <= PASSING_ROW_BYTES_MAX:
                    self.passed[key] = one.row
                else:
                    self.passed.pop(key, None)
            mac = one.mac if one.mac is not None else self._rows.mac(table, one.row)
            (new if one.is_new else changed).setdefault(table, []).append((*one.row, mac))
        for table, all_stored in new.items():
            self._write(table.insert_many, all_stored)
        for table, all_stored in changed.items():
            self._write(table.replace_many, all_stored)
        try:
            self._write(_insert_entries, pending.entries)
        except sqlite3.IntegrityError as error:
            raise OutsideWriter(
                f"entry {pending.entries[0][0]!s} or a later one is there already, and not ours"
            ) from error

    def _write(self, text: Callable[[int], str], stored: Sequence[tuple[SqlValue, ...]]) -> None:
        for piece in in_pieces(stored):
            self._cursor.execute(text(len(piece)), list(chain.from_iterable(piece)))


def _insert_entries(rows: int) -> str:
    return "INSERT INTO entries (seq, hash, call_id, data) VALUES (?, ?, ?, ?)" + ", (?, ?, ?, ?)" * (rows - 1)


@dataclass(slots=True)
class Committed:
    """What became of a batch: per item its result, or why it was refused."""

    head: Head
    results: list[Any]
    refused: dict[int, Exception]
    bytes_written: int


def commit_batch(
    connection: sqlite3.Connection, works: Sequence[Work], head: Head, rows: Rows, passing: Passing | None = None
) -> Committed:
    """Work the items in one transaction; durable when this returns. `passing` is what the batches before left.

    Raises: sqlite3.Error, OutsideWriter: then nothing is known to be written.
    """
    passing = passing if passing is not None else Passing()
    try:
        return _attempt(connection, works, head, rows, passing, careful=False)
    except _MISFITS:
        passing.clear()
        return _attempt(connection, works, head, rows, passing, careful=True)


def _attempt(
    connection: sqlite3.Connection, works: Sequence[Work], head: Head, rows: Rows, passing: Passing, *, careful: bool
) -> Committed:
    cursor = connection.cursor()
    try:
        cursor.execute("BEGIN IMMEDIATE")
        transaction = Transaction(cursor, rows, head, passing, careful=careful)
        _prefetch(transaction, works)
        committed = Committed(head, [None] * len(works), {}, 0)
        for number, work in enumerate(works):
            alone = careful or work.uses_sql
            if alone:
                transaction.flush()
            try:
                committed.results[number] = (_work_alone if alone else _work)(cursor, transaction, work)
            except sqlite3.IntegrityError as error:
                committed.refused[number] = ValueError(f"the change does not fit the schema: {error}")
            except REFUSALS as error:
                committed.refused[number] = error
        transaction.flush()
        _move_head(cursor, rows, head, transaction.head)
        failpoint("commit.begun")
        cursor.execute("COMMIT")
        failpoint("commit.done")
    finally:
        if connection.in_transaction:
            connection.rollback()
    passing.learn(transaction.passed)
    committed.head, committed.bytes_written = transaction.head, transaction.bytes_written
    return committed


def _prefetch(transaction: Transaction, works: Sequence[Work]) -> None:
    asked: dict[Table, dict[str, None]] = {}
    for work in works:
        for table, row_id in work.touches:
            asked.setdefault(table, {})[row_id] = None
    for table, row_ids in asked.items():
        transaction.load(table, list(row_ids))


def _work(_cursor: sqlite3.Cursor, transaction: Transaction, work: Work) -> Any:
    transaction.begin_item()
    try:
        result = work.do(transaction)
    except REFUSALS:
        transaction.drop_item()
        raise
    transaction.keep_item()
    return result


def _work_alone(cursor: sqlite3.Cursor, transaction: Transaction, work: Work) -> Any:
    """One item under a savepoint, written before the next begins."""
    cursor.execute("SAVEPOINT item")
    try:
        result = _work(cursor, transaction, work)
        transaction.flush()
    except (sqlite3.IntegrityError, *REFUSALS):
        cursor.execute("ROLLBACK TO item")
        cursor.execute("RELEASE item")
        transaction.drop_item()
        transaction.forget()
        raise
    cursor.execute("RELEASE item")
    if work.uses_sql:
        transaction.forget()
    return result


def _move_head(cursor: sqlite3.Cursor, rows: Rows, before: Head, after: Head) -> None:
    if after != before:
        moved = (after.seq, bytes.fromhex(after.hash), rows.macs.of_head(after))
        cursor.execute("UPDATE head SET seq = ?, hash = ?, mac = ? WHERE one = 1", moved)
