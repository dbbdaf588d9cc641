"""How long to leave a command alone that keeps ending by itself. Pure: times are given.

Rules of this module:
* The first unasked end costs nothing: the next request starts the command again at once.
* From the second in a row on, waiting doubles from `first_sec` to `longest_sec`; a child that answered or lived for
  `healthy_sec` starts the count anew.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """The count of unasked ends in a row of one command."""

    first_sec: float = 0.5
    longest_sec: float = 30
    healthy_sec: float = 10
    ends: int = 0
    last_why: str = ""
    not_before: float = 0

    def ended(self, now: float, *, lived_sec: float, answered: bool, why: str) -> None:
        """A child ended by itself, or could not be started (`lived_sec` 0)."""
        if answered or lived_sec >= self.healthy_sec:
            self.ends = 0
        self.ends += 1
        self.last_why = why
        self.not_before = now + self.delay_sec

    @property
    def delay_sec(self) -> float:
        if self.ends < 2:
            return 0
        return float(min(self.longest_sec, self.first_sec * 2 ** min(self.ends - 2, 30)))

    def refusal(self, now: float) -> str | None:
        """Why a start is refused now, or None if it is not."""
        if now >= self.not_before:
            return None
        wait_sec = self.not_before - now
        return f"it ended by itself {self.ends} times in a row ({self.last_why}); next start in {wait_sec:.1f} s"
