"""Processes of the conformance runs: started, waited for until they say their address, ended by their own id.

Rules of this module:
* A process is ready when a line of its output matches; one that ends before, or is silent too long, is an error that
  shows what it said.
* Output is read to its end by a thread, so that no process ever waits for somebody to read it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READY_SEC_MAX = 90
END_SEC_MAX = 20


class NotReady(Exception):
    """The process ended or stayed silent; the text holds what it said."""


class Output:
    """What a process says, line by line, and the first match of what is waited for."""

    def __init__(self, process: subprocess.Popen[str], ready: re.Pattern[str]) -> None:
        self._process, self._ready = process, ready
        self._lines: list[str] = []
        self._match: re.Match[str] | None = None
        self._known = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)
            if self._match is None and (match := self._ready.search(line)):
                self._match = match
                self._known.set()
        self._known.set()

    def wait(self, seconds: float) -> re.Match[str]:
        """Raises: NotReady."""
        in_time = self._known.wait(seconds)
        if self._match is None:
            why = "it ended" if in_time else f"nothing in {seconds} s"
            raise NotReady(f"{why}; it said:\n{''.join(self._lines)[-4000:]}")
        return self._match


@contextmanager
def running(arguments: Sequence[str], ready: str) -> Iterator[re.Match[str]]:
    """`python ARGUMENTS`, from the line that matches `ready` on. Raises: NotReady."""
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield Output(process, re.compile(ready)).wait(READY_SEC_MAX)
    finally:
        process.terminate()
        try:
            process.wait(END_SEC_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
