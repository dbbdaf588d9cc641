"""Child processes of a benchmark: started, waited for by what they say or by the port they open, measured, ended.

Rules of this module:
* A child is the leader of its own process group, and the group is ended by that id: nothing stays behind.
* CPU is user and system time of a process and of everything below it, from /proc, in seconds; memory is that
  of the same processes, in bytes.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

START_SEC_MAX = 120.0
END_SEC_MAX = 20.0


class DidNotStart(Exception):
    """A child ended or stayed silent; the text holds the end of what it said."""


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(
    command: Sequence[str], *, log: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A child whose output goes to `log`; its process group is ended afterwards."""
    with log.open("wb") as output:
        child = subprocess.Popen(  # command lines of our own
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=cwd,
            env=None if env is None else {**os.environ, **env},
            start_new_session=True,
        )
    try:
        yield child
    finally:
        _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):  # then it is killed below, with what it has left behind
        child.wait(END_SEC_MAX)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait(END_SEC_MAX)


def said(child: subprocess.Popen[bytes], log: Path, pattern: str) -> re.Match[str]:
    """Wait until the child's output matches. Raises: DidNotStart."""
    for text in _while_starting(child, log):
        if found := re.search(pattern, text):
            return found
    raise DidNotStart(_end_of(log))


def listens(child: subprocess.Popen[bytes], log: Path, port: int) -> None:
    """Wait until something accepts on the port. Raises: DidNotStart."""
    for _ in _while_starting(child, log):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
    raise DidNotStart(_end_of(log))


def _while_starting(child: subprocess.Popen[bytes], log: Path) -> Iterator[str]:
    until = time.monotonic() + START_SEC_MAX
    while time.monotonic() < until:
        yield log.read_text(errors="replace")
        if child.poll() is not None:
            return
        time.sleep(0.05)


def _end_of(log: Path) -> str:
    return f"{log.name}: {log.read_text(errors='replace')[-2000:].strip() or 'it said nothing'}"


def cpu_sec(pid: int) -> float:
    """User and system seconds of a process and all below it, living ones and those it has waited for."""
    ticks = 0
    for one in family(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid: int) -> int:
    """Memory of a process and all below it. What they share is divided between them (PSS), so it is counted once."""
    total = 0
    for one in family(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            rolled_up = Path(f"/proc/{one}/smaps_rollup").read_text()
            total += sum(int(line.split()[1]) for line in rolled_up.splitlines() if line.startswith("Pss:"))
    return total * 1024


def family(pid: int) -> list[int]:
    """The process and everything below it that lives."""
    found = [pid]
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += family(int(child))
    return found
