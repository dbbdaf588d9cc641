"""The gate's side of inspection: hands each message to a worker process and comes back with what it says.

Rules of this module:
* `inspect` never raises and never lets through: too large, too late, a full queue, a worker that crashed, hung or was
  killed, an answer that cannot be read, or not started at all is QUARANTINE, with a sentence that says which.
* Workers are our own processes on socket pairs, one job at a time each: one that dies takes one job with it, and is
  replaced at once (traps T24). A job past its deadline has its worker killed.
* A large message is written, and a large answer read, in another thread: the loop is never held up by one output.
* Everything is bounded: size of a message, number and bytes of jobs waiting, time waiting and at work, answers kept.
* A small message that shows no sign of anything to find needs no worker: it is looked at here, in linear time
  (redaction/screen.py, docs/adr/0016). Everything else, and every doubt, is a worker's.
* Only ALLOW is remembered, by a keyed digest of exactly what was asked: an identical clean output is not sent again.
* Nothing of the gate's environment reaches a worker: it may hold credentials, and workers read hostile data.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import structlog

from policies.model import JsonObject, OutputRules
from proxy.config import Inspection as InspectionSettings
from proxy.heavy import outweighs
from proxy.inspector_frames import LENGTH, FrameTooLarge, Job, inspection_of, rules_frame
from proxy.inspector_queue import QueueFull, WaitingJobs
from proxy.inspector_template import InspectorsDown, Template
from proxy.inspector_worker import MEMORY_BYTES_MAX, StrictCodec, WorkerSettings
from proxy.tasks import spawn
from redaction.detectors.signs import Signs
from redaction.model import Finding, Inspection, Outcome, Surface
from redaction.screen import Screen
from redaction.walk import BLOB_TYPES

__all__ = ["InspectorPool", "InspectorsDown"]

log = structlog.get_logger("interlock.inspectors")

OFF_LOOP_BYTES_MIN = 256 * 1024
SCREENED_BYTES_MAX = 16 * 1024
SCREENED_FIRST_CHARS_MAX = 2 * 1024  # below, to look is cheaper than to know it again
_CHARS_OF_A_VALUE = 16  # what a number, a key or a place in a list takes about in a frame
REMEMBERED_MAX = 2_048
RESTART_SEC_MAX = 5.0
ANSWER_BYTES_EXTRA = 4 * 1024 * 1024

_CLOSING = "inspection is being closed"
_CRASHED = "the inspector ended while it looked at this output"


@dataclass(slots=True, eq=False)
class _Asked:
    """A job on its way: what to send, and who waits for it."""

    frame: bytes
    answer: asyncio.Future[bytes | str]  # the answer's frame, or why there is none
    patience: asyncio.TimerHandle | None = None

    def settle(self, outcome: bytes | str) -> None:
        if self.patience is not None:
            self.patience.cancel()
        if not self.answer.done():
            self.answer.set_result(outcome)


class InspectorPool:
    """Inspects messages in worker processes."""

    def __init__(
        self,
        settings: InspectionSettings,
        *,
        blob_types: Sequence[str] = BLOB_TYPES,
        memory_bytes_max: int = MEMORY_BYTES_MAX,
        random_bytes: Callable[[int], bytes] = os.urandom,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = settings
        chosen = WorkerSettings(
            entities=settings.entities,
            score_min=settings.score_min,
            phone_regions=settings.phone_regions,
            blob_types=list(blob_types),
            output_bytes_max=settings.output_bytes_max,
            deadline_sec=settings.deadline_sec,
            memory_bytes_max=memory_bytes_max,
        )
        self._blob_types = tuple(blob_types)
        self._screen: Screen | None = None  # until a template has said by which signs its workers go
        self._template = Template(chosen, environment or {}, self._screen_by)
        self._idle: deque[_Worker] = deque()
        self._workers: set[_Worker] = set()
        self._waiting: WaitingJobs[_Asked] = WaitingJobs()
        self._memory_key = random_bytes(32)
        self._remembered: OrderedDict[bytes, tuple[Finding, ...]] = OrderedDict()
        self._deaths_in_a_row = 0
        self._is_open = False

    @property
    def worker_ids(self) -> frozenset[int]:
        """The process ids of the workers alive now."""
        return frozenset(worker.process_id for worker in self._workers)

    async def start(self) -> None:
        """Start the workers. Raises: InspectorsDown."""
        self._is_open = True
        try:
            for _ in range(self._settings.workers):
                await self._add_worker()
        except InspectorsDown:
            await self.close()
            raise

    async def close(self) -> None:
        """End the workers; whatever still waits is quarantined."""
        self._is_open = False
        while (asked := self._waiting.take()) is not None:
            asked.settle(_CLOSING)
        for worker in list(self._workers):
            worker.end(_CLOSING)
        await self._template.close()

    async def inspect(
        self, message: Any, *, rules: OutputRules, surface: Surface, output_schema: JsonObject | None = None
    ) -> Inspection:
        """What may come back of `message`. With `output_schema`, a redacted structuredContent must still fit it."""
        is_tiny = self._settings.output_bytes_max >= SCREENED_BYTES_MAX and not outweighs(
            message, SCREENED_FIRST_CHARS_MAX, of_a_value=_CHARS_OF_A_VALUE
        )
        if is_tiny and self._is_screened_clean(message, rules, surface):
            return Inspection(Outcome.ALLOW, message)
        try:
            schema = b"" if output_schema is None else pickle.dumps(output_schema, protocol=5)
            job = Job(rules_frame(rules), surface.value, schema, message)
            frame, memory = await self._written(job, self._settings.output_bytes_max + len(schema))
        except FrameTooLarge:
            return _held(f"the message is larger than {self._settings.output_bytes_max} bytes")
        except (pickle.PicklingError, TypeError, AttributeError, RecursionError):
            return _held("the message cannot be handed to an inspector")
        known = self._remembered.get(memory)
        if known is not None:
            self._remembered.move_to_end(memory)
            return Inspection(Outcome.ALLOW, message, known)
        if not is_tiny and len(frame) <= SCREENED_BYTES_MAX and self._is_screened_clean(message, rules, surface):
            self._remember(memory, ())
            return Inspection(Outcome.ALLOW, message)
        outcome = await self._ask(frame)
        if isinstance(outcome, str):
            return _held(outcome)
        try:
            if len(outcome) >= OFF_LOOP_BYTES_MIN:
                inspection = await asyncio.to_thread(inspection_of, outcome, message)
            else:
                inspection = inspection_of(outcome, message)
        except (ValueError, TypeError):
            return _held("the inspector's answer could not be read")
        if inspection.outcome is Outcome.ALLOW:
            self._remember(memory, inspection.findings)
        return inspection

    async def _written(self, job: Job, bytes_max: int) -> tuple[bytes, bytes]:
        """Its frame and its digest. Raises as `Job.frame`."""
        try:
            return self._with_digest(job, min(bytes_max, OFF_LOOP_BYTES_MIN))
        except FrameTooLarge:
            if bytes_max <= OFF_LOOP_BYTES_MIN:
                raise
            return await asyncio.to_thread(self._with_digest, job, bytes_max)

    def _with_digest(self, job: Job, bytes_max: int) -> tuple[bytes, bytes]:
        frame = job.frame(bytes_max)
        return frame, blake2b(frame, key=self._memory_key, digest_size=16).digest()

    def _screen_by(self, signs: Signs) -> None:
        self._screen = Screen(signs, StrictCodec(SCREENED_BYTES_MAX), self._blob_types)

    def _is_screened_clean(self, message: Any, rules: OutputRules, surface: Surface) -> bool:
        return self._screen is not None and self._is_open and self._screen.shows_nothing(message, rules, surface)

    async def _ask(self, frame: bytes) -> bytes | str:
        if not self._is_open:
            return "inspection is not running"
        loop = asyncio.get_running_loop()
        asked = _Asked(frame, loop.create_future())
        if self._idle:
            self._idle.popleft().take(asked)
        else:
            try:
                self._waiting.add(asked)
            except QueueFull as full:
                return str(full)
            asked.patience = loop.call_later(self._settings.deadline_sec, self._give_up, asked)
        try:
            return await asked.answer
        except asyncio.CancelledError:
            if self._waiting.remove(asked):  # whoever asked has left: no place is kept
                asked.settle(_CLOSING)
            raise

    def _give_up(self, asked: _Asked) -> None:
        if self._waiting.remove(asked):
            asked.settle(f"no inspector was free for {self._settings.deadline_sec:g} s")

    def _remember(self, memory: bytes, findings: tuple[Finding, ...]) -> None:
        self._remembered[memory] = findings
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)

    # -- workers come and go -----------------------------------------------------------------------------------------

    async def _add_worker(self) -> None:
        """Raises: InspectorsDown."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            process_id = await self._template.fork(theirs)
        except InspectorsDown:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        # A short value may become a longer mark, and an answer has up to a thousand findings: no more than that.
        answer_bytes_max = 4 * self._settings.output_bytes_max + ANSWER_BYTES_EXTRA
        worker = _Worker(self, process_id, self._settings.deadline_sec, answer_bytes_max)
        await asyncio.get_running_loop().create_unix_connection(lambda: worker, sock=ours)

    def is_connected(self, worker: _Worker) -> None:
        self._workers.add(worker)
        if not self._is_open:
            worker.end(_CLOSING)

    def is_free(self, worker: _Worker) -> None:
        """A worker can take a job: the one that has waited longest and is still wanted."""
        while (asked := self._waiting.take()) is not None:
            if not asked.answer.done():
                worker.take(asked)
                return
        self._idle.append(worker)

    def has_answered(self, worker: _Worker) -> None:
        self._deaths_in_a_row = 0
        self.is_free(worker)

    def is_gone(self, worker: _Worker, *, was_at_work: bool) -> None:
        """A worker's connection has ended: replace it, at once if an output was what ended it."""
        self._workers.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        self._template.kill(worker.process_id)  # it may be alive behind a closed socket
        if self._is_open:
            self._deaths_in_a_row = 0 if was_at_work else self._deaths_in_a_row + 1
            spawn(self._replace(), name="inspector-replace")

    async def _replace(self) -> None:
        while True:
            if self._deaths_in_a_row > 1:
                await asyncio.sleep(min(RESTART_SEC_MAX, 0.05 * 2 ** min(self._deaths_in_a_row - 2, 10)))
            if not self._is_open:
                return
            try:
                await self._add_worker()
            except InspectorsDown as error:
                self._deaths_in_a_row += 1
                log.error("inspector_not_started", why=str(error))
            else:
                return


