"""The database's shape and its first checks: migrations, the keys it was written with, whether the record's end holds.

Rules of this module:
* Migrations are numbered files beside this one. Each is applied once, in one transaction, and its hash is kept: a file
  that was changed afterwards, a gap, or a number from the future is refused.
* A database of something else, or one written with other keys, is refused before anything is written to it.
* Opening checks the pages for as long as allowed, and the last entries of the chain against the signed head: a cut tail
  or an edited end is found before the first call is judged.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from audit.chain import START, ChainBroken, Head, verify_run
from proxy.store.macs import RowMacs
from review.ports import StoreDown

APPLICATION_ID = 0x494C4B31  # "ILK1"
TAIL_ENTRIES = 1_000
_STEPS_BETWEEN_CHECKS = 100_000
_DATABASE_ID_BYTES = 16
_MEND = "put the database back from a copy you trust"


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Opened:
    """What opening found."""

    head: Head
    integrity: str
    tail_verified: int


def migrations(directory: Path | None = None) -> tuple[Migration, ...]:
    """All migrations, in order. Raises: StoreDown if a number is missing or double."""
    directory = directory or Path(__file__).parent / "migrations"
    found = tuple(
        Migration(int(path.name[:4]), path.stem, path.read_text("utf-8"))
        for path in sorted(directory.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    )
    if [migration.number for migration in found] != list(range(1, len(found) + 1)) or not found:
        raise StoreDown(f"the migrations in {directory} are not numbered 1, 2, 3 …; install Interlock anew")
    return found


@dataclass(frozen=True, slots=True)
class Opening:
    """Everything opening needs besides the connection; `keys_lie_in` is for the message only."""

    macs: RowMacs
    random_bytes: Callable[[int], bytes]
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    check_sec_max: float
    keys_lie_in: str
    migrations: tuple[Migration, ...]

    def __call__(self, connection: sqlite3.Connection) -> Opened:
        """Check and migrate. Raises: StoreDown, sqlite3.Error."""
        _refuse_strangers(connection)
        integrity = self._check_pages(connection)
        _migrate(connection, self.migrations, self.clock)
        self._check_keys(connection)
        head, verified = self._check_tail(connection)
        return Opened(head, integrity, verified)

    def _check_pages(self, connection: sqlite3.Connection) -> str:
        deadline = self.monotonic() + self.check_sec_max
        connection.set_progress_handler(lambda: self.monotonic() > deadline, _STEPS_BETWEEN_CHECKS)
        try:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError:
            if self.monotonic() <= deadline:
                raise
            return f"no fault found in {self.check_sec_max:g} s"  # a large database: the tail is checked all the same
        finally:
            connection.set_progress_handler(None, 0)
        if found != "ok":
            raise StoreDown(f"the database is damaged ({' '.join(found.split())}); {_MEND}")
        return "ok"

    def _check_keys(self, connection: sqlite3.Connection) -> None:
        """The first opening notes which keys belong to this database; later ones compare."""
        meta = dict(connection.execute("SELECT key, value FROM meta"))
        (is_new,) = connection.execute(
            "SELECT NOT EXISTS (SELECT 1 FROM head) AND NOT EXISTS (SELECT 1 FROM entries)"
        ).fetchone()
        if is_new and not meta:
            database_id = self.random_bytes(_DATABASE_ID_BYTES)
            with _transaction(connection):
                rows = [("id", database_id), ("key_check", self.macs.of_database(database_id))]
                connection.executemany("INSERT INTO meta (key, value) VALUES (?, ?)", rows)
                start = (START.seq, bytes.fromhex(START.hash), self.macs.of_head(START))
                connection.execute("INSERT INTO head (one, seq, hash, mac) VALUES (1, ?, ?, ?)", start)
            return
        if not hmac.compare_digest(self.macs.of_database(meta.get("id", b"")), meta.get("key_check", b"")):
            raise StoreDown(
                f"the keys in {self.keys_lie_in} are not those this database was written with; put back the directory "
                "of keys from your copy, or, if there is nothing to keep, move the database away"
            )

    def _check_tail(self, connection: sqlite3.Connection) -> tuple[Head, int]:
        stored = connection.execute("SELECT seq, hash, mac FROM head").fetchone()
        if stored is None:
            raise StoreDown(f"the record has lost its head; {_MEND}")
        head = Head(stored[0], bytes(stored[1]).hex())
        if not hmac.compare_digest(self.macs.of_head(head), bytes(stored[2])):
            raise StoreDown(f"the head of the record (entry {head.seq}) does not carry this gate's MAC; {_MEND}")
        entries = connection.execute(
            "SELECT seq, data, hash FROM entries ORDER BY seq DESC LIMIT ?", (TAIL_ENTRIES + 1,)
        ).fetchall()[::-1]
        after = START
        if len(entries) > TAIL_ENTRIES:  # the one before the tail is taken at its word
            after = Head(entries[0][0], entries[0][2].hex())
            del entries[0]
        try:
            reached = verify_run(((seq, data, digest.hex()) for seq, data, digest in entries), after=after)
        except ChainBroken as error:
            raise StoreDown(f"the record is broken at {error}; {_MEND}") from error
        if reached != head:
            raise StoreDown(f"the record ends at entry {reached.seq}, but its head is entry {head.seq}; {_MEND}")
        return head, len(entries)


def _refuse_strangers(connection: sqlite3.Connection) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application_id != APPLICATION_ID and (application_id != 0 or tables != 0):
        raise StoreDown("the file is a database of something else; choose another `data_dir`")


def _migrate(connection: sqlite3.Connection, known: tuple[Migration, ...], clock: Callable[[], float]) -> None:
    with _transaction(connection):
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY NOT NULL, name TEXT NOT NULL, "
            "sha256 TEXT NOT NULL, applied_at REAL NOT NULL) STRICT"
        )
    applied = connection.execute("SELECT number, name, sha256 FROM migrations ORDER BY number").fetchall()
    for at, (number, name, digest) in enumerate(applied):
        if at >= len(known):
            raise StoreDown(f"the database was written by a newer Interlock (migration {name}); upgrade this one")
        if (number, digest) != (known[at].number, known[at].sha256):
            raise StoreDown(f"migration {name} is not the one this database was made with; install Interlock anew")
    for migration in known[len(applied) :]:
        with _transaction(connection):
            for statement in statements(migration.sql):
                connection.execute(statement)
            row = (migration.number, migration.name, migration.sha256, clock())
            connection.execute("INSERT INTO migrations (number, name, sha256, applied_at) VALUES (?, ?, ?, ?)", row)


def statements(sql: str) -> Iterator[str]:
    """The statements of a script one by one: running the script whole would commit in between."""
    pending = ""
    for part in re.split(r"(?<=;)\s*\n", sql):
        pending += f"{part}\n"
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if re.sub(r"--[^\n]*", "", pending).strip():
        raise StoreDown(f"a migration ends within a statement: {pending.strip()[:60]!r}")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
