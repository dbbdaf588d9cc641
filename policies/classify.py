"""Labels: what `classify` entries say about a tool. All entries that cover it add up (SEMANTICS §1.3).

Rules of this module:
* Topics and risk tags are united; the risk is the highest stated; `reversible` is false if any entry says so; of
  several oversight models the strictest counts.
* A tool no entry covers is unclassified, which is a state of its own and not "no labels".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from policies.criteria.base import Patterns
from policies.model import Classification, Oversight, Risk

_ORDER = list(Risk)
_STRICTEST_FIRST = list(Oversight)


@dataclass(frozen=True, slots=True)
class ClassifyEntry:
    """One entry: the tools it covers (between its keys all must hold) and the labels it gives them.

    Being classified is what frees a call for allowing rules, so patterns are read here as such rules read them.
    """

    tools: Patterns | None = None
    servers: Patterns | None = None
    methods: Patterns | None = None
    topics: frozenset[str] = frozenset()
    risk_tags: frozenset[str] | None = None
    risk: Risk | None = None
    reversible: bool | None = None
    oversight: Oversight | None = None
    file: str = ""
    line: int = 1

    def covers(self, server: str, tool: str, method: str) -> bool:
        if self.tools is not None:
            quantify = all if self.tools.needs_all else any
            if not quantify(pattern.matches_tool(server, tool) for pattern in self.tools.patterns):
                return False
        if self.servers is not None and not self.servers.match_one(server, allowing=True):
            return False
        return self.methods is None or self.methods.match_one(method, allowing=True)


def classify(entries: Iterable[ClassifyEntry], server: str, tool: str, method: str) -> Classification:
    """The labels of a tool."""
    covering = [entry for entry in entries if entry.covers(server, tool, method)]
    if not covering:
        return Classification()
    risks = [entry.risk for entry in covering if entry.risk is not None]
    models = [entry.oversight for entry in covering if entry.oversight is not None]
    undoable = {entry.reversible for entry in covering if entry.reversible is not None}
    return Classification(
        is_classified=True,
        topics=frozenset().union(*(entry.topics for entry in covering)),
        risk_tags=frozenset().union(*(entry.risk_tags or frozenset() for entry in covering)),
        risk=max(risks, key=_ORDER.index) if risks else None,
        reversible=(False not in undoable) if undoable else None,
        oversight=min(models, key=_STRICTEST_FIRST.index) if models else None,
    )
