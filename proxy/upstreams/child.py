"""One tool process: started on its leash, spoken to in lines, listened to, ended.

Rules of this module:
* Lines, not meanings: it frames and strictly parses what the process writes, and gives each message to `listener`.
* Nothing of a child is trusted: lines are capped, stray text on stdout is logged and skipped, a line that is meant as
  a message but is not strict JSON is reported as broken, stderr is drained always, capped and made inert.
* A reason goes into the record, so it holds nothing the child said; that is in the log.
* Ending is orderly: stdin is closed and the leash let go; the leash sees to SIGTERM and SIGKILL (leash.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from policies.model import Json, JsonObject
from proxy.failpoints import failpoint
from proxy.tasks import spawn
from proxy.upstreams.stderr import StderrLog, inert
from proxy.wire import strict_json

log = structlog.get_logger("interlock.stdio")

LAST_WORDS_SEC = 2.0
_LEASH = Path(__file__).with_name("leash.py")
_STRAY_LINES_LOGGED = 5
_LINES_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Command:
    """What is started: a program with arguments, its whole environment, its working directory (None: the gate's)."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path | None = None

    def __str__(self) -> str:
        return repr(self.argv[0]) if self.cwd is None else f"{self.argv[0]!r} in {self.cwd}"


@dataclass(frozen=True, slots=True)
class ChildLimits:
    line_bytes_max: int = 4 * 1024 * 1024
    json_depth_max: int = 64
    json_keys_max: int = 100_000
    stray_lines_max: int = 1_000
    write_sec_max: float = 30
    grace_sec: float = 2  # after its stdin ended until SIGTERM, and again until SIGKILL

    @property
    def json(self) -> strict_json.JsonLimits:
        return strict_json.JsonLimits(self.line_bytes_max, self.json_depth_max, self.json_keys_max)


class ChildCannotStart(Exception):
    """The command could not be started; the message says why."""


class ChildIsGone(Exception):
    """The child ended or does not take input. `wrote` False: not a byte of the message reached its pipe."""

    def __init__(self, why: str, *, wrote: bool) -> None:
        super().__init__(why)
        self.why, self.wrote = why, wrote


class Listener(Protocol):
    """Who is told what the child says; each call may wait, which slows the child down."""

    async def heard(self, value: Json, size: int) -> None: ...

    def broke(self, why: str) -> None:
        """A line meant as a message was not strict JSON."""

    def ended(self, why: str) -> None:
        """Told exactly once, last."""


class Child:
    """A running tool process. Make one with `start`."""

    def __init__(
        self,
        name: str,
        process: asyncio.subprocess.Process,
        transport: asyncio.SubprocessTransport,
        leash: socket.socket,
        limits: ChildLimits,
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.why_ended = ""
        self._process, self._transport, self._leash, self._limits = process, transport, leash, limits
        self._stderr = StderrLog(name, process.pid, clock=clock)
        self._stray_lines = 0
        self._writing = asyncio.Lock()
        self._over = asyncio.Event()
        self._is_ending = False

    @classmethod
    async def start(
        cls, name: str, command: Command, listener: Listener, limits: ChildLimits, *, clock: Callable[[], float]
    ) -> Child:
        """Start the command on a leash. Raises: ChildCannotStart."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            # As asyncio.create_subprocess_exec does it, but keeping the transport: only that can close pipes which a
            # process outside the group still holds open.
            transport, protocol = await loop.subprocess_exec(
                lambda: asyncio.subprocess.SubprocessStreamProtocol(limit=limits.line_bytes_max, loop=loop),
                sys.executable, "-I", "-S", str(_LEASH), str(theirs.fileno()), str(limits.grace_sec), *command.argv,
                env=dict(command.env), cwd=command.cwd, pass_fds=(theirs.fileno(),), start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            ours.close()
            raise ChildCannotStart(f"{command} could not be started: {error}") from error
        except asyncio.CancelledError:
            ours.close()
            raise
        finally:
            theirs.close()
        process = asyncio.subprocess.Process(transport, protocol, loop)
        child = cls(name, process, transport, ours, limits, clock)
        started: asyncio.Future[str] = loop.create_future()
        spawn(child._live(listener, started), name=f"child:{name}:{process.pid}")
        try:
            failure = await started
        except asyncio.CancelledError:
            child.let_go("nobody waits for its start")
            raise
        if failure:
            raise ChildCannotStart(f"{command} could not be started: {failure}")
        log.info("child_started", server=name, pid=process.pid, command=command.argv[0])
        return child

    @property
    def pid(self) -> int:
        """The leash's process id, which is the process group's too."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return not (self._over.is_set() or self._is_ending)

    async def write(self, message: JsonObject, *, about_to: Callable[[], None] = lambda: None) -> None:
        """Write one message; `about_to` is called right before its first byte may leave us. Raises: ChildIsGone."""
        line = strict_json.write(message) + b"\n"
        stdin = self._process.stdin
        assert stdin is not None
        async with self._writing:
            if not self.is_alive or stdin.is_closing():
                raise ChildIsGone(self.why_ended or "its input is closed", wrote=False)
            failpoint("stdio.first_byte")
            about_to()
            try:
                async with asyncio.timeout(self._limits.write_sec_max):
                    stdin.write(line)
                    await stdin.drain()
            except TimeoutError:
                self.let_go(f"it did not read its input for {self._limits.write_sec_max:g} s")
                raise ChildIsGone(self.why_ended, wrote=True) from None
            except OSError as error:
                raise ChildIsGone(self.why_ended or f"its input broke ({error})", wrote=True) from error
            failpoint("stdio.written")

    def let_go(self, why: str) -> None:
        """Begin its end: stdin closes, and the leash does the rest. Returns at once."""
        if not self.is_alive:
            return
        self._is_ending = True
        self.why_ended = why
        stdin = self._process.stdin
        assert stdin is not None
        stdin.close()
        self._leash.shutdown(socket.SHUT_WR)  # what the leash tells of the end still arrives

    async def end(self, why: str) -> None:
        """Begin its end and wait until it is over."""
        self.let_go(why)
        try:
            async with asyncio.timeout(2 * self._limits.grace_sec + 1):
                await self._over.wait()
        except TimeoutError:
            self._kill_group()  # the leash itself was stopped
            await self._over.wait()

    async def gone(self) -> None:
        """Wait until it is over."""
        await self._over.wait()

    async def _live(self, listener: Listener, started: asyncio.Future[str]) -> None:
        """Listen until the process is over, then tell why."""
        stdout, stderr = self._process.stdout, self._process.stderr
        assert stdout is not None
        assert stderr is not None
        try:
            async with asyncio.TaskGroup() as group:
                last_words: set[asyncio.Task[object]] = {
                    group.create_task(self._listen(stdout, listener)),
                    group.create_task(self._stderr.drain(stderr)),
                }
                how = await self._hear_leash(started)
                # What it wrote before it ended is still in the pipes; a process that left its group may hold them open.
                # Nor does asyncio call a process over whose output nobody reads to the end, as after too long a line.
                last_words.add(group.create_task(self._process.wait()))
                await asyncio.wait(last_words, timeout=LAST_WORDS_SEC)
                for task in last_words:
                    task.cancel()
            self.why_ended = self.why_ended or self._in_words(how)
        finally:
            self._leash.close()
            self._transport.close()
            self._over.set()
            if not started.done():
                started.set_result(self.why_ended or "it broke while starting")
            log.info("child_ended", server=self.name, pid=self.pid, why=self.why_ended, said=self._stderr.tail)
            listener.ended(self.why_ended or "it broke")

    async def _hear_leash(self, started: asyncio.Future[str]) -> str:
        """What the leash tells, until it is gone; the last line."""
        loop = asyncio.get_running_loop()
        told = b""
        try:
            while chunk := await loop.sock_recv(self._leash, 1024):
                told += chunk
                if told.startswith(b"started\n") and not started.done():
                    started.set_result("")
        except OSError as error:
            log.warning("leash_lost", server=self.name, pid=self.pid, error=str(error))
        lines = told.decode("utf-8", "replace").split("\n")
        last = lines[-2] if len(lines) > 1 else ""
        if last in ("", "started"):
            self._kill_group()  # the leash was killed: it can no longer see to its group
        if last.startswith("cannot_start ") and not started.done():
            started.set_result(last.removeprefix("cannot_start "))
        return last

    def _in_words(self, how: str) -> str:
        match how.split(" ", 1):
            case ["exited", status]:
                why = f"it exited with status {status}"
            case ["killed", number]:
                why = f"it was killed by {signal.Signals(int(number)).name}"
            case ["cannot_start", reason]:
                why = f"it could not be started: {reason}"
            case _:
                why = "its process group was killed"
        return f"{why} (what it said on stderr is in the log)" if self._stderr.tail else why

    async def _listen(self, stdout: asyncio.StreamReader, listener: Listener) -> None:
        for number in itertools.count(1):
            if number % _LINES_AT_ONCE == 0:
                await asyncio.sleep(0)  # the buffer is read without waiting: others shall have their turn
            try:
                line = await stdout.readuntil(b"\n")
            except asyncio.IncompleteReadError as end:
                if end.partial.strip():
                    self._stray(end.partial, listener, "ended in the middle of a line")
                return
            except asyncio.LimitOverrunError:
                self.let_go(f"it wrote a line longer than {self._limits.line_bytes_max} bytes")
                return
            line = line.strip(b" \t\r\n")
            if not line:
                continue
            try:
                value = strict_json.read(line, self._limits.json, exact=True)
            except strict_json.StrictJsonError as error:
                self._stray(line, listener, str(error))
                continue
            await listener.heard(value, len(line))

    def _stray(self, line: bytes, listener: Listener, why: str) -> None:
        """Stray text (a banner, a print) is skipped; what begins like a message is a broken one."""
        self._stray_lines += 1
        if self._stray_lines > self._limits.stray_lines_max:
            self.let_go(f"it wrote more than {self._limits.stray_lines_max} lines on stdout that are no messages")
        elif line[:1] in (b"{", b"["):
            listener.broke(f"it wrote a message that is not strict JSON: {why}")
        elif self._stray_lines <= _STRAY_LINES_LOGGED:
            log.warning(
                "child_stray_line", server=self.name, pid=self.pid, text=inert(line[:200].decode("utf-8", "replace"))
            )

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
