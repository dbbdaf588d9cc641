"""The watcher: a thread of its own that sees a stop also when the event loop does not answer.

Rules of this module:
* What it sees is in force at once, in memory, before anybody else has heard of it: from then on nothing is forwarded.
* Then the loop is told, which cuts what is under way. If it has not answered after `ANSWER_SEC_MAX`, the process is
  ended hard: the kernel closes every connection, and the leashes end the tool servers. Nothing more can be sent.
* It takes no lock that the loop could hold, and a disk or a log that hangs does not keep it from ending the process:
  that has a thread of its own, which waits for nothing but its time.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from proxy.stop_files import Found, StopFiles
from proxy.stopped import Stopped

LOOK_SEC = 0.1
ANSWER_SEC_MAX = 5.0
EXIT_CODE = 4
"""Of a gate that was ended hard; `interlock serve` has no other use for it."""

type Told = Callable[[Found, Callable[[], None]], None]
"""Hands a stop to the event loop, from any thread; the loop calls the second argument once it has cut what it covers.
Raises: RuntimeError when the loop is closed."""


class StopWatch:
    """One per gate; `start` when the loop runs, `close` when it is about to end."""

    def __init__(
        self,
        files: StopFiles,
        stopped: Stopped,
        *,
        tell: Told,
        end: Callable[[int], object],
        answer_within_sec: float = ANSWER_SEC_MAX,
    ) -> None:
        self._files, self._stopped, self._tell, self._end = files, stopped, tell, end
        self._answer_within_sec = answer_within_sec
        self._known: set[str] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stop-watch", daemon=True)
        self._has_complained = False

    def know(self, name: str) -> None:
        """A file that the gate itself has written, or read at start."""
        self._known.add(name)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Watch no more."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(LOOK_SEC):
            self.look()

    def look(self) -> None:
        """Once around: what is new is in force."""
        try:
            names = self._files.names()
        except OSError as error:
            self._complain(f"the directory of stops cannot be read: {error}")
            return
        for name in names:
            if name not in self._known:
                self._take(name)
        self._known.intersection_update(names)  # one that is put there again, once it has gone, is a new one

    def _take(self, name: str) -> None:
        found = self._files.read(name)
        if found is None:
            return
        self._known.add(name)
        self._stopped.add(found.stop)
        late = threading.Timer(self._answer_within_sec, self._end_hard, [found])
        late.daemon = True
        late.start()
        try:
            self._tell(found, late.cancel)
        except RuntimeError:
            return  # the loop is closed, and with it everything under way; if it hangs in that, it is late too
        self._note(found)

    def _end_hard(self, found: Found) -> None:
        at_last = threading.Timer(1.0, self._end, [EXIT_CODE])
        at_last.daemon = True
        at_last.start()  # whatever hangs below
        self._note(found, ended_hard=True)
        self._say(
            f"interlock: stopped, and the gate has not answered for {self._answer_within_sec:g} s: it is ended. "
            "What was under way is in doubt; a new start keeps the stop."
        )
        self._end(EXIT_CODE)

    def _note(self, found: Found, **more: bool) -> None:
        try:
            self._files.note(found.name, {"id": found.stop.id, "in_force": True, **more})
        except OSError as error:
            self._complain(f"what was done about a stop cannot be noted: {error}")

    def _complain(self, what: str) -> None:
        if not self._has_complained:  # said once: the disk is probably gone, and the stop is in force all the same
            self._say(f"interlock: {what}")
        self._has_complained = True

    def _say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)
