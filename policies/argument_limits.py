"""The bounds within which arguments are checked against a schema; schema and arguments both being hostile (P14).

Rules of this module:
* One `Budget` per check, larger for larger arguments: a few values cannot make a schema that refers to itself work for
  seconds. Every keyword costs by the size of what it looks at, every reference by how far it leads, every regular
  expression by the work it could be made to do, every error message by its length (it repeats the value). Past the
  budget: `TooMuch`.
* A regular expression whose work cannot be bounded is not run; what it says is left to the tool.
* `refusal` finds, before a schema is ever used, what would make it unusable or costly beyond the budget's sight.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from policies.regex_work import work

STEPS_MAX = 100_000
STEPS_MIN = 10_000  # what any arguments may cost, however small
STEPS_PER_VALUE = 50
CHARS_PER_VALUE = 200  # so much text counts as one value more
SIZE_PER_STEP = 4
MESSAGE_CHARS_PER_STEP = 100
PATTERN_WORK_MAX = 2_000_000
PATTERN_WORK_PER_STEP = 50
NODES_MAX = 50_000
DEPTH_MAX = 200


class TooMuch(Exception):
    """The budget of one check is used up."""


class Budget:
    """Steps left for one check."""

    __slots__ = ("left",)

    def __init__(self, steps: int = STEPS_MAX) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        """Raises: TooMuch."""
        self.left -= steps
        if self.left < 0:
            raise TooMuch

    def spend_on(self, *things: Any) -> None:
        """A step, and more for long lists and maps. Raises: TooMuch."""
        self.spend(1 + sum(len(thing) // SIZE_PER_STEP for thing in things if isinstance(thing, list | dict)))


def budget_for(arguments: Any) -> Budget:
    """The budget for checking these: in proportion to how many values they hold, between two bounds."""
    steps = STEPS_MIN
    waiting = [arguments]
    while waiting and steps < STEPS_MAX:
        one = waiting.pop()
        steps += STEPS_PER_VALUE
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, str):
            steps += len(one) // CHARS_PER_VALUE * STEPS_PER_VALUE
    return Budget(min(steps, STEPS_MAX))


budget: ContextVar[Budget] = ContextVar("budget")


def found(pattern: str, text: str) -> bool:
    """True if the pattern is found in the text, or cannot be looked for within bounds. Raises: TooMuch."""
    steps = work(pattern, len(text))
    if steps is None or steps > PATTERN_WORK_MAX or (expression := _expression(pattern)) is None:
        return True
    budget.get().spend(1 + steps // PATTERN_WORK_PER_STEP)
    return expression.search(text) is not None


@lru_cache(maxsize=1_024)
def _expression(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return None


def additional(instance: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """The keys neither `properties` nor `patternProperties` speak of."""
    properties, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    return [key for key in instance if key not in properties and not any(found(pattern, key) for pattern in patterns)]


def look_alikes(instance: Mapping[str, Any], properties: Mapping[str, Any]) -> list[str]:
    """Keys that are not a declared property but read like one to a tool that ignores case or width (traps T17)."""
    undeclared = [key for key in instance if key not in properties]
    if not undeclared:
        return []
    declared = {_folded(name) for name in properties}
    return [key for key in undeclared if _folded(key) in declared]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def has_twins(items: Iterable[Any]) -> bool:
    """True if two items are equal as JSON, in time linear in their size."""
    seen: set[Any] = set()
    for item in items:
        key = _frozen(item)
        if key in seen:
            return True
        seen.add(key)
    return False


def _frozen(value: Any) -> Any:
    """A hashable form: equal exactly where JSON Schema says equal (1 and 1.0 are, 1 and true are not)."""
    if isinstance(value, dict):
        return (dict, frozenset((key, _frozen(one)) for key, one in value.items()))
    if isinstance(value, list):
        return (list, tuple(_frozen(one) for one in value))
    return (bool, value) if isinstance(value, bool) else value


def refusal(schema: Any) -> str | None:
    """Why a schema is not used, or None. Refers only to itself, has no anchors to search for, is not too large."""
    words: set[str] = set()
    for count, (node, depth) in enumerate(_maps(schema), 1):
        if count > NODES_MAX or depth > DEPTH_MAX:
            return f"the schema has more than {NODES_MAX} parts, or parts more than {DEPTH_MAX} deep"
        words.update(node)
        for word in ("$ref", "$dynamicRef", "$recursiveRef"):
            target = node.get(word)
            if isinstance(target, str) and target != "#" and not target.startswith("#/"):
                return "the schema refers to what it does not contain"
        if depth and isinstance(node.get("$id"), str):
            return "the schema holds another schema with an id of its own"
    if words & {"unevaluatedProperties", "unevaluatedItems"} and words & {"patternProperties", "dependentSchemas"}:
        return "the schema mixes keywords that cannot be checked within bounds"
    return None


def _maps(schema: Any) -> Iterator[tuple[Mapping[str, Any], int]]:
    waiting = [(schema, 0)]
    while waiting:
        one, depth = waiting.pop()
        if isinstance(one, dict):
            yield one, depth
            waiting.extend((value, depth + 1) for value in one.values())
        elif isinstance(one, list):
            waiting.extend((value, depth + 1) for value in one)


def in_one_dialect(schema: Any) -> Any:
    """A copy without any `$schema`: at each of them jsonschema would go over to a validator without our bounds."""
    if isinstance(schema, dict):
        return {
            key: in_one_dialect(value)
            for key, value in schema.items()
            if key != "$schema" or not isinstance(value, str)
        }
    return [in_one_dialect(value) for value in schema] if isinstance(schema, list) else schema