class _Worker(asyncio.Protocol):
    """The gate's end of one worker: one job at a time, each with a deadline."""

    def __init__(self, pool: InspectorPool, process_id: int, deadline_sec: float, answer_bytes_max: int) -> None:
        self.process_id = process_id
        self._pool, self._deadline_sec, self._answer_bytes_max = pool, deadline_sec, answer_bytes_max
        self._transport: asyncio.Transport | None = None
        self._asked: _Asked | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._received = bytearray()
        self._why_ended = _CRASHED

    def take(self, asked: _Asked) -> None:
        """Send a job. It is this worker's until it is answered, even if nobody waits for the answer any more."""
        if asked.patience is not None:
            asked.patience.cancel()
        self._asked = asked
        self._deadline = asyncio.get_running_loop().call_later(self._deadline_sec, self._expire)
        if self._transport is not None:
            self._transport.writelines((LENGTH.pack(len(asked.frame)), asked.frame))

    def end(self, why: str) -> None:
        """Cut the connection and have the process killed; the job, if there is one, is told why."""
        self._why_ended = why
        if self._transport is not None:
            self._transport.abort()

    def _expire(self) -> None:
        log.warning("inspector_too_slow", process=self.process_id, limit_sec=self._deadline_sec)
        self.end(f"inspection took longer than {self._deadline_sec:g} s")

    # -- asyncio.Protocol ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's transport
        self._pool.is_connected(self)
        self._pool.is_free(self)

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        if len(received) < LENGTH.size:
            return
        (length,) = LENGTH.unpack_from(received)
        if length > self._answer_bytes_max or self._asked is None:
            self.end("the inspector answered what was not asked")
        elif len(received) >= LENGTH.size + length:
            frame, asked = bytes(received[LENGTH.size :]), self._asked
            self._received, self._asked = bytearray(), None
            if self._deadline is not None:
                self._deadline.cancel()
            asked.settle(frame)
            self._pool.has_answered(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._deadline is not None:
            self._deadline.cancel()
        asked, self._asked = self._asked, None
        if asked is not None:
            log.warning("inspector_ended", process=self.process_id, why=self._why_ended)
            asked.settle(self._why_ended)
        self._pool.is_gone(self, was_at_work=asked is not None)


def _held(why: str) -> Inspection:
    return Inspection(Outcome.QUARANTINE, why=why)
