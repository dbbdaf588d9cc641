"""The store, looked at while a gate has it and while none has: what is wrong is said, and nothing is written."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from audit.entry import EntryDraft, EntryKind
from proxy.doctor.finding import Standing
from proxy.doctor.record import look
from proxy.doctor.subject import Subject
from review.model import Account
from tests.proxy.doctor.builders import by_check, standings, store_of, subject, write

ADMIN = Account("maria", "$argon2id$x", roles=("admin", "reviewer"))


def state(folder: Path) -> dict[str, tuple[int, str]]:
    """Everything in it: names, times and content, but for SQLite's shared memory, which every reader uses."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.endswith("-shm")]
    return {path.name: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files}


async def test_p13_a_record_at_rest_is_read_and_nothing_is_written_or_made(tmp_path: Path) -> None:
    at = subject(tmp_path, servers={"shop": {"url": "https://shop.example.com/mcp"}})
    await write(at, ADMIN)
    before = state(tmp_path)
    looked = look(at)
    assert standings(looked.findings) == {Standing.OK}, looked.findings
    assert by_check(looked.findings)["record"].details["entries"] == 4
    assert looked.last_entry_at is not None
    assert looked.pins == {"shop": []}
    assert state(tmp_path) == before
    assert not list(at.data_dir.glob("*-shm"))


async def test_a_record_that_a_gate_writes_is_read_beside_it(tmp_path: Path) -> None:
    at = subject(tmp_path)
    store = store_of(at)
    await store.open()
    await store.put_account(ADMIN, EntryDraft(EntryKind.ACCOUNT_CHANGED, time.time(), "gate"))
    found = by_check(look(replace(at, gate=os.getpid())).findings)
    await store.close()
    assert found["record"].details["entries"] == 1
    assert found["people"].details["admins"] == ["maria"]
    assert f"process {os.getpid()}" in found["lock"].says


def test_before_the_first_start_there_is_nothing_and_nothing_is_made(tmp_path: Path) -> None:
    at = subject(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert standings(look(at).findings) == {Standing.OK}
    assert sorted(tmp_path.rglob("*")) == before


async def test_without_an_admin_who_has_a_password_nobody_can_decide(tmp_path: Path) -> None:
    at = subject(tmp_path)
    await write(at, replace(ADMIN, password_hash=None), replace(ADMIN, name="nora", disabled=True))
    found = by_check(look(at).findings)["people"]
    assert (found.standing, "nobody can decide" in found.says) == (Standing.WARNING, True)


def spoil(at: Subject, sql: str) -> None:
    with closing(sqlite3.connect(at.store)) as database:
        database.execute(sql)
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.mark.parametrize(
    ("sql", "check", "said"),
    [
        ("UPDATE entries SET data = CAST('{}' AS BLOB) WHERE seq = 2", "record", "broken at"),
        ("DELETE FROM entries WHERE seq = 4", "record", "ends at entry 3, and its head is entry 4"),
        ("DELETE FROM head", "record", "lost its head"),
        ("UPDATE head SET seq = 3", "record", "does not carry this gate's MAC"),
        ("UPDATE accounts SET roles = '[\"admin\"]'", "record", "cannot be read: accounts maria was not written"),
        ("UPDATE migrations SET sha256 = 'x'", "migrations", "not the one this database was made with"),
        ("INSERT INTO migrations VALUES (99, 'later', 'x', 0)", "migrations", "newer Interlock (later)"),
        ("DROP TABLE entries", "record", "cannot be read: no such table"),
    ],
)
async def test_p13_what_somebody_changed_in_the_store_is_found(tmp_path: Path, sql: str, check: str, said: str) -> None:
    at = subject(tmp_path)
    await write(at, ADMIN)
    spoil(at, sql)
    found = by_check(look(at).findings)[check]
    assert (found.standing, said in found.says) == (Standing.PROBLEM, True), found


async def test_a_store_whose_keys_are_gone_or_open_to_others_is_a_problem_and_no_keys_are_made(tmp_path: Path) -> None:
    at = subject(tmp_path)
    await write(at, ADMIN)
    keys = at.keys_dir / "interlock.keys"
    keys.chmod(0o644)
    assert "chmod 600" in by_check(look(at).findings)["keys"].says
    keys.unlink()
    found = by_check(look(at).findings)
    assert (found["keys"].standing, found["record"].standing) == (Standing.PROBLEM, Standing.OK)
    assert not keys.exists()


async def test_another_user_is_told_to_look_as_the_gates_own(tmp_path: Path) -> None:
    at = subject(tmp_path, user=4_711)
    await write(at, ADMIN)
    found = by_check(look(at).findings)
    assert (found["keys"].standing, "sudo -u" in found["keys"].mend) == (Standing.UNREACHABLE, True)
