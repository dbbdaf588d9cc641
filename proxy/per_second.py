"""How many of something are let through in one second, and how many were not. Pure: times are given."""

from __future__ import annotations


class PerSecond:
    """Admits so many a second, and says how many were turned away since the last one admitted."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._second = 0
        self._admitted = 0
        self._left_out = 0

    def admit(self, now: float) -> int | None:
        """None: not this one."""
        if int(now) != self._second:
            self._second, self._admitted = int(now), 0
        if self._admitted >= self._most:
            self._left_out += 1
            return None
        self._admitted += 1
        left_out, self._left_out = self._left_out, 0
        return left_out
