"""The gate that is looked at: its configuration, where its store lies, and which process runs it, if one does.

Rules of this module:
* Who holds the store's lock is read from the system's list of locks. Trying to take it would, for a moment, keep a gate
  from starting.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from proxy.app import STORE_FILE
from proxy.config import Config
from proxy.config_file import Loaded

LOCKS = Path("/proc/locks")
# number, kind, mode, access, process, device:inode, range (proc_locks(5)); a waiting one has "->" in it
_LOCK = re.compile(r"\d+: FLOCK +ADVISORY +WRITE +(\d+) +[0-9a-f]+:[0-9a-f]+:(\d+) ")


@dataclass(frozen=True, slots=True)
class Subject:
    """`gate` is the process that has the store open now, or None."""

    loaded: Loaded
    gate: int | None
    environ: Mapping[str, str]
    user: int

    @property
    def config(self) -> Config:
        return self.loaded.config

    @property
    def data_dir(self) -> Path:
        return self.loaded.base / self.config.data_dir

    @property
    def keys_dir(self) -> Path:
        assert self.config.keys_dir is not None  # settled when the file was read
        return self.loaded.base / self.config.keys_dir

    @property
    def store(self) -> Path:
        return self.data_dir / STORE_FILE

    @property
    def owner(self) -> int:
        """The user whose gate it is: of the data directory where there is one, else whoever looks."""
        try:
            return self.data_dir.stat().st_uid
        except OSError:
            return self.user


def subject_of(loaded: Loaded, environ: Mapping[str, str]) -> Subject:
    store = loaded.base / loaded.config.data_dir / STORE_FILE
    return Subject(loaded, holder(Path(f"{store}.lock")), environ, os.geteuid())


def holder(file: Path, locks: Path = LOCKS) -> int | None:
    """The process that holds the exclusive lock on a file; None if there is none, or it cannot be told."""
    try:
        inode, lines = file.stat().st_ino, locks.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(found[1]) for line in lines if (found := _LOCK.match(line)) and int(found[2]) == inode), None)
