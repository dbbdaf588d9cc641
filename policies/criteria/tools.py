"""`tools:` which tools a rule is about, by `server/tool`, `server.tool` or the bare tool name (SEMANTICS §1.2)."""

from __future__ import annotations

from dataclasses import dataclass

from policies.criteria.base import Patterns, Scope, Target, read_patterns
from policies.patterns import Naming
from policies.reading import Node

KEY = "tools"


@dataclass(frozen=True, slots=True)
class Tools:
    patterns: Patterns

    def holds(self, target: Target, *, allowing: bool) -> str | None:
        """A rule that asks or denies and says `*` or `**` means every tool, also one with a slash in its name."""
        wanted = self.patterns
        quantify = all if wanted.needs_all else any
        if quantify(
            pattern.matches_tool(target.server, target.tool) or (pattern.is_catch_all and not allowing)
            for pattern in wanted.patterns
        ):
            return None
        return f"the tool is not {wanted}"

    def naming(self, server: str, tool: str) -> Naming:
        """How plainly the tool is named; with `{all: […]}` by the plainest of them, as all match."""
        return max(pattern.names(server, tool) for pattern in self.patterns.patterns)


def read(node: Node, scope: Scope) -> Tools | None:
    del scope
    patterns = read_patterns(node)
    return None if patterns is None else Tools(patterns)
