"""The pool as the gate sees it. Real workers for what they do; a worker of our own making for what they must not."""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from policies.model import Do, OutputRules
from proxy import inspector_queue, inspectors
from proxy.config import Inspection as Settings
from proxy.inspector_frames import LENGTH, Job, answer_frame, inspection_of
from proxy.inspectors import InspectorPool, InspectorsDown
from redaction.detectors.signs import Signs
from redaction.model import Inspection, Outcome, Surface

NO_RULES = OutputRules()
CLEAN = {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "all is well"}]}}
MAIL = {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "write to a@b.co"}]}}


class FakeTemplate:
    """Forks nothing: its workers are coroutines of the test's."""

    def __init__(self, behave: Callable[[socket.socket], Any]) -> None:
        self.behave, self.killed, self.forks, self.fails = behave, [], 0, 0  # type: ignore[var-annotated]
        self.running: list[asyncio.Task[None]] = []

    async def fork(self, worker_end: socket.socket) -> int:
        if self.fails:
            self.fails -= 1
            raise InspectorsDown("no more processes")
        self.forks += 1
        end = worker_end.dup()
        end.setblocking(False)
        self.running.append(asyncio.get_running_loop().create_task(self.behave(end)))
        return self.forks

    def kill(self, process_id: int) -> None:
        self.killed.append(process_id)

    async def close(self) -> None:
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)


async def frame_from(end: socket.socket) -> bytes:
    loop, received = asyncio.get_running_loop(), b""
    while len(received) < 4 or len(received) < 4 + LENGTH.unpack_from(received)[0]:
        chunk = await loop.sock_recv(end, 1 << 20)
        if not chunk:
            raise EOFError
        received += chunk
    return received[4:]


def answering(answers: list[bytes | None], asked: list[bytes] | None = None) -> Callable[[socket.socket], Any]:
    """A worker that answers each job with the next of `answers`; None ends it."""

    async def behave(end: socket.socket) -> None:
        with end:
            while answers:
                try:
                    job = await frame_from(end)
                except EOFError:
                    return
                if asked is not None:
                    asked.append(job)
                answer = answers.pop(0)
                if answer is None:
                    return
                await asyncio.get_running_loop().sock_sendall(end, answer)
            await asyncio.Event().wait()

    return behave


def framed(data: bytes) -> bytes:
    return LENGTH.pack(len(data)) + data


ALLOWED = framed(answer_frame(Inspection(Outcome.ALLOW)))


async def pool_with(behave: Callable[[socket.socket], Any], **settings: Any) -> tuple[InspectorPool, FakeTemplate]:
    pool, template = InspectorPool(Settings(**settings)), FakeTemplate(behave)
    pool._template = template  # type: ignore[assignment]
    await pool.start()
    return pool, template


async def ask(pool: InspectorPool, message: Any = CLEAN) -> Inspection:
    return await pool.inspect(message, rules=NO_RULES, surface=Surface.RESULT)


# ---- with real workers --------------------------------------------------------------------------------------------


@pytest.fixture
async def pool() -> AsyncIterator[InspectorPool]:
    pool = InspectorPool(Settings(workers=2))
    await pool.start()
    yield pool
    await pool.close()


async def test_the_pool_as_a_whole(pool: InspectorPool) -> None:
    """One test, because starting takes a second: surfaces, rules, schemas, sizes, two at once, and the end."""
    allowed, redacted = await asyncio.gather(ask(pool), ask(pool, MAIL))
    assert (allowed.outcome, allowed.message is CLEAN) == (Outcome.ALLOW, True)
    assert redacted.message["result"]["content"][0]["text"] == "write to [REDACTED]"

    held = await pool.inspect(MAIL, rules=OutputRules(default_do=Do.QUARANTINE), surface=Surface.RESULT)
    assert (held.outcome, held.message, held.why) == (Outcome.QUARANTINE, None, "EMAIL_ADDRESS found")

    found = await pool.inspect({"to": "a@b.co"}, rules=NO_RULES, surface=Surface.ARGUMENTS)
    assert (found.outcome, [finding.kind for finding in found.findings]) == (Outcome.ALLOW, ["EMAIL_ADDRESS"])

    card = {"jsonrpc": "2.0", "id": 1, "result": {"structuredContent": {"n": 4111111111111111}}}
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    misfit = await pool.inspect(card, rules=NO_RULES, surface=Surface.RESULT, output_schema=schema)
    assert (misfit.outcome, "outputSchema" in misfit.why) == (Outcome.QUARANTINE, True)

    many = [{"jsonrpc": "2.0", "id": n, "result": {"text": f"mail n{n}@b.co"}} for n in range(100)]
    answers = await asyncio.gather(*(ask(pool, message) for message in many))
    assert [answer.message["id"] for answer in answers] == list(range(100))
    assert {answer.outcome for answer in answers} == {Outcome.REDACT}

    assert len(pool.worker_ids) == 2
    await pool.close()
    assert (await ask(pool, {"never": "asked"})).why == "inspection is not running"


