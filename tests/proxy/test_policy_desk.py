"""The policies in force: a bad start stops, a bad reload changes nothing, and both are told to the record."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from audit.entry import EntryKind
from policies.schema import PolicyErrors
from proxy.policy_desk import PolicyDesk
from proxy.tasks import spawn
from review.ports import StoreDown
from tests.proxy.builders import T0
from tests.review.memory_records import MemoryRecords

GOOD = "version: v1\nrules:\n  - {id: reads, match: {tools: [files/read]}, decision: allow, reason: R}\n"
STRICTER = GOOD.replace("allow", "deny")
BAD = GOOD.replace("match", "matsch")
BARE = "version: v1\nrules:\n  - {id: bare, match: {tools: [read]}, decision: allow, reason: R}\n"


class SnapshotRecords(MemoryRecords):
    def __init__(self) -> None:
        super().__init__()
        self.snapshots: list[tuple[str, str]] = []

    async def put_snapshot(self, snapshot_id: str, files: Any, loaded_by: str, entry: Any) -> None:
        self.snapshots.append((snapshot_id, loaded_by))
        self.entries.append(entry)


def desk(folder: Path, store: SnapshotRecords, names: Mapping[str, frozenset[str]] | None = None) -> PolicyDesk:
    return PolicyDesk(
        ["policy.yaml"],
        folder,
        store=store,  # type: ignore[arg-type]  # what the desk needs of it
        clock=lambda: T0,
        tool_names=lambda: names or {},
        tools_revision=lambda: len(names or {}),
    )


async def test_a_loaded_snapshot_is_kept_whole_with_who_loaded_it(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(GOOD)
    store = SnapshotRecords()
    one = desk(tmp_path, store)
    snapshot = one.load()
    await one.record_load("gate:start")
    assert store.snapshots == [(snapshot.id, "gate:start")]
    assert [entry.kind for entry in store.entries] == [EntryKind.POLICY_LOADED]
    assert store.entries[0].body["digest"] == snapshot.digest


def test_p01_an_invalid_policy_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(BAD)
    with pytest.raises(PolicyErrors, match="match"):
        desk(tmp_path, SnapshotRecords()).load()


async def watched(one: PolicyDesk, file: Path, text: str, until: Any) -> None:
    """Watch while the file changes, until something came of it."""
    watch = spawn(one.watch(0.01), name="watch")
    await asyncio.sleep(0)
    file.write_text(text)
    async with asyncio.timeout(10):
        while not until():
            await asyncio.sleep(0.01)
    watch.cancel()
    await asyncio.wait([watch])


async def test_a_good_reload_is_swapped_in_and_recorded(tmp_path: Path) -> None:
    file, store = tmp_path / "policy.yaml", SnapshotRecords()
    file.write_text(GOOD)
    one = desk(tmp_path, store)
    before = one.load()
    await watched(one, file, STRICTER, lambda: store.snapshots)
    assert one.current.id != before.id
    assert store.snapshots == [(one.current.id, "gate:watch")]


class SlowRecords(SnapshotRecords):
    """A store that is down at first, and that says what was in force while it kept a snapshot."""

    def __init__(self, fails: int = 0) -> None:
        super().__init__()
        self.fails = fails
        self.judging: list[str] = []
        self.desk: PolicyDesk | None = None

    async def put_snapshot(self, snapshot_id: str, files: Any, loaded_by: str, entry: Any) -> None:
        assert self.desk is not None
        self.judging.append(self.desk.current.id)
        if self.fails:
            self.fails -= 1
            raise StoreDown("no space left on the disk")
        await asyncio.sleep(0)
        self.judging.append(self.desk.current.id)
        await super().put_snapshot(snapshot_id, files, loaded_by, entry)


async def test_p03_a_reloaded_snapshot_judges_nothing_before_it_is_recorded(tmp_path: Path) -> None:
    file, store = tmp_path / "policy.yaml", SlowRecords()
    file.write_text(GOOD)
    one = store.desk = desk(tmp_path, store)
    before = one.load()
    await watched(one, file, STRICTER, lambda: store.snapshots)
    assert store.judging == [before.id, before.id]
    assert one.current.id == store.snapshots[0][0] != before.id


async def test_while_the_store_is_down_a_reload_waits_and_watching_goes_on(tmp_path: Path) -> None:
    file, store = tmp_path / "policy.yaml", SlowRecords(fails=2)
    file.write_text(GOOD)
    one = store.desk = desk(tmp_path, store)
    before = one.load()
    await watched(one, file, STRICTER, lambda: store.snapshots)
    assert store.judging == [before.id] * 4
    stricter = one.current.id
    assert store.snapshots == [(stricter, "gate:watch")]
    await watched(one, file, BARE, lambda: len(store.snapshots) == 2)
    assert one.current.id not in (before.id, stricter)


def test_before_loading_nothing_is_in_force(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="no policies have been loaded yet"):
        _ = desk(tmp_path, SnapshotRecords()).current


async def test_a_bad_reload_keeps_the_last_good_snapshot_and_is_recorded(tmp_path: Path) -> None:
    file, store = tmp_path / "policy.yaml", SnapshotRecords()
    file.write_text(GOOD)
    one = desk(tmp_path, store)
    before = one.load()
    await watched(one, file, BAD, lambda: store.entries)
    assert one.current is before
    assert [entry.kind for entry in store.entries] == [EntryKind.POLICY_REFUSED]
    assert store.entries[0].body["kept"] == before.id


def test_a_bare_name_that_two_servers_have_frees_nothing(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(BARE)
    alone = desk(tmp_path, SnapshotRecords(), {"files": frozenset({"read"})})
    alone.load()
    assert alone.ambiguous() == frozenset()
    both = desk(tmp_path, SnapshotRecords(), {"files": frozenset({"read"}), "mail": frozenset({"read"})})
    both.load()
    (rule,) = both.ambiguous()
    assert rule.endswith("#bare")
    assert both.ambiguous() is both.ambiguous()
