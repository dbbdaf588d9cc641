"""`proxy.store.place`: files that are ours alone (threats D7), and one process at a time (traps T10)."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.store.place import take
from review.ports import StoreDown


def mode_of(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):04o}"


def test_d7_the_place_is_made_for_us_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "interlock.db"
    take(path).release()
    assert [mode_of(one) for one in (path.parent, path, Path(f"{path}.lock"))] == ["0700", "0600", "0600"]


def test_d7_a_permissive_umask_changes_nothing(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        take(tmp_path / "data" / "interlock.db").release()
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "data" / "interlock.db") == "0600"


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_d7_files_open_to_others_are_refused_with_what_mends_them(tmp_path: Path, suffix: str, mode: int) -> None:
    file = tmp_path / f"interlock.db{suffix}"
    file.touch()
    file.chmod(mode)
    with pytest.raises(StoreDown, match=rf"open to others \(mode {mode:04o}\): chmod 600 {file}"):
        take(tmp_path / "interlock.db")
    file.chmod(0o600)
    take(tmp_path / "interlock.db").release()  # and the lock had been let go


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_d7_a_directory_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(StoreDown, match=f"can be written by others .*chmod 700 {tmp_path}"):
        take(tmp_path / "interlock.db")
    tmp_path.chmod(0o755)
    take(tmp_path / "interlock.db").release()


@pytest.mark.parametrize("suffix", ["", "-wal", ".lock"])
def test_d7_links_are_refused(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "elsewhere").touch(mode=0o600)
    (tmp_path / f"interlock.db{suffix}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreDown):
        take(tmp_path / "interlock.db")


def test_a_directory_in_the_database_s_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "interlock.db").mkdir()
    with pytest.raises(StoreDown, match="not a plain file"):
        take(tmp_path / "interlock.db")


def test_d7_what_belongs_to_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "interlock.db").touch(mode=0o600)
    us = os.geteuid()
    answers = iter([us, us + 1])
    monkeypatch.setattr(os, "geteuid", lambda: next(answers))
    with pytest.raises(StoreDown, match=f"belongs to another user .uid {us}."):
        take(tmp_path / "interlock.db")
    monkeypatch.setattr(os, "geteuid", lambda: us + 1)
    with pytest.raises(StoreDown, match=r"the data directory .* belongs to another user"):
        take(tmp_path / "interlock.db")


def test_a_place_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreDown, match="cannot be opened"):
        take(tmp_path / "file" / "interlock.db")


def test_t10_a_second_taker_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    lock = take(tmp_path / "interlock.db")
    with pytest.raises(StoreDown, match=rf"another process \(pid {os.getpid()}\) has the database .* open"):
        take(tmp_path / "interlock.db")
    lock.release()
    take(tmp_path / "interlock.db").release()


def test_t10_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "interlock.db"
    code = "import os, sys, pathlib; from proxy.store.place import take; take(pathlib.Path(sys.argv[1])); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
    take(path).release()


def test_t10_a_holder_that_did_not_say_its_name_is_unknown(tmp_path: Path) -> None:
    lock = take(tmp_path / "interlock.db")
    os.truncate(tmp_path / "interlock.db.lock", 0)
    with pytest.raises(StoreDown, match=r"another process \(unknown\)"):
        take(tmp_path / "interlock.db")
    lock.release()
