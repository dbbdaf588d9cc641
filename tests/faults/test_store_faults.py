"""The store under crash, full disk, torn files, tampering: what was acknowledged is there, nothing forged is believed.

Threats D1, D5, D9–D11 (docs/threats.md) and traps T8–T12, against real files and real processes.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit import verify
from audit.chain import START, Head, verify_run
from proxy.store.base import Tampered
from proxy.store.rows import CALLS, REVIEWS
from review.model import CallState, ReviewState
from review.ports import StoreDown
from tests.proxy.store.builders import approved, decided, opened, rows, spent, sqlite_store

ROOT = Path(__file__).resolve().parents[2]
ROWS = rows()

# How far a call has come: what must be seen of it once a stage was acknowledged.
REACHED = {
    "opened": {(CallState.WAITING, ReviewState.PARKED)},
    "approved": {(CallState.WAITING, ReviewState.SPENDABLE)},
    "spent": {(CallState.DISPATCHING, ReviewState.SPENT)},
    "answered": {(CallState.ANSWERED, ReviewState.SPENT)},
}
STAGES = list(REACHED)


def child(what: str, directory: Path, prefix: str = "-") -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.store_child", what, str(directory), prefix],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )


def killed_after(directory: Path, prefix: str, lines: int) -> dict[str, str]:
    """Let a child write, kill it (SIGKILL) after so many acknowledgements; the last stage acknowledged of each call."""
    running = child("write", directory, prefix)
    assert running.stdout is not None
    seen = [running.stdout.readline() for _ in range(lines)]
    running.send_signal(signal.SIGKILL)
    seen += running.stdout.readlines()  # what it had said before it died
    assert running.wait() == -signal.SIGKILL
    running.stdout.close()
    acknowledged: dict[str, str] = {}
    for line in seen:
        stage, call_id = line.decode().split()
        acknowledged[call_id] = stage
    return acknowledged


async def test_d11_what_was_acknowledged_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    chance = random.Random(20_261_121)
    acknowledged: dict[str, str] = {}
    for cycle in range(5):
        acknowledged |= killed_after(tmp_path, f"cycle{cycle}", chance.randrange(1, 400))
        store = sqlite_store(tmp_path)
        await store.open()
        for call_id, stage in acknowledged.items():
            call, review = await store.call(call_id), await store.review(f"rev of {call_id}")
            assert call is not None
            assert review is not None
            # The next stage may have become durable without its acknowledgement having been heard.
            later = STAGES[STAGES.index(stage) :]
            assert (call.state, review.state) in set().union(*(REACHED[one] for one in later[:2])), call_id
        await store.close()
        report = verify.verify_file(tmp_path / "data" / "interlock.db", deep=True)
        assert report.entries >= len(acknowledged)
    assert len(acknowledged) > 5


# --- torn files


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, bytes]:
    """A database as a killed process left it: the main file, and a log with many commits in it."""
    directory = tmp_path_factory.mktemp("crashed")
    killed_after(directory, "torn", 250)
    data = directory / "data"
    return directory, (data / "interlock.db").read_bytes(), (data / "interlock.db-wal").read_bytes()


def contents(path: Path) -> tuple[list[tuple[int, bytes, str]], Head, dict[str, int]]:
    """Entries, head and versions of the rows, every MAC checked."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        stored = connection.execute("SELECT seq, data, hash FROM entries ORDER BY seq").fetchall()
        seq, digest, mac = connection.execute("SELECT seq, hash, mac FROM head").fetchone()
        versions: dict[str, int] = {}
        for table in (CALLS, REVIEWS):
            for row in connection.execute(table.select):
                checked = ROWS.check(table, row)
                versions[str(checked[0])] = int(str(checked[table.position["version"]]))
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
    finally:
        connection.close()
    head = Head(seq, digest.hex())
    assert mac == ROWS.macs.of_head(head)
    return [(one, data, kept.hex()) for one, data, kept in stored], head, versions


def expected_versions(entries: list[tuple[int, bytes, str]]) -> dict[str, int]:
    """What the entries tell of the rows: state and record commit together, or not at all (P13)."""
    versions: dict[str, int] = {}
    for _, data, _ in entries:
        entry = json.loads(data)
        call_id, review_id = entry["call_id"], f"rev of {entry['call_id']}"
        match entry["kind"]:
            case "call_decided":
                versions[call_id] = versions[review_id] = 1
            case "review_settled":
                versions[review_id] += 1
            case "grant_spent":
                versions[review_id] += 1
                versions[call_id] += 1
            case "call_answered":
                versions[call_id] += 1
    return versions


