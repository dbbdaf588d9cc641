"""`proxy.store.schema`: migrations, keys, and the end of the record are checked before anything is believed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from audit.chain import START, Head
from proxy.store import reads, schema
from proxy.store.schema import APPLICATION_ID, Migration, migrations, statements
from proxy.store.transaction import commit_batch
from review.ports import StoreDown
from tests.proxy.store.builders import KEYS, Clock, connection_to, decided, fresh, opening, preparing, rows

ROWS = rows()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = fresh(tmp_path / "x.db")
    yield connection
    connection.close()


def fill(connection: sqlite3.Connection, entries: int) -> Head:
    prepared = preparing(ROWS)
    head = opening()(connection).head
    works = [prepared.change(decided(f"call_{number}")).work for number in range(head.seq, head.seq + entries)]
    return commit_batch(connection, works, head, ROWS).head


def refused(connection: sqlite3.Connection, match: str, **changes: object) -> None:
    with pytest.raises(StoreDown, match=match):
        opening(**changes)(connection)  # type: ignore[arg-type]
    assert not connection.in_transaction


# --- a new database, and one that is known


def test_a_new_database_begins_with_an_empty_record(tmp_path: Path) -> None:
    connection = connection_to(tmp_path / "x.db")
    opened = opening()(connection)
    assert (opened.head, opened.integrity, opened.tail_verified) == (START, "ok", 0)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert connection.execute("SELECT number, name, applied_at FROM migrations").fetchall() == [
        (migration.number, migration.name, pytest.approx(Clock().now, abs=1)) for migration in migrations()
    ]
    assert opening()(connection) == opened
    connection.close()


def test_opening_verifies_the_last_entries_and_finds_the_head(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "TAIL_ENTRIES", 10)
    for entries, verified in ((9, 9), (1, 10), (1, 10), (30, 10)):
        head = fill(database, entries)
        opened = opening()(database)
        assert (opened.head, opened.tail_verified) == (head, verified)


def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    connection = connection_to(tmp_path / "x.db")
    connection.execute("CREATE TABLE theirs (x)")
    refused(connection, "database of something else")
    connection.execute("DROP TABLE theirs")
    connection.execute("PRAGMA application_id = 5")
    refused(connection, "database of something else")
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()


# --- migrations

SECOND = Migration(len(migrations()) + 1, "9999_more", "CREATE TABLE more (x INTEGER) STRICT;\n-- the end\n")


def test_each_migration_is_applied_once_and_in_order(database: sqlite3.Connection) -> None:
    for _ in range(2):
        opening(migrations=(*migrations(), SECOND))(database)
    assert database.execute("SELECT number FROM migrations").fetchall() == [
        (number,) for number in range(1, SECOND.number + 1)
    ]


def test_a_migration_that_fails_leaves_nothing_of_itself(database: sqlite3.Connection) -> None:
    bad = replace(SECOND, sql="CREATE TABLE more (x INTEGER) STRICT;\nCREATE TABLE more (y INTEGER) STRICT;\n")
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        opening(migrations=(*migrations(), bad))(database)
    assert not database.in_transaction
    assert database.execute("SELECT name FROM sqlite_master WHERE name = 'more'").fetchall() == []
    opening(migrations=(*migrations(), SECOND))(database)


def test_a_database_of_an_earlier_interlock_is_brought_up_to_date_with_all_it_holds(tmp_path: Path) -> None:
    for known in range(1, SECOND.number - 1):
        connection = connection_to(tmp_path / f"{known}.db")
        opening(migrations=migrations()[:known])(connection)
        head = fill(connection, 3)
        opened = opening()(connection)
        assert (opened.head, opened.tail_verified) == (head, 3)
        assert connection.execute("SELECT count(*) FROM calls").fetchone() == (3,)
        assert connection.execute("SELECT max(number) FROM migrations").fetchone() == (SECOND.number - 1,)
        connection.close()


def test_a_migration_that_was_changed_afterwards_is_refused(database: sqlite3.Connection) -> None:
    first, *rest = migrations()
    changed = replace(first, sql=first.sql + "-- changed\n")
    refused(database, "migration 0001_first is not the one", migrations=(changed, *rest))


def test_a_database_of_the_first_release_is_brought_up_to_date_and_keeps_what_it_has(tmp_path: Path) -> None:
    connection = connection_to(tmp_path / "old.db")
    first = opening(migrations=migrations()[:1])(connection)
    head = commit_batch(connection, [preparing(ROWS).change(decided("call_old")).work], first.head, ROWS).head
    assert opening()(connection).head == head
    found = reads.session_calls(connection, ROWS, "demo", "s1", 9)
    assert [call.id for call in found] == ["call_old"]
    assert reads.precedents(connection, ROWS, "shape", 9) == []
    connection.close()


def test_a_database_of_a_newer_interlock_is_refused(database: sqlite3.Connection) -> None:
    opening(migrations=(*migrations(), SECOND))(database)
    refused(database, r"newer Interlock \(migration 9999_more\)")


@pytest.mark.parametrize("names", [[], ["0002_b.sql"], ["0001_a.sql", "0003_c.sql"], ["0001_a.sql", "0001_b.sql"]])
def test_migrations_are_numbered_without_gaps(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1;\n")
    with pytest.raises(StoreDown, match="not numbered 1, 2, 3"):
        migrations(tmp_path)


def test_a_script_is_cut_into_its_statements() -> None:
    trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN\nSELECT 1;\nEND;\n"
    script = f"CREATE TABLE a (x);\n\n-- a note; with a semicolon\n{trigger}"
    assert len(list(statements(script))) == 2
    assert list(statements("-- nothing\n")) == []
    with pytest.raises(StoreDown, match="ends within a statement: 'CREATE TABLE b"):
        list(statements("CREATE TABLE a (x);\nCREATE TABLE b (x\n"))


# --- keys


def test_t12_other_keys_are_refused(database: sqlite3.Connection) -> None:
    fill(database, 3)
    other = replace(KEYS, mac=b"x" * 32)
    refused(database, "the keys in the keys' place are not those this database was written with", keys=other)


@pytest.mark.parametrize(
    "what", ["DELETE FROM meta", "DELETE FROM meta WHERE key = 'id'", "UPDATE meta SET value = x'00'"]
)
def test_t12_a_database_cannot_be_given_new_keys_by_forgetting_the_old(database: sqlite3.Connection, what: str) -> None:
    fill(database, 3)
    database.execute(what)
    refused(database, "not those this database was written with")


# --- the end of the record


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("DELETE FROM entries WHERE seq = 20", "the record ends at entry 19, but its head is entry 20"),
        ("DELETE FROM entries WHERE seq > 5", "the record ends at entry 5, but its head is entry 20"),
        ("DELETE FROM entries", "the record ends at entry 0, but its head is entry 20"),
        ("DELETE FROM entries WHERE seq = 12", "the record is broken at entry 12: is missing"),
        ("DELETE FROM head", "the record has lost its head"),
        ("UPDATE head SET seq = 19", r"the head of the record \(entry 19\) does not carry this gate's MAC"),
        ("UPDATE head SET mac = zeroblob(32)", "does not carry this gate's MAC"),
        (
            "UPDATE entries SET data = CAST(replace(data, 'demo', 'evil') AS BLOB) WHERE seq = 20",
            "the record is broken at entry 20: its bytes hash to",
        ),
        ("UPDATE entries SET hash = zeroblob(32) WHERE seq = 11", "the record is broken at entry 11"),
    ],
)
def test_d1_an_end_that_was_tampered_with_is_refused_at_opening(
    database: sqlite3.Connection, what: str, why: str
) -> None:
    assert fill(database, 20).seq == 20
    database.execute(what)
    refused(database, why)


def test_d2_a_tail_cut_off_with_a_head_to_match_is_refused_for_want_of_a_mac(database: sqlite3.Connection) -> None:
    fill(database, 20)
    database.execute("DELETE FROM entries WHERE seq > 15")
    database.execute("UPDATE head SET seq = 15, hash = (SELECT hash FROM entries WHERE seq = 15)")
    refused(database, r"head of the record \(entry 15\) does not carry this gate's MAC")


# --- pages


def test_damaged_pages_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    connection = fresh(path)
    fill(connection, 300)
    connection.close()
    damaged = bytearray(path.read_bytes())
    damaged[20 * 4096 : 21 * 4096] = b"\xa5" * 4096
    path.write_bytes(damaged)
    connection = connection_to(path)
    with pytest.raises((StoreDown, sqlite3.DatabaseError), match=r"damaged|malformed"):
        opening()(connection)
    connection.close()


def test_checking_the_pages_of_a_large_database_ends_in_time(database: sqlite3.Connection) -> None:
    fill(database, 2_000)
    ticks = iter(range(10_000))
    opened = opening(monotonic=lambda: next(ticks), check_sec_max=0.5)(database)
    assert opened.integrity == "no fault found in 0.5 s"
    assert opened.tail_verified == 1_000


def test_a_fault_that_checking_finds_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    fresh(path).close()
    data = bytearray(path.read_bytes())
    data[36:40] = (7).to_bytes(4)  # the header's count of free pages
    path.write_bytes(data)
    connection = connection_to(path)
    refused(connection, r"the database is damaged \(.*; put the database back")
    connection.close()


def test_an_interruption_by_somebody_else_is_an_error(database: sqlite3.Connection) -> None:
    fill(database, 2_000)
    ticks = iter([0.0, 10.0, 0.0])  # over the time when asked by the check, not over it when asked again
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        opening(monotonic=lambda: next(ticks), check_sec_max=0.5)(database)
