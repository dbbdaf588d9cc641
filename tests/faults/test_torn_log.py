"""A real gate's database with its log torn at every frame: what opens is a whole record, a beginning of the other.

The gate was killed in the middle of its work, before anything was moved from the log into the database. SIGKILL alone
tears no log, since what was written stays in the page cache; here the files are cut as after a loss of power. What the
disk itself would do (write frames out of order) is covered as far as a changed byte stands for it.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from audit.chain import START, Head, verify_run
from audit.verify import verify_file
from proxy.keys import Keys
from proxy.store.macs import RowMacs
from proxy.store.sqlite import SqliteStore
from review.ports import StoreDown
from tests.faults.forked_gate import Launcher
from tests.faults.kill_cycles import House, Plan
from tests.faults.ledger import Tally
from tests.faults.switches import Action
from tests.proxy.store.builders import QUIET, Clock, decided

HEADER, FRAME = 32, 24 + 4096
SEED = 20_261_128


@dataclass(frozen=True)
class Crashed:
    """The files of a killed gate, and its keys."""

    main: bytes
    log: bytes
    keys: Keys

    def lay_out(self, folder: Path, *, main: bytes | None = None, log: bytes | None = None) -> Path:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "interlock.db"
        for file, content in ((path, main or self.main), (Path(f"{path}-wal"), self.log if log is None else log)):
            file.write_bytes(content)
            file.chmod(0o600)
        Path(f"{path}-shm").unlink(missing_ok=True)
        return path

    def store(self, path: Path) -> SqliteStore:
        return SqliteStore(path, self.keys, clock=Clock(), node="node-1", limits=QUIET)


@pytest.fixture(scope="module")
def crashed(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Crashed:
    """One of everything was done; the gate dies the moment before it would move the log for the first time."""
    base = tmp_path_factory.mktemp("torn")

    async def lived() -> None:
        house = House(launcher, base, Tally(), first_number=0)
        try:
            await house.open()
            house.gate.switches.set("checkpoint.begun", Action.KILL)
            async with house.traffic(Plan(0, "outside", 1, "torn", 0.0, with_child=False)) as agents:
                await asyncio.wait([agents], timeout=20)
                await house.ended(within_sec=20)
        finally:
            house.close()

    asyncio.run(lived())
    data = base / "data" / "interlock.db"
    keys = Keys.load_or_create(base / "keys", data_dir=base / "data")
    return Crashed(data.read_bytes(), Path(f"{data}-wal").read_bytes(), keys)


@dataclass(frozen=True)
class Found:
    """What a reader sees of a database."""

    entries: list[tuple[int, bytes, str]]
    head: Head
    mac: bytes
    integrity: str


def look(path: Path) -> Found:
    """Without changing a byte. The log is read anew."""
    Path(f"{path}-shm").unlink(missing_ok=True)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
        stored = store.execute("SELECT seq, data, hash FROM entries ORDER BY seq").fetchall()
        seq, digest, mac = store.execute("SELECT seq, hash, mac FROM head").fetchone()
        integrity = store.execute("PRAGMA integrity_check").fetchone()[0]
    return Found([(one, data, kept.hex()) for one, data, kept in stored], Head(seq, digest.hex()), mac, integrity)


def cuts(log: bytes, every: int) -> list[int]:
    """Around the end of every nth frame and of its header, and at places in between; from the end to the beginning."""
    chance = random.Random(SEED)
    frames = range(0, (len(log) - HEADER) // FRAME + 1, every)
    around = {HEADER + frame * FRAME + by for frame in frames for by in (-1, 0, 1, 24)}
    spread = {chance.randrange(len(log)) for _ in range(400 // every)} | set(range(0, HEADER + 2, every))
    return sorted((at for at in around | spread if at <= len(log)), reverse=True)


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.long)])
def test_d11_p13_wherever_the_log_is_torn_a_whole_record_is_left_that_is_a_prefix(
    crashed: Crashed, tmp_path: Path, every: int
) -> None:
    path = crashed.lay_out(tmp_path / "data")
    log, macs = Path(f"{path}-wal"), RowMacs(crashed.keys.mac)
    whole = look(path)
    lengths = {len(whole.entries)}
    for at in cuts(crashed.log, every):
        with log.open("r+b") as file:
            file.truncate(at)
        found = look(path)
        assert found.integrity == "ok", at
        assert found.entries == whole.entries[: len(found.entries)], at
        assert len(found.entries) <= min(lengths), at  # it only grows shorter
        assert found.mac == macs.of_head(found.head), at
        if len(found.entries) not in lengths:  # a commit less than before: the chain is whole up to its head
            assert verify_run(found.entries) == found.head != START, at
        lengths.add(len(found.entries))
    assert len(lengths) > 10
    assert len(whole.entries) > 60
    assert path.read_bytes() == crashed.main


def damaged(crashed: Crashed) -> Iterator[tuple[bytes, bytes]]:
    """Cut and changed, in the log and in the database itself."""
    chance, main, log = random.Random(SEED), crashed.main, crashed.log
    frames = (len(log) - HEADER) // FRAME
    for _ in range(6):
        yield main, log[: HEADER + chance.randrange(frames) * FRAME + chance.choice((-1, 0, 1, 24, 2_000))]
    for _ in range(6):
        yield main, changed(log, chance.randrange(len(log)))
    for _ in range(6):
        yield changed(main, chance.randrange(len(main))), log
    for _ in range(4):
        yield main[: chance.randrange(1, len(main))], log
    yield main, b""


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]


async def test_d11_a_damaged_database_opens_with_a_record_that_verifies_or_is_refused_with_a_sentence(
    crashed: Crashed, tmp_path: Path
) -> None:
    opened, sentences = 0, []
    for number, (main, log) in enumerate(damaged(crashed)):
        path = crashed.lay_out(tmp_path / str(number), main=main, log=log)
        store = crashed.store(path)
        try:
            await store.open()
        except StoreDown as down:
            sentences.append(str(down))
            continue
        opened += 1
        await store.apply(decided("after"))
        await store.close()
        if main == crashed.main:  # a changed value in an old row is found when it is read, by its MAC or its hash
            assert verify_file(path, deep=True).entries > 0
    assert opened >= 12
    assert sentences
    assert all(len(sentence) > 20 for sentence in sentences), sentences
