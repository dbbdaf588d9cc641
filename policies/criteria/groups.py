"""`groups:` which groups the calling agent belongs to, as the configuration says."""

from __future__ import annotations

from dataclasses import dataclass

from policies.criteria.base import YES, Answer, Patterns, Scope, Truth, View, read_patterns
from policies.reading import Node

KEY = "groups"


@dataclass(frozen=True, slots=True)
class Groups:
    patterns: Patterns

    def answer(self, view: View, *, allowing: bool) -> Answer:
        if self.patterns.match_labels(frozenset(view.call.agent.groups), allowing=allowing):
            return YES
        return Answer(Truth.NO, f"no group of the agent is {self.patterns}")


def read(node: Node, scope: Scope) -> Groups | None:
    del scope
    patterns = read_patterns(node)
    return None if patterns is None else Groups(patterns)
