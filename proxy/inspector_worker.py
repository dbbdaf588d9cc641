"""The process in which tool output is looked through, and the template it is forked from.

Rules of this module:
* The gate starts one template: it imports and warms the detectors once (seconds, and a hundred megabytes), then forks a
  worker whenever it is told to. A worker that was killed is replaced in milliseconds, with the memory shared.
* The template has one thread, reads no agent or tool data, and does nothing but fork, kill and reap its own children:
  a process id is only ever signalled by the parent that has not yet reaped it.
* A worker reads one job at a time from its own socket and answers it. Whatever it did not expect ends it: the gate
  takes a lost connection for quarantine. It says where it failed, never with which value.
* Nothing outlives the gate: sockets end, and an alarm ends a worker that is stuck in a pattern.
"""

from __future__ import annotations

import gc
import os
import resource
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any

from policies.arguments import ArgumentsInvalid, check
from policies.model import OutputRules
from proxy.inspector_frames import FRAME_BYTES_MAX, LENGTH, Job, answer_frame, read_frame, rules_frame, rules_of
from proxy.wire.strict_json import JsonFault, JsonLimits, StrictJsonError, read, write
from redaction.detectors.signs import Signs
from redaction.embedded import AmbiguousJson, NotJson
from redaction.model import Inspection, Outcome, Surface

MEMORY_BYTES_MAX = 1024 * 1024 * 1024
ALARM_AFTER_SEC = 1.0  # past the deadline, by which the gate has killed us if it lives
READY, FORKED, REFUSED = b"ready", b"forked", b"refused"
SIGNS = struct.Struct(">?q")  # after READY: whether every text is looked at, and the shortest run of digits that is
FORK, KILL = b"F", b"K"
COMMAND = struct.Struct(">cq")  # what to do, and to which process


# ---- the worker ---------------------------------------------------------------------------------------------------


class StrictCodec:
    """The house's strict JSON reader, for documents that stand in strings."""

    def __init__(self, bytes_max: int) -> None:
        self._limits = JsonLimits(bytes_max=bytes_max, keys_max=250_000)

    def read(self, text: str) -> Any:
        try:
            return read(text.encode(), self._limits, exact=True)
        except UnicodeEncodeError as error:
            raise AmbiguousJson(JsonFault.SURROGATE.value) from error
        except StrictJsonError as error:
            if error.reason in (JsonFault.SYNTAX, JsonFault.ENCODING):
                raise NotJson from error
            raise AmbiguousJson(error.reason.value) from error

    def write(self, value: Any) -> str:
        return write(value).decode()


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What the template is started with; nothing in it is secret."""

    entities: Sequence[str]
    score_min: float
    phone_regions: Sequence[str]
    blob_types: Sequence[str]
    output_bytes_max: int
    deadline_sec: float
    memory_bytes_max: int = MEMORY_BYTES_MAX

    def arguments(self) -> str:
        return write(asdict(self)).decode()


def work(job_socket: socket.socket, inspect_job: Callable[[bytes], bytes], deadline_sec: float) -> None:
    """Answer jobs until the gate goes. The alarm's default action ends the process, whatever it is stuck in."""
    while (frame := _receive(job_socket)) is not None:
        signal.setitimer(signal.ITIMER_REAL, deadline_sec + ALARM_AFTER_SEC)
        answer = inspect_job(frame)
        signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            job_socket.sendall(LENGTH.pack(len(answer)) + answer)
        except (BrokenPipeError, ConnectionResetError):  # the gate has gone
            return


def inspector(settings: WorkerSettings) -> Callable[[bytes], bytes]:
    """What answers one job's frame with one answer's frame. Raises: ValueError, as `warmed`."""
    return warmed(settings)[0]


def warmed(settings: WorkerSettings) -> tuple[Callable[[bytes], bytes], Signs]:
    """Build and warm everything: what answers jobs, and the signs it goes by.

    Raises: ValueError, for a kind or a region that does not exist.
    """
    from redaction.detectors.base import DetectorSettings
    from redaction.detectors.defaults import default_detectors, signs_of  # imports Presidio: only here
    from redaction.fields import FieldRuleInvalid
    from redaction.inspection import ReadyRules, inspect
    from redaction.scan import Detectors

    chosen = DetectorSettings(tuple(settings.entities), settings.score_min, tuple(settings.phone_regions))
    made = default_detectors(chosen)
    detectors = Detectors(made, memory_key=os.urandom(32))
    codec = StrictCodec(settings.output_bytes_max)

    @lru_cache(maxsize=256)
    def ready(rules: bytes) -> ReadyRules:
        return ReadyRules.of(rules_of(rules))

    def answer(frame: bytes) -> bytes:
        rules, surface, schema, message = read_frame(frame)
        try:
            ready_rules = ready(rules)
        except FieldRuleInvalid as invalid:
            return answer_frame(Inspection(Outcome.QUARANTINE, why=str(invalid)))
        inspection = inspect(
            message,
            rules=ready_rules,
            surface=Surface(surface),
            detectors=detectors,
            codec=codec,
            blob_types=settings.blob_types,
            still_valid=_fits(schema) if schema else None,
        )
        return answer_frame(inspection)

    answer(Job(rules_frame(OutputRules()), Surface.RESULT.value, b"", {"warm": "a@b.co"}).frame())
    return answer, signs_of(made)


