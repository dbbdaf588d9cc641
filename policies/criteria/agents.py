"""`agents:` who calls, by the name the agent's key stands under in the configuration."""

from __future__ import annotations

from dataclasses import dataclass

from policies.criteria.base import YES, Answer, Patterns, Scope, Truth, View, read_patterns
from policies.reading import Node

KEY = "agents"


@dataclass(frozen=True, slots=True)
class Agents:
    patterns: Patterns

    def answer(self, view: View, *, allowing: bool) -> Answer:
        if self.patterns.match_one(view.call.agent.id, allowing=allowing):
            return YES
        return Answer(Truth.NO, f"the agent is not {self.patterns}")


def read(node: Node, scope: Scope) -> Agents | None:
    del scope
    patterns = read_patterns(node)
    return None if patterns is None else Agents(patterns)
