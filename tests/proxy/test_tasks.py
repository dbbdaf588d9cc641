"""A background task is neither lost nor silent."""

from __future__ import annotations

import asyncio
import gc

import structlog

from proxy.tasks import spawn, spawn_at_once


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


async def test_a_task_begun_at_once_has_come_to_its_first_wait() -> None:
    said: list[str] = []

    async def work() -> None:
        said.append("began")
        await asyncio.sleep(0)
        said.append("went on")

    task = spawn_at_once(work(), name="at once")
    assert said == ["began"]
    await task
    assert said == ["began", "went on"]


async def test_a_task_that_fails_before_its_first_wait_is_logged_too() -> None:
    async def work() -> None:
        raise ValueError("boom")

    with structlog.testing.capture_logs() as logs:
        spawn_at_once(work(), name="doomed")
        await asyncio.sleep(0)
    assert [(one["event"], one["task"]) for one in logs] == [("task_failed", "doomed")]
