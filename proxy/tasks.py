"""Background tasks that cannot be lost: each is kept alive by reference and its exception reaches the log.

Rules of this module:
* This is the only place that calls `asyncio.create_task`: a bare task can be garbage collected mid-flight and its
  exception is then reported by nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger("interlock.tasks")

_running: set[asyncio.Task[Any]] = set()


def spawn[T](work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """Start `work` as a task; if it fails and nobody awaits it, `task_failed` is logged with its name."""
    task = asyncio.create_task(work, name=name)  # noqa: TID251 - the one place
    _running.add(task)
    task.add_done_callback(_finished)
    return task


def spawn_at_once[T](work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """The same, and `work` has come to its first wait when this returns."""
    task = asyncio.Task(work, loop=asyncio.get_running_loop(), name=name, eager_start=True)
    if task.done():
        _finished(task)
    else:
        _running.add(task)
        task.add_done_callback(_finished)
    return task


def _finished(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if task.cancelled():
        return
    error = task.exception()
    if error is not None:
        log.error("task_failed", task=task.get_name(), error=repr(error), exc_info=error)
