"""`oversight:` the model `classify` gives a tool: `in_the_loop`, `on_the_loop`, `out_of_the_loop`; a list means any.

A classified tool whose model nobody stated matches where a rule asks or denies, not where one allows. An unclassified
call has no model at all and matches neither: it is denied unless a rule names it (SEMANTICS §1.3).
"""

from __future__ import annotations

from dataclasses import dataclass

from policies.criteria.base import Scope, Target
from policies.model import Oversight
from policies.reading import Node

KEY = "oversight"


@dataclass(frozen=True, slots=True)
class IsOversight:
    wanted: frozenset[Oversight]

    def holds(self, target: Target, *, allowing: bool) -> str | None:
        labels = target.labels
        if labels.oversight is None and labels.is_classified and not allowing:
            return None
        if labels.oversight in self.wanted:
            return None
        return f"the oversight model is not {' or '.join(sorted(self.wanted))}"


def read(node: Node, scope: Scope) -> IsOversight | None:
    del scope
    items = [node] if isinstance(node.value, str) else node.items(node.name)
    wanted = [item.choice(Oversight) for item in items or ()]
    good = frozenset(model for model in wanted if model is not None)
    return IsOversight(good) if good else None
