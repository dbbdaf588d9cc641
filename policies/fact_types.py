"""What type a fact has whose definition does not say: found from what the rules of the file set compare it with.

Only literals count: `port: 22`, `amount_above: 5`, `env == "prod"`, `env in ["prod"]`, `path.startsWith("/etc")`. The
first use settles it; a later use that disagrees is then a mistake where it stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from policies.condition_tokens import BadCondition, tokens_of, uses
from policies.criteria.fact import split
from policies.facts import FactType


def types_used(document: Any) -> dict[str, FactType]:
    """Name -> type, for every name a file's rules compare with a literal. Takes any value; wrong shapes say nothing."""
    found: dict[str, FactType] = {}
    for name, declared in _uses(document):
        found.setdefault(name, declared)
    return found


def _uses(document: Any) -> Iterator[tuple[str, FactType]]:
    if not isinstance(document, Mapping):
        return
    levels = document.get("autonomy_levels")
    ladder = (
        [one.get("rules") for one in levels.values() if isinstance(one, Mapping)] if isinstance(levels, Mapping) else ()
    )
    for rules in (document.get("rules"), document.get("output"), *ladder):
        for rule in rules if isinstance(rules, list) else ():
            if isinstance(rule, Mapping):
                yield from _in_match(rule.get("match"))
                yield from _in_condition(rule.get("condition"))
    audit = document.get("audit")
    mandatory = audit.get("mandatory") if isinstance(audit, Mapping) else None
    for one in mandatory if isinstance(mandatory, list) else ():
        if isinstance(one, Mapping):
            yield from _in_match(one.get("match"))


def _in_match(match: Any) -> Iterator[tuple[str, FactType]]:
    for key, value in match.items() if isinstance(match, Mapping) else ():
        name, suffix = split(key)
        first = value[0] if isinstance(value, list) and value else value
        declared = FactType.NUMBER if suffix else _type(first)
        if declared is not None:
            yield name, declared


def _in_condition(condition: Any) -> Iterator[tuple[str, FactType]]:
    if isinstance(condition, str):
        try:
            found = list(uses(tokens_of(condition)))
        except BadCondition:  # said where the condition is compiled
            return
        for use in found:
            yield use.name, use.type


def _type(value: Any) -> FactType | None:
    match value:
        case bool():
            return FactType.BOOLEAN
        case int() | float():
            return FactType.NUMBER
        case str():
            return FactType.STRING
        case _:
            return None
