"""The leash: a tool ends when the gate does, however the gate ends."""

from __future__ import annotations

import ast
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proxy.upstreams import leash
from tests.proxy.upstreams.builders import gone_within, is_running

LEASH = Path(leash.__file__)
GRACE_SEC = 0.3
OBEDIENT = "import sys; print('up', flush=True); sys.stdin.read()"
SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
WITH_GRANDCHILD = (
    "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "print(p.pid, flush=True); sys.stdin.read()"
)


class Leashed:
    """A Python program on a leash of which we hold the gate's end."""

    def __init__(self, *command: str) -> None:
        self.ours, theirs = socket.socketpair()
        self.ours.settimeout(10)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LEASH), str(theirs.fileno()), str(GRACE_SEC), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
        theirs.close()

    def said(self) -> str:
        """The next line of the command."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    def told(self) -> str:
        """Everything the leash tells until it is gone."""
        told = b""
        while chunk := self.ours.recv(100):
            told += chunk
        return told.decode()

    def end(self) -> None:
        self.ours.close()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        self.process.wait()


@pytest.fixture
def leashed() -> Iterator[Callable[..., Leashed]]:
    made: list[Leashed] = []

    def make(*command: str) -> Leashed:
        made.append(Leashed(*command))
        return made[-1]

    yield make
    for one in made:
        one.end()


def python(program: str) -> tuple[str, ...]:
    return sys.executable, "-c", program


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("pass", "started\nexited 0\n"),
        ("import sys; sys.exit(7)", "started\nexited 7\n"),
        ("import os; os.kill(os.getpid(), 9)", "started\nkilled 9\n"),
    ],
)
def test_it_tells_that_a_command_started_and_how_it_ended(
    leashed: Callable[..., Leashed], program: str, told: str
) -> None:
    assert leashed(*python(program)).told() == told


def test_it_tells_why_a_command_cannot_be_started(leashed: Callable[..., Leashed], tmp_path: Path) -> None:
    assert leashed("no-such-command-anywhere").told() == "cannot_start No such file or directory\n"
    (tmp_path / "data").write_text("not a program")
    assert leashed(str(tmp_path / "data")).told() == "cannot_start Permission denied\n"


def test_the_command_starts_with_signals_as_usual_and_no_descriptor_of_ours(leashed: Callable[..., Leashed]) -> None:
    one = leashed("/bin/sh", "-c", "grep -E 'SigIgn|SigBlk' /proc/self/status; ls /proc/self/fd")
    assert one.process.stdout is not None
    blocked, ignored, *descriptors = one.process.stdout.read().decode().splitlines()
    assert blocked.split() == ["SigBlk:", "0" * 16]
    ordinary = (1 << 31) - 1  # above these are signals the C library keeps for itself
    assert int(ignored.split()[1], 16) & ordinary == 0
    assert descriptors == ["0", "1", "2", "3"]  # the fourth is the listing's own


def test_letting_go_ends_a_command_that_heeds_its_stdin_at_once(leashed: Callable[..., Leashed]) -> None:
    one = leashed(*python(OBEDIENT))
    assert one.said() == "up"
    began = time.monotonic()
    assert one.process.stdin is not None
    one.process.stdin.close()
    one.ours.shutdown(socket.SHUT_WR)
    assert one.told() == "started\nexited 0\n"
    assert time.monotonic() - began < GRACE_SEC


def test_letting_go_terminates_one_that_does_not(leashed: Callable[..., Leashed]) -> None:
    one = leashed(*python(SLEEPER))
    assert one.said() == "up"
    began = time.monotonic()
    one.ours.shutdown(socket.SHUT_WR)
    assert one.told() == "started\nkilled 15\n"
    assert GRACE_SEC <= time.monotonic() - began < 2 * GRACE_SEC


def test_letting_go_kills_one_that_ignores_even_that(leashed: Callable[..., Leashed]) -> None:
    one = leashed(*python(STUBBORN))
    assert one.said() == "up"
    one.ours.close()  # as when the gate is killed: nobody reads what the leash would tell
    assert one.process.wait(2 * GRACE_SEC + 5) == -signal.SIGKILL


def test_grandchildren_end_with_the_command(leashed: Callable[..., Leashed]) -> None:
    one = leashed(*python(WITH_GRANDCHILD))
    grandchild = int(one.said())
    assert is_running(grandchild)
    assert one.process.stdin is not None
    one.process.stdin.close()
    one.ours.shutdown(socket.SHUT_WR)
    assert one.told() == "started\nexited 0\n"
    assert gone_within(grandchild, 2)


def test_it_starts_with_the_standard_library_alone_and_with_little_of_it() -> None:
    modules = {
        alias.name
        for node in ast.walk(ast.parse(LEASH.read_text()))
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert modules == {"os", "select", "signal", "sys", "time"}
    assert not [node for node in ast.walk(ast.parse(LEASH.read_text())) if isinstance(node, ast.ImportFrom)]
