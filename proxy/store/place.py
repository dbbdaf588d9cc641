"""Where the database lies: its directory and files, who may open them, and the lock that keeps a second gate out.

Rules of this module:
* The files are ours and 0600, in a directory nobody else can write; no links (threats D7). What is wider is refused
  with the command that mends it, not mended in silence: somebody may have been there.
* One process holds the lock; two writers would fork the chain (traps T10). The lock ends with its process.
* The lock is on a file of its own: opening and closing the database's files here would drop SQLite's own locks on them.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from review.ports import StoreDown


class Lock:
    """The exclusive lock on a database, held until `release`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        os.close(self._descriptor)


def take(path: Path) -> Lock:
    """Make the place ready and lock it. Raises: StoreDown with a sentence that says how to mend it."""
    try:
        _prepare_directory(path.parent)
        lock = _lock(path)
        try:
            for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
                _check_file(file)
            if not path.exists():
                # SQLite gives its -wal and -shm files the mode of the database.
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        except BaseException:
            lock.release()
            raise
    except OSError as error:
        raise StoreDown(f"the database {path} cannot be opened: {error}") from error
    return lock


def _prepare_directory(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.stat()
    if found.st_uid != os.geteuid():
        raise StoreDown(f"the data directory {directory} belongs to another user (uid {found.st_uid})")
    if found.st_mode & 0o022:
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        raise StoreDown(f"the data directory {directory} can be written by others (mode {mode}): chmod 700 {directory}")


def _check_file(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode):
        raise StoreDown(f"{path} is not a plain file (a link?); put the database itself there")
    if found.st_uid != os.geteuid():
        raise StoreDown(f"{path} belongs to another user (uid {found.st_uid})")
    if found.st_mode & 0o077:
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        raise StoreDown(f"{path} is open to others (mode {mode}): chmod 600 {path}")


def _lock(path: Path) -> Lock:
    file = Path(f"{path}.lock")
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 64, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise StoreDown(
            f"another process ({holder}) has the database {path} open; stop it first: two gates must not write one "
            "record"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"pid {os.getpid()}\n".encode(), 0)
    return Lock(descriptor)
