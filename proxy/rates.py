"""How often one agent calls one tool: counts over the last minute, hour and day, and what is usual in five minutes.

Rules of this module:
* Memory is fixed: rings of counters, whatever the number of calls. A count reaches back over at least the time it is
  named after, and over at most one step of its ring more (5 seconds, a minute, five minutes): strict, never lax.
* Times are given. One that lies before a ring's reach is not counted; a clock that is set back loses nothing.
"""

from __future__ import annotations

from array import array

DAY_SEC = 86_400
SPAN_SEC = 300
HOURS_KEPT = 14 * 24
RATE_FLOOR = 10  # calls in five minutes that are nothing unusual for anybody
SPANS_MIN = 6  # five-minute spans with calls, before which nobody knows what is usual

_FRESH_SPANS = 2  # the newest spans are what is judged, not what it is judged by


class Ring:
    """Counts of the last `steps` steps of time."""

    __slots__ = ("_counts", "_newest", "_step_sec", "_steps", "_total")

    def __init__(self, step_sec: int, steps: int) -> None:
        self._step_sec, self._steps = step_sec, steps
        self._counts = array("Q", bytes(8 * steps))
        self._newest = 0
        self._total = 0

    def add(self, at: float, count: int = 1) -> None:
        step = self._turn(at)
        if step > self._newest - self._steps:
            self._counts[step % self._steps] += count
            self._total += count

    def total(self, at: float) -> int:
        self._turn(at)
        return self._total

    def last(self, steps: int, at: float) -> int:
        """The count of the newest steps alone."""
        self._turn(at)
        return sum(self._counts[(self._newest - back) % self._steps] for back in range(steps))

    def earlier(self, but_newest: int, at: float) -> list[int]:
        """The counts of all steps but the newest."""
        self._turn(at)
        return [self._counts[(self._newest - back) % self._steps] for back in range(but_newest, self._steps)]

    def newest(self, at: float) -> int:
        """The number of the newest step."""
        self._turn(at)
        return self._newest

    def _turn(self, at: float) -> int:
        """Forget what lies too far back; the number of the step of `at`."""
        step = int(at // self._step_sec)
        if step > self._newest:
            for passed in range(max(self._newest + 1, step - self._steps + 1), step + 1):
                self._total -= self._counts[passed % self._steps]
                self._counts[passed % self._steps] = 0
            self._newest = step
        return step


class Rates:
    """One agent's calls of one tool, whatever became of them."""

    __slots__ = ("_day", "_hour", "_hours", "_hours_newest", "_minute", "_usual", "_usual_at")

    def __init__(self) -> None:
        self._minute, self._hour, self._day = Ring(5, 13), Ring(60, 61), Ring(SPAN_SEC, 289)
        self._hours = 0  # bit n: there was a call n hours before the newest hour
        self._hours_newest = 0
        self._usual: int | None = None
        self._usual_at = -1

    def add(self, at: float, count: int = 1) -> None:
        self._minute.add(at, count)
        self._hour.add(at, count)
        self._day.add(at, count)
        self.mark_hour(int(at // 3600))

    def last_minute(self, at: float) -> int:
        return self._minute.total(at)

    def last_hour(self, at: float) -> int:
        return self._hour.total(at)

    def last_day(self, at: float) -> int:
        return self._day.total(at)

    def last_span(self, at: float) -> int:
        """Calls in the last five minutes."""
        return self._hour.last(6, at)

    def usual_span(self, at: float) -> int | None:
        """What the busy ones of the last day's five-minute spans have, the newest two left out; None: not known."""
        newest = self._day.newest(at)
        if newest != self._usual_at:
            spans = sorted(count for count in self._day.earlier(_FRESH_SPANS, at) if count)
            self._usual = None if len(spans) < SPANS_MIN else max(RATE_FLOOR, spans[(len(spans) * 95 - 1) // 100])
            self._usual_at = newest
        return self._usual

    def mark_hour(self, hour: int) -> None:
        """There was a call in this hour (hours since the epoch)."""
        if hour > self._hours_newest:
            ahead = min(hour - self._hours_newest, HOURS_KEPT)
            self._hours = (self._hours << ahead) & ((1 << HOURS_KEPT) - 1)
            self._hours_newest = hour
        back = self._hours_newest - hour
        if back < HOURS_KEPT:
            self._hours |= 1 << back

    def days_active(self, at: float) -> int:
        """Earlier days, of the last fourteen, on which there were calls; days counted back from this hour."""
        hours = self._hours_before(int(at // 3600))
        return sum(1 for day in range(1, HOURS_KEPT // 24) if (hours >> (24 * day - 12)) & _ONE_DAY)

    def is_usual_hour(self, at: float) -> bool:
        """Whether there were calls at about this hour (give or take one) on any earlier day."""
        return bool(self._hours_before(int(at // 3600)) & _SAME_HOURS)

    def _hours_before(self, hour: int) -> int:
        ahead = hour - self._hours_newest
        return self._hours << min(ahead, HOURS_KEPT) if ahead >= 0 else self._hours >> min(-ahead, HOURS_KEPT)


_ONE_DAY = (1 << 24) - 1
_SAME_HOURS = sum(0b111 << (24 * day - 1) for day in range(1, HOURS_KEPT // 24))
