"""`direction:` who speaks to whom: an agent to a tool, a tool server to the agent, or the agent answering it (§1.9)."""

from __future__ import annotations

from dataclasses import dataclass

from policies.criteria.base import Scope, Target
from policies.model import Direction
from policies.reading import Node

KEY = "direction"


@dataclass(frozen=True, slots=True)
class IsDirection:
    wanted: Direction

    def holds(self, target: Target, *, allowing: bool) -> str | None:
        del allowing
        return None if target.direction is self.wanted else f"the direction is not {self.wanted}"


def read(node: Node, scope: Scope) -> IsDirection | None:
    del scope
    wanted = node.choice(Direction)
    return None if wanted is None else IsDirection(wanted)
