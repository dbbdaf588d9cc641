"""What a rule can match, one file per kind of thing. A new kind is a new file here, its test and a line in `_ABOUT_*`.

`read_match` turns a rule's `match` into criteria: between the keys all must hold (SEMANTICS §1.2).
"""

from __future__ import annotations

from dataclasses import dataclass

from policies.criteria import (
    agents,
    direction,
    fact,
    groups,
    hours,
    methods,
    oversight,
    reversible,
    risk,
    risk_tags,
    servers,
    tools,
    topics,
)
from policies.criteria.base import AboutCall, AboutTool, Scope
from policies.criteria.tools import Tools
from policies.not_yet import MATCH_LATER
from policies.reading import Node, not_yet

_ABOUT_TOOL = (tools, servers, topics, risk_tags, methods, risk, reversible, oversight, direction)
_ABOUT_CALL = (agents, groups, hours)

KEYS = tuple(sorted(module.KEY for module in (*_ABOUT_TOOL, *_ABOUT_CALL)))

_TOOL_READERS = {module.KEY: module.read for module in _ABOUT_TOOL}
_CALL_READERS = {module.KEY: module.read for module in _ABOUT_CALL}


@dataclass(frozen=True, slots=True)
class Match:
    """A rule's criteria: those about the tool, those about the call, and the facts the latter read."""

    about_tool: tuple[AboutTool, ...] = ()
    about_call: tuple[AboutCall, ...] = ()
    facts: tuple[str, ...] = ()

    @property
    def tools(self) -> Tools | None:
        """The criterion `tools:`, if there is one."""
        return next((one for one in self.about_tool if isinstance(one, Tools)), None)


def read_match(node: Node, scope: Scope) -> Match | None:
    """The criteria of one `match`, or None after noting what is wrong."""
    children = node.mapping(None, "match")
    if children is None:
        return None
    if not children:
        node.mistake("an empty match", "leave 'match' out if the rule is about everything")
        return None
    about_tool: list[AboutTool | None] = []
    about_call: list[AboutCall | None] = []
    facts: list[str] = []
    for key, child in children.items():
        name, _ = fact.split(key)
        if key in _TOOL_READERS:
            about_tool.append(_TOOL_READERS[key](child, scope))
        elif key in _CALL_READERS:
            about_call.append(_CALL_READERS[key](child, scope))
        elif name in scope.facts:
            about_call.append(fact.read(child, scope))
            facts.append(name)
        elif later := MATCH_LATER.get(key) or MATCH_LATER.get(name) or (key.startswith("sum_") and MATCH_LATER["sum_"]):
            child.mistake(not_yet(key, later), "remove it", at_key=True)
        else:
            fact.unknown_fact(child, KEYS, scope)
    return Match(
        tuple(one for one in about_tool if one is not None),
        tuple(one for one in about_call if one is not None),
        tuple(dict.fromkeys(facts)),
    )
