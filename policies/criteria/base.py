"""What every criterion is: one thing a rule can match, answering whether it holds for a call.

Rules of this module:
* A criterion about the tool (`AboutTool`) depends on server, tool, method, direction and labels only; its answer is
  worked out once per tool and kept. One about the moment (`AboutCall`) is asked at every call.
* `allowing` is True for a rule that lets a call go without a person. Wherever something is not known, the answer is
  the strict one: no for such a rule, yes for one that asks or denies (P10).
* An answer's `why` names keys and the author's own words, never a value an agent or tool sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Protocol

from policies.facts import Fact, FactReader
from policies.model import Classification, Direction, ToolCall
from policies.patterns import Pattern, parse
from policies.reading import Node


class Truth(IntEnum):
    """Whether a criterion or a condition holds; of several answers the highest settles the rule."""

    YES = 0
    MISSING = 1  # a bound fact that is absent: strict, unless the rule says `when_missing: skip`
    ERROR = 2  # anything else that keeps it from being known: strict
    UNBOUND = 3  # a fact of another tool: the rule is not about this call
    NO = 4


@dataclass(frozen=True, slots=True)
class Answer:
    truth: Truth
    why: str = ""


YES = Answer(Truth.YES)


@dataclass(frozen=True, slots=True)
class Target:
    """The tool a call is for, with its labels: all that `AboutTool` criteria look at."""

    server: str
    tool: str
    method: str
    direction: Direction
    labels: Classification


@dataclass(frozen=True, slots=True)
class View:
    """One call as rules see it."""

    call: ToolCall
    labels: Classification
    facts: FactReader
    at: datetime


class AboutTool(Protocol):
    """A criterion whose answer is the same for every call of a tool."""

    def holds(self, target: Target, *, allowing: bool) -> str | None:
        """None if it holds, else why not."""


class AboutCall(Protocol):
    """A criterion that looks at this very call."""

    def answer(self, view: View, *, allowing: bool) -> Answer: ...


def may_hold(criteria: Iterable[AboutCall], view: View) -> bool:
    """Whether something that tightens applies to a call: unless it surely does not (P10)."""
    gravest = max((criterion.answer(view, allowing=False).truth for criterion in criteria), default=Truth.YES)
    return gravest in (Truth.YES, Truth.MISSING, Truth.ERROR)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a rule is read in: whether it allows, and the facts its file set knows."""

    allowing: bool
    facts: Mapping[str, Fact]


@dataclass(frozen=True, slots=True)
class Patterns:
    """A list of patterns of which any must match, or all (`{all: […]}`)."""

    patterns: tuple[Pattern, ...]
    needs_all: bool = False

    def match_one(self, subject: str, *, allowing: bool) -> bool:
        """Match one name, such as a server or an agent."""
        return self.match_labels(frozenset((subject,)), allowing=allowing)

    def match_labels(self, labels: frozenset[str], *, allowing: bool) -> bool:
        """Match a set of labels. Where a rule asks or denies, a catch-all holds even if there is no label at all."""
        quantify = all if self.needs_all else any
        return quantify(
            pattern.matches_any(labels) or (pattern.is_catch_all and not allowing) for pattern in self.patterns
        )

    def __str__(self) -> str:
        words = ", ".join(pattern.text for pattern in self.patterns)
        return f"all of {words}" if self.needs_all else words


def read_patterns(node: Node, *, needs_all: bool = False) -> Patterns | None:
    """A pattern, a list of them, or `{all: [list]}`."""
    items: list[Node] | None
    if isinstance(node.value, dict):
        children = node.mapping(("all",), node.name) or {}
        if "all" not in children:
            node.mistake(f"{node.name} must be a list, or {{all: [list]}}")
            return None
        items, needs_all = children["all"].items(f"{node.name}: all"), True
    else:
        items = [node] if isinstance(node.value, str) else node.items(node.name)
    patterns = [read_pattern(item) for item in items or ()]
    good = tuple(pattern for pattern in patterns if pattern is not None)
    return Patterns(good, needs_all) if good and len(good) == len(patterns) else None


def read_pattern(node: Node) -> Pattern | None:
    text = node.text()
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError as error:
        node.mistake(str(error))
        return None
