"""Is a tool's inputSchema put together as JSON Schema wants it? Told in one pass, without the dialect's own schema.

Rules of this module:
* Only what a validator relies on is checked: which keywords hold schemas, lists, maps, numbers, text or truth values.
  A keyword that is not known says nothing, as the standard has it.
* One pass, no recursion, linear in the schema: the dialects' own schemas take seconds for what a hostile server sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})

_SCHEMA: tuple[str, ...] = ("additionalItems", "additionalProperties", "contains", "else", "if", "not")
_SCHEMA += ("propertyNames", "then", "unevaluatedItems", "unevaluatedProperties")
_SCHEMA_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SCHEMA_MAPS = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _is_type(value: Any) -> bool:
    words = value if isinstance(value, list) else [value]
    return bool(words) and all(isinstance(word, str) and word in TYPES for word in words)


def _is_bound(value: Any) -> bool:
    return isinstance(value, bool) or _is_number(value)  # draft 4 writes true beside `minimum`


_VALUES: Mapping[str, Callable[[Any], bool]] = {
    "type": _is_type,
    "enum": lambda value: isinstance(value, list),
    "required": _are_words,
    "pattern": lambda value: isinstance(value, str),
    "$ref": lambda value: isinstance(value, str),
    "$id": lambda value: isinstance(value, str),
    "uniqueItems": lambda value: isinstance(value, bool),
    "multipleOf": lambda value: _is_number(value) and value > 0,
    "minimum": _is_number,
    "maximum": _is_number,
    "exclusiveMinimum": _is_bound,
    "exclusiveMaximum": _is_bound,
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), _is_count),
    **dict.fromkeys(("minContains", "maxContains"), _is_count),
    "dependentRequired": lambda value: isinstance(value, dict) and all(_are_words(one) for one in value.values()),
}


def is_well_formed(schema: Any) -> bool:
    """True if every part of it that a validator looks at has the right shape."""
    waiting = [schema]
    while waiting:
        one = waiting.pop()
        if isinstance(one, bool):
            continue
        if not isinstance(one, dict):
            return False
        if not all(judge(one[word]) for word, judge in _VALUES.items() if word in one):
            return False
        for below in _below(one):
            if below is None:
                return False
            waiting.extend(below)
    return True


def _below(schema: Mapping[str, Any]) -> Iterator[list[Any] | None]:
    """The schemas a schema holds, keyword by keyword; None for a keyword of the wrong shape."""
    for word in _SCHEMA:
        if word in schema:
            yield [schema[word]]
    for word in _SCHEMA_LISTS:
        if word in schema:
            yield schema[word] if isinstance(schema[word], list) else None
    for word in _SCHEMA_MAPS:
        if word in schema:
            yield list(schema[word].values()) if isinstance(schema[word], dict) else None
    if "items" in schema:  # a list of schemas before 2020-12
        yield schema["items"] if isinstance(schema["items"], list) else [schema["items"]]
    if "dependencies" in schema:  # before 2019-09: schemas, or lists of words
        parts = schema["dependencies"]
        yield [one for one in parts.values() if not _are_words(one)] if isinstance(parts, dict) else None
