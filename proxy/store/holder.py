"""Which process has a database open, as far as it can be seen from beside it; and ending that process, and no other.

Rules of this module:
* The lock of `place.py` says whether there is one; what stands in its file is only what that process wrote there.
* A process is ended only if it is seen, under /proc, to hold that very file open: its number may belong to another
  one by now, or to another world of numbers (a container).
* Nothing is opened for writing, and the lock is never taken for longer than a look.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds the lock. `said` is what it wrote of itself: `pid 123`."""

    lock: Path
    said: str

    def end(self) -> bool:
        """SIGKILL. False, and nothing done, if the process is not to be seen from here."""
        pid = self._pid()
        if pid is None:
            return False
        with contextlib.suppress(OSError):
            descriptor = os.pidfd_open(pid)
            try:
                if not self._is_held_by(pid):  # looked at again: now the number cannot change its owner any more
                    return False
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            finally:
                os.close(descriptor)
            return True
        return False

    def _pid(self) -> int | None:
        word, _, number = self.said.partition(" ")
        if word != "pid" or not number.isdecimal():
            return None
        return int(number) if self._is_held_by(int(number)) else None

    def _is_held_by(self, pid: int) -> bool:
        try:
            mine = os.stat(self.lock)
            for opened in os.scandir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    its = os.stat(opened.path)
                    if (its.st_dev, its.st_ino) == (mine.st_dev, mine.st_ino):
                        return True
        except OSError:
            return False
        return False


def holder_of(database: Path) -> Holder | None:
    """Who has the database open; None if nobody has. Raises: nothing; a lock that cannot be looked at is held."""
    lock = Path(f"{database}.lock")
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError:
        return Holder(lock, "unknown")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return Holder(lock, os.pread(descriptor, 64, 0).decode("ascii", "replace").strip() or "unknown")
    finally:
        os.close(descriptor)
    return None
