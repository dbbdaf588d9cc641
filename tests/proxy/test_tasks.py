"""A background task is neither lost nor silent."""

from __future__ import annotations

import asyncio
import gc

import structlog

from proxy.tasks import spawn


async def test_a_task_nobody_holds_still_finishes() -> None:
    done = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        gc.collect()
        done.set()

    spawn(work(), name="work")
    async with asyncio.timeout(5):
        await done.wait()


async def test_a_failing_task_is_logged_with_its_name() -> None:
    async def work() -> None:
        raise ValueError("boom")

    with structlog.testing.capture_logs() as logs:
        task = spawn(work(), name="doomed")
        await asyncio.wait([task])
        await asyncio.sleep(0)
    assert [(one["event"], one["task"]) for one in logs] == [("task_failed", "doomed")]


async def test_a_cancelled_task_is_not_a_failure() -> None:
    with structlog.testing.capture_logs() as logs:
        task = spawn(asyncio.sleep(60), name="slow")
        task.cancel()
        await asyncio.wait([task])
    assert logs == []
