from __future__ import annotations

from dataclasses import dataclass

import pytest

from proxy import inspector_queue
from proxy.inspector_queue import QueueFull, WaitingJobs


@dataclass(slots=True, eq=False)
class _Job:
    frame: bytes = b""


def test_who_came_first_is_served_first() -> None:
    queue: WaitingJobs[_Job] = WaitingJobs()
    jobs = [_Job(b"x" * size) for size in (3, 2, 1)]
    for job in jobs:
        queue.add(job)
    assert (len(queue), queue.bytes) == (3, 6)
    assert queue.remove(jobs[1])
    assert not queue.remove(jobs[1])
    assert [queue.take(), queue.take(), queue.take()] == [jobs[0], jobs[2], None]
    assert (len(queue), queue.bytes) == (0, 0)


def test_p14_outputs_that_wait_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspector_queue, "WAITING_MAX", 2)
    queue: WaitingJobs[_Job] = WaitingJobs()
    queue.add(_Job())
    queue.add(last := _Job())
    assert last in queue
    with pytest.raises(QueueFull, match="more than 2 outputs"):
        queue.add(_Job())


@pytest.mark.parametrize(("size", "fits"), [(5, True), (6, True), (7, False)])
def test_p14_outputs_that_wait_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch, size: int, fits: bool) -> None:
    monkeypatch.setattr(inspector_queue, "WAITING_BYTES_MAX", 10)
    queue: WaitingJobs[_Job] = WaitingJobs()
    queue.add(_Job(b"four"))
    if fits:
        queue.add(_Job(b"x" * size))
        return
    with pytest.raises(QueueFull, match="more than 10 bytes"):
        queue.add(_Job(b"x" * size))
    assert queue.bytes == 4


def test_one_that_alone_is_too_large_may_wait_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspector_queue, "WAITING_BYTES_MAX", 10)
    queue: WaitingJobs[_Job] = WaitingJobs()
    queue.add(_Job(b"x" * 11))
    with pytest.raises(QueueFull):
        queue.add(_Job())
