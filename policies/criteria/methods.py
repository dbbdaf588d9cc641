"""`methods:` which MCP method a call is: `tools/call`, or another that reads or acts: `resources/read` … (§1.9)."""

from __future__ import annotations

from dataclasses import dataclass

from policies.criteria.base import Patterns, Scope, Target, read_patterns
from policies.reading import Node

KEY = "methods"


@dataclass(frozen=True, slots=True)
class Methods:
    patterns: Patterns

    def holds(self, target: Target, *, allowing: bool) -> str | None:
        return (
            None if self.patterns.match_one(target.method, allowing=allowing) else f"the method is not {self.patterns}"
        )


def read(node: Node, scope: Scope) -> Methods | None:
    del scope
    patterns = read_patterns(node)
    return None if patterns is None else Methods(patterns)
