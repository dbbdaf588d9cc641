"""How much work a backtracking regular expression could be made to do: an upper bound, from its text alone.

A tool's inputSchema may hold a `pattern`, and an agent chooses the text it is tried on: together they could keep the
gate busy for ever (ReDoS). Rules of this module:
* A part of a pattern costs the characters it may go over, once for every choice the parts before it left open. What a
  part may choose multiplies: how often it is repeated, which alternative it takes, where in the text the search begins.
* `work` is None where that cannot be bounded: a repeated group that holds a choice, a back-reference, a look-around.
  Such a pattern is not run.
* It judges text, not meaning: it may refuse a harmless pattern, it never passes one that could take longer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

PATTERN_CHARS_MAX = 500
BRACKETS_DEEP_MAX = 30
_ENDLESS = 10**18  # as good as for ever: no larger numbers are worked with

_PART = re.compile(
    r"""
    (?P<refused>\\[1-9]|\\k|\(\?(?!:))        # back-references; look-arounds, named groups, flags
  | (?P<atom>\\.|\[\^?\]?(?:\\.|[^\]\\])*\])  # an escape, a class
  | (?P<open>\((?:\?:)?)
  | (?P<close>\))
  | (?P<bar>\|)
  | (?P<repeat>[*+?]|\{(?:[0-9]+|[0-9]*,[0-9]*)\})  # `{}` is none: it stands for itself
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


class _Unbounded(Exception):
    """The pattern's work cannot be bounded this way, or it is no pattern at all."""


@dataclass(slots=True)
class _Part:
    """A character, or a group, and how often it stands there; `high` None: without end."""

    group: _Group | None = None
    low: int = 1
    high: int | None = 1

    @property
    def has_choice(self) -> bool:
        return self.low != self.high or (self.group is not None and self.group.has_choice)


@dataclass(slots=True)
class _Group:
    """What stands in one bracket: alternatives, each a row of parts."""

    branches: list[list[_Part]] = field(default_factory=lambda: [[]])

    @property
    def has_choice(self) -> bool:
        return len(self.branches) > 1 or any(part.has_choice for part in self.branches[0])


def work(pattern: str, length: int) -> int | None:
    """At most so many steps to search `pattern` in a text of `length`; None: not boundable, do not run it."""
    parsed = _parsed(pattern)
    if parsed is None:
        return None
    steps, _ = _group_cost(parsed, length)
    if pattern.startswith("^") and len(parsed.branches) == 1:
        return min(steps + length + 1, _ENDLESS)
    return min(steps * (length + 1), _ENDLESS)


def _group_cost(group: _Group, length: int) -> tuple[int, int]:
    """The steps all ways through a group take together, and how many ways there are."""
    steps = ways = 0
    for branch in group.branches:
        branch_steps = branch_ways = 1
        for part in branch:
            cost, choices = _part_cost(part, length)
            branch_steps = min(branch_steps + branch_ways * cost, _ENDLESS)
            branch_ways = min(branch_ways * choices, _ENDLESS)
        steps, ways = steps + branch_steps, ways + branch_ways
    return steps, ways


def _part_cost(part: _Part, length: int) -> tuple[int, int]:
    """A repeated character ends with the text. A repeated group may be empty: it goes on as often as it must."""
    most = max(length + 1, part.low) if part.high is None else part.high
    if part.group is None:
        return min(most, length) + 1, min(most - part.low, length) + 1
    steps, ways = _group_cost(part.group, length)
    if (part.low, part.high) == (1, 1):
        return steps, ways
    if (part.low, part.high) == (0, 1):
        return steps + 1, ways + 1
    return min(steps * (most + 1), _ENDLESS), most - part.low + 1


@lru_cache(maxsize=4_096)
def _parsed(pattern: str) -> _Group | None:
    if len(pattern) > PATTERN_CHARS_MAX:
        return None
    try:
        return _parse(pattern)
    except _Unbounded:
        return None


def _parse(pattern: str) -> _Group:
    """Raises: _Unbounded."""
    stack = [_Group()]
    is_repeatable = is_repeated = False
    for found in _PART.finditer(pattern):
        kind, text, branch = found.lastgroup, found.group(), stack[-1].branches[-1]
        if kind == "repeat" and is_repeated and text in ("?", "+"):  # a lazy or possessive mark: no further choice
            is_repeatable = is_repeated = False
            continue
        match kind:
            case "repeat":
                if not is_repeatable:
                    raise _Unbounded
                _repeat(branch[-1], text)
            case "open":
                if len(stack) > BRACKETS_DEEP_MAX:
                    raise _Unbounded
                stack.append(_Group())
            case "close":
                if len(stack) == 1:
                    raise _Unbounded
                stack[-2].branches[-1].append(_Part(stack.pop()))
            case "bar":
                stack[-1].branches.append([])
            case "refused":
                raise _Unbounded
            case _:
                branch.append(_Part())
        is_repeated = kind == "repeat"
        is_repeatable = kind in ("close", "atom", "other")
    if len(stack) != 1:
        raise _Unbounded
    return stack[0]


def _repeat(part: _Part, text: str) -> None:
    """Raises: _Unbounded if what is repeated holds a choice: then the choices would multiply without end."""
    if text in "*+?":
        part.low, high = (1 if text == "+" else 0), (1 if text == "?" else None)
    else:
        least, comma, most = text[1:-1].partition(",")
        part.low, high = int(least or 0), (int(most) if most else None) if comma else int(least)
    if part.group is not None and part.group.has_choice and text != "?":
        raise _Unbounded
    part.high = high