async def test_workers_do_not_get_the_gates_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTREAM_TOKEN", "hunter2")
    pool = InspectorPool(Settings(), environment={"LANG": "C.UTF-8"})
    await pool.start()
    (worker,) = pool.worker_ids
    environ = await asyncio.to_thread(Path(f"/proc/{worker}/environ").read_bytes)
    names = {line.partition(b"=")[0] for line in environ.split(b"\0") if line}
    await pool.close()
    assert names == {b"LANG", b"OMP_NUM_THREADS", b"OPENBLAS_NUM_THREADS", b"MKL_NUM_THREADS"}


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"entities": ["SOCIAL"]}, "inspection.entities: Presidio has no pattern recognizer for SOCIAL"),
        ({"phone_regions": ["XX"]}, "inspection.phone_regions: unknown or none (XX); use codes such as US, GB"),
    ],
)
async def test_a_setting_that_does_not_exist_stops_the_start_and_says_which(settings: Any, why: str) -> None:
    pool = InspectorPool(Settings(**settings))
    with pytest.raises(InspectorsDown) as stopped:
        await pool.start()
    assert str(stopped.value) == why
    assert pool.worker_ids == frozenset()


# ---- with workers that misbehave ----------------------------------------------------------------------------------


async def test_p08_before_the_start_everything_is_quarantined() -> None:
    assert await ask(InspectorPool(Settings())) == Inspection(Outcome.QUARANTINE, why="inspection is not running")


@pytest.mark.parametrize(
    "answer",
    [
        framed(b"noise"),
        framed(b'["allow",null,[[1,2,3,4,5,6,7,8]],[],""]'),
        framed(pickle.dumps(os.getcwd)),
        framed(b""),
    ],
)
async def test_p08_an_answer_that_cannot_be_read_quarantines(answer: bytes) -> None:
    pool, _ = await pool_with(answering([answer, ALLOWED]))
    assert (await ask(pool)).why == "the inspector's answer could not be read"
    assert (await ask(pool)).outcome is Outcome.ALLOW
    await pool.close()


async def test_an_answer_in_pieces_is_put_together() -> None:
    async def behave(end: socket.socket) -> None:
        with end:
            await frame_from(end)
            for byte in ALLOWED:
                await asyncio.get_running_loop().sock_sendall(end, bytes([byte]))
                await asyncio.sleep(0)

    pool, _ = await pool_with(behave)
    assert (await ask(pool)).outcome is Outcome.ALLOW
    await pool.close()


@pytest.mark.parametrize("answer", [None, LENGTH.pack(2**31)])
async def test_p08_a_worker_that_ends_takes_one_job_with_it(answer: bytes | None) -> None:
    pool, template = await pool_with(answering([answer, ALLOWED]))
    assert (await ask(pool)).outcome is Outcome.QUARANTINE
    assert (await ask(pool)).outcome is Outcome.ALLOW
    assert (template.forks, template.killed[:1]) == (2, [1])
    await pool.close()


async def test_p08_a_worker_that_is_too_slow_is_killed_and_replaced() -> None:
    hangs = [True]

    async def behave(end: socket.socket) -> None:
        with end:
            await frame_from(end)
            if hangs:
                hangs.pop()
                await asyncio.Event().wait()
            await asyncio.get_running_loop().sock_sendall(end, ALLOWED)

    pool, template = await pool_with(behave, deadline_sec=0.05)
    assert (await ask(pool)).why == "inspection took longer than 0.05 s"
    assert (await ask(pool)).outcome is Outcome.ALLOW
    assert template.killed[0] == 1
    await pool.close()


async def test_p14_jobs_wait_no_longer_than_the_deadline_and_not_in_any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspector_queue, "WAITING_MAX", 1)

    async def hang(end: socket.socket) -> None:
        with end:
            await asyncio.Event().wait()

    pool, template = await pool_with(hang, deadline_sec=0.1)
    template.fails = 1_000  # nobody takes the place of the slow one: the second must go on waiting
    answers = await asyncio.gather(*(ask(pool, {"n": n}) for n in range(3)))
    assert sorted(answer.why for answer in answers) == [
        "inspection took longer than 0.1 s",
        "more than 1 outputs are waiting to be inspected",
        "no inspector was free for 0.1 s",
    ]
    await pool.close()


async def test_p14_a_message_past_the_limit_is_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[bytes] = []
    pool, _ = await pool_with(answering([ALLOWED], asked), output_bytes_max=1000)
    assert (await ask(pool, {"a": "x" * 2000})).why == "the message is larger than 1000 bytes"
    assert asked == []
    assert (await ask(pool, {"a": "x" * 500})).outcome is Outcome.ALLOW
    await pool.close()