@lru_cache(maxsize=256)
def _fits(schema: bytes) -> Callable[[Any], bool]:
    """Whether a value fits an outputSchema. What cannot be checked does not fit."""
    known = read_frame(schema)

    def fits(value: Any) -> bool:
        if not isinstance(value, dict) or not isinstance(known, dict):
            return False
        try:
            check(value, known)
        except ArgumentsInvalid:
            return False
        return True

    return fits


def _receive(job_socket: socket.socket) -> bytes | None:
    """One frame, or None when the gate has gone."""
    head = _exactly(job_socket, LENGTH.size)
    if head is None:
        return None
    (length,) = LENGTH.unpack(head)
    return _exactly(job_socket, length) if length <= FRAME_BYTES_MAX else None


def _exactly(job_socket: socket.socket, count: int) -> bytes | None:
    received = job_socket.recv(count, socket.MSG_WAITALL)
    while 0 < len(received) < count:
        more = job_socket.recv(count - len(received), socket.MSG_WAITALL)
        if not more:
            return None
        received += more
    return received or None


# ---- the template -------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> None:
    """The template's life: `arguments` are the number of its control socket and its settings in JSON."""
    sys.excepthook = _say_where
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the gate ends us: by closing the sockets
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    control = socket.socket(fileno=int(arguments[0]))
    settings = WorkerSettings(**_mapping(arguments[1]))
    try:
        answer_job, signs = warmed(settings)
    except ValueError as error:
        control.sendall(REFUSED + str(error).encode())
        return
    gc.collect()
    gc.freeze()  # what was built here is shared with every worker: the collector must not touch it
    gc.set_threshold(50_000, 20, 50)  # JSON holds no cycles: looking for them often is waste
    control.sendall(READY + SIGNS.pack(signs.asks_always, signs.shortest_run))
    _Template(control, answer_job, settings).run()


class _Template:
    def __init__(self, control: socket.socket, answer_job: Callable[[bytes], bytes], settings: WorkerSettings) -> None:
        self._control, self._answer_job, self._settings = control, answer_job, settings
        self._children: set[int] = set()

    def run(self) -> None:
        while self._next():
            self._reap()
        for child in self._children:
            os.kill(child, signal.SIGKILL)

    def _next(self) -> bool:
        """Do one command, or look after the children once a second. False when the gate has gone."""
        if not select.select([self._control], [], [], 1.0 if self._children else None)[0]:
            return True
        try:
            received, descriptors, _, _ = socket.recv_fds(self._control, COMMAND.size, 1)
        except ConnectionResetError:  # gone, with an answer of ours unread
            return False
        if len(received) != COMMAND.size:
            return False
        command, child = COMMAND.unpack(received)
        if command == FORK and descriptors:
            self._fork(descriptors[0])
        elif command == KILL and child in self._children:
            os.kill(child, signal.SIGKILL)
        return True

    def _fork(self, descriptor: int) -> None:
        child = os.fork()
        if child == 0:
            self._control.close()
            memory = self._settings.memory_bytes_max
            resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
            work(socket.socket(fileno=descriptor), self._answer_job, self._settings.deadline_sec)
            os._exit(0)
        os.close(descriptor)
        self._children.add(child)
        self._control.sendall(FORKED + COMMAND.pack(FORK, child))

    def _reap(self) -> None:
        while self._children:
            child, _ = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                return
            self._children.discard(child)


def _mapping(text: str) -> Mapping[str, Any]:
    value = read(text.encode())
    if not isinstance(value, dict):
        raise ValueError("the settings are not an object")
    return value


def _say_where(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An unexpected end, without the error's words: they may quote what was looked at."""
    del error
    frames = " < ".join(
        f"{frame.name} {frame.filename}:{frame.lineno}" for frame in reversed(traceback.extract_tb(trace))
    )
    sys.stderr.write(f"interlock inspector ended: {kind.__name__} in {frames}\n")
