"""`risk_tags:` the risks of a call, by the labels `classify` gives its tool. Where a rule allows, several mean all."""

from __future__ import annotations

from dataclasses import dataclass

from policies.criteria.base import Patterns, Scope, Target, read_patterns
from policies.reading import Node

KEY = "risk_tags"


@dataclass(frozen=True, slots=True)
class RiskTags:
    patterns: Patterns

    def holds(self, target: Target, *, allowing: bool) -> str | None:
        if self.patterns.match_labels(target.labels.risk_tags, allowing=allowing):
            return None
        return f"no risk tag is {self.patterns}"


def read(node: Node, scope: Scope) -> RiskTags | None:
    patterns = read_patterns(node, needs_all=scope.allowing)
    return None if patterns is None else RiskTags(patterns)
