"""The gate's hold on the template process: start it, have it fork and kill workers, end it.

Rules of this module:
* One command at a time on the control socket, each with its limit in time; a template that does not answer, or whose
  answer nobody waited for, is killed and started anew with the next fork. Its workers go on.
* After `close` nothing is started.
* A template says when it is ready by which signs its workers look at a text; it has read nothing but its settings then.
* The child's environment is made here and holds nothing of ours; its interpreter is isolated and imports our packages
  from where this process has them.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from proxy import inspector_worker
from proxy.inspector_worker import COMMAND, FORK, FORKED, KILL, READY, REFUSED, SIGNS, WorkerSettings
from redaction.detectors.signs import Signs

START_SEC_MAX = 120.0
FORK_SEC_MAX = 10.0
CLOSE_SEC_MAX = 5.0

_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from proxy.inspector_worker import main; main(sys.argv[2:])"
_ROOT = str(Path(inspector_worker.__file__).resolve().parents[1])
# Numeric libraries would start threads, and a process with threads cannot be forked safely.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class InspectorsDown(Exception):
    """Inspection cannot run; the message says why and what to change."""


class Template:
    """The process that workers are forked from."""

    def __init__(
        self,
        settings: WorkerSettings,
        environment: Mapping[str, str],
        is_ready: Callable[[Signs], None] = lambda _signs: None,
    ) -> None:
        self._settings = settings
        self._is_ready = is_ready
        self._environment = {**_ONE_THREAD, **environment}
        self._lock = asyncio.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._is_closed = False

    async def fork(self, worker_end: socket.socket) -> int:
        """A new worker on this socket; its process id. Starts the template if there is none.

        Raises: InspectorsDown.
        """
        async with self._lock:
            if self._is_closed:
                raise InspectorsDown("inspection is closed")
            control = self._control or await self._start()
            try:
                socket.send_fds(control, [COMMAND.pack(FORK, 0)], [worker_end.fileno()])
                answer = await self._read(control, len(FORKED) + COMMAND.size, FORK_SEC_MAX)
            except OSError as error:
                await self._end()
                raise InspectorsDown("the inspectors' template process has ended") from error
            except (InspectorsDown, asyncio.CancelledError):  # a late answer would be taken for the next fork's
                await self._kill()
                raise
            if not answer.startswith(FORKED):
                await self._end()
                raise InspectorsDown("the inspectors' template process did not fork a worker")
            return int(COMMAND.unpack(answer[len(FORKED) :])[1])

    def kill(self, process_id: int) -> None:
        """Kill a worker. If the template has gone, its workers end with their sockets or by their alarm."""
        if self._control is None:
            return
        try:
            self._control.sendall(COMMAND.pack(KILL, process_id))
        except OSError:  # gone: the next fork starts another
            return

    async def close(self) -> None:
        """End the template, and with it the workers."""
        self._is_closed = True
        async with self._lock:
            await self._end()

    async def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        command = [sys.executable, "-I", "-c", _BOOT, _ROOT, str(theirs.fileno()), self._settings.arguments()]
        try:
            self._process = await asyncio.to_thread(
                subprocess.Popen,
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        except OSError as error:
            ours.close()
            raise InspectorsDown(f"the inspectors' process could not be started: {error.strerror}") from error
        finally:
            theirs.close()
        self._control = ours
        try:
            answer = await self._read(ours, len(READY), START_SEC_MAX)
            if answer.startswith(REFUSED[: len(READY)]):
                rest = await self._read(ours, 4096, FORK_SEC_MAX, exactly=False)
                raise InspectorsDown((answer + rest).removeprefix(REFUSED).decode(errors="replace"))
            asks_always, shortest_run = SIGNS.unpack(await self._read(ours, SIGNS.size, FORK_SEC_MAX))
        except OSError as error:
            await self._end()
            raise InspectorsDown("the inspectors' process ended while it started; it said where on stderr") from error
        except (InspectorsDown, asyncio.CancelledError):
            await self._kill()
            raise
        self._is_ready(Signs(shortest_run, asks_always))
        return ours

    async def _read(self, control: socket.socket, count: int, limit_sec: float, *, exactly: bool = True) -> bytes:
        """Raises: InspectorsDown, OSError."""
        loop, received = asyncio.get_running_loop(), b""
        try:
            async with asyncio.timeout(limit_sec):
                while len(received) < count:
                    chunk = await loop.sock_recv(control, count - len(received))
                    if not chunk and not exactly:
                        return received
                    if not chunk:
                        raise ConnectionResetError("the inspectors' template process has ended")
                    received += chunk
        except TimeoutError as error:
            raise InspectorsDown(f"the inspectors' process did not answer within {limit_sec:g} s") from error
        return received

    async def _kill(self) -> None:
        """End a template at once that may not be listening."""
        if self._process is not None:
            self._process.kill()
        await self._end()

    async def _end(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        process, self._process = self._process, None
        if process is None:
            return
        try:
            await asyncio.to_thread(process.wait, CLOSE_SEC_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)
