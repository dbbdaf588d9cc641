"""`proxy.store.sqlite` passes the contract of every store; and what is its own: keys, files, health."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from audit import verify
from proxy.store.base import StoreHealth
from proxy.store.sqlite import SqliteStore, _size
from review.model import CallState
from review.ports import Change, StoreDown
from tests.proxy.store.builders import KEYS, T0, an_entry, answered, decided, sqlite_store
from tests.proxy.store.contract import StoreContract
from tests.proxy.store.contract_draws import DrawsContract
from tests.proxy.store.contract_lists import ListsContract
from tests.proxy.store.contract_people import PeopleContract


@pytest.fixture
def reopen(tmp_path: Path) -> Callable[[], Awaitable[SqliteStore]]:
    async def opened() -> SqliteStore:
        store = sqlite_store(tmp_path)
        await store.open()
        return store

    return opened


class TestChanges(StoreContract):
    pass


class TestDraws(DrawsContract):
    pass


class TestLists(ListsContract):
    pass


class TestPeople(PeopleContract):
    pass


# --- what is this store's own


async def test_t12_keys_that_lie_with_the_data_are_refused(tmp_path: Path) -> None:
    keys = replace(KEYS, directory=tmp_path / "data" / "keys")
    with pytest.raises(StoreDown, match="is inside the data directory"):
        await sqlite_store(tmp_path, keys=keys).open()
    store = sqlite_store(tmp_path, keys=replace(KEYS, directory=tmp_path / "keys"))
    await store.open()
    await store.close()


async def test_t12_other_keys_than_the_database_s_are_refused(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path)
    await store.open()
    await store.close()
    other = sqlite_store(tmp_path, keys=replace(KEYS, mac=b"x" * 32, directory=tmp_path / "keys"))
    with pytest.raises(StoreDown, match=f"the keys in {tmp_path / 'keys'} are not those"):
        await other.open()


async def test_nothing_of_arguments_or_outcomes_stands_in_the_files_in_clear(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path)
    await store.open()
    await store.apply(decided(proposed={"ssn": "123-45-6789"}, decision={"facts": {"ssn": "123-45-6789"}}))
    await store.apply(answered(outcome={"ssn": "123-45-6789"}, approved={"ssn": "123-45-6789"}))
    copies = copied_by_another_process(tmp_path)
    assert b"call_1" in b"".join(copies)
    assert not any(b"123-45-6789" in copy for copy in copies)
    await store.close()


async def test_erased_values_are_not_left_in_the_files(tmp_path: Path) -> None:
    """Not even sealed: whoever gets the key later finds nothing to open."""
    store = sqlite_store(tmp_path)
    await store.open()
    for number in range(20):
        await store.apply(decided(f"call_{number}", state=CallState.CLOSED, outcome="x" * 9_000))
    connected = store._engine.connected
    assert connected is not None
    sealed = await connected.connection.run(lambda raw: raw.execute("SELECT outcome, proposed FROM calls").fetchall())
    assert await store.erase_before(T0 + 100) == 20
    await store.close()
    (copy,) = copied_by_another_process(tmp_path)
    assert not any(value[-40:] in copy for row in sealed for value in row)


def copied_by_another_process(tmp_path: Path) -> list[bytes]:
    """To open and close SQLite's files in this process would drop its locks on them."""
    names = [str(path) for path in (tmp_path / "data").iterdir() if path.suffix in (".db", ".db-wal")]
    return [subprocess.run(["cat", name], capture_output=True, check=True).stdout for name in names]


async def test_d7_all_files_of_a_running_store_are_ours_alone(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path)
    await store.open()
    await store.apply(decided())
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "data").iterdir()}
    names = ("interlock.db", "interlock.db-shm", "interlock.db-wal", "interlock.db.lock")
    assert modes == dict.fromkeys(names, 0o600)
    await store.close()
    assert _size(tmp_path / "data" / "interlock.db-wal") == 0


async def test_health_tells_what_doctor_and_readiness_ask(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path)
    assert await store.health() == StoreHealth(False, 0, 0, "", "the store is not open")
    await store.open()
    await store.apply(decided())
    health = await store.health()
    (entry,) = [entry async for entry in store.entries()]
    assert (health.is_writable, health.queue_length, health.entries, health.head) == (True, 0, 1, entry["hash"])
    assert health.why == ""
    assert health.details["integrity"] == "ok"
    assert health.details["database_bytes"] > 0
    assert health.details["log_bytes"] > 0
    assert health.details["boot"] == entry["boot"]
    await store.close()


async def test_a_store_that_is_down_says_so_and_comes_back(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path)
    await store.open()
    connected = store._engine.connected
    assert connected is not None
    await connected.connection.run(lambda raw: raw.execute("PRAGMA max_page_count = 1"))
    with pytest.raises(StoreDown):
        await store.apply(decided(outcome="x" * 500_000))
    health = await store.health()
    assert health.is_writable is False
    assert "disk is full" in health.why
    await store.recover()
    await store.apply(decided())
    assert (await store.health()).is_writable is True
    await store.close()
    assert (await store.health()).details == {}


async def test_d1_the_verifier_reads_the_database_of_a_running_gate(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path)
    await store.open()
    for number in range(50):
        await store.apply(decided(f"call_{number}"))
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-I", "-S", verify.__file__, "--deep", str(tmp_path / "data" / "interlock.db")],
        capture_output=True,
        text=True,
        check=False,
    )
    health = await store.health()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "unbroken: 50 entries, 1 to 50" in ended.stdout
    assert f"head {health.head}" in ended.stdout
    await store.apply(decided("after"))
    await store.close()


async def test_the_lines_of_an_export_verify_and_are_the_stored_bytes(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path)
    await store.open()
    for number in range(1_203):
        store.submit(decided(f"call_{number}"))
    await store.apply(Change(entries=(an_entry(None),)))
    export = tmp_path / "record.jsonl"
    with export.open("wb") as file:
        async for line in store.entry_lines(limit=10_000):
            file.write(line + b"\n")
    report = verify.verify_file(export, head=(await store.health()).head, deep=True)
    assert (report.entries, report.first_seq, report.last_seq) == (1_204, 1, 1_204)
    await store.close()
