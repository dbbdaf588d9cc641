"""How much work a backtracking regular expression could be made to do: an upper bound, from its text alone.

A tool's inputSchema may hold a `pattern`, and an agent chooses the text it is tried on: together they could keep the
gate busy for ever (ReDoS). Rules of this module:
* `work(pattern, length)` multiplies the choices a match may have to go through. It is None where that cannot be
  bounded: a repeated group that holds a choice, a back-reference, a look-around. Such a pattern is not run.
* It judges text, not meaning: it may refuse a harmless pattern, it never passes one that could take longer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

PATTERN_CHARS_MAX = 500

_PART = re.compile(
    r"""
    (?P<refused>\\[1-9]|\\k|\(\?(?!:))      # back-references; look-arounds, named groups, flags
  | (?P<atom>\\.|\[\^?\]?(?:\\.|[^\]\\])*\])  # an escape, a class
  | (?P<open>\((?:\?:)?)
  | (?P<close>\))
  | (?P<bar>\|)
  | (?P<many>[*+]|\{[0-9]+,\})
  | (?P<some>\?|\{(?P<low>[0-9]*),?(?P<high>[0-9]*)\})
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(slots=True)
class _Group:
    """What has been seen inside one bracket: unbounded repetitions, and the product of all other choices."""

    many: int = 0
    choices: int = 1
    bars: int = 0

    @property
    def has_choice(self) -> bool:
        return self.many > 0 or self.choices > 1 or self.bars > 0


@lru_cache(maxsize=4_096)
def _shape(pattern: str) -> tuple[int, int] | None:
    """Unbounded repetitions and the product of the other choices; None if not boundable this way."""
    if len(pattern) > PATTERN_CHARS_MAX:
        return None
    stack = [_Group()]
    closed: _Group | None = None  # the group just closed, while its quantifier may still come
    quantified = False
    for part in _PART.finditer(pattern):
        kind, previous, closed = part.lastgroup, closed, None
        if kind == "refused":
            return None
        is_quantifier = kind in ("many", "some", "low", "high")
        if is_quantifier and quantified:  # a lazy or possessive mark: no further choice
            quantified = False
            continue
        quantified = is_quantifier
        here = stack[-1]
        if kind == "open":
            stack.append(_Group())
        elif kind == "close":
            if len(stack) == 1:
                return None
            closed = stack.pop()
            stack[-1].many += closed.many
            stack[-1].choices *= closed.choices * (closed.bars + 1)
        elif kind == "bar":
            here.bars += 1
        elif is_quantifier:
            text = part.group()
            if previous is not None and previous.has_choice and text != "?":
                return None
            if text in ("*", "+") or text.endswith(",}"):
                here.many += 1
            else:
                here.choices *= _spread(text, part.group("low"), part.group("high"))
    if len(stack) != 1:
        return None
    return stack[0].many, stack[0].choices * (stack[0].bars + 1)


def _spread(text: str, low: str | None, high: str | None) -> int:
    """How many lengths a bounded repetition can have."""
    if text == "?":
        return 2
    if "," not in text:
        return 1
    return max(int(high or 0) - int(low or 0) + 1, 1)


def work(pattern: str, length: int) -> int | None:
    """At most so many steps to search `pattern` in a text of `length`; None: not boundable, do not run it."""
    shape = _shape(pattern)
    if shape is None:
        return None
    many, choices = shape
    starts = 1 if pattern.startswith("^") else length + 1
    return int(starts * choices * (length + 1) ** many * (len(pattern) + 1))
