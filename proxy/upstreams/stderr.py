"""What a tool process writes on stderr: read always, kept short, made inert, logged at a bounded rate.

Rules of this module:
* A full stderr pipe would stop the tool, so it is drained whether or not anybody is interested.
* It is the tool's text, hostile like all of it: control, bidi and invisible characters are shown as escapes, and it
  never reaches an agent or the record. Its last lines are logged once more when the process ends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

log = structlog.get_logger("interlock.stdio")

LINE_CHARS_MAX = 500
LINES_PER_WINDOW_MAX = 50
WINDOW_SEC = 10.0
TAIL_LINES = 3
_CHUNK_BYTES = 16 * 1024


def inert(text: str) -> str:
    """`text` with every character that could act on a terminal or hide shown as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class StderrLog:
    """Drains one process's stderr into the log."""

    def __init__(self, server: str, pid: int, *, clock: Callable[[], float]) -> None:
        self._server, self._pid, self._clock = server, pid, clock
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._window_began = clock()
        self._in_window = 0
        self._suppressed = 0

    @property
    def tail(self) -> str:
        """The last lines."""
        return " | ".join(self._tail)

    async def drain(self, stream: asyncio.StreamReader) -> None:
        """Read to the end of file."""
        rest = b""
        is_cut = False  # inside a line whose beginning was already noted
        while chunk := await stream.read(_CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if not is_cut:
                    self._note(line)
                is_cut = False
            if len(rest) > 4 * LINE_CHARS_MAX:
                if not is_cut:
                    self._note(rest)
                rest, is_cut = b"", True
        if rest and not is_cut:
            self._note(rest)
        self._close_window()

    def _note(self, line: bytes) -> None:
        text = inert(line.decode("utf-8", "replace").strip())[:LINE_CHARS_MAX]
        if not text:
            return
        self._tail.append(text)
        if self._clock() - self._window_began >= WINDOW_SEC:
            self._close_window()
        self._in_window += 1
        if self._in_window > LINES_PER_WINDOW_MAX:
            self._suppressed += 1
        else:
            log.info("tool_stderr", server=self._server, pid=self._pid, text=text)

    def _close_window(self) -> None:
        if self._suppressed:
            log.warning("tool_stderr_suppressed", server=self._server, pid=self._pid, lines=self._suppressed)
        self._window_began, self._in_window, self._suppressed = self._clock(), 0, 0