@pytest.mark.parametrize("message", [{"a": lambda: None}, {"a": asyncio.Lock}])
async def test_p08_what_is_no_message_is_quarantined(message: Any) -> None:
    pool, _ = await pool_with(answering([framed(b"x")]))
    assert (await ask(pool, message)).outcome is Outcome.QUARANTINE
    await pool.close()


async def test_p08_a_message_too_deep_to_hand_over_is_quarantined() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    pool, _ = await pool_with(answering([ALLOWED]))
    assert (await ask(pool, deep)).why == "the message cannot be handed to an inspector"
    await pool.close()


async def test_only_what_was_allowed_is_remembered_and_only_for_exactly_this() -> None:
    asked: list[bytes] = []
    redacted = framed(answer_frame(Inspection(Outcome.REDACT, {"a": 1})))
    pool, _ = await pool_with(answering([redacted, ALLOWED, ALLOWED, ALLOWED, ALLOWED], asked))
    assert [(await ask(pool)).outcome for _ in range(3)] == [Outcome.REDACT, Outcome.ALLOW, Outcome.ALLOW]
    assert len(asked) == 2
    await pool.inspect(CLEAN, rules=NO_RULES, surface=Surface.ERROR)
    await pool.inspect(CLEAN, rules=OutputRules(always_review=True), surface=Surface.RESULT)
    await pool.inspect(CLEAN, rules=NO_RULES, surface=Surface.RESULT, output_schema={})
    assert len(asked) == 5
    await pool.close()


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspectors, "REMEMBERED_MAX", 1)
    asked: list[bytes] = []
    pool, _ = await pool_with(answering([ALLOWED] * 3, asked))
    for n in (1, 2, 1):
        await ask(pool, {"n": n})
    assert len(asked) == 3
    await pool.close()


async def test_a_job_whose_asker_has_left_is_not_given_to_the_next() -> None:
    go = asyncio.Event()

    async def behave(end: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with end:
            for message in ({"first": 1}, {"second": 2}):
                await frame_from(end)
                await go.wait()
                await loop.sock_sendall(end, framed(answer_frame(Inspection(Outcome.REDACT, message))))

    pool, _ = await pool_with(behave)
    left = asyncio.ensure_future(ask(pool, {"n": 1}))
    await asyncio.sleep(0)
    stays = asyncio.ensure_future(ask(pool, {"n": 2}))
    await asyncio.sleep(0)
    left.cancel()
    go.set()
    assert (await stays).message == {"second": 2}
    await pool.close()


async def test_p14_those_who_have_left_take_no_place_among_the_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspector_queue, "WAITING_MAX", 1)
    go = asyncio.Event()

    async def behave(end: socket.socket) -> None:
        with end:
            for _ in range(2):
                await frame_from(end)
                await go.wait()
                await asyncio.get_running_loop().sock_sendall(end, ALLOWED)

    pool, _ = await pool_with(behave)
    at_work = asyncio.ensure_future(ask(pool, {"n": 0}))
    await asyncio.sleep(0)
    for n in range(1, 10):
        leaves = asyncio.ensure_future(ask(pool, {"n": n}))
        await asyncio.sleep(0)
        leaves.cancel()
        await asyncio.sleep(0)
    stays = asyncio.ensure_future(ask(pool, {"n": 10}))
    await asyncio.sleep(0)
    go.set()
    assert [(await one).outcome for one in (at_work, stays)] == [Outcome.ALLOW, Outcome.ALLOW]
    await pool.close()


async def test_p14_outputs_that_end_their_workers_do_not_keep_others_waiting() -> None:
    """A tool that sends poison again and again: the worker was not at fault, and its successor is there at once."""
    pool, template = await pool_with(answering([*[None] * 8, ALLOWED]))
    started = time.monotonic()
    poisoned = [(await ask(pool, {"n": n})).outcome for n in range(8)]
    assert (set(poisoned), (await ask(pool)).outcome) == ({Outcome.QUARANTINE}, Outcome.ALLOW)
    assert time.monotonic() - started < 1  # with a growing pause after each: three seconds and more
    assert template.forks == 9
    await pool.close()


async def ends_at_once(end: socket.socket) -> None:
    """A worker that is gone before it is asked."""
    end.close()


async def test_a_worker_that_ends_before_it_is_asked_is_replaced_ever_more_slowly() -> None:
    pool, template = await pool_with(ends_at_once)
    await asyncio.sleep(0.5)
    assert 2 <= template.forks <= 6
    await pool.close()


async def test_nothing_is_forked_after_the_close() -> None:
    pool, template = await pool_with(ends_at_once)
    await asyncio.sleep(0.1)
    await pool.close()
    forks = template.forks
    await asyncio.sleep(0.5)
    assert template.forks == forks


