"""Slowing down whoever guesses: after some failures each further try must wait, longer each time.

Rules of this module:
* An attempt is counted before it is judged and forgiven when it succeeds, so parallel guesses gain nothing.
* The first `free_tries` cost nothing; then the wait doubles from one second up to `wait_sec_max`. Failures older than
  `forget_sec` are forgotten.
* What is kept is bounded (P14): the key that failed longest ago is dropped first.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


class TooManyTries(Exception):
    """Wait `retry_after_sec` before the next try."""

    def __init__(self, retry_after_sec: int) -> None:
        super().__init__(f"Too many tries: wait {retry_after_sec} s.")
        self.retry_after_sec = retry_after_sec


@dataclass(slots=True)
class _Tries:
    count: int
    last_at: float


class Throttle:
    """Counts tries by key. Times are given."""

    def __init__(
        self, *, free_tries: int, wait_sec_max: float = 300, forget_sec: float = 900, keys_max: int = 10_000
    ) -> None:
        self._free_tries, self._wait_sec_max = free_tries, wait_sec_max
        self._forget_sec, self._keys_max = forget_sec, keys_max
        self._tries: OrderedDict[str, _Tries] = OrderedDict()

    def begin(self, key: str, now: float) -> None:
        """Count one try. Raises: TooManyTries (which is not counted)."""
        tries = self._tries.get(key)
        if tries is None or now - tries.last_at >= self._forget_sec:
            tries = _Tries(0, now)
        wait = self._wait_sec(tries.count) - (now - tries.last_at)
        if wait > 0:
            raise TooManyTries(max(1, round(wait)))
        self._tries[key] = _Tries(tries.count + 1, now)
        self._tries.move_to_end(key)
        while len(self._tries) > self._keys_max:
            self._tries.popitem(last=False)

    def forgive(self, key: str) -> None:
        """It was the right one."""
        self._tries.pop(key, None)

    def _wait_sec(self, count: int) -> float:
        if count < self._free_tries:
            return 0
        return min(self._wait_sec_max, 2.0 ** min(count - self._free_tries, 32))
