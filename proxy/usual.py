"""What is usual for one agent and one tool, and how far a call is from it: the anomaly score, with its parts.

Rules of this module (docs/policy-language.md, "The anomaly score"):
* A call is compared with the last `WINDOW_CALLS_MAX` calls of the same tool that this agent had dispatched, as it had
  proposed them. What was never dispatched teaches nothing: proposing nonsense makes nonsense no more usual.
* Each part is between 0 and 1 and says why in words; the score is what is left when none of them excuses the others:
  1 - (1 - part) * (1 - part) * …. A call like the earlier ones has no part at all, and the score 0.
* Arguments are looked at to a bounded depth and number of values, so that no call takes longer for being large.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from policies.model import Json, JsonObject
from proxy.rates import Rates

WINDOW_CALLS_MAX = 200
_DEPTH_MAX = 3
_VALUES_MAX = 200  # of one call's arguments that are looked at
_NUMBERS_MAX = 16  # of one call that are compared

SHAPE_WEIGHT = 0.5
HOUR_WEIGHT = 0.3
DAYS_MIN = 5  # days with calls, before which no hour is unusual

_FAR, _VERY_FAR = 3.0, 30.0  # in widths of the middle half of what was seen: where a number's part begins, and is 1
_BUSY, _VERY_BUSY = 2.0, 10.0  # in usual busy spans: where the rate's part begins, and is 1
_NUMBER_MAX = 1e300


@dataclass(frozen=True, slots=True)
class Features:
    """What is compared of one call's arguments: their shape, and their numbers by path."""

    shape: int
    numbers: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One way in which a call is unusual. `why` may hold names and numbers of the call: hostile text."""

    name: str
    score: float
    why: str

    def to_json(self) -> JsonObject:
        return {"part": self.name, "score": round(self.score, 3), "why": self.why}


def features_of(arguments: JsonObject) -> Features:
    """Argument values of the same path in a list count as one value each."""
    walk = _Walk()
    shape = hash(walk.shape(arguments, "", 0))
    return Features(shape, tuple(walk.numbers))


class _Walk:
    """One bounded walk over a call's arguments."""

    def __init__(self) -> None:
        self.numbers: list[tuple[str, float]] = []
        self._left = _VALUES_MAX

    def shape(self, value: Any, path: str, depth: int) -> object:
        self._left -= 1
        if isinstance(value, bool) or value is None:
            return "null" if value is None else "boolean"
        if isinstance(value, int | float):
            self._number(path, value)
            return "number"
        if isinstance(value, dict):
            return self._of_object(value, path, depth)
        if isinstance(value, list):
            return self._of_list(value, path, depth)
        return "string"

    def _of_object(self, value: dict[str, Any], path: str, depth: int) -> object:
        found = []
        for key in value:
            if depth >= _DEPTH_MAX or self._left <= 0:
                break
            found.append((key, self.shape(value[key], f"{path}.{key}" if path else key, depth + 1)))
        return ("object", frozenset(found))

    def _of_list(self, value: list[Any], path: str, depth: int) -> object:
        found = set()
        for item in value:
            if depth >= _DEPTH_MAX or self._left <= 0:
                break
            found.add(self.shape(item, f"{path}[]", depth + 1))
        return ("list", frozenset(found))

    def _number(self, path: str, value: int | float) -> None:
        if len(self.numbers) < _NUMBERS_MAX and not (isinstance(value, float) and math.isnan(value)):
            self.numbers.append((path, float(min(max(value, -_NUMBER_MAX), _NUMBER_MAX))))


class Usual:
    """The last dispatched calls of one agent and tool."""

    __slots__ = ("_numbers", "_shapes", "_window")

    def __init__(self) -> None:
        self._window: deque[Features] = deque()
        self._shapes: Counter[int] = Counter()
        self._numbers: dict[str, list[float]] = {}  # sorted

    def __len__(self) -> int:
        return len(self._window)

    def learn(self, features: Features) -> None:
        if len(self._window) >= WINDOW_CALLS_MAX:
            self._forget(self._window.popleft())
        self._window.append(features)
        self._shapes[features.shape] += 1
        for path, value in features.numbers:
            insort(self._numbers.setdefault(path, []), value)

    def _forget(self, features: Features) -> None:
        self._shapes[features.shape] -= 1
        if not self._shapes[features.shape]:
            del self._shapes[features.shape]
        for path, value in features.numbers:
            seen = self._numbers[path]
            del seen[bisect_left(seen, value)]
            if not seen:
                del self._numbers[path]

    def parts(self, features: Features, rates: Rates, at: float, *, calls_min: int) -> list[Part]:
        """In what this call, not counted yet, is unusual."""
        found = [self._rate(rates, at), self._shape(features), self._hour(rates, at)]
        found += [self._number(path, value, calls_min) for path, value in features.numbers]
        return [part for part in found if part is not None and part.score > 0]

    def _rate(self, rates: Rates, at: float) -> Part | None:
        usual = rates.usual_span(at)
        if usual is None:
            return None
        now = rates.last_span(at) + 1
        score = _between(now / usual, _BUSY, _VERY_BUSY)
        return Part("rate", score, f"{now} calls in five minutes, where {usual} are many")

    def _shape(self, features: Features) -> Part | None:
        if features.shape in self._shapes or not self._window:
            return None
        score = SHAPE_WEIGHT * (1 - len(self._shapes) / len(self._window))
        return Part("shape", score, f"arguments of a shape not seen in the last {len(self._window)} calls")

    def _hour(self, rates: Rates, at: float) -> Part | None:
        if rates.is_usual_hour(at) or rates.days_active(at) < DAYS_MIN:
            return None
        return Part("hour", HOUR_WEIGHT, f"no calls at about {int(at // 3600) % 24}:00 UTC in the last 14 days")

    def _number(self, path: str, value: float, calls_min: int) -> Part | None:
        seen = self._numbers.get(path)
        if seen is None or len(seen) < calls_min or seen[0] <= value <= seen[-1]:
            return None
        low, high = seen[len(seen) // 4], seen[(3 * len(seen)) // 4]
        width = max(high - low, 0.1 * max(abs(low), abs(high))) or 1.0
        score = _between(max(low - value, value - high) / width, _FAR, _VERY_FAR)
        return Part("number", score, f"{path} is {value:g}, mostly {low:g} to {high:g}")


def score_of(parts: Iterable[Part]) -> float:
    """One number of all parts, between 0 and 1."""
    usual = 1.0
    for part in parts:
        usual *= 1 - part.score
    return round(1 - usual, 4)


def told(parts: Iterable[Part]) -> list[Json]:
    """The parts for the record, the gravest first."""
    return [part.to_json() for part in sorted(parts, key=lambda part: -part.score)[:8]]


def _between(value: float, begins: float, is_one: float) -> float:
    """0 up to `begins`, 1 from `is_one`, and in between by how many times larger it is."""
    if value <= begins:
        return 0.0
    return min(1.0, math.log(value / begins) / math.log(is_one / begins))
