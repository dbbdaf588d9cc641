"""Builders for the tests of criteria: a `match` read from YAML, and what it says of a tool or a call."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from policies.criteria import Match, read_match
from policies.criteria.base import Answer, Scope, Target, Truth, View
from policies.facts import Fact, FactReader
from policies.model import Agent, Classification, Direction, Risk
from policies.reading import Node, Source
from policies.yaml_source import load_positioned
from tests.policies.builders import NOON, call


def read(text: str, *, allowing: bool = False, facts: Mapping[str, Fact] | None = None) -> tuple[Match, list[str]]:
    """A match and what was wrong with it."""
    value, positions = load_positioned(text, "f.yaml")
    node = Node(value, Source("f.yaml", positions))
    match = read_match(node, Scope(allowing, facts or {}))
    return match or Match(), [str(mistake) for mistake in node.source.mistakes]


def mistakes(text: str, **options: Any) -> list[str]:
    return read(text, **options)[1]


def labels(**options: Any) -> Classification:
    """The labels of a classified tool."""
    for key in ("topics", "risk_tags"):
        options[key] = frozenset(options.get(key, ()))
    return Classification(is_classified=True, **options)


def holds(
    text: str,
    *,
    allowing: bool = False,
    tool: str = "payments/refund",
    method: str = "tools/call",
    direction: Direction = Direction.AGENT_TO_TOOL,
    given: Classification | None = None,
) -> bool:
    """Whether every criterion about the tool holds."""
    match, wrong = read(text, allowing=allowing)
    assert wrong == []
    server, _, name = tool.partition("/")
    target = Target(server, name, method, direction, given or Classification())
    answers = [criterion.holds(target, allowing=allowing) for criterion in match.about_tool]
    assert answers
    assert all(answer is None or answer for answer in answers)
    return all(answer is None for answer in answers)


def answer(
    text: str,
    arguments: dict[str, Any] | None = None,
    *,
    allowing: bool = False,
    agent: Agent | None = None,
    at: datetime = NOON,
    facts: Mapping[str, Fact] | None = None,
    risk: Risk | None = None,
) -> Answer:
    """The gravest answer of the criteria about the call."""
    match, wrong = read(text, allowing=allowing, facts=facts)
    assert wrong == []
    one = call(arguments=arguments, agent=agent)
    view = View(one, Classification(risk=risk), FactReader(one, facts or {}, {}), at)
    return max((c.answer(view, allowing=allowing) for c in match.about_call), key=lambda a: a.truth)


def is_yes(text: str, **options: Any) -> bool:
    said = answer(text, **options)
    assert said.truth in (Truth.YES, Truth.NO)
    return said.truth is Truth.YES