async def test_p14_a_large_answer_does_not_hold_up_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read in another thread (reference: bodies over 256 KB are parsed off the loop)."""
    monkeypatch.setattr(inspectors, "OFF_LOOP_BYTES_MIN", 1000)
    here, read_by = threading.get_ident(), []

    def noted(frame: bytes, message: Any) -> Inspection:
        read_by.append(threading.get_ident() == here)
        return inspection_of(frame, message)

    monkeypatch.setattr(inspectors, "inspection_of", noted)
    small, large = ({"a": "x" * size} for size in (10, 2000))
    answers = [framed(answer_frame(Inspection(Outcome.REDACT, message))) for message in (small, large)]
    pool, _ = await pool_with(answering([*answers]))
    assert (await ask(pool, {"n": 1})).message == small
    assert (await ask(pool, {"n": 2})).message == large
    assert read_by == [True, False]
    await pool.close()


async def test_a_worker_that_cannot_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, template = await pool_with(answering([None, ALLOWED]))
    template.fails = 2
    assert (await ask(pool)).outcome is Outcome.QUARANTINE
    assert (await ask(pool)).outcome is Outcome.ALLOW
    assert template.forks == 2
    await pool.close()


async def test_closing_quarantines_what_is_at_work_and_what_waits() -> None:
    async def hang(end: socket.socket) -> None:
        with end:
            await asyncio.Event().wait()

    pool, _ = await pool_with(hang)
    asked = [asyncio.ensure_future(ask(pool, {"n": n})) for n in range(2)]
    await asyncio.sleep(0)
    await pool.close()
    assert [(await one).why for one in asked] == ["inspection is being closed"] * 2
    assert pool.worker_ids == frozenset()


async def test_p14_a_large_message_is_written_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspectors, "OFF_LOOP_BYTES_MIN", 1000)
    where: list[bool] = []

    class Noted(inspectors.Job):
        def frame(self, bytes_max: int = 0) -> bytes:
            frame = super().frame(bytes_max)
            where.append(threading.current_thread() is threading.main_thread())
            return frame

    monkeypatch.setattr(inspectors, "Job", Noted)
    pool, _ = await pool_with(answering([ALLOWED, ALLOWED]))
    for size in (10, 5_000):
        assert (await ask(pool, {"text": "x" * size})).outcome is Outcome.ALLOW
    assert where == [True, False]
    await pool.close()


@pytest.mark.parametrize(("spare", "written"), [(1, 0), (0, 1)])
async def test_a_tiny_output_that_shows_no_sign_is_not_even_written_down(
    monkeypatch: pytest.MonkeyPatch, spare: int, written: int
) -> None:
    jobs: list[object] = []

    def noted(*parts: Any) -> Job:
        jobs.append(parts)
        return Job(*parts)

    monkeypatch.setattr(inspectors, "Job", noted)
    pool, _ = await pool_with(answering([]))
    pool._screen_by(Signs(shortest_run=7))
    length = inspectors.SCREENED_FIRST_CHARS_MAX - spare - len("x") - inspectors._CHARS_OF_A_VALUE
    message = {"x": ("well " * length)[:length]}
    assert await ask(pool, message) == Inspection(Outcome.ALLOW, message)
    assert len(jobs) == written
    await pool.close()


async def test_p14_a_tiny_output_over_a_tiny_limit_is_held_all_the_same() -> None:
    pool, _ = await pool_with(answering([]), output_bytes_max=1_024)
    pool._screen_by(Signs(shortest_run=7))
    assert (await ask(pool, {"text": "well " * 250})).outcome is Outcome.QUARANTINE
    await pool.close()


async def test_p08_only_what_shows_no_sign_needs_no_worker_and_only_while_the_pool_is_open() -> None:
    asked: list[bytes] = []
    held = framed(answer_frame(Inspection(Outcome.QUARANTINE, why="seen by a worker")))
    pool, template = await pool_with(answering([held] * 3, asked))
    pool._screen_by(Signs(shortest_run=7))
    assert await ask(pool) == Inspection(Outcome.ALLOW, CLEAN)
    assert asked == []
    assert (await ask(pool, MAIL)).why == "seen by a worker"
    large = {**CLEAN, "result": {"content": [{"type": "text", "text": "well " * inspectors.SCREENED_BYTES_MAX}]}}
    assert (await ask(pool, large)).why == "seen by a worker"
    asking = OutputRules(always_review=True)
    assert (await pool.inspect(CLEAN, rules=asking, surface=Surface.RESULT)).why == "seen by a worker"
    await pool.close()
    await template.close()
    assert (await ask(pool, {**CLEAN, "id": 2})).outcome is Outcome.QUARANTINE
