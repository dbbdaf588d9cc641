"""`topics:` what a call is about, by the labels `classify` gives its tool; an unclassified call has none (§1.3)."""

from __future__ import annotations

from dataclasses import dataclass

from policies.criteria.base import Patterns, Scope, Target, read_patterns
from policies.reading import Node

KEY = "topics"


@dataclass(frozen=True, slots=True)
class Topics:
    patterns: Patterns

    def holds(self, target: Target, *, allowing: bool) -> str | None:
        if self.patterns.match_labels(target.labels.topics, allowing=allowing):
            return None
        return f"no topic is {self.patterns}"


def read(node: Node, scope: Scope) -> Topics | None:
    del scope
    patterns = read_patterns(node)
    return None if patterns is None else Topics(patterns)
