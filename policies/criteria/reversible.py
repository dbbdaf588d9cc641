"""`reversible:` whether `classify` says that what the tool does can be undone.

A classified tool of which nobody said so matches where a rule asks or denies, whichever value it names, and never
where one allows. An unclassified call matches neither (SEMANTICS §1.3).
"""

from __future__ import annotations

from dataclasses import dataclass

from policies.criteria.base import Scope, Target
from policies.reading import Node

KEY = "reversible"


@dataclass(frozen=True, slots=True)
class IsReversible:
    wanted: bool

    def holds(self, target: Target, *, allowing: bool) -> str | None:
        labels = target.labels
        if labels.reversible is None and labels.is_classified and not allowing:
            return None
        if labels.reversible is self.wanted:
            return None
        return f"reversible is not {'true' if self.wanted else 'false'}"


def read(node: Node, scope: Scope) -> IsReversible | None:
    del scope
    wanted = node.truth()
    return None if wanted is None else IsReversible(wanted)