def damaged_logs(log: bytes) -> Iterator[bytes]:
    """Cut at places spread over the whole log and around the ends of frames; and with one byte changed."""
    frame = 24 + 4096
    chance = random.Random(5)
    offsets = {0, 1, 31, 32, 33, len(log) - 1, len(log)}
    offsets |= {chance.randrange(len(log)) for _ in range(90)}
    for number in [chance.randrange((len(log) - 32) // frame) for _ in range(25)]:
        offsets |= {32 + number * frame + around for around in (-1, 0, 1, 24)}
    for offset in sorted(offsets):
        yield log[:offset]
    for _ in range(20):
        at = chance.randrange(len(log))
        yield log[:at] + bytes([log[at] ^ 0x40]) + log[at + 1 :]


def test_d11_a_torn_log_leaves_a_whole_record_that_is_a_prefix(
    crashed: tuple[Path, bytes, bytes], tmp_path: Path
) -> None:
    _, main, log = crashed
    path = tmp_path / "x.db"
    whole: list[tuple[int, bytes, str]] | None = None
    lengths = set()
    for torn in [log, *damaged_logs(log)]:
        path.write_bytes(main)
        Path(f"{path}-wal").write_bytes(torn)
        Path(f"{path}-shm").unlink(missing_ok=True)
        entries, head, versions = contents(path)
        whole = entries if whole is None else whole
        assert entries == whole[: len(entries)]
        assert verify_run(entries) == head
        assert versions == expected_versions(entries)
        lengths.add(len(entries))
    assert whole is not None
    assert len(lengths) > 10
    assert {0, len(whole)} <= lengths


async def test_d11_a_store_opens_on_a_torn_log_and_goes_on(crashed: tuple[Path, bytes, bytes], tmp_path: Path) -> None:
    _, main, log = crashed
    for number, part in enumerate((0.0, 0.3, 0.7, 1.0)):
        data = tmp_path / str(number) / "data"
        data.mkdir(parents=True, mode=0o700)
        for name, content in (("interlock.db", main), ("interlock.db-wal", log[: int(len(log) * part)])):
            (data / name).write_bytes(content)
            (data / name).chmod(0o600)
        store = sqlite_store(tmp_path / str(number))
        await store.open()
        await store.apply(decided("after"))
        await store.close()
        assert verify.main(["--deep", str(data / "interlock.db")]) == 0


# --- no room (threats D9)


def test_d9_a_full_disk_refuses_and_with_room_again_the_store_goes_on(tmp_path: Path) -> None:
    running = child("limit", tmp_path)
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    told: dict[str, Any] = json.loads(out)
    assert 10 <= told["written"] < 60
    assert len(told["refused"]) == 1
    assert told["refused"][0].startswith("the database failed: ")
    assert told["reads_refused"] == told["refused"][0]
    assert told["again"].startswith("the database failed: ")
    assert set(told["acknowledged"]) <= set(told["kept"])  # what was not acknowledged may or may not be there
    assert told["entries"] == len(told["kept"]) + 2
    assert verify.main(["--deep", str(tmp_path / "data" / "interlock.db")]) == 0


# --- two processes (traps T10)


async def test_t10_a_second_process_is_refused_with_a_clear_sentence(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path)
    await store.open()
    second = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.faults.store_child", "write", str(tmp_path), "second"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert second.stdout == ""
    assert second.stderr.strip().splitlines()[-1] == (
        f"review.ports.StoreDown: another process (pid {os.getpid()}) has the database "
        f"{tmp_path}/data/interlock.db open; stop it first: two gates must not write one record"
    )
    await store.apply(decided())
    await store.close()


# --- somebody who can write the database (threats D1, D5; traps T12)


async def forged(tmp_path: Path, *sql: str) -> Path:
    """A store with one parked and one approved call, changed behind its back."""
    store = sqlite_store(tmp_path)
    await store.open()
    await store.apply(opened("parked"))
    await store.apply(opened("approved"))
    await store.apply(approved("approved"))
    await store.close()
    connection = sqlite3.connect(tmp_path / "data" / "interlock.db", isolation_level=None)
    for statement in sql:
        connection.execute(statement)
    connection.close()
    return tmp_path


SPENDABLE = "UPDATE reviews SET state = 'spendable' WHERE id = 'rev of parked'"
APPROVED_MAC = (
    "UPDATE reviews SET mac = (SELECT mac FROM reviews WHERE id = 'rev of approved') WHERE id = 'rev of parked'"
)
ITS_ROW = (
    "UPDATE reviews SET (state, version, settled_at, settled_by, grant_expires_at, changed_at, due_at, mac) = "
    "(SELECT state, version, settled_at, settled_by, grant_expires_at, changed_at, due_at, mac FROM reviews "
    "WHERE id = 'rev of approved') WHERE id = 'rev of parked'"
)


@pytest.mark.parametrize("sql", [[SPENDABLE], [SPENDABLE, APPROVED_MAC], [ITS_ROW]])
async def test_d5_a_forged_approval_is_not_spent(tmp_path: Path, sql: list[str]) -> None:
    store = sqlite_store(await forged(tmp_path, *sql))
    await store.open()
    with pytest.raises(Tampered, match="reviews rev of parked was not written by this gate"):
        await store.apply(spent("parked"))
    with pytest.raises(Tampered):
        await store.review("rev of parked")
    await store.apply(spent("approved"))  # the honest one beside it
    call = await store.call("parked")
    assert call is not None
    assert call.state is CallState.WAITING
    await store.close()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE calls SET state = 'released' WHERE id = 'parked'",
        "UPDATE calls SET state = 'failed_before_send' WHERE id = 'parked'",
        "UPDATE calls SET review_id = 'rev of approved' WHERE id = 'parked'",
        "UPDATE calls SET proposed = (SELECT proposed FROM calls WHERE id = 'approved') WHERE id = 'parked'",
        "UPDATE calls SET proposed = NULL WHERE id = 'parked'",
        "UPDATE calls SET agent = 'somebody' WHERE id = 'parked'",
        "UPDATE calls SET delivered_at = 1.0 WHERE id = 'parked'",
        "UPDATE calls SET repeat_key = 'another' WHERE id = 'parked'",
    ],
)
async def test_d5_a_forged_call_is_not_believed(tmp_path: Path, sql: str) -> None:
    """Nor is a list that it stands in."""
    store = sqlite_store(await forged(tmp_path, sql))
    await store.open()
    with pytest.raises(Tampered, match="calls parked was not written by this gate"):
        await store.call("parked")
    with pytest.raises(Tampered):
        await store.open_reviews()
    await store.close()


