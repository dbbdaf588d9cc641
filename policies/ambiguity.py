"""Rules that allow by a bare tool name which fits tools of several servers (SEMANTICS §1.2).

Which tools there are is known only once the gate has listed them, so this is asked then, and again when a server's
inventory changes. `decide` is told the rules (`ambiguous_rules`) and lets them match nothing; they are mistakes to
mend.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from policies.errors import PolicyError
from policies.patterns import Pattern
from policies.snapshot import PolicySnapshot, Rule


def ambiguous_rules(snapshot: PolicySnapshot, inventory: Mapping[str, Iterable[str]]) -> dict[str, PolicyError]:
    """The rules by `policy#rule`, each with what is wrong. `inventory` is the tools' names per server."""
    tools = [(server, tool) for server in sorted(inventory) for tool in inventory[server]]
    found: dict[str, PolicyError] = {}
    for policy in snapshot.all_policies:
        for rule in policy.rules:
            if rule.effect.is_allowing and (error := _error(rule, tools)) is not None:
                found[rule.ref] = error
    return found


def ambiguities(snapshot: PolicySnapshot, inventory: Mapping[str, Iterable[str]]) -> list[PolicyError]:
    """What is wrong with them, for a report."""
    return sorted(ambiguous_rules(snapshot, inventory).values())


def _error(rule: Rule, tools: list[tuple[str, str]]) -> PolicyError | None:
    for pattern in rule.match.tools.patterns.patterns if rule.match.tools else ():
        servers = _servers(pattern, tools)
        if len(servers) > 1:
            return PolicyError(
                rule.file,
                rule.line,
                rule.column,
                f"rule '{rule.id}' allows '{pattern.text}', which fits tools of {', '.join(servers)}",
                f"write '{servers[0]}/{pattern.text}', or '*/{pattern.text}' for every server",
            )
    return None


def _servers(pattern: Pattern, tools: list[tuple[str, str]]) -> list[str]:
    """The servers a bare pattern fits. `*` and `**` alone were written to mean every tool of every server."""
    if "/" in pattern.text or pattern.is_catch_all:
        return []
    return list(dict.fromkeys(server for server, tool in tools if pattern.matches_tool(server, tool)))
