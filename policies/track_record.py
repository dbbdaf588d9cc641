"""One agent's track record in one domain: what counts for rising and falling, without a clock (SEMANTICS §1.12).

Rules of this module:
* A success is a call that was sent and went well; identical calls count once, and for a promotion only those that the
  next level would free. Everything else that was sent went wrong, each time anew.
* Rates are over the review period, and over at most the last `OUTCOMES_MAX` outcomes (P14).
* To rise, enough successes and a rate strictly below the maximum. To fall by its rate, an agent needs at least
  `RATE_CALLS_MIN` calls.
* With each rise, each fall and each refused promotion the counting begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from policies.autonomy import SUCCESSES_MAX, Autonomy, Promotion

OUTCOMES_MAX = SUCCESSES_MAX
RATE_CALLS_MIN = 20
DAY_SEC = 86_400


class Outcome(IntEnum):
    """What became of a call that was sent."""

    WENT_WELL = 0  # and the next level would not free it: it says nothing for a promotion
    COUNTS = 1
    WENT_WRONG = 2


class Event(IntEnum):
    """What makes an agent fall."""

    POLICY_VIOLATION = 0
    SAFETY_INCIDENT = 1
    ERROR_RATE = 2


@dataclass(frozen=True, slots=True)
class Tally:
    """The evidence of a review period."""

    successes: int = 0  # that count for a promotion
    calls: int = 0
    errors: int = 0

    @property
    def rate(self) -> float:
        return self.errors / self.calls if self.calls else 0.0

    def meets(self, criteria: Promotion) -> bool:
        return self.successes >= criteria.min_successful_actions and self.rate < criteria.max_error_rate


@dataclass(slots=True)
class TrackRecord:
    """Where an agent stands in a domain, and since when. Changed in place; every change is a method."""

    level: int = 0
    since: float = 0.0
    outcomes: dict[str, tuple[float, Outcome]] = field(default_factory=dict)  # the latest last
    _errors: int = 0

    def note(self, outcome: Outcome, key: str, at: float) -> None:
        """One call's outcome. `key` is the same for identical calls."""
        if outcome is Outcome.WENT_WRONG:
            self._errors += 1
            key = f"error {self._errors}"
        self.outcomes.pop(key, None)
        self.outcomes[key] = (at, outcome)
        while len(self.outcomes) > OUTCOMES_MAX:
            del self.outcomes[next(iter(self.outcomes))]

    def judge_wrong(self, key: str, at: float) -> None:
        """A person found that a call which went well was wrong."""
        self.outcomes.pop(key, None)
        self.note(Outcome.WENT_WRONG, key, at)

    def tally(self, now: float, period_days: int) -> Tally:
        """The evidence of the period that ends now."""
        begin = now - period_days * DAY_SEC
        counted = [outcome for at, outcome in self.outcomes.values() if at >= begin]
        return Tally(counted.count(Outcome.COUNTS), len(counted), counted.count(Outcome.WENT_WRONG))

    def may_rise(self, ladder: Autonomy, now: float) -> Tally | None:
        """The evidence, if it is enough for the next level; None too where there is no next level."""
        if ladder.promotion is None or ladder.held(self.level) >= ladder.last:
            return None
        if len(self.outcomes) < ladder.promotion.min_successful_actions:
            return None
        tally = self.tally(now, ladder.promotion.review_period_days)
        return tally if tally.meets(ladder.promotion) else None

    def errs_too_often(self, ladder: Autonomy, now: float) -> Tally | None:
        """The evidence, if too much of it went wrong."""
        limit = ladder.demotion.error_rate_above
        if limit is None or len(self.outcomes) < RATE_CALLS_MIN:
            return None
        tally = self.tally(now, (ladder.promotion or Promotion()).review_period_days)
        return tally if tally.calls >= RATE_CALLS_MIN and tally.rate > limit else None

    def rise(self, ladder: Autonomy, now: float) -> int:
        """One level up, never above the last."""
        return self.set(min(ladder.held(self.level) + 1, ladder.last), now)

    def fall(self, ladder: Autonomy, event: Event, now: float) -> int:
        """Down: to the bottom by an incident, else by one level."""
        held = ladder.held(self.level)
        return self.set(0 if event is Event.SAFETY_INCIDENT else max(0, held - 1), now)

    def set(self, level: int, now: float) -> int:
        """At this level from now on; counting begins anew."""
        self.level, self.since = level, now
        self.restart()
        return level

    def restart(self) -> None:
        self.outcomes.clear()
        self._errors = 0

    def to_json(self) -> list[list[object]]:
        return [[key, at, int(outcome)] for key, (at, outcome) in self.outcomes.items()]

    @classmethod
    def of_json(cls, level: int, since: float, kept: Iterable[Iterable[object]]) -> TrackRecord:
        """As it was kept. Raises: ValueError, TypeError."""
        outcomes = {str(key): (float(str(at)), Outcome(int(str(outcome)))) for key, at, outcome in kept}
        numbers = [int(key.split()[1]) for key, (_, outcome) in outcomes.items() if outcome is Outcome.WENT_WRONG]
        return cls(level, since, outcomes, max(numbers, default=0))
