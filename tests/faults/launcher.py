"""A process that has imported the whole product and warmed the detectors, and forks real gates from that at once.

Run by `tests.faults.forked_gate` as `python -m tests.faults.launcher DESCRIPTOR`.

Rules of this module:
* A gate is `interlock serve` from the command line's first line on, with its own store, listeners and inspectors.
  Only two things differ: its failpoints are on, if the test has switches for them, and its inspectors' template is
  forked from here, where the detectors are warm, instead of being started anew (some seconds each time).
* Nothing of a gate has run here: no loop, no thread, no random number.
* One process id is reaped only when it is asked for, so that none is ever mistaken for another's.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import socket
import sys
import threading
from typing import Any

import interlock
import proxy.app
import proxy.cli
import proxy.serving
from proxy import failpoints, inspector_template, inspector_worker
from proxy.config import Inspection
from proxy.inspector_worker import WorkerSettings
from redaction.walk import BLOB_TYPES
from tests.faults.switches import Switches

REQUEST_BYTES_MAX = 65_536
IMPORTED_BEFORE_THE_FORK = (interlock, proxy.app, proxy.cli, proxy.serving)


def warm_settings() -> WorkerSettings:
    """What a gate without an `inspection:` of its own starts its template with, but for its sizes."""
    chosen = Inspection()
    return WorkerSettings(
        entities=chosen.entities,
        score_min=chosen.score_min,
        phone_regions=chosen.phone_regions,
        blob_types=list(BLOB_TYPES),
        output_bytes_max=chosen.output_bytes_max,
        deadline_sec=chosen.deadline_sec,
    )


class Launcher:
    def __init__(self, control: socket.socket, warm: Any) -> None:
        self._control, self._warm = control, warm
        self._wanted, self._wanting = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._templates: set[int] = set()

    def run(self) -> None:
        """Until the test's end of the control socket is closed."""
        while True:
            ready = select.select([self._control, self._wanted], [], [], 1.0)[0]
            self._templates -= {one for one in self._templates if os.waitpid(one, os.WNOHANG)[0]}
            if self._wanted in ready:
                self._fork_template()
            if self._control in ready and not self._obey():
                return

    def _obey(self) -> bool:
        said, descriptors, _, _ = socket.recv_fds(self._control, REQUEST_BYTES_MAX, 4)
        if not said:
            return False
        wanted = json.loads(said)
        if "reap" in wanted:
            _, status = os.waitpid(wanted["reap"], 0)
            self._control.send(json.dumps({"code": os.waitstatus_to_exitcode(status)}).encode())
            return True
        child = os.fork()
        if child == 0:
            self._control.close()
            self._wanted.close()
            become_a_gate(wanted, descriptors, self._wanting)
        for descriptor in descriptors:
            os.close(descriptor)
        handle = os.pidfd_open(child)
        socket.send_fds(self._control, [json.dumps({"pid": child}).encode()], [handle])
        os.close(handle)
        return True

    def _fork_template(self) -> None:
        said, descriptors, _, _ = socket.recv_fds(self._wanted, REQUEST_BYTES_MAX, 1)
        child = os.fork()
        if child == 0:
            self._control.close()
            self._wanted.close()
            become_a_template(said, socket.socket(fileno=descriptors[0]), self._warm)
        os.close(descriptors[0])
        self._templates.add(child)


def become_a_gate(wanted: dict[str, Any], descriptors: list[int], wanting: socket.socket) -> None:
    """`interlock serve` in this process; never returns."""
    code: Any = 70
    try:
        told, *shared = descriptors
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number, descriptor in enumerate((nowhere, nowhere, told)):
            os.dup2(descriptor, number)
        os.close(told)
        os.environ.clear()
        os.environ.update(wanted["environment"])
        os.chdir(wanted["cwd"])
        for name, value in wanted["limits"].items():
            resource.setrlimit(getattr(resource, name), (value, value))
        for descriptor in shared:
            failpoints.on_hit = Switches(descriptor).strike
        inspector_template.subprocess = WarmTemplates(wanting)  # type: ignore[assignment]
        sys.argv = ["interlock", "serve", "--config", wanted["config"]]
        exec(wanted["begins_with"], {})
        interlock.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    finally:
        sys.stderr.flush()
        os._exit(code)


class WarmTemplates:
    """In place of `subprocess` in the gate's hold on its template: asks the launcher to fork one."""

    def __init__(self, wanting: socket.socket) -> None:
        self._wanting = wanting
        self.DEVNULL, self.TimeoutExpired = -3, TimeoutError

    def Popen(self, command: list[str], **_how: Any) -> WarmTemplates:
        control, settings = int(command[-2]), command[-1]
        socket.send_fds(self._wanting, [settings.encode()], [control])
        return self

    def wait(self, _limit_sec: float) -> int:
        """It ends with its control socket, and is the launcher's to reap."""
        return 0

    def kill(self) -> None: ...


def become_a_template(settings: bytes, control: socket.socket, warm: Any) -> None:
    """The template's own beginning, but for its warming up; never returns."""
    try:
        inspector_worker.warmed = lambda _settings: warm
        inspector_worker.main([str(control.detach()), settings.decode()])
    finally:
        os._exit(0)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    warm = inspector_worker.warmed(warm_settings())
    assert threading.active_count() == 1
    assert len(os.listdir("/proc/self/task")) == 1, "a process with threads cannot be forked safely"
    gc.collect()
    gc.freeze()
    control.send(b"{}")
    Launcher(control, warm).run()


if __name__ == "__main__":
    main()