@pytest.mark.parametrize(
    ("sql", "seq"),
    [
        ("UPDATE entries SET data = CAST(replace(data, 'demo', 'evil') AS BLOB) WHERE seq = 3", 3),
        ("DELETE FROM entries WHERE seq = 2", 2),
        ("UPDATE entries SET seq = 99 WHERE seq = 5", 5),
        (
            "UPDATE entries SET (data, hash) = (SELECT data, hash FROM entries AS other "
            "WHERE other.seq = iif(entries.seq = 2, 4, 2)) WHERE seq IN (2, 4)",
            2,
        ),
        ("INSERT INTO entries VALUES (6, zeroblob(32), NULL, x'7b7d')", 6),
    ],
)
async def test_d1_a_changed_record_is_found_by_the_verifier_and_refused_by_the_gate(
    tmp_path: Path, sql: str, seq: int, capsys: pytest.CaptureFixture[str]
) -> None:
    database = await forged(tmp_path, sql) / "data" / "interlock.db"
    assert verify.main([str(database)]) == 1
    assert f"BROKEN at entry {seq}:" in capsys.readouterr().out
    with pytest.raises(StoreDown, match=f"the record is broken at entry {seq}: "):
        await sqlite_store(tmp_path).open()


async def test_d2_a_tail_cut_off_with_its_head_is_refused_by_the_gate(tmp_path: Path) -> None:
    """Without the key nobody makes a head; the verifier alone needs one noted elsewhere (--head)."""
    cut = [
        "DELETE FROM entries WHERE seq > 4",
        "UPDATE head SET seq = 4, hash = (SELECT hash FROM entries WHERE seq = 4)",
    ]
    database = await forged(tmp_path, *cut) / "data" / "interlock.db"
    assert verify.main([str(database)]) == 0
    assert verify.main(["--head", "ab" * 32, str(database)]) == 1
    with pytest.raises(StoreDown, match="does not carry this gate's MAC"):
        await sqlite_store(tmp_path).open()


async def test_a_copy_of_the_files_of_a_killed_gate_verifies(
    crashed: tuple[Path, bytes, bytes], tmp_path: Path
) -> None:
    directory, _, _ = crashed
    for name in ("interlock.db", "interlock.db-wal"):
        shutil.copy(directory / "data" / name, tmp_path / name)
    report = verify.verify_file(tmp_path / "interlock.db", deep=True)
    assert report.head != START.hash
    assert report.entries > 100
