"""Inspection under fault, with real processes: whatever happens to a worker, nothing comes out of it uninspected."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from policies.model import OutputRules
from proxy.config import Inspection as Settings
from proxy.inspectors import InspectorPool
from redaction.model import Inspection, Outcome, Surface

MAIL = {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "write to a@b.co"}]}}
SLOW = {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "a." * 60_000 + " @"}]}}


async def ask(pool: InspectorPool, message: Any = MAIL) -> Inspection:
    return await pool.inspect(message, rules=OutputRules(), surface=Surface.RESULT)


async def stopped_worker(pool: InspectorPool) -> int:
    """A worker that will not answer: it is stopped before it is asked."""
    (worker,) = pool.worker_ids
    os.kill(worker, signal.SIGSTOP)
    return worker


@pytest.fixture
async def pool() -> AsyncIterator[InspectorPool]:
    pool = InspectorPool(Settings(workers=1, deadline_sec=1.0))
    await pool.start()
    yield pool
    await pool.close()


async def test_p08_killed_hung_and_slow_workers_quarantine_and_the_next_job_works(pool: InspectorPool) -> None:
    """One test, because starting takes a second: three faults, one after the other, on the same pool."""
    worker = await stopped_worker(pool)
    asked = asyncio.ensure_future(ask(pool))
    await asyncio.sleep(0)
    os.kill(worker, signal.SIGKILL)
    held = await asked
    assert (held.outcome, held.message) == (Outcome.QUARANTINE, None)
    assert held.why == "the inspector ended while it looked at this output"
    assert (await ask(pool)).outcome is Outcome.REDACT

    await stopped_worker(pool)
    assert (await ask(pool)).why == "inspection took longer than 1 s"
    assert (await ask(pool)).outcome is Outcome.REDACT

    held = await ask(pool, SLOW)
    assert (held.outcome, held.message) == (Outcome.QUARANTINE, None)
    assert (await ask(pool)).outcome is Outcome.REDACT


async def test_p08_a_worker_out_of_memory_quarantines_and_the_next_job_works() -> None:
    pool = InspectorPool(Settings(output_bytes_max=64 * 1024 * 1024), memory_bytes_max=160 * 1024 * 1024)
    await pool.start()
    hungry = {"jsonrpc": "2.0", "id": 1, "result": {"structuredContent": [[[], []] for _ in range(500_000)]}}
    held = await ask(pool, hungry)
    assert (held.outcome, held.why) == (Outcome.QUARANTINE, "the inspector ended while it looked at this output")
    assert (await ask(pool)).outcome is Outcome.REDACT
    await pool.close()


GATE = """
import asyncio, sys
from proxy.config import Inspection
from proxy.inspectors import InspectorPool
async def main():
    pool = InspectorPool(Inspection(workers=2))
    await pool.start()
    print(pool._template._process.pid, *pool.worker_ids, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def test_p08_workers_do_not_outlive_a_gate_that_was_killed() -> None:
    gate = subprocess.Popen([sys.executable, "-c", GATE], stdout=subprocess.PIPE, text=True)
    assert gate.stdout is not None
    with gate.stdout:
        processes = [int(word) for word in gate.stdout.readline().split()]
    assert len(processes) == 3
    gate.kill()
    gate.wait()
    until = time.monotonic() + 10
    while any(is_alive(process) for process in processes) and time.monotonic() < until:
        time.sleep(0.02)
    assert [process for process in processes if is_alive(process)] == []


def test_p08_an_interrupt_of_the_terminal_ends_no_worker() -> None:
    gate = subprocess.Popen([sys.executable, "-c", GATE], stdout=subprocess.PIPE, text=True)
    assert gate.stdout is not None
    with gate.stdout:
        processes = [int(word) for word in gate.stdout.readline().split()]
    for process in processes:
        os.kill(process, signal.SIGINT)
        os.kill(process, signal.SIGTERM)
    time.sleep(0.2)
    alive = [is_alive(process) for process in processes]
    gate.kill()
    gate.wait()
    assert alive == [True] * 3


def is_alive(process: int) -> bool:
    """Neither gone nor a zombie nobody has reaped."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
