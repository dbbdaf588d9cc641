"""Who holds the store, read and not tried."""

from __future__ import annotations

import os
from pathlib import Path

from proxy.doctor.subject import holder, subject_of
from proxy.store.place import take
from tests.proxy.doctor.builders import subject


def test_the_process_that_holds_the_lock_is_named_and_the_lock_is_left_alone(tmp_path: Path) -> None:
    at = subject(tmp_path)
    file = Path(f"{at.store}.lock")
    assert holder(file) is None
    lock = take(at.store)
    assert holder(file) == os.getpid()
    assert subject_of(at.loaded, {}).gate == os.getpid()
    lock.release()
    assert holder(file) is None
    take(at.store).release()


def test_where_the_system_does_not_tell_no_process_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.lock").touch()
    assert holder(tmp_path / "x.lock", tmp_path / "no-such-list") is None
