"""`risk:` the tier `classify` gives a tool: low, medium or high; a list means any of them.

A classified tool whose tier nobody stated matches where a rule asks or denies, not where one allows. An unclassified
call has no tier at all and matches neither: it is denied unless a rule names it (SEMANTICS §1.3).
"""

from __future__ import annotations

from dataclasses import dataclass

from policies.criteria.base import Scope, Target
from policies.model import Risk
from policies.reading import Node

KEY = "risk"


@dataclass(frozen=True, slots=True)
class IsRisk:
    wanted: frozenset[Risk]

    def holds(self, target: Target, *, allowing: bool) -> str | None:
        labels = target.labels
        if labels.risk is None and labels.is_classified and not allowing:
            return None
        if labels.risk in self.wanted:
            return None
        return f"the risk is not {' or '.join(sorted(self.wanted))}"


def read(node: Node, scope: Scope) -> IsRisk | None:
    del scope
    items = [node] if isinstance(node.value, str) else node.items(node.name)
    wanted = [item.choice(Risk) for item in items or ()]
    good = frozenset(risk for risk in wanted if risk is not None)
    return IsRisk(good) if good else None
