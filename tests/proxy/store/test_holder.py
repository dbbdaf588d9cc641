"""Who has a database open is seen from beside it, and only that process is ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.store import place
from proxy.store.holder import Holder, holder_of

HOLDS = """
import sys
from pathlib import Path
from proxy.store import place
lock = place.take(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "data" / "interlock.db"


@pytest.fixture
def gate(database: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDS, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_nobody_holds_what_is_not_there_or_was_let_go(database: Path) -> None:
    assert holder_of(database) is None
    place.take(database).release()
    assert holder_of(database) is None
    place.take(database).release()  # looking has not kept it


def test_the_process_that_holds_it_is_named_and_ended(database: Path, gate: subprocess.Popen[str]) -> None:
    holder = holder_of(database)
    assert holder is not None
    assert holder.said == f"pid {gate.pid}"
    assert holder.end()
    assert gate.wait(10) == -9
    assert holder_of(database) is None
    assert not holder.end()


@pytest.mark.parametrize("said", ["pid {}", "pid 999999999", "pid x", "unknown", ""])
def test_no_process_is_ended_that_is_not_seen_to_hold_it(
    database: Path, gate: subprocess.Popen[str], said: str
) -> None:
    """Its number may be another's by now, or stand in another world of numbers."""
    lock = Path(f"{database}.lock")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        assert not Holder(lock, said.format(stranger.pid)).end()
        assert stranger.poll() is None
        stranger.kill()
    assert gate.poll() is None


def test_a_lock_that_cannot_be_looked_at_is_held_by_somebody(tmp_path: Path) -> None:
    (tmp_path / "x.db.lock").symlink_to(tmp_path / "elsewhere")
    assert holder_of(tmp_path / "x.db") == Holder(tmp_path / "x.db.lock", "unknown")
    assert not Holder(tmp_path / "absent.lock", f"pid {os.getpid()}").end()
