"""One timer for every held stream: 10,000 of them cost one timer and a heap, not 10,000 tasks.

Rules of this module:
* A member says when it wants to be called next; the ticker calls it then, once, and asks again.
* A member's `tick` never blocks and never raises: what it wants written it hands to a task of its own.
* Monotonic time of the running loop; wall clocks have no part in it.
"""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from typing import Protocol


class Ticking(Protocol):
    """What is kept alive."""

    def tick(self, now: float) -> float | None:
        """Do what is due at `now`; the time of the next call, or None to leave."""


class Place:
    """A member's place in the ticker; `leave` is final and costs nothing."""

    __slots__ = ("member",)

    def __init__(self, member: Ticking) -> None:
        self.member: Ticking | None = member

    def leave(self) -> None:
        self.member = None


class Ticker:
    """Calls each member when it is due."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Place]] = []
        self._joined = 0
        self._timer: asyncio.Handle | None = None
        self._timer_due = 0.0  # uvloop's handles do not say when

    def join(self, member: Ticking, due: float) -> Place:
        """Have `member.tick` called at `due` (loop time)."""
        place = Place(member)
        self._push(due, place)
        self._arm()
        return place

    def close(self) -> None:
        """Call nobody any more."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _push(self, due: float, place: Place) -> None:
        self._joined += 1
        heappush(self._heap, (due, self._joined, place))

    def _arm(self) -> None:
        while self._heap and self._heap[0][2].member is None:
            heappop(self._heap)
        if not self._heap:
            return
        due = self._heap[0][0]
        if self._timer is not None:
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer_due = due
        self._timer = asyncio.get_running_loop().call_at(due, self._run)

    def _run(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._heap and self._heap[0][0] <= now:
            _, _, place = heappop(self._heap)
            if place.member is None:
                continue
            again = place.member.tick(now)
            if again is None:
                place.leave()
            else:
                self._push(max(again, now + 0.001), place)
        self._arm()
