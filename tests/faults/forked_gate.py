"""Real gates that start in a fraction of a second, also with failpoints: the test's side of `tests/faults/launcher.py`.

Rules of this module:
* A `WarmGate` is a `GateProcess` in all but how its process begins; a `ForkedGate` has failpoints too.
* Its inspectors are no children of the gate's process: a test about whose children they are starts a `GateProcess`.
* Signals go to the process through a descriptor of exactly this process, never to a number that may be another's.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from proxy.inspector_template import _ONE_THREAD
from tests.blackbox.gate_process import END_SEC_MAX, ROOT, GateProcess, House, ToolHouse, environment
from tests.faults.switches import Switches

WARM_SEC_MAX = 120


class Launcher:
    """The launching process: one serves a whole test session."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(WARM_SEC_MAX)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.launcher", str(theirs.fileno())],
            cwd=ROOT,
            env=os.environ | _ONE_THREAD,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        assert self._control.recv(16) == b"{}"

    def launch(self, wanted: dict[str, Any], switches: Switches | None = None) -> ForkedProcess:
        reading, writing = os.pipe()
        descriptors = [writing] if switches is None else [writing, switches.descriptor]
        socket.send_fds(self._control, [json.dumps(wanted).encode()], descriptors)
        os.close(writing)
        said, (handle,), _, _ = socket.recv_fds(self._control, 1024, 1)
        return ForkedProcess(self, json.loads(said)["pid"], handle, os.fdopen(reading, encoding="utf-8"))

    def reap(self, process_id: int) -> int:
        self._control.send(json.dumps({"reap": process_id}).encode())
        return int(json.loads(self._control.recv(1024))["code"])

    def close(self) -> None:
        self._control.close()
        self._process.wait(END_SEC_MAX)


class ForkedProcess:
    """What `subprocess.Popen` is for other gates."""

    def __init__(self, launcher: Launcher, pid: int, handle: int, stderr: TextIO) -> None:
        self.pid, self.stderr, self.handle = pid, stderr, handle
        self._launcher = launcher
        self._code: int | None = None

    def send_signal(self, number: signal.Signals) -> None:
        if self._code is None:
            try:
                signal.pidfd_send_signal(self.handle, number)
            except ProcessLookupError:
                return  # it has ended by itself

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    @property
    def has_ended(self) -> bool:
        return self._code is not None or bool(select.select([self.handle], [], [], 0)[0])

    def wait(self, limit_sec: float | None = None) -> int:
        if self._code is None:
            if not select.select([self.handle], [], [], limit_sec)[0]:
                raise subprocess.TimeoutExpired("gate", limit_sec or 0)
            self._code = self._launcher.reap(self.pid)
            os.close(self.handle)
        return self._code


class WarmGate(GateProcess):
    """A gate that begins where the whole product is imported and the detectors are warm."""

    begins_with = ""  # what its process runs before the command line's first line

    def __init__(self, launcher: Launcher, base: Path, policy: str, servers: dict[str, Any], **config: Any) -> None:
        super().__init__(base, policy, servers, **config)
        self.resource_limits: dict[str, int] = {}
        self._launcher = launcher

    def begun(self) -> ForkedProcess:
        """The bare process, which is the caller's to read and to end."""
        return self._launcher.launch(self._wanted())

    def _spawn(self) -> Any:
        return self.begun()

    def _wanted(self) -> dict[str, Any]:
        return {
            "config": str(self.config_file),
            "cwd": str(self.base),
            "environment": environment(self.base),
            "limits": self.resource_limits,
            "begins_with": self.begins_with,
        }


@contextmanager
def warm_house(
    launcher: Launcher,
    base: Path,
    policy: str,
    tools: ToolHouse,
    *,
    servers: dict[str, Any] | None = None,
    **config: Any,
) -> Iterator[House]:
    """A warm gate before these tool servers, started; both are ended afterwards. `servers` else as the tools say."""
    gate = WarmGate(launcher, base, policy, tools.config() if servers is None else servers, **config)
    try:
        gate.start()
        yield House(gate, tools)
    finally:
        gate.stop()
        tools.close()


class ForkedGate(WarmGate):
    """A gate whose failpoints are `switches`."""

    def __init__(self, launcher: Launcher, base: Path, policy: str, servers: dict[str, Any], **config: Any) -> None:
        super().__init__(launcher, base, policy, servers, **config)
        self.switches = Switches()
        self.is_struck = False

    def begun(self) -> ForkedProcess:
        self.is_struck = False
        return self._launcher.launch(self._wanted(), self.switches)

    def strike_dead(self) -> None:
        """SIGKILL and nothing else; `kill` afterwards tidies up."""
        self.is_struck = True
        if self._process is not None:
            self._process.kill()

    @property
    def handle(self) -> int:
        """Readable once the process has ended."""
        return int(self._process.handle)  # type: ignore[union-attr]
