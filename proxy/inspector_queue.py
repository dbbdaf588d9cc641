"""Outputs that wait for a worker to inspect them: first come, first served, bounded in number and in bytes (P14).

Rules of this module:
* One that does not fit is refused before it is kept; what becomes of it is the pool's business (quarantine).
* A job that alone is larger than the bound in bytes may wait alone: it could never be inspected otherwise.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

WAITING_MAX = 256
WAITING_BYTES_MAX = 64 * 1024 * 1024


class QueueFull(Exception):
    """Why no further output may wait; the text is for whoever reads of the quarantine."""


class _Framed(Protocol):
    @property
    def frame(self) -> bytes: ...


class WaitingJobs[Job: _Framed]:
    """A queue of jobs that counts their bytes. A job is known by its identity."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[int, Job] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job: object) -> bool:
        return id(job) in self._jobs

    def add(self, job: Job) -> None:
        """Raises: QueueFull."""
        if len(self._jobs) >= WAITING_MAX:
            raise QueueFull(f"more than {WAITING_MAX} outputs are waiting to be inspected")
        if self._jobs and self.bytes + len(job.frame) > WAITING_BYTES_MAX:
            raise QueueFull(f"more than {WAITING_BYTES_MAX} bytes of outputs are waiting to be inspected")
        self._jobs[id(job)] = job
        self.bytes += len(job.frame)

    def take(self) -> Job | None:
        """The one that has waited longest, which waits no more."""
        if not self._jobs:
            return None
        _, job = self._jobs.popitem(last=False)
        self.bytes -= len(job.frame)
        return job

    def remove(self, job: Job) -> bool:
        """True if it waited."""
        if self._jobs.pop(id(job), None) is None:
            return False
        self.bytes -= len(job.frame)
        return True
