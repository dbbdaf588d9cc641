"""Glob patterns over labels and names: `*` crosses dots but not slashes, `**` crosses both, all else is literal.

Rules of this module:
* `?`, `[`, `]`, `{` and `}` are refused, not read as themselves: an author who takes them for wildcards would else
  write a denying rule that silently never matches.
* Matching is a walk over states, so its time is length × length for any pattern and any name (an agent chooses names).
* A pattern without a slash is tried against `<server>.<tool>` and the bare tool name; one with a slash against
  `<server>/<tool>` (SEMANTICS §1.2). `names` says how plainly a pattern names a tool, which is what a rule that allows
  an unclassified tool needs (§1.3).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

PATTERN_CHARS_MAX = 256
SUBJECT_CHARS_MAX = 1_024
CACHED_ANSWERS_MAX = 16_384

_REFUSED = re.compile(r"[?\[\]{}]")
_TOKEN = re.compile(r"\*\*+|\*|[^*]")

type Tokens = tuple[str, ...]


class Naming(IntEnum):
    """How plainly a rule names a tool, in rising order."""

    NOT = 0
    BY_GLOB = 1  # a glob whose server part is literal
    LITERALLY = 2


@dataclass(frozen=True, slots=True)
class Pattern:
    """One glob. Build it with `parse`."""

    text: str

    @property
    def is_literal(self) -> bool:
        return "*" not in self.text

    @property
    def is_catch_all(self) -> bool:
        """`*` or `**` alone: written to mean everything."""
        return self.text in ("*", "**")

    def matches(self, subject: str) -> bool:
        return _matches(self.text, subject)

    def matches_any(self, subjects: frozenset[str] | tuple[str, ...]) -> bool:
        return any(_matches(self.text, subject) for subject in subjects)

    def matches_tool(self, server: str, tool: str) -> bool:
        if "/" in self.text:
            return _matches(self.text, f"{server}/{tool}")
        return _matches(self.text, f"{server}.{tool}") or _matches(self.text, tool)

    def names(self, server: str, tool: str) -> Naming:
        """How plainly this pattern names the tool; `NOT` if it does not match it at all."""
        if not self.matches_tool(server, tool):
            return Naming.NOT
        if self.is_literal:
            return Naming.LITERALLY
        plain = self.text[: self.text.index("*")]
        return Naming.BY_GLOB if plain.startswith((f"{server}/", f"{server}.")) else Naming.NOT


def parse(text: str) -> Pattern:
    """A pattern from its text. Raises: ValueError with a sentence for its author."""
    if not text or len(text) > PATTERN_CHARS_MAX:
        raise ValueError(f"a pattern has 1 to {PATTERN_CHARS_MAX} characters")
    if refused := _REFUSED.search(text):
        raise ValueError(f"'{refused.group()}' in a pattern: only * and ** are wildcards")
    if text != text.strip() or not text.isprintable():
        raise ValueError("a pattern has no blanks at its ends and no control characters")
    return Pattern(text)


@lru_cache(maxsize=CACHED_ANSWERS_MAX)
def _matches(pattern: str, subject: str) -> bool:
    if "*" not in pattern:
        return pattern == subject
    if pattern == "**":
        return True
    if len(subject) > SUBJECT_CHARS_MAX:
        raise ValueError(f"a name longer than {SUBJECT_CHARS_MAX} characters cannot be judged")
    tokens = tokens_of(pattern)
    states = rest({0}, tokens)
    for character in subject:
        states = step(states, character, tokens)
        if not states:
            return False
    return len(tokens) in states


def tokens_of(pattern: str) -> Tokens:
    """The pattern's letters and wildcards, in order. A state is how many of them have been matched."""
    return tuple(_TOKEN.findall(pattern))


def step(states: Collection[int], letter: str, tokens: Tokens) -> set[int]:
    """The states after one more letter of the name."""
    moved = set()
    for state in states:
        token = tokens[state] if state < len(tokens) else ""
        if token.startswith("*"):
            if letter != "/" or len(token) > 1:
                moved.add(state)
        elif token == letter:
            moved.add(state + 1)
    return rest(moved, tokens)


def rest(states: Collection[int], tokens: Tokens) -> set[int]:
    """The states, and those reachable from them because a wildcard may match nothing."""
    reached = set(states)
    for state in states:
        while state < len(tokens) and tokens[state].startswith("*"):
            state += 1
            reached.add(state)
    return reached
