"""The command line as its users run it: a process in a home of its own, its exit code and what it printed."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.blackbox.gate_process import House, environment, interlock

DONE, FINDINGS, USAGE, UNREACHABLE = 0, 1, 2, 3


@dataclass
class Ran:
    code: int
    out: str
    err: str


def run(home: Path, *arguments: str, stdin: str = "", cwd: Path | None = None, timeout_sec: float = 30) -> Ran:
    """One command in a session of its own: without a terminal, passwords are read from stdin."""
    ran = subprocess.run(
        interlock(*arguments),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_sec,
        env=environment(home),
        cwd=cwd or home,
        start_new_session=True,
        check=False,
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    return Ran(ran.returncode, ran.stdout, ran.stderr)


@dataclass
class Terminal:
    """A reviewer at a terminal: a home of her own, and the gate's address."""

    house: House
    home: Path

    def run(self, *arguments: str, stdin: str = "") -> Ran:
        return run(self.home, *arguments, "--url", self.house.gate.reviewers_url, stdin=stdin)
