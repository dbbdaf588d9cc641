"""JSON laid out for people: its leaves with their paths, and what differs between two of them.

Rules of this module:
* Every value is a row: scalars, and lists and objects that are empty. Order is the value's own.
* Past `LEAVES_MAX` rows the middle is left out, never the end, and how many is said.
* Paths are JSONPath; a key that is no plain name stands quoted. Keys come from outside: show them inert.
* A difference is by path: added, removed, or changed (also in type: `1` and `"1"` differ, `1` and `1.0` do not).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

LEAVES_MAX = 500
HEAD_LEAVES = 400

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Leaf:
    path: str
    kind: str  # text · number · true/false · null · empty list · empty object
    value: Any


@dataclass(frozen=True, slots=True)
class Rows:
    """The leaves as a page shows them; `left_out` of them are missing between `head` and `tail`."""

    head: tuple[Leaf, ...]
    left_out: int = 0
    tail: tuple[Leaf, ...] = ()


class Change(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Difference:
    path: str
    change: Change
    before: Leaf | None
    after: Leaf | None


def rows(value: Any) -> Rows:
    found = tuple(leaves(value))
    if len(found) <= LEAVES_MAX:
        return Rows(found)
    tail = LEAVES_MAX - HEAD_LEAVES
    return Rows(found[:HEAD_LEAVES], len(found) - LEAVES_MAX, found[-tail:])


def leaves(value: Any, path: str = "$") -> Iterator[Leaf]:
    """Every leaf with its path, in order."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, path + _step(key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}[{index}]")
    else:
        yield Leaf(path, _kind(value), value)


def differences(before: Any, after: Any) -> tuple[Difference, ...]:
    """What differs, in the order of `after`, with what was removed last."""
    old = {leaf.path: leaf for leaf in leaves(before)}
    new = {leaf.path: leaf for leaf in leaves(after)}
    found = []
    for path, leaf in new.items():
        was = old.get(path)
        if was is None:
            found.append(Difference(path, Change.ADDED, None, leaf))
        elif (was.kind, was.value) != (leaf.kind, leaf.value):
            found.append(Difference(path, Change.CHANGED, was, leaf))
    found += [Difference(path, Change.REMOVED, leaf, None) for path, leaf in old.items() if path not in new]
    return tuple(found)


def _step(key: str) -> str:
    return f".{key}" if _PLAIN_KEY.fullmatch(key) else f"[{json.dumps(key, ensure_ascii=False)}]"


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true/false"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return "empty list"
        case dict():
            return "empty object"
        case _:
            raise TypeError(f"JSON has no {type(value).__name__}")
