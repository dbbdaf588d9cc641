"""What was worked out for an object, found again by the object's identity: for schemas, which are never changed.

Rules of this module:
* The object is kept beside the answer, so its identity cannot pass to another while the answer stands.
* Bounded: when full, everything is forgotten and worked out again. One dict operation each, so threads may share it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any


class ByIdentity[T]:
    """A bounded memory of `make(object)` per object (and `about`, where one object has several answers)."""

    def __init__(self, entries_max: int) -> None:
        self._entries_max = entries_max
        self._known: dict[tuple[int, Hashable], tuple[Any, T]] = {}

    def get(self, thing: Any, make: Callable[[], T], about: Hashable = None) -> T:
        key = (id(thing), about)
        known = self._known.get(key)
        if known is not None and known[0] is thing:
            return known[1]
        answer = make()
        if len(self._known) >= self._entries_max:
            self._known = {}
        self._known[key] = (thing, answer)
        return answer
