"""How many requests the gate is at at once: as many as keep the time each of them takes of the gate itself short.

Rules of this module:
* Pure: times are given. The limit moves between `WORKING_MIN` and what is configured, by what requests really took
  (without the time they waited for others): machines differ by more than anybody could configure.
* It is lowered where for `SUSTAINED_SEC` every request that ended had taken too long, in proportion, by half at most:
  one that is slow by itself, or a moment's pause of the machine, says nothing. Those that were let in under the old
  limit say nothing about the new one.
* It begins at `WORKING_START`, so that the first burst on a slow machine finds a limit that is not far off.
* One that was quick, taking half the time or less, raises it a little, and only while the limit is in use.
"""

from __future__ import annotations

WORKING_MIN = 24  # of which one agent alone gets 18
WORKING_START = 48
OWN_SEC_MAX = 0.12
QUICK_SEC = OWN_SEC_MAX / 2
SUSTAINED_SEC = 0.2


class Pace:
    """The limit, and how it moves."""

    __slots__ = ("_exact", "_lowered_at", "_most", "_slow_since")

    def __init__(self, most: int, *, start: int = WORKING_START) -> None:
        self._most = most
        self._exact = float(min(most, start))
        self._slow_since: float | None = None
        self._lowered_at = float("-inf")

    @property
    def limit(self) -> int:
        return int(self._exact)

    def took(self, own_sec: float, *, since: float, now: float, at_once: int) -> int:
        """A request let in at `since` took so much of the gate's own time, `at_once` being worked on; the limit now."""
        if own_sec <= OWN_SEC_MAX:
            self._slow_since = None
            if own_sec <= QUICK_SEC and at_once * 2 >= self._exact:
                self._exact = min(float(self._most), self._exact + 1 / self._exact)
        elif since >= self._lowered_at:
            if self._slow_since is None:
                self._slow_since = now
            elif now - self._slow_since >= SUSTAINED_SEC:
                self._lower(OWN_SEC_MAX / own_sec)
                self._slow_since, self._lowered_at = None, now
        return int(self._exact)

    def _lower(self, share: float) -> None:
        self._exact = max(float(min(WORKING_MIN, self._most)), self._exact * max(0.5, share))
