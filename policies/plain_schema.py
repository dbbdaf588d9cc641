"""The common case of an inputSchema, a flat list of typed properties, checked in a few steps: do arguments surely fit?

Rules of this module:
* "Yes" is said only where the validator, asked, would find nothing and stay within its budget. Anything else, a misfit
  included, is not decided here: `arguments.py` asks the validator, whose word and wording it is. A property test holds
  the two together.
* Only keywords whose meaning is the same in every known dialect are read; a schema with any other has no plain check.
* Only values of exactly the types JSON has: a number that keeps its spelling is the validator's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from policies.argument_limits import SIZE_PER_STEP, STEPS_MIN

ITEMS_MAX = 32  # of a list that is looked at here

type Fits = Callable[[Any], bool]

_TYPES: Mapping[str, frozenset[type]] = {
    "string": frozenset({str}),
    "integer": frozenset({int}),
    "number": frozenset({int, float}),
    "boolean": frozenset({bool}),
    "null": frozenset({type(None)}),
}
_SAYS_NOTHING = frozenset({"title", "description", "default", "examples", "$schema", "$comment", "format"})
_OF_OBJECTS = frozenset({"type", "properties", "required", "additionalProperties"})
_OF_LISTS = frozenset({"type", "items"})
_OF_SCALARS = frozenset({"type", "enum", "minimum", "maximum", "minLength", "maxLength"})


def surely_fits(schema: Mapping[str, Any]) -> Fits | None:
    """The plain check of a well-formed schema, or None if it has none."""
    made = _made(schema)
    if made is None or made[1] > STEPS_MIN:
        return None
    return made[0]


def _made(schema: Any) -> tuple[Fits, int] | None:
    """A check, and the most steps that the validator could take where the check says yes."""
    if not isinstance(schema, dict):
        return None
    words = schema.keys() - _SAYS_NOTHING
    match schema.get("type"):
        case "object" if words <= _OF_OBJECTS:
            return _object(schema)
        case "array" if words <= _OF_LISTS:
            return _list(schema)
        case str() | list() as named if words <= _OF_SCALARS:
            return _scalar(schema, [named] if isinstance(named, str) else named)
        case None if not words:
            return _anything, 0
        case _:
            return None


def _object(schema: Mapping[str, Any]) -> tuple[Fits, int] | None:
    properties, needed = schema.get("properties", {}), schema.get("required", [])
    if not (isinstance(properties, dict) and isinstance(needed, list) and all(type(name) is str for name in needed)):
        return None
    if not isinstance(schema.get("additionalProperties", True), bool):
        return None
    required = frozenset(needed)
    checks: dict[str, Fits] = {}
    # Each keyword costs a step, and more by the size of its own value and of what it looks at: of declared keys only.
    steps = len(_OF_OBJECTS) * (1 + (2 * len(properties) + len(required)) // SIZE_PER_STEP)
    for name, below in properties.items():
        made = _made(below)
        if made is None:
            return None
        checks[name], cost = made
        steps += cost

    def fits(value: Any) -> bool:
        if type(value) is not dict:
            return False
        for key, item in value.items():
            check = checks.get(key)
            if check is None or not check(item):  # a key that is not declared: perhaps allowed, perhaps a look-alike
                return False
        return required <= value.keys()

    return fits, steps


def _list(schema: Mapping[str, Any]) -> tuple[Fits, int] | None:
    made = _made(schema.get("items", {}))
    if made is None:
        return None
    check, cost = made

    def fits(value: Any) -> bool:
        return type(value) is list and len(value) <= ITEMS_MAX and all(map(check, value))

    return fits, len(_OF_LISTS) * (1 + ITEMS_MAX) + ITEMS_MAX * cost


def _scalar(schema: Mapping[str, Any], named: list[Any]) -> tuple[Fits, int] | None:
    if not all(isinstance(name, str) and name in _TYPES for name in named):
        return None
    kinds = frozenset[type]().union(*(_TYPES[name] for name in named))
    words = schema.get("enum")
    if words is not None and not (isinstance(words, list) and all(type(word) is str for word in words)):
        return None
    least, most = schema.get("minimum"), schema.get("maximum")
    shortest, longest = schema.get("minLength") or 0, schema.get("maxLength")
    if not all(type(bound) in (int, float, type(None)) for bound in (least, most, shortest, longest)):
        return None
    steps = len(_OF_SCALARS) * (1 + (len(words or ()) + len(named)) // SIZE_PER_STEP)
    if words is None and least is None and most is None and not shortest and longest is None:
        return (lambda value: type(value) in kinds), steps

    def fits(value: Any) -> bool:
        kind = type(value)
        if kind not in kinds:
            return False
        if kind is str:
            return (
                (words is None or value in words)
                and len(value) >= shortest
                and (longest is None or len(value) <= longest)
            )
        if words is not None:
            return False
        if kind is int or kind is float:
            return (least is None or value >= least) and (most is None or value <= most)
        return True

    return fits, steps


def _anything(value: Any) -> bool:
    del value
    return True
