"""`servers:` which tool servers a rule is about, by their names in the configuration."""

from __future__ import annotations

from dataclasses import dataclass

from policies.criteria.base import Patterns, Scope, Target, read_patterns
from policies.reading import Node

KEY = "servers"


@dataclass(frozen=True, slots=True)
class Servers:
    patterns: Patterns

    def holds(self, target: Target, *, allowing: bool) -> str | None:
        return (
            None if self.patterns.match_one(target.server, allowing=allowing) else f"the server is not {self.patterns}"
        )


def read(node: Node, scope: Scope) -> Servers | None:
    del scope
    patterns = read_patterns(node)
    return None if patterns is None else Servers(patterns)
