"""What a gate under test is to do at each failpoint, in memory that it shares with the test: set, counted, let go.

Rules of this module:
* The memory outlives the gate: what it had counted when it was killed is still there.
* Each failpoint is hit in one thread of the gate only, so that its counter needs no lock.
* An action begins at the nth hit from when it was set; `lasting` ones are done at every hit from there on.
"""

from __future__ import annotations

import mmap
import os
import signal
import sqlite3
import struct
import time
from enum import IntEnum
from typing import get_args

from proxy.failpoints import Name
from tests.faults.failing_fsync import fail_from_now_on

NAMES: tuple[str, ...] = get_args(Name.__value__)
_ROW = struct.Struct("=IIIIII")  # hits, from this hit, up to this hit, action, how often struck, let go
_HITS, _FROM, _UNTIL, _ACTION, _STRUCK, _LET_GO = range(6)
_FOR_EVER = 2**32 - 1


class Action(IntEnum):
    """What is done."""

    NOTHING = 0
    KILL = 1  # SIGKILL of the whole process, from within: nothing of it runs any more
    BREAK = 2  # an exception that nobody expects
    NO_ROOM = 3  # what SQLite raises on a full disk; for failpoints in the database's thread
    HOLD = 4  # this thread waits until it is let go
    NO_FSYNC = 5  # from here on this thread's fsync fails, in the kernel


class Broken(Exception):
    """What BREAK raises: no error that any code of ours knows."""


class Switches:
    """One gate's failpoints. `descriptor` is handed to the gate's process."""

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = os.memfd_create("switches")
            os.ftruncate(descriptor, _ROW.size * len(NAMES))
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, _ROW.size * len(NAMES))

    # -- for the test ----------------------------------------------------------------------------------------------

    def set(self, name: str, action: Action, *, nth: int = 1, lasting: bool = False) -> None:
        hits = self.hits(name)
        row = (hits, hits + nth, _FOR_EVER if lasting else hits + nth, action, 0, 0)
        _ROW.pack_into(self._memory, self._at(name), *row)

    def clear(self, name: str) -> None:
        _ROW.pack_into(self._memory, self._at(name), self.hits(name), 0, 0, Action.NOTHING, 0, 0)

    def reset(self) -> None:
        """As for a gate that has not begun."""
        self._memory[:] = bytes(len(self._memory))

    def hits(self, name: str) -> int:
        return self._get(name, _HITS)

    def struck(self, name: str) -> int:
        """How often its action was done."""
        return self._get(name, _STRUCK)

    def let_go(self, name: str) -> None:
        self._put(name, _LET_GO, 1)

    def close(self) -> None:
        self._memory.close()
        os.close(self.descriptor)

    # -- in the gate -----------------------------------------------------------------------------------------------

    def strike(self, name: str) -> None:
        """What `proxy.failpoints.on_hit` is in a gate under test."""
        hits = self.hits(name) + 1
        self._put(name, _HITS, hits)
        action = self._get(name, _ACTION)
        if action == Action.NOTHING or not self._get(name, _FROM) <= hits <= self._get(name, _UNTIL):
            return
        self._put(name, _STRUCK, self.struck(name) + 1)
        match action:
            case Action.KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            case Action.BREAK:
                raise Broken(f"failpoint {name}")
            case Action.NO_ROOM:
                raise sqlite3.OperationalError("database or disk is full")
            case Action.NO_FSYNC:
                fail_from_now_on()
            case Action.HOLD:
                while not self._get(name, _LET_GO):
                    time.sleep(0.001)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _at(self, name: str) -> int:
        return NAMES.index(name) * _ROW.size

    def _get(self, name: str, column: int) -> int:
        return int(_ROW.unpack_from(self._memory, self._at(name))[column])

    def _put(self, name: str, column: int, value: int) -> None:
        struct.pack_into("=I", self._memory, self._at(name) + 4 * column, value)
